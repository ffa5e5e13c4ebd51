//! A device that judges by a simple rule, and lines in memory.
#![allow(dead_code, reason = "each test binary uses its part of this")]

use std::collections::VecDeque;
use std::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};
use picket_abi::{Octets, Seq, TransactionLog, encode, encoded_len};
use picket_link::*;

/// Refuses a message that holds `evil`, and answers with a body of its own length. Counts as fuel the
/// bytes that it has seen.
#[derive(Default)]
pub struct Judge {
    pub reply: Vec<u8>,
    slots: [Option<u64>; 2],
    staged: Option<(Artifact, Vec<u8>)>,
    pub installed: Option<Vec<u8>>,
    pub max_module: u32,
}

impl Judge {
    pub fn with_reply(length: usize) -> Self {
        Judge { reply: (0..length).map(|n| n as u8).collect(), max_module: 1000, ..Judge::default() }
    }
}

impl Evaluate for Judge {
    fn description(&self) -> Description<'_> {
        Description { name: "judge".into(), max_module: self.max_module, slots: 2, ..Description::default() }
    }

    fn installed(&self) -> Option<Installed<'_>> {
        let module = Sha256::of(self.installed.as_deref()?);
        Some(Installed { name: "rule".into(), module, ..Installed::default() })
    }

    fn reset(&mut self) {
        self.slots = [None; 2];
    }

    fn judge(&mut self, slot: u8, message: &PhaseMessage<'_>) -> Result<Judged<'_>, Fault> {
        let place = self.slots.get_mut(usize::from(slot)).ok_or(Fault::NoSlot { limit: 2, value: slot })?;
        let bytes = match message {
            PhaseMessage::RequestHead(head) => {
                *place = Some(0);
                head.target.bytes()
            }
            PhaseMessage::RequestBody(chunk) | PhaseMessage::ResponseBody(chunk) => chunk.data.bytes(),
            _ => &[],
        };
        let seen = place.as_mut().ok_or(Fault::NoTransaction { slot })?;
        *seen += bytes.len() as u64;
        let evil = bytes.windows(4).any(|window| window == b"evil");
        let decision = match evil {
            false => Decision::Continue,
            true => Decision::Respond { status: 403, headers: Seq::EMPTY, body: Octets(&self.reply) },
        };
        let spent = Spent { fuel: bytes.len() as u64, calls: 1, ..Spent::default() };
        Ok(Judged { decision, spent, ..Judged::default() })
    }

    fn finish(&mut self, slot: u8, _log: &TransactionLog) -> Result<Finished<'_>, Fault> {
        let place = self.slots.get_mut(usize::from(slot)).ok_or(Fault::NoSlot { limit: 2, value: slot })?;
        let fuel = place.take().ok_or(Fault::NoTransaction { slot })?;
        Ok(Finished { total: Spent { fuel, ..Spent::default() }, ..Finished::default() })
    }

    fn stage(&mut self, transfer: &Transfer) -> Result<(), Fault> {
        self.staged = Some((transfer.artifact, Vec::new()));
        Ok(())
    }

    fn write(&mut self, _artifact: Artifact, data: &[u8]) -> Result<(), Fault> {
        self.staged.as_mut().ok_or(Fault::NoTransfer)?.1.extend_from_slice(data);
        Ok(())
    }

    fn discard(&mut self, _artifact: Artifact) {
        self.staged = None;
    }

    fn install(&mut self) -> Result<Installed<'_>, NotInstalled<'_>> {
        let refused = Refused { culprit: "guest".into(), message: "it is bad".into() };
        match self.staged.take() {
            Some((Artifact::Module, bytes)) if bytes.starts_with(b"bad") => {
                Err(NotInstalled::Refused(refused))
            }
            Some((Artifact::Module, bytes)) => {
                self.installed = Some(bytes);
                Ok(self.installed().unwrap_or_default())
            }
            _ => Err(NotInstalled::Fault(Fault::NoFilter)),
        }
    }
}

/// A line in memory: reads what was put in, in pieces of at most so many bytes, and keeps what is written.
pub struct Memory {
    pub input: VecDeque<u8>,
    pub piece: usize,
    pub output: Vec<u8>,
}

impl Memory {
    pub fn new(input: impl IntoIterator<Item = u8>) -> Self {
        Memory { input: input.into_iter().collect(), piece: usize::MAX, output: Vec::new() }
    }
}

impl ErrorType for Memory {
    type Error = Infallible;
}

impl Read for Memory {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        let count = buf.len().min(self.piece).min(self.input.len());
        for (place, byte) in buf.iter_mut().zip(self.input.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }
}

impl Write for Memory {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Infallible> {
        self.output.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

pub fn payload(request: &Request<'_>) -> Vec<u8> {
    let mut payload = vec![0; encoded_len(request)];
    encode(request, &mut payload).unwrap();
    payload
}

pub fn framed(sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; frame_length(payload.len())];
    let length = request_frame(sequence, payload, &mut frame).unwrap();
    frame.truncate(length);
    frame
}

pub fn frame(sequence: u16, request: &Request<'_>) -> Vec<u8> {
    framed(sequence, &payload(request))
}

pub fn hello(max_answer: u32) -> Vec<u8> {
    frame(1, &Request::Hello(Hello { version: Version::CURRENT, max_answer, client: "test".into() }))
}

pub fn head(target: &str) -> Request<'_> {
    let head = picket_abi::RequestHead { target: target.into(), ..picket_abi::RequestHead::default() };
    Request::Phase { slot: 0, message: PhaseMessage::RequestHead(head) }
}

/// The answers in what a device wrote: the request that each is to, and its bytes.
pub fn answers(output: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut receiver = Receiver::new(vec![0; 1 << 20]);
    let (mut answers, mut parts, mut due) = (Vec::new(), Vec::new(), 0);
    let mut rest = output;
    while !rest.is_empty() {
        let (taken, complete) = receiver.push(rest);
        rest = &rest[taken..];
        assert!(complete, "what a device writes ends with a frame");
        let frame = receiver.frame().expect("no empty frames").expect("a device writes frames");
        assert_eq!(frame.part, due);
        parts.extend_from_slice(frame.payload);
        due += 1;
        match frame.kind {
            Kind::Part => {}
            Kind::Last => {
                answers.push((frame.sequence, std::mem::take(&mut parts)));
                due = 0;
            }
            Kind::Request => panic!("a device asks nothing"),
        }
    }
    assert!(parts.is_empty(), "an answer has no end");
    answers
}

/// What a device with these buffers answers to these bytes.
pub fn served(judge: Judge, input: usize, output: usize, bytes: Vec<u8>) -> Vec<(u16, Vec<u8>)> {
    let (mut input, mut output) = (vec![0; input], vec![0; output]);
    let mut line = Memory::new(bytes);
    Device::new(judge, &mut input, &mut output).unwrap().serve(&mut line).unwrap();
    answers(&line.output)
}

/// The fault in an answer.
#[track_caller]
pub fn fault(answer: &[u8]) -> Fault {
    match Answer::decode(answer) {
        Ok(Answer::Fault(fault)) => fault,
        other => panic!("no fault: {other:?}"),
    }
}
