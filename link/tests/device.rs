//! A device at the end of a line that brings anything.

mod common;

use common::*;
use picket_abi::{BodyChunk, Octets, TransactionLog};
use picket_link::*;
use proptest::prelude::*;

fn body(slot: u8, offset: u64, data: &[u8]) -> Request<'_> {
    let chunk = BodyChunk { offset, end: true, data: Octets(data) };
    Request::Phase { slot, message: PhaseMessage::RequestBody(chunk) }
}

fn log(slot: u8) -> Request<'static> {
    Request::Phase { slot, message: PhaseMessage::Log(TransactionLog::default()) }
}

#[test]
fn transactions_in_two_slots_are_judged_side_by_side() {
    let other = picket_abi::RequestHead { target: "/longer".into(), ..picket_abi::RequestHead::default() };
    let requests = [
        hello(1000),
        frame(2, &head("/a")),
        frame(3, &Request::Phase { slot: 1, message: PhaseMessage::RequestHead(other) }),
        frame(4, &body(0, 0, b"an evil body")),
        frame(5, &log(1)),
        frame(6, &log(0)),
        frame(7, &log(0)),
        frame(8, &body(2, 0, b"")),
    ];
    let answers = served(Judge::with_reply(3), 256, 64, requests.concat());
    assert_eq!(answers.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
    let Ok(Answer::Welcome(welcome)) = Answer::decode(&answers[0].1) else { panic!("no welcome") };
    assert_eq!((welcome.device.name, welcome.filter), ("judge".into(), None));
    assert_eq!(welcome.max_message as usize, max_payload(256));
    let Ok(Answer::Judged(judged)) = Answer::decode(&answers[3].1) else { panic!("no judgement") };
    assert!(matches!(judged.decision, Decision::Respond { status: 403, body: Octets(&[0, 1, 2]), .. }));
    let total = |answer: &[u8]| match Answer::decode(answer) {
        Ok(Answer::Finished(finished)) => finished.total.fuel,
        other => panic!("not finished: {other:?}"),
    };
    assert_eq!((total(&answers[4].1), total(&answers[5].1)), (7, 14));
    assert_eq!(fault(&answers[6].1), Fault::NoTransaction { slot: 0 });
    assert_eq!(fault(&answers[7].1), Fault::NoSlot { limit: 2, value: 2 });
}

#[test]
fn a_session_begins_with_a_hello_of_the_same_version() {
    let later = Version { major: 2, minor: 0 };
    let requests = [
        frame(1, &Request::Status),
        frame(2, &Request::Hello(Hello { version: later, max_answer: 1000, client: "test".into() })),
        frame(3, &Request::Status),
        hello(1000),
        frame(4, &head("/")),
        // Another hello: whoever was there is gone.
        hello(1000),
        frame(5, &body(0, 0, b"x")),
    ];
    let answers = served(Judge::default(), 128, 64, requests.concat());
    assert_eq!(fault(&answers[0].1), Fault::HelloFirst);
    assert_eq!(fault(&answers[1].1), Fault::Version { device: Version::CURRENT, client: later });
    assert_eq!(fault(&answers[2].1), Fault::HelloFirst);
    assert!(matches!(Answer::decode(&answers[4].1), Ok(Answer::Judged(_))));
    assert_eq!(fault(&answers[6].1), Fault::NoTransaction { slot: 0 });
}

#[test]
fn a_minor_version_that_is_later_is_welcome() {
    let version = Version { minor: 7, ..Version::CURRENT };
    let hello = Hello { version, max_answer: 1000, client: "test".into() };
    let answers = served(Judge::default(), 128, 64, frame(1, &Request::Hello(hello)));
    assert!(matches!(Answer::decode(&answers[0].1), Ok(Answer::Welcome(_))));
}

#[test]
fn a_request_that_comes_twice_is_done_once() {
    let chunk = frame(3, &body(0, 0, b"abc"));
    let requests = [hello(1000), frame(2, &head("/")), chunk.clone(), chunk, frame(4, &log(0))];
    let answers = served(Judge::default(), 128, 64, requests.concat());
    assert!(matches!(Answer::decode(&answers[2].1), Ok(Answer::Judged(_))));
    assert_eq!(fault(&answers[3].1), Fault::Duplicate { sequence: 3 });
    let Ok(Answer::Finished(finished)) = Answer::decode(&answers[4].1) else { panic!("not finished") };
    assert_eq!(finished.total.fuel, 4);
}

#[test]
fn requests_that_are_none_are_named() {
    let requests = [
        hello(1000),
        framed(2, &[]),
        framed(3, &[1]),
        framed(4, &[1, 0, 0xff]),
        framed(5, &[99]),
        framed(6, &[7, 5]),
        // A head whose list of header fields is none.
        framed(7, &[3, 0, 200, 1, 2, 1, 0xff, 0]),
        framed(8, &[10, 1, 2, 3]),
    ];
    let answers = served(Judge::default(), 128, 64, requests.concat());
    let faults: Vec<Fault> = answers[1..7].iter().map(|(_, answer)| fault(answer)).collect();
    assert_eq!(
        faults,
        [
            Fault::Malformed { request: 0, offset: 0 },
            Fault::Malformed { request: 1, offset: 1 },
            Fault::Malformed { request: 1, offset: 2 },
            Fault::UnknownRequest { request: 99 },
            Fault::Malformed { request: 7, offset: 1 },
            Fault::Malformed { request: 3, offset: 2 },
        ]
    );
    assert!(matches!(Answer::decode(&answers[7].1), Ok(Answer::Status(_))), "later versions may append");
}

#[test]
fn a_frame_that_is_too_long_is_refused_with_limit_and_value() {
    let fits = max_payload(128);
    let exact = body(0, 0, &[7; 256][..fits - 5]);
    assert_eq!(payload(&exact).len(), fits);
    let over = body(0, 0, &[7; 256][..fits - 4]);
    let long = vec![1; 100_000];
    let requests = [
        hello(1000),
        frame(2, &head("/")),
        frame(3, &exact),
        frame(4, &over),
        [&long[..], &[0]].concat(),
        frame(5, &Request::Status),
    ];
    let answers = served(Judge::default(), 128, 64, requests.concat());
    assert!(matches!(Answer::decode(&answers[2].1), Ok(Answer::Judged(_))));
    let over = frame(4, &over).len() as u32 - 1;
    assert_eq!(
        (answers[3].0, fault(&answers[3].1)),
        (UNASKED, Fault::FrameTooLong { limit: 127, value: over })
    );
    assert_eq!(
        (answers[4].0, fault(&answers[4].1)),
        (UNASKED, Fault::FrameTooLong { limit: 127, value: 100_000 })
    );
    let Ok(Answer::Status(status)) = Answer::decode(&answers[5].1) else { panic!("no status") };
    assert_eq!(status.counts, Counts { sessions: 1, transactions: 1, requests: 3, faults: 0, garbled: 2 });
}

#[test]
fn an_answer_that_is_too_long_for_the_client_is_not_sent() {
    let requests = [hello(200), frame(2, &head("/evil")), frame(3, &Request::Status)];
    let answers = served(Judge::with_reply(500), 128, 64, requests.concat());
    let Fault::AnswerTooLong { limit: 200, value } = fault(&answers[1].1) else { panic!("another fault") };
    assert!((500..550).contains(&value), "{value}");
    assert!(matches!(Answer::decode(&answers[2].1), Ok(Answer::Status(_))));
}

#[test]
fn a_line_that_echoes_does_not_make_a_device_talk_to_itself() {
    let (mut input, mut output) = ([0; 128], [0; 64]);
    let mut device = Device::new(Judge::default(), &mut input, &mut output).unwrap();
    let mut line = Memory::new(hello(1000));
    device.serve(&mut line).unwrap();
    let mut echo = Memory::new(line.output);
    device.serve(&mut echo).unwrap();
    let answers = answers(&echo.output);
    assert_eq!((answers.len(), answers[0].0, fault(&answers[0].1)), (1, UNASKED, Fault::Garbled));
}

#[test]
fn buffers_that_hold_no_frame_are_refused() {
    let (mut short, mut long) = ([0; MIN_BUFFER - 1], [0; MIN_BUFFER]);
    assert_eq!(
        Device::new(Judge::default(), &mut short, &mut long).unwrap_err(),
        BufferTooShort { length: MIN_BUFFER - 1 }
    );
    assert!(Device::new(Judge::default(), &mut long, &mut short).is_err());
    assert!(served(Judge::default(), MIN_BUFFER, MIN_BUFFER, hello(1000)).len() == 1);
}

#[cfg(feature = "async")]
#[test]
fn an_executor_is_answered_the_same() {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// A line on which every read has to be waited for once.
    struct Waiting(Memory, bool);

    impl embedded_io::ErrorType for Waiting {
        type Error = std::convert::Infallible;
    }

    impl embedded_io_async::Read for Waiting {
        async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
            std::future::poll_fn(|_| {
                self.1 = !self.1;
                if self.1 { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            embedded_io::Read::read(&mut self.0, buf)
        }
    }

    impl embedded_io_async::Write for Waiting {
        async fn write(&mut self, buf: &[u8]) -> Result<usize, Self::Error> {
            embedded_io::Write::write(&mut self.0, buf)
        }

        async fn flush(&mut self) -> Result<(), Self::Error> {
            Ok(())
        }
    }

    let requests = [vec![7; 40], vec![0], hello(1000), frame(2, &head("/evil")), frame(3, &log(0))].concat();
    let expected = served(Judge::with_reply(700), 128, 64, requests.clone());
    let mut memory = Memory::new(requests);
    memory.piece = 11;
    let mut line = Waiting(memory, false);
    let (mut input, mut output) = ([0; 128], [0; 64]);
    let mut device = Device::new(Judge::with_reply(700), &mut input, &mut output).unwrap();
    let mut waits = 0;
    {
        let mut serving = pin!(device.serve_async(&mut line));
        let mut context = Context::from_waker(Waker::noop());
        while serving.as_mut().poll(&mut context).is_pending() {
            waits += 1;
        }
    }
    assert!(waits > 5, "{waits}");
    assert_eq!(answers(&line.0.output), expected);
    assert_eq!(expected.len(), 4);
}

/// The answers to a transfer's requests, behind the hello.
fn transferred(requests: &[Request<'_>]) -> Vec<Vec<u8>> {
    let mut bytes = hello(1000);
    for (n, request) in requests.iter().enumerate() {
        bytes.extend(frame(n as u16 + 2, request));
    }
    let answers = served(Judge::with_reply(0), 256, 64, bytes);
    answers.into_iter().skip(1).map(|(_, answer)| answer).collect()
}

fn chunk(offset: u32, data: &[u8]) -> Request<'_> {
    Request::Chunk { offset, data: Octets(data) }
}

#[track_caller]
fn assert_received(answer: &[u8], length: u32) {
    assert_eq!(Answer::decode(answer), Ok(Answer::Received { length }));
}

#[test]
fn a_module_is_installed_when_all_of_it_has_come() {
    let module = b"a module in three pieces";
    let sha256 = Sha256::of(module);
    let begin = Request::Transfer(Transfer { artifact: Artifact::Module, length: 24, sha256 });
    let answers = transferred(&[
        begin,
        chunk(0, &module[..10]),
        chunk(10, b""),
        chunk(10, &module[10..20]),
        chunk(20, &module[20..]),
        Request::Install,
        // What is installed is no longer there to be installed.
        Request::Install,
    ]);
    for (answer, length) in answers.iter().zip([0, 10, 10, 20, 24]) {
        assert_received(answer, length);
    }
    let Ok(Answer::Installed(installed)) = Answer::decode(&answers[5]) else { panic!("not installed") };
    assert_eq!(installed.module, sha256);
    assert_eq!(fault(&answers[6]), Fault::NoFilter);
}

#[test]
fn what_is_not_what_was_announced_is_thrown_away() {
    let expected = Sha256::of(b"expected");
    let begin = Request::Transfer(Transfer { artifact: Artifact::Module, length: 8, sha256: expected });
    let answers = transferred(&[begin, chunk(0, b"differs!"), Request::Install, chunk(8, b"")]);
    let actual = Sha256::of(b"differs!");
    assert_eq!(fault(&answers[1]), Fault::DigestDiffers { expected, actual });
    let text = fault(&answers[1]).to_string();
    assert!(text.contains(&expected.to_string()) && text.contains(&actual.to_string()), "{text}");
    assert_eq!(fault(&answers[2]), Fault::NoFilter);
    assert_eq!(fault(&answers[3]), Fault::NoTransfer);
}

#[test]
fn a_transfer_that_breaks_off_is_begun_anew() {
    let sha256 = Sha256::of(b"module");
    let begin = Request::Transfer(Transfer { artifact: Artifact::Module, length: 6, sha256 });
    let answers = transferred(&[
        begin,
        chunk(0, b"mod"),
        begin,
        chunk(3, b"ule"),
        chunk(0, b"module"),
        Request::Install,
    ]);
    assert_eq!(fault(&answers[3]), Fault::OutOfOrder { expected: 0, actual: 3 });
    assert_received(&answers[4], 6);
    assert!(matches!(Answer::decode(&answers[5]), Ok(Answer::Installed(_))));
}

#[test]
fn a_transfer_is_held_to_its_length() {
    let sha256 = Sha256::of(b"module");
    let transfer = |length| Request::Transfer(Transfer { artifact: Artifact::Module, length, sha256 });
    let answers = transferred(&[
        transfer(6),
        chunk(0, b"modules"),
        transfer(6),
        chunk(0, b"mod"),
        Request::Install,
        chunk(3, b"ule"),
        transfer(1001),
        Request::Transfer(Transfer { artifact: Artifact::Ruleset, length: 1, sha256 }),
    ]);
    assert_eq!(fault(&answers[1]), Fault::Incomplete { expected: 6, actual: 7 });
    assert_eq!(fault(&answers[4]), Fault::Incomplete { expected: 6, actual: 3 });
    assert_eq!(fault(&answers[5]), Fault::NoTransfer);
    let artifact = Artifact::Module;
    assert_eq!(fault(&answers[6]), Fault::TooLong { artifact, limit: 1000, value: 1001 });
    assert_eq!(fault(&answers[7]), Fault::Unsupported { artifact: Artifact::Ruleset });
}

#[test]
fn what_is_refused_says_who_is_at_fault() {
    let sha256 = Sha256::of(b"bad module");
    let begin = Request::Transfer(Transfer { artifact: Artifact::Module, length: 10, sha256 });
    let answers = transferred(&[begin, chunk(0, b"bad module"), Request::Install]);
    let refused = Refused { culprit: "guest".into(), message: "it is bad".into() };
    assert_eq!(Answer::decode(&answers[2]), Ok(Answer::Refused(refused)));
}

proptest! {
    /// Whatever has come before: behind the next delimiter, a device is there.
    #[test]
    fn after_any_garbage_the_next_frame_is_answered(
        garbage in prop::collection::vec(any::<u8>(), 0..600),
        zeros in any::<bool>(),
        piece in 1_usize..200,
    ) {
        let mut bytes = garbage;
        if zeros {
            bytes.iter_mut().step_by(7).for_each(|byte| *byte = 0);
        }
        bytes.push(DELIMITER);
        bytes.extend(hello(1000));
        bytes.extend(frame(2, &head("/")));
        let (mut input, mut output) = ([0; 128], [0; 64]);
        let mut line = Memory::new(bytes);
        line.piece = piece;
        let mut device = Device::new(Judge::default(), &mut input, &mut output).unwrap();
        device.serve(&mut line).unwrap();
        let answers = answers(&line.output);
        let (last, before) = answers.split_last().unwrap();
        prop_assert_eq!(last.0, 2);
        prop_assert!(matches!(Answer::decode(&last.1), Ok(Answer::Judged(_))));
        let (hello, garbage) = before.split_last().unwrap();
        prop_assert!(matches!(Answer::decode(&hello.1), Ok(Answer::Welcome(_))));
        for (sequence, answer) in garbage {
            prop_assert_eq!(*sequence, UNASKED);
            prop_assert!(matches!(Answer::decode(answer), Ok(Answer::Fault(_))));
        }
    }

    /// Damage to a request is noticed, and does nothing.
    #[test]
    fn a_damaged_request_has_no_effect(at in any::<prop::sample::Index>(), by in 1_u8..) {
        let mut damaged = frame(3, &body(0, 0, b"some bytes of a body"));
        let end = damaged.len() - 1;
        damaged[at.index(end)] ^= by;
        let requests = [hello(1000), frame(2, &head("/")), damaged, frame(4, &log(0))];
        let answers = served(Judge::default(), 128, 64, requests.concat());
        let Ok(Answer::Finished(finished)) = Answer::decode(&answers.last().unwrap().1) else {
            panic!("not finished")
        };
        prop_assert_eq!(finished.total.fuel, 1);
        for (sequence, answer) in &answers[2..answers.len() - 1] {
            prop_assert_eq!((*sequence, fault(answer)), (UNASKED, Fault::Garbled));
        }
    }

    /// Through how small a buffer it is sent and how it is read changes nothing about an answer.
    #[test]
    fn an_answer_of_any_length_passes_through_a_buffer_of_any_length(
        reply in 0_usize..3000,
        output in MIN_BUFFER..1200,
        piece in 1_usize..300,
    ) {
        let requests = [hello(10_000), frame(2, &head("/evil"))].concat();
        let expected = served(Judge::with_reply(reply), 128, 1 << 16, requests.clone());
        let (mut input, mut output) = (vec![0; 128], vec![0; output]);
        let mut line = Memory::new(requests);
        line.piece = piece;
        let mut device = Device::new(Judge::with_reply(reply), &mut input, &mut output).unwrap();
        device.serve(&mut line).unwrap();
        prop_assert_eq!(answers(&line.output), expected);
    }

    #[test]
    fn any_payload_comes_through_as_it_is(
        payload in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..1500),
        sequence in any::<u16>(),
    ) {
        let frame = framed(sequence, &payload);
        prop_assert_eq!(frame.iter().position(|&byte| byte == DELIMITER), Some(frame.len() - 1));
        let mut receiver = Receiver::new(vec![0; frame.len()]);
        prop_assert_eq!(receiver.push(&frame), (frame.len(), true));
        let received = receiver.frame().unwrap().unwrap();
        prop_assert_eq!((received.kind, received.sequence, received.part), (Kind::Request, sequence, 0));
        prop_assert_eq!(received.payload, &payload[..]);
        prop_assert!(receiver.frame().is_none());
    }

    #[test]
    fn what_is_said_to_fit_fits(buffer in 0_usize..5000, byte in any::<u8>()) {
        let mut space = vec![0; buffer];
        let fits = max_payload(buffer);
        // Header, CRC, the byte of COBS, the delimiter.
        if buffer < 11 {
            prop_assert!(fits == 0 && request_frame(1, &[], &mut space).is_none());
            return Ok(());
        }
        prop_assert!(request_frame(1, &vec![byte; fits], &mut space).is_some());
        prop_assert!(request_frame(1, &vec![byte; fits + 1], &mut space).is_none());
        prop_assert!(max_payload(frame_length(fits)) >= fits);
    }

    #[test]
    fn no_bytes_are_too_odd_to_be_decoded(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(request) = Request::decode(&bytes) {
            prop_assert!(!payload(&request).is_empty());
        }
        if let Ok(answer) = Answer::decode(&bytes) {
            prop_assert!(picket_abi::encoded_len(&answer) > 0);
        }
    }
}
