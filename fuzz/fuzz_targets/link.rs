//! A device is sent any bytes: it neither panics nor hangs, writes nothing but whole answers, does
//! nothing that it was not asked for in a whole frame, and is there for the next one.
//!
//! Input: one byte says how the rest is cut into reads, the others are pieces of two bytes of length
//! and what follows. A piece of even length comes as it is; one of odd length is framed first, so that
//! the fuzzer gets behind the CRC.
#![no_main]

use std::collections::VecDeque;
use std::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};
use libfuzzer_sys::fuzz_target;
use picket_abi::{Octets, Seq, TransactionLog};
use picket_link::*;

/// Answers everything, and holds the device to what it promises about the order of things.
#[derive(Default)]
struct Judge {
    begun: [bool; 3],
    staged: Option<(Transfer, Vec<u8>)>,
    installed: Option<Vec<u8>>,
}

const MAX: u32 = 4096;

impl Evaluate for Judge {
    fn description(&self) -> Description<'_> {
        Description { name: "fuzz".into(), max_module: MAX, max_ruleset: MAX, slots: 3, ..Description::default() }
    }

    fn installed(&self) -> Option<Installed<'_>> {
        let module = Sha256::of(self.installed.as_deref()?);
        Some(Installed { name: "fuzz".into(), module, ..Installed::default() })
    }

    fn reset(&mut self) {
        self.begun = [false; 3];
    }

    fn judge(&mut self, slot: u8, message: &PhaseMessage<'_>) -> Result<Judged<'_>, Fault> {
        let begun = self.begun.get_mut(usize::from(slot)).ok_or(Fault::NoSlot { limit: 3, value: slot })?;
        match message {
            PhaseMessage::RequestHead(head) => {
                *begun = true;
                // The list was proved: counting its elements ends with it.
                let bytes: usize = head.headers.iter().map(|field| field.name.len() + field.value.len()).sum();
                assert!(bytes <= head.headers.encoded().len());
            }
            PhaseMessage::Log(_) => panic!("the end of a transaction is not judged"),
            _ => {}
        }
        if !*begun {
            return Err(Fault::NoTransaction { slot });
        }
        let body = self.installed.as_deref().unwrap_or(b"");
        let decision = Decision::Respond { status: 403, headers: Seq::EMPTY, body: Octets(body) };
        Ok(Judged { decision, ..Judged::default() })
    }

    fn finish(&mut self, slot: u8, _: &TransactionLog) -> Result<Finished<'_>, Fault> {
        let begun = self.begun.get_mut(usize::from(slot)).ok_or(Fault::NoSlot { limit: 3, value: slot })?;
        if std::mem::take(begun) { Ok(Finished::default()) } else { Err(Fault::NoTransaction { slot }) }
    }

    fn stage(&mut self, transfer: &Transfer) -> Result<(), Fault> {
        if transfer.artifact != Artifact::Settings {
            assert!(transfer.length <= MAX, "longer than the device takes");
        }
        self.staged = Some((*transfer, Vec::new()));
        Ok(())
    }

    fn write(&mut self, artifact: Artifact, data: &[u8]) -> Result<(), Fault> {
        let (transfer, bytes) = self.staged.as_mut().expect("bytes belong to a transfer");
        assert_eq!(transfer.artifact, artifact);
        bytes.extend_from_slice(data);
        assert!(bytes.len() <= transfer.length as usize, "more than was announced");
        Ok(())
    }

    fn discard(&mut self, artifact: Artifact) {
        assert_eq!(self.staged.take().expect("there is something to discard").0.artifact, artifact);
    }

    fn install(&mut self) -> Result<Installed<'_>, NotInstalled<'_>> {
        let Some((transfer, bytes)) = self.staged.take() else {
            return Err(NotInstalled::Fault(Fault::NoFilter));
        };
        // What is installed is whole, and what was announced.
        assert_eq!(Sha256::of(&bytes), transfer.sha256);
        self.installed = Some(bytes);
        Ok(self.installed().unwrap_or_default())
    }
}

struct Line {
    input: VecDeque<u8>,
    piece: usize,
    output: Vec<u8>,
}

impl ErrorType for Line {
    type Error = Infallible;
}

impl Read for Line {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        let count = buf.len().min(self.piece).min(self.input.len());
        buf.iter_mut().zip(self.input.drain(..count)).for_each(|(place, byte)| *place = byte);
        Ok(count)
    }
}

impl Write for Line {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Infallible> {
        self.output.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn frame(sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; frame_length(payload.len())];
    let length = request_frame(sequence, payload, &mut frame).expect("the buffer is long enough");
    frame.truncate(length);
    frame
}

fn request(sequence: u16, request: &Request<'_>) -> Vec<u8> {
    let mut payload = vec![0; picket_abi::encoded_len(request)];
    picket_abi::encode(request, &mut payload).expect("as long as it was measured");
    frame(sequence, &payload)
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, mut rest)) = data.split_first() else { return };
    let hello = Hello { version: Version::CURRENT, max_answer: 1 << 16, client: "fuzz".into() };
    let mut input = request(1, &Request::Hello(hello));
    let mut sequence = 1;
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length) & 0x3ff);
        let (piece, tail) = tail.split_at(length.min(tail.len()));
        rest = tail;
        if length % 2 == 0 {
            input.extend_from_slice(piece);
        } else {
            sequence += 1;
            input.extend(frame(sequence, piece));
        }
    }
    // Whatever was before: behind a delimiter the device is there.
    input.push(DELIMITER);
    input.extend(request(u16::MAX - 1, &Request::Hello(hello)));
    input.extend(request(u16::MAX, &Request::Status));

    let (mut receive, mut send) = ([0; 512], [0; 96]);
    let mut line = Line { input: input.into(), piece: usize::from(cut) + 1, output: Vec::new() };
    let mut device = Device::new(Judge::default(), &mut receive, &mut send).expect("ample buffers");
    let Ok(()) = device.serve(&mut line);

    let mut receiver = Receiver::new(vec![0; 256]);
    let mut output = &line.output[..];
    let (mut answer, mut last) = (Vec::new(), None);
    while !output.is_empty() {
        let (taken, complete) = receiver.push(output);
        output = &output[taken..];
        assert!(complete, "half a frame");
        let frame = receiver.frame().expect("no empty frames").expect("a device writes frames");
        answer.extend_from_slice(frame.payload);
        if frame.kind == Kind::Last {
            assert!(Answer::decode(&answer).is_ok(), "no answer: {answer:02x?}");
            last = Some((frame.sequence, std::mem::take(&mut answer)));
        }
    }
    assert!(answer.is_empty(), "half an answer");
    let (sequence, status) = last.expect("something was asked");
    assert_eq!(sequence, u16::MAX);
    assert!(matches!(Answer::decode(&status), Ok(Answer::Status(_))));
    // And a client's side takes the same bytes.
    let _ = Answer::decode(data);
});
