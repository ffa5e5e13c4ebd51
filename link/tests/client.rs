//! A client and devices that are slow, deaf, noisy, restarted, or no devices at all.
#![cfg(feature = "std")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use common::*;
use picket_abi::{BodyChunk, Octets, TransactionLog};
use picket_link::*;

/// Serves one connection after the other, each with a judge of its own, through `line`.
fn device<S>(line: impl Fn(TcpStream, usize) -> S + Send + 'static) -> Address
where
    S: std::io::Read + std::io::Write + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().flatten().enumerate() {
            let (mut input, mut output) = ([0; 256], [0; 64]);
            let mut device = Device::new(Judge::with_reply(500), &mut input, &mut output).unwrap();
            // A client that has gone is no news.
            let _ = device.serve(&mut Line(line(stream, n)));
        }
    });
    Address::Tcp { authority }
}

/// A line that damages the `n`th byte in that direction.
struct Noisy {
    stream: TcpStream,
    reads: usize,
    damage_read: usize,
    writes: usize,
    damage_write: usize,
}

impl std::io::Read for Noisy {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let count = self.stream.read(buf)?;
        for byte in &mut buf[..count] {
            self.reads += 1;
            if self.reads == self.damage_read {
                *byte ^= 0x55;
            }
        }
        Ok(count)
    }
}

impl std::io::Write for Noisy {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let mut bytes = buf.to_vec();
        for byte in &mut bytes {
            self.writes += 1;
            if self.writes == self.damage_write {
                *byte ^= 0x55;
            }
        }
        self.stream.write_all(&bytes)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

fn noisy(damage_read: usize, damage_write: usize) -> Address {
    device(move |stream, n| {
        // The first connection only: a line is not noisy for ever.
        let (damage_read, damage_write) = if n == 0 { (damage_read, damage_write) } else { (0, 0) };
        Noisy { stream, reads: 0, damage_read, writes: 0, damage_write }
    })
}

fn options(timeout: u64) -> Options {
    let timeout = Duration::from_millis(timeout);
    Options { connect_timeout: timeout, timeout, ..Options::default() }
}

fn begin(client: &mut Client, target: &str) -> Result<u16, ClientError> {
    let head = picket_abi::RequestHead { target: target.into(), ..picket_abi::RequestHead::default() };
    let judged = client.judge(0, PhaseMessage::RequestHead(head))?;
    match judged.decision {
        Decision::Continue => Ok(0),
        Decision::Respond { status, body, .. } => {
            assert_eq!(body.len(), 500);
            Ok(status)
        }
        other => panic!("the judge does not: {other:?}"),
    }
}

fn piece(client: &mut Client, offset: u64, data: &[u8]) -> Result<u64, ClientError> {
    let chunk = BodyChunk { offset, end: false, data: Octets(data) };
    Ok(client.judge(0, PhaseMessage::RequestBody(chunk))?.spent.fuel)
}

#[test]
fn a_transaction_over_tcp() {
    let mut client = Client::connect(device(|stream, _| stream), options(10_000)).unwrap();
    assert_eq!((client.info().name.as_str(), client.info().slots), ("judge", 2));
    assert_eq!(client.info().max_message, max_payload(256));
    assert_eq!(begin(&mut client, "/evil").unwrap(), 403);
    assert_eq!(begin(&mut client, "/good").unwrap(), 0);
    let room = client.max_chunk();
    assert_eq!(piece(&mut client, 0, &vec![b'x'; room]).unwrap(), room as u64);
    let fuel = client.finish(0, TransactionLog::default()).unwrap().total.fuel;
    assert_eq!(fuel, 5 + room as u64);
    let too_long = piece(&mut client, 0, &[b'x'; 1000]).unwrap_err();
    assert!(matches!(too_long, ClientError::MessageTooLong { limit: 243.., value: 1005.. }), "{too_long:?}");
    assert!(!too_long.ends_session());
    assert_eq!(client.status().unwrap().counts.transactions, 2);
}

#[test]
fn a_request_that_is_damaged_on_the_way_is_sent_again() {
    // Bytes of the hello, of what comes after it, and delimiters.
    for damaged in (1..120).step_by(3) {
        let mut client = Client::connect(noisy(damaged, 0), options(10_000)).unwrap();
        assert_eq!(begin(&mut client, "/evil").unwrap(), 403, "byte {damaged}");
        assert_eq!(begin(&mut client, "/good").unwrap(), 0, "byte {damaged}");
        assert_eq!(piece(&mut client, 0, b"1234").unwrap(), 4, "byte {damaged}");
        let total = client.finish(0, TransactionLog::default()).unwrap().total;
        assert_eq!(total.fuel, 9, "byte {damaged}: done twice, or not at all");
    }
}

#[test]
fn an_answer_that_is_damaged_on_the_way_is_lost_and_never_wrong() {
    let mut lost = 0;
    for damaged in (1..400).step_by(5) {
        let mut client = match Client::connect(noisy(0, damaged), options(10_000)) {
            Ok(client) => client,
            Err(error) => panic!("byte {damaged}: a hello can be said again: {error}"),
        };
        match begin(&mut client, "/evil") {
            Ok(status) => assert_eq!(status, 403, "byte {damaged}"),
            Err(ClientError::AnswerLost) => lost += 1,
            Err(error) => panic!("byte {damaged}: {error}"),
        }
        // The session goes on.
        assert_eq!(begin(&mut client, "/good").unwrap(), 0, "byte {damaged}");
    }
    assert!(lost > 20, "only {lost} answers were damaged");
}

#[test]
fn modules_are_transferred_if_they_differ() {
    let mut client = Client::connect(device(|stream, _| stream), options(10_000)).unwrap();
    assert_eq!(client.info().filter, None);
    let module: Vec<u8> = (0..900_u32).map(|n| n as u8).collect();
    assert!(client.provide(Some(&module), None, None).unwrap());
    assert_eq!(client.info().filter.as_ref().unwrap().module, Sha256::of(&module));
    assert!(!client.provide(Some(&module), None, None).unwrap(), "it is there already");

    let refused = client.provide(Some(b"bad module"), None, None).unwrap_err();
    assert!(matches!(&refused, ClientError::Refused { culprit, .. } if culprit == "guest"), "{refused:?}");
    assert!(refused.to_string().contains("it is bad"), "{refused}");
    let too_long = client.provide(Some(&[0; 1001]), None, None).unwrap_err();
    let artifact = Artifact::Module;
    let fault = Fault::TooLong { artifact, limit: 1000, value: 1001 };
    assert!(matches!(too_long, ClientError::Fault(found) if found == fault), "{too_long:?}");
    // What was there before still is.
    assert!(!client.provide(Some(&module), None, None).unwrap());
    client.reconnect().unwrap();
    assert!(client.is_connected());
}

/// Somebody who accepts one connection and does as `with` does.
fn peer(with: impl FnOnce(TcpStream) + Send + 'static) -> (Address, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || with(listener.accept().unwrap().0));
    (Address::Tcp { authority }, thread)
}

#[test]
fn nobody_and_nothing_are_told_apart() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let nobody = Client::connect(Address::Tcp { authority: free }, options(2_000)).unwrap_err();
    assert!(matches!(nobody, ClientError::Connect { .. }), "{nobody:?}");
    assert!(nobody.to_string().contains("is it running"), "{nobody}");

    let (deaf, _thread) = peer(|stream| {
        std::thread::sleep(Duration::from_secs(20));
        drop(stream);
    });
    let silent = Client::connect(deaf, options(100)).unwrap_err();
    assert!(matches!(silent, ClientError::Timeout { .. }), "{silent:?}");
    assert!(silent.to_string().contains("100 ms"), "{silent}");

    let (gone, thread) = peer(drop);
    let closed = Client::connect(gone, options(5_000)).unwrap_err();
    assert!(matches!(closed, ClientError::Closed | ClientError::Line { .. }), "{closed:?}");
    thread.join().unwrap();

    let (web, _thread) = peer(|mut stream| {
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 64]);
    });
    let other = Client::connect(web, options(300)).unwrap_err();
    assert!(other.ends_session(), "{other:?}");
}

#[test]
fn a_device_that_never_stops_talking_does_not_hold_a_client_for_ever() {
    for flood in [&b"no delimiter at all "[..], b"\0", b"abc\0"] {
        let (endless, _thread) = peer(move |mut stream| {
            let block: Vec<u8> = flood.iter().copied().cycle().take(4096).collect();
            while stream.write_all(&block).is_ok() {}
        });
        let error = Client::connect(endless, options(300)).unwrap_err();
        assert!(error.ends_session() || matches!(error, ClientError::Fault(Fault::Garbled)), "{error:?}");
    }
}

#[test]
fn a_device_of_another_version_is_refused_with_advice() {
    let (later, _thread) = peer(|mut stream| {
        let mut receiver = Receiver::new(vec![0; 256]);
        let mut byte = [0];
        let sequence = loop {
            stream.read_exact(&mut byte).unwrap();
            if receiver.push(&byte).1
                && let Some(frame) = receiver.frame()
            {
                break frame.unwrap().sequence;
            }
        };
        let version = Version { major: 9, minor: 0 };
        let welcome = Answer::Welcome(Welcome { version, ..Welcome::default() });
        let mut buffer = [0; 256];
        let length = Emission::new(sequence, &welcome).next(&welcome, &mut buffer);
        stream.write_all(&buffer[..length]).unwrap();
        let _ = stream.read(&mut byte);
    });
    let error = Client::connect(later, options(5_000)).unwrap_err();
    assert!(matches!(error, ClientError::Version { device: Version { major: 9, minor: 0 } }), "{error:?}");
    assert!(error.to_string().contains("upgrade the client"), "{error}");
}

#[test]
fn a_session_that_is_over_is_begun_anew() {
    let address = device(|stream, _| stream);
    let mut client = Client::connect(address, options(10_000)).unwrap();
    begin(&mut client, "/good").unwrap();
    client.reconnect().unwrap();
    // No transaction has begun in this one.
    let error = piece(&mut client, 0, b"x").unwrap_err();
    assert!(matches!(error, ClientError::Fault(Fault::NoTransaction { slot: 0 })), "{error:?}");
    assert_eq!(begin(&mut client, "/good").unwrap(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_at_a_serial_line() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    // Keeps the line open while no client has it.
    let mut settings = rustix::termios::tcgetattr(&master).unwrap();
    settings.make_raw();
    rustix::termios::tcsetattr(&master, rustix::termios::OptionalActions::Now, &settings).unwrap();
    let kept = open_serial(path.as_ref(), 115_200).unwrap();
    std::thread::spawn(move || {
        let (mut input, mut output) = ([0; 256], [0; 64]);
        let mut device = Device::new(Judge::with_reply(500), &mut input, &mut output).unwrap();
        let _ = device.serve(&mut Line(std::fs::File::from(master)));
    });
    let address: Address = format!("serial:{path}@921600").parse().unwrap();
    let mut client = Client::connect(address.clone(), options(10_000)).unwrap();
    assert_eq!(begin(&mut client, "/evil").unwrap(), 403);
    assert_eq!(begin(&mut client, "/good").unwrap(), 0);
    drop(client);
    // Whoever was there before has left half a frame. Opening the line throws away what the device has not
    // read yet: then it is left once more.
    let garbled = (0..100).find_map(|_| {
        std::io::Write::write_all(&mut &kept, b"half a fra").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let mut client = Client::connect(address.clone(), options(10_000)).unwrap();
        Some(client.status().unwrap().counts.garbled).filter(|&garbled| garbled > 0)
    });
    assert_eq!(garbled, Some(1));
    drop(kept);
}

#[cfg(unix)]
#[test]
fn a_file_is_no_serial_line() {
    let address: Address = "serial:/dev/null".parse().unwrap();
    let error = Client::connect(address, options(100)).unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error:?}");
}
