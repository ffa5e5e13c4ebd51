//! The device's end of a line.
//!
//! ```text
//! bytes ─▶ Receiver ─▶ Request ─▶ Session ─▶ Evaluate ─▶ Answer ─▶ Emission ─▶ bytes
//! ```

use core::fmt;

use embedded_io::{Read, Write};
use sha2::Digest as _;

use crate::answer::{Answer, Counts, Status, Welcome};
use crate::evaluate::{Evaluate, NotInstalled};
use crate::fault::Fault;
use crate::frame::{Emission, Frame, Kind, MIN_BUFFER, Receiver, UNASKED};
use crate::message::{Artifact, PhaseMessage, Request, Sha256, Transfer, Version};

/// Bytes that are read at once. A line hands out what it has.
const READ: usize = 128;

/// A device: answers what comes over a line, with what judges behind it.
///
/// It allocates nothing. Of the two buffers, one bounds the longest request; the other is what an
/// answer is sent through, and bounds nothing: an answer that is longer goes in several frames.
pub struct Device<'b, E> {
    receiver: Receiver<&'b mut [u8]>,
    output: &'b mut [u8],
    session: Session,
    evaluator: E,
}

/// A buffer is shorter than [`MIN_BUFFER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferTooShort {
    /// Bytes it has.
    pub length: usize,
}

impl fmt::Display for BufferTooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a frame buffer of {} bytes: {MIN_BUFFER} are needed", self.length)
    }
}

impl core::error::Error for BufferTooShort {}

impl<'b, E: Evaluate> Device<'b, E> {
    /// A device that receives through `input` and sends through `output`. 2 to 4 KiB of input hold the
    /// heads of usual requests; of output 256 bytes are ample.
    ///
    /// # Errors
    /// [`BufferTooShort`]
    pub fn new(evaluator: E, input: &'b mut [u8], output: &'b mut [u8]) -> Result<Self, BufferTooShort> {
        for length in [input.len(), output.len()] {
            if length < MIN_BUFFER {
                return Err(BufferTooShort { length });
            }
        }
        let receiver = Receiver::new(input);
        let session = Session::new(receiver.max_payload());
        Ok(Device { receiver, output, session, evaluator })
    }

    /// Bytes of the longest payload that it takes.
    pub fn max_message(&self) -> usize {
        self.receiver.max_payload()
    }

    /// What judges.
    pub fn evaluator(&self) -> &E {
        &self.evaluator
    }

    /// What judges.
    pub fn evaluator_mut(&mut self) -> &mut E {
        &mut self.evaluator
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        self.session.counts
    }

    /// Answers until the line ends: until a read returns no byte.
    ///
    /// # Errors
    /// The line's own. Afterwards it may be served again, as may another line.
    pub fn serve<L: Read + Write>(&mut self, line: &mut L) -> Result<(), L::Error> {
        self.disconnect();
        let mut read = [0; READ];
        loop {
            let count = line.read(&mut read)?;
            let mut bytes = &read[..count];
            if bytes.is_empty() {
                return Ok(());
            }
            while !bytes.is_empty() {
                let (taken, complete) = self.receiver.push(bytes);
                bytes = &bytes[taken..];
                if complete && let Some(frame) = self.receiver.frame() {
                    let (sequence, answer) = self.session.answer(&mut self.evaluator, frame);
                    let mut emission = Emission::new(sequence, &answer);
                    loop {
                        let length = emission.next(&answer, self.output);
                        if length == 0 {
                            break;
                        }
                        line.write_all(&self.output[..length])?;
                    }
                    line.flush()?;
                }
            }
        }
    }

    /// [`serve`](Self::serve) for executors. The filter runs on the task that polls.
    ///
    /// # Errors
    /// The line's own.
    #[cfg(feature = "async")]
    pub async fn serve_async<L>(&mut self, line: &mut L) -> Result<(), L::Error>
    where
        L: embedded_io_async::Read + embedded_io_async::Write,
    {
        self.disconnect();
        let mut read = [0; READ];
        loop {
            let count = line.read(&mut read).await?;
            let mut bytes = &read[..count];
            if bytes.is_empty() {
                return Ok(());
            }
            while !bytes.is_empty() {
                let (taken, complete) = self.receiver.push(bytes);
                bytes = &bytes[taken..];
                if complete && let Some(frame) = self.receiver.frame() {
                    let (sequence, answer) = self.session.answer(&mut self.evaluator, frame);
                    let mut emission = Emission::new(sequence, &answer);
                    loop {
                        let length = emission.next(&answer, self.output);
                        if length == 0 {
                            break;
                        }
                        line.write_all(&self.output[..length]).await?;
                    }
                    line.flush().await?;
                }
            }
        }
    }

    /// Whoever was at the other end is gone.
    fn disconnect(&mut self) {
        self.receiver.clear();
        self.session.close(&mut self.evaluator);
    }
}

impl<E> fmt::Debug for Device<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("counts", &self.session.counts).finish_non_exhaustive()
    }
}

/// What a device remembers between two requests.
struct Session {
    max_message: u32,
    /// Bytes of an answer that the client takes; `None` before its hello.
    max_answer: Option<u32>,
    /// The last request that was taken.
    last: u16,
    incoming: Option<Incoming>,
    counts: Counts,
}

/// A transfer under way.
struct Incoming {
    transfer: Transfer,
    length: u32,
    sha256: sha2::Sha256,
}

impl Session {
    fn new(max_message: usize) -> Self {
        Session {
            max_message: u32::try_from(max_message).unwrap_or(u32::MAX),
            max_answer: None,
            last: UNASKED,
            incoming: None,
            counts: Counts::default(),
        }
    }

    fn close<E: Evaluate>(&mut self, evaluator: &mut E) {
        evaluator.reset();
        self.give_up(evaluator);
        self.max_answer = None;
        self.last = UNASKED;
    }

    fn give_up<E: Evaluate>(&mut self, evaluator: &mut E) {
        if let Some(incoming) = self.incoming.take() {
            evaluator.discard(incoming.transfer.artifact);
        }
    }

    /// The answer to a frame, and the request that it answers.
    fn answer<'e, E: Evaluate>(
        &mut self,
        evaluator: &'e mut E,
        frame: Result<Frame<'_>, Fault>,
    ) -> (u16, Answer<'e>) {
        let (sequence, payload) = match frame {
            Ok(Frame { kind: Kind::Request, sequence, part: 0, payload }) if sequence != UNASKED => {
                (sequence, payload)
            }
            // An answer of our own that a line in echo mode brought back, for instance.
            Ok(_) => return self.garbled(Fault::Garbled),
            Err(fault) => return self.garbled(fault),
        };
        let request = match Request::decode(payload) {
            Ok(request) => request,
            Err(fault) => {
                self.counts.faults = self.counts.faults.saturating_add(1);
                return (sequence, Answer::Fault(fault));
            }
        };
        let begins = matches!(request, Request::Phase { message: PhaseMessage::RequestHead(_), .. });
        let counts = self.counts;
        let mut answer = match self.admit(&request, sequence) {
            Ok(()) => self.done(evaluator, request).unwrap_or_else(Answer::Fault),
            Err(fault) => Answer::Fault(fault),
        };
        // The fault of a hello has to arrive as well: a client takes at least that.
        let limit = self.max_answer.unwrap_or(u32::MAX);
        let length = u32::try_from(picket_abi::encoded_len(&answer)).unwrap_or(u32::MAX);
        if length > limit.max(MIN_BUFFER as u32) {
            answer = Answer::Fault(Fault::AnswerTooLong { limit, value: length });
        }
        let count = match answer {
            Answer::Fault(_) => &mut self.counts.faults,
            _ => &mut self.counts.requests,
        };
        *count = count.saturating_add(1);
        if begins && matches!(answer, Answer::Judged(_)) {
            self.counts.transactions = counts.transactions.saturating_add(1);
        }
        (sequence, answer)
    }

    fn garbled<'e>(&mut self, fault: Fault) -> (u16, Answer<'e>) {
        self.counts.garbled = self.counts.garbled.saturating_add(1);
        (UNASKED, Answer::Fault(fault))
    }

    /// Whether the request is due.
    fn admit(&mut self, request: &Request<'_>, sequence: u16) -> Result<(), Fault> {
        if !matches!(request, Request::Hello(_)) {
            if self.max_answer.is_none() {
                return Err(Fault::HelloFirst);
            }
            if sequence == self.last {
                return Err(Fault::Duplicate { sequence });
            }
        }
        self.last = sequence;
        Ok(())
    }

    fn done<'e, E: Evaluate>(
        &mut self,
        evaluator: &'e mut E,
        request: Request<'_>,
    ) -> Result<Answer<'e>, Fault> {
        match request {
            Request::Hello(hello) => {
                evaluator.reset();
                self.give_up(evaluator);
                let device = Version::CURRENT;
                if hello.version.major != device.major {
                    self.max_answer = None;
                    return Err(Fault::Version { device, client: hello.version });
                }
                self.max_answer = Some(hello.max_answer);
                self.counts.sessions = self.counts.sessions.saturating_add(1);
                Ok(Answer::Welcome(Welcome {
                    version: device,
                    device: evaluator.description(),
                    max_message: self.max_message,
                    filter: evaluator.installed(),
                }))
            }
            Request::Phase { slot, message: PhaseMessage::Log(log) } => {
                evaluator.finish(slot, &log).map(Answer::Finished)
            }
            Request::Phase { slot, message } => evaluator.judge(slot, &message).map(Answer::Judged),
            Request::Transfer(transfer) => self.begin(evaluator, transfer),
            Request::Chunk { offset, data } => self.receive(evaluator, offset, data.bytes()),
            Request::Install => self.install(evaluator),
            Request::Status => Ok(Answer::Status(Status { vitals: evaluator.vitals(), counts: self.counts })),
        }
    }

    fn begin<'e, E: Evaluate>(&mut self, evaluator: &mut E, transfer: Transfer) -> Result<Answer<'e>, Fault> {
        self.give_up(evaluator);
        let Transfer { artifact, length, .. } = transfer;
        let device = evaluator.description();
        let limit = match artifact {
            Artifact::Module => Some(device.max_module),
            Artifact::Ruleset => Some(device.max_ruleset),
            // Of the same order as a message; what judges has its own limit.
            Artifact::Settings => None,
        };
        match limit {
            Some(0) => return Err(Fault::Unsupported { artifact }),
            Some(limit) if length > limit => {
                return Err(Fault::TooLong { artifact, limit, value: length });
            }
            _ => {}
        }
        evaluator.stage(&transfer)?;
        self.incoming = Some(Incoming { transfer, length: 0, sha256: sha2::Sha256::new() });
        self.complete(evaluator)
    }

    fn receive<'e, E: Evaluate>(
        &mut self,
        evaluator: &mut E,
        offset: u32,
        data: &[u8],
    ) -> Result<Answer<'e>, Fault> {
        let incoming = self.incoming.as_mut().ok_or(Fault::NoTransfer)?;
        if offset != incoming.length {
            return Err(Fault::OutOfOrder { expected: incoming.length.into(), actual: offset.into() });
        }
        let Transfer { artifact, length, .. } = incoming.transfer;
        let end = u32::try_from(data.len()).ok().and_then(|count| offset.checked_add(count));
        let Some(end) = end.filter(|&end| end <= length) else {
            self.give_up(evaluator);
            return Err(Fault::Incomplete { expected: length, actual: end.unwrap_or(u32::MAX) });
        };
        if let Err(fault) = evaluator.write(artifact, data) {
            self.give_up(evaluator);
            return Err(fault);
        }
        incoming.sha256.update(data);
        incoming.length = end;
        self.complete(evaluator)
    }

    /// Looks whether all has come, and whether it is what was announced.
    fn complete<'e, E: Evaluate>(&mut self, evaluator: &mut E) -> Result<Answer<'e>, Fault> {
        let Some(incoming) = self.incoming.take() else { return Err(Fault::NoTransfer) };
        let length = incoming.length;
        if length < incoming.transfer.length {
            self.incoming = Some(incoming);
            return Ok(Answer::Received { length });
        }
        let expected = incoming.transfer.sha256;
        let actual = Sha256(incoming.sha256.finalize().into());
        if actual != expected {
            evaluator.discard(incoming.transfer.artifact);
            return Err(Fault::DigestDiffers { expected, actual });
        }
        Ok(Answer::Received { length })
    }

    fn install<'e, E: Evaluate>(&mut self, evaluator: &'e mut E) -> Result<Answer<'e>, Fault> {
        if let Some(incoming) = &self.incoming {
            let (expected, actual) = (incoming.transfer.length, incoming.length);
            self.give_up(evaluator);
            return Err(Fault::Incomplete { expected, actual });
        }
        match evaluator.install() {
            Ok(installed) => Ok(Answer::Installed(installed)),
            Err(NotInstalled::Fault(fault)) => Err(fault),
            Err(NotInstalled::Refused(refused)) => Ok(Answer::Refused(refused)),
        }
    }
}
