//! The client's end of a line: bytes that come in time or not at all.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use super::address::Address;

/// An open line.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Serial(serial::Serial),
}

impl Stream {
    /// Opens the line to a device.
    pub(super) fn open(address: &Address, timeout: Duration) -> io::Result<Stream> {
        match address {
            Address::Tcp { authority } => {
                let deadline = Instant::now() + timeout;
                let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                for addr in authority.as_str().to_socket_addrs()? {
                    match TcpStream::connect_timeout(&addr, left(deadline)?) {
                        Ok(stream) => {
                            // Requests and answers alternate: neither has anything to wait for.
                            stream.set_nodelay(true)?;
                            return Ok(Stream::Tcp(stream));
                        }
                        Err(error) => failure = error,
                    }
                }
                Err(failure)
            }
            #[cfg(unix)]
            Address::Serial { path, baud } => serial::Serial::open(path, *baud).map(Stream::Serial),
            #[cfg(not(unix))]
            Address::Serial { .. } => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "serial lines need a Unix system"))
            }
        }
    }

    /// How long nothing comes before a delimiter is taken for lost. What stands between two ends of a
    /// TCP connection loses nothing, but a packet may have to be sent again.
    pub(super) const fn silence(&self) -> Duration {
        match self {
            Stream::Tcp(_) => Duration::from_millis(1_000),
            #[cfg(unix)]
            Stream::Serial(_) => Duration::from_millis(200),
        }
    }

    /// Reads what is there, and waits for something until `deadline`. Nothing is the end of the line.
    pub(super) fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            let read = match self {
                Stream::Tcp(stream) => {
                    stream.set_read_timeout(Some(left(deadline)?))?;
                    stream.read(buffer)
                }
                #[cfg(unix)]
                Stream::Serial(serial) => serial.read(buffer, deadline),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What a read of a socket that times out says.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    left(deadline)?;
                }
                read => return read,
            }
        }
    }

    /// Writes all of it until `deadline`.
    pub(super) fn write(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self {
                Stream::Tcp(stream) => {
                    stream.set_write_timeout(Some(left(deadline)?))?;
                    stream.write(bytes)
                }
                #[cfg(unix)]
                Stream::Serial(serial) => serial.write(bytes, deadline),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    left(deadline)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The time that is left.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(unix)]
pub use serial::open_serial;

#[cfg(unix)]
mod serial {
    use std::fs::File;
    use std::io::{self, Read as _, Write as _};
    use std::path::Path;
    use std::time::Instant;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::{Mode, OFlags};
    use rustix::termios::{self, OptionalActions, QueueSelector};

    use super::left;

    /// A serial line, as it comes: eight bits, no parity, nothing interpreted.
    #[derive(Debug)]
    pub(in super::super) struct Serial(File);

    /// Opens a serial line as a device's: reads wait for bytes, and nothing is interpreted.
    ///
    /// # Errors
    /// If there is no such line, or it is none.
    pub fn open_serial(path: &Path, baud: u32) -> io::Result<File> {
        open(path, baud, OFlags::empty())
    }

    fn open(path: &Path, baud: u32, more: OFlags) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | more;
        let line = rustix::fs::open(path, flags, Mode::empty())?;
        let mut settings = termios::tcgetattr(&line)?;
        settings.make_raw();
        settings.set_speed(baud)?;
        termios::tcsetattr(&line, OptionalActions::Now, &settings)?;
        // What lies about from before is nobody's question or answer.
        termios::tcflush(&line, QueueSelector::IOFlush)?;
        Ok(File::from(line))
    }

    impl Serial {
        pub(super) fn open(path: &Path, baud: u32) -> io::Result<Serial> {
            open(path, baud, OFlags::NONBLOCK).map(Serial)
        }

        pub(super) fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
            self.wait(PollFlags::IN, deadline)?;
            self.0.read(buffer)
        }

        pub(super) fn write(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<usize> {
            self.wait(PollFlags::OUT, deadline)?;
            self.0.write(bytes)
        }

        fn wait(&self, what: PollFlags, deadline: Instant) -> io::Result<()> {
            let left = left(deadline)?;
            let timeout = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut polled = [PollFd::new(&self.0, what)];
            match poll(&mut polled, Some(&timeout))? {
                0 => Err(io::ErrorKind::TimedOut.into()),
                _ => Ok(()),
            }
        }
    }
}
