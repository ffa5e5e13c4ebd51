//! The other end of a device's line, over TCP or a serial line.

mod address;
mod error;
mod info;
mod stream;

use core::time::Duration;
use std::io;
use std::string::{String, ToString as _};
use std::time::Instant;
use std::vec;
use std::vec::Vec;

use picket_abi::Octets;

use crate::answer::{Answer, Finished, Judged, Status};
use crate::fault::Fault;
use crate::frame::{DELIMITER, Kind, Receiver, UNASKED, frame_length, request_frame};
use crate::message::{Artifact, Hello, PhaseMessage, Request, Sha256, Transfer, Version};

pub use address::{Address, AddressError};
pub use error::ClientError;
pub use info::{DeviceInfo, InstalledInfo};
use stream::Stream;
#[cfg(unix)]
pub use stream::open_serial;

/// How often a request is sent again that has not arrived whole.
const RESENT: u32 = 3;

/// The longest frame that a device may send. Its output buffer bounds them; no device has one like that.
const MAX_FRAME: usize = 1 << 20;

/// Bytes that a piece of a transfer needs besides its data: number, offset, length.
const CHUNK_HEAD: usize = 1 + 5 + 5;

/// How a client talks to a device.
#[derive(Clone, Debug)]
pub struct Options {
    /// The longest wait for a connection, and for the answer to the hello.
    pub connect_timeout: Duration,
    /// The longest wait for any other answer.
    pub timeout: Duration,
    /// Bytes of the longest answer that is taken.
    pub max_answer: u32,
    /// Who is asking, for the device's log.
    pub name: String,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            max_answer: 8 << 20,
            name: concat!("picket-link ", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// A session with a device: one question at a time.
///
/// After an error that [ends it](ClientError::ends_session), [`reconnect`](Self::reconnect) begins
/// another one, in which no transaction has begun.
#[derive(Debug)]
pub struct Client {
    address: Address,
    options: Options,
    stream: Option<Stream>,
    receiver: Receiver<Vec<u8>>,
    /// Bytes that were read behind the last answer.
    read: Vec<u8>,
    sequence: u16,
    payload: Vec<u8>,
    frame: Vec<u8>,
    answer: Vec<u8>,
    info: DeviceInfo,
}

impl Client {
    /// Opens the line and says hello.
    ///
    /// # Errors
    /// [`ClientError`] if there is no device, or none that speaks this version.
    pub fn connect(address: Address, options: Options) -> Result<Client, ClientError> {
        let mut client = Client {
            address,
            options,
            stream: None,
            receiver: Receiver::new(vec![0; MAX_FRAME]),
            read: Vec::new(),
            sequence: UNASKED,
            payload: Vec::new(),
            frame: Vec::new(),
            answer: Vec::new(),
            info: DeviceInfo::default(),
        };
        client.reconnect()?;
        Ok(client)
    }

    /// Begins another session, over a line that is opened anew.
    ///
    /// # Errors
    /// [`ClientError`] if there is no device, or none that speaks this version.
    pub fn reconnect(&mut self) -> Result<(), ClientError> {
        self.stream = None;
        self.receiver.clear();
        self.read.clear();
        let timeout = self.options.connect_timeout;
        let mut stream = Stream::open(&self.address, timeout)
            .map_err(|source| ClientError::Connect { address: self.address.clone(), source })?;
        // Ends whatever the device has of a frame. Nothing before a delimiter is no garbage.
        stream
            .write(&[DELIMITER], Instant::now() + timeout)
            .map_err(|source| ClientError::Line { source })?;
        self.stream = Some(stream);
        self.greet()
    }

    fn greet(&mut self) -> Result<(), ClientError> {
        let hello = Hello {
            version: Version::CURRENT,
            max_answer: self.options.max_answer,
            client: Octets(self.options.name.as_bytes()),
        };
        let mut payload = Vec::new();
        encode(&Request::Hello(hello), &mut payload);
        let info = match self.exchange(&payload, self.options.connect_timeout, usize::MAX) {
            Ok(Answer::Welcome(welcome)) => DeviceInfo::from(welcome),
            Ok(_) => return Err(self.end(ClientError::Unexpected { asked: "who it is" })),
            Err(error) => return Err(self.end(error)),
        };
        if info.version.major != Version::CURRENT.major {
            return Err(self.end(ClientError::Version { device: info.version }));
        }
        self.info = info;
        Ok(())
    }

    /// Where the device is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What the device is, as of the last hello or installation.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Whether there is a session.
    pub fn is_connected(&self) -> bool {
        self.stream.is_some()
    }

    /// How long it waits for an answer, from now on.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.options.timeout = timeout;
    }

    /// Bytes of a body that a piece may have.
    pub fn max_chunk(&self) -> usize {
        // Number, slot, offset, end flag, length.
        self.info.max_message.saturating_sub(1 + 1 + 10 + 1 + 5).max(1)
    }

    /// Has a message of a transaction judged. For the end of one, [`finish`](Self::finish) is meant.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn judge(&mut self, slot: u8, message: PhaseMessage<'_>) -> Result<Judged<'_>, ClientError> {
        match self.ask(&Request::Phase { slot, message })? {
            Answer::Judged(judged) => Ok(judged),
            _ => Err(ClientError::Unexpected { asked: "what becomes of a message" }),
        }
    }

    /// The same with a message that is encoded already.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn judge_encoded(
        &mut self,
        slot: u8,
        phase: picket_abi::Phase,
        message: &[u8],
    ) -> Result<Judged<'_>, ClientError> {
        match self.ask_encoded(slot, phase, message)? {
            Answer::Judged(judged) => Ok(judged),
            Answer::Finished(finished) => Ok(finished.last),
            _ => Err(ClientError::Unexpected { asked: "what becomes of a message" }),
        }
    }

    /// Ends a transaction.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn finish(&mut self, slot: u8, log: picket_abi::TransactionLog) -> Result<Finished<'_>, ClientError> {
        match self.ask(&Request::Phase { slot, message: PhaseMessage::Log(log) })? {
            Answer::Finished(finished) => Ok(finished),
            _ => Err(ClientError::Unexpected { asked: "what a transaction came to" }),
        }
    }

    /// How the device is.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn status(&mut self) -> Result<Status, ClientError> {
        match self.ask(&Request::Status)? {
            Answer::Status(status) => Ok(status),
            _ => Err(ClientError::Unexpected { asked: "how it is" }),
        }
    }

    /// Transfers something, piece by piece. Nothing changes before [`install`](Self::install).
    ///
    /// # Errors
    /// [`ClientError`]. A transfer that did not end well can be begun anew.
    pub fn transfer(&mut self, artifact: Artifact, bytes: &[u8]) -> Result<(), ClientError> {
        let room = self.info.max_message.saturating_sub(CHUNK_HEAD).max(1);
        let length = u32::try_from(bytes.len()).map_err(|_| {
            let limit = self.info.max_module;
            ClientError::Fault(Fault::TooLong { artifact, limit, value: u32::MAX })
        })?;
        let transfer = Transfer { artifact, length, sha256: Sha256::of(bytes) };
        self.received(&Request::Transfer(transfer), 0)?;
        let mut offset = 0_u32;
        for data in bytes.chunks(room) {
            // No longer than all of it, which fits.
            let end = offset + data.len() as u32;
            self.received(&Request::Chunk { offset, data: Octets(data) }, end)?;
            offset = end;
        }
        Ok(())
    }

    fn received(&mut self, request: &Request<'_>, expected: u32) -> Result<(), ClientError> {
        match self.ask(request)? {
            Answer::Received { length } if length == expected => Ok(()),
            _ => Err(ClientError::Unexpected { asked: "how much it has received" }),
        }
    }

    /// Puts to work what was transferred.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if it cannot be; what was installed before still is.
    pub fn install(&mut self) -> Result<(), ClientError> {
        let installed = match self.ask(&Request::Install)? {
            Answer::Installed(installed) => InstalledInfo::from(installed),
            Answer::Refused(refused) => {
                return Err(ClientError::Refused {
                    culprit: refused.culprit.to_string(),
                    message: String::from_utf8_lossy(refused.message.bytes()).into_owned(),
                });
            }
            _ => return Err(ClientError::Unexpected { asked: "what is installed" }),
        };
        self.info.filter = Some(installed);
        Ok(())
    }

    /// Installs these unless they are installed already: only what differs is transferred. `None` leaves
    /// a part as it is; of no length, ruleset and settings are taken away. Returns whether anything was
    /// transferred.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn provide(
        &mut self,
        module: Option<&[u8]>,
        ruleset: Option<&[u8]>,
        settings: Option<&[u8]>,
    ) -> Result<bool, ClientError> {
        let installed = self.info.filter.clone().unwrap_or_default();
        let has = |digest: Option<Sha256>, wanted: &[u8]| match digest {
            None => wanted.is_empty(),
            Some(digest) => digest == Sha256::of(wanted),
        };
        let none = self.info.filter.is_none();
        let mut changed = false;
        for (artifact, wanted, digest) in [
            (Artifact::Module, module, (!none).then_some(installed.module)),
            (Artifact::Ruleset, ruleset, installed.ruleset),
            (Artifact::Settings, settings, installed.settings),
        ] {
            if let Some(wanted) = wanted
                && !has(digest, wanted)
            {
                self.transfer(artifact, wanted)?;
                changed = true;
            }
        }
        if changed {
            self.install()?;
        }
        Ok(changed)
    }

    fn ask(&mut self, request: &Request<'_>) -> Result<Answer<'_>, ClientError> {
        let mut payload = core::mem::take(&mut self.payload);
        encode(request, &mut payload);
        self.ask_payload(payload)
    }

    fn ask_encoded(
        &mut self,
        slot: u8,
        phase: picket_abi::Phase,
        message: &[u8],
    ) -> Result<Answer<'_>, ClientError> {
        let mut payload = core::mem::take(&mut self.payload);
        payload.clear();
        payload.extend_from_slice(&[phase as u8, slot]);
        payload.extend_from_slice(message);
        self.ask_payload(payload)
    }

    fn ask_payload(&mut self, payload: Vec<u8>) -> Result<Answer<'_>, ClientError> {
        let (timeout, limit) = (self.options.timeout, self.info.max_message);
        let done = self.exchange(&payload, timeout, limit).map(|_| ());
        self.payload = payload;
        if let Err(error) = done {
            return Err(self.end(error));
        }
        // It was decoded a moment ago; to hand it out beside an error takes a second look.
        Answer::decode(&self.answer).map_err(ClientError::Malformed)
    }

    /// The error, and the end of the session if it is that.
    fn end(&mut self, error: ClientError) -> ClientError {
        if error.ends_session() {
            self.stream = None;
        }
        error
    }

    /// Sends a request and waits for its answer.
    fn exchange(
        &mut self,
        payload: &[u8],
        timeout: Duration,
        limit: usize,
    ) -> Result<Answer<'_>, ClientError> {
        if payload.len() > limit {
            return Err(ClientError::MessageTooLong { limit, value: payload.len() });
        }
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        self.frame.resize(frame_length(payload.len()), 0);
        let length = request_frame(self.sequence, payload, &mut self.frame).unwrap_or_default();
        let deadline = Instant::now() + timeout;
        let broken = |source: io::Error| match source.kind() {
            io::ErrorKind::TimedOut => ClientError::Timeout { waited: timeout },
            _ => ClientError::Line { source },
        };
        let mut sent = 0;
        loop {
            let stream = self.stream.as_mut().ok_or(ClientError::NoSession)?;
            stream.write(&self.frame[..length], deadline).map_err(broken)?;
            sent += 1;
            match self.wait(deadline, timeout)? {
                Arrived::Answer => break,
                // Whoever received garbage did nothing: it may have been this request.
                Arrived::Garbage if sent <= RESENT => {}
                Arrived::Garbage => return Err(ClientError::Fault(Fault::Garbled)),
            }
        }
        match Answer::decode(&self.answer).map_err(ClientError::Malformed)? {
            // It was done when it was sent first, and that answer was garbage here.
            Answer::Fault(Fault::Duplicate { .. }) => Err(ClientError::AnswerLost),
            Answer::Fault(fault) => Err(ClientError::Fault(fault)),
            answer => Ok(answer),
        }
    }

    /// Collects the parts of the answer that is due.
    fn wait(&mut self, deadline: Instant, timeout: Duration) -> Result<Arrived, ClientError> {
        let stream = self.stream.as_mut().ok_or(ClientError::NoSession)?;
        self.answer.clear();
        let mut due = 0_u32;
        // A frame of this answer was damaged, or one is missing.
        let mut damaged = false;
        let mut buffer = [0; 4096];
        loop {
            while !self.read.is_empty() {
                let (taken, complete) = self.receiver.push(&self.read);
                self.read.drain(..taken);
                if !complete {
                    continue;
                }
                let frame = match self.receiver.frame() {
                    None => continue,
                    Some(Ok(frame)) => frame,
                    Some(Err(_)) => {
                        damaged = true;
                        continue;
                    }
                };
                if frame.sequence == UNASKED && frame.kind == Kind::Last {
                    return Ok(Arrived::Garbage);
                }
                // The answer to a request that was given up, or our own words from a line that echoes.
                if frame.sequence != self.sequence || frame.kind == Kind::Request {
                    continue;
                }
                // A hello that was sent twice is answered twice.
                if frame.part == 0 {
                    self.answer.clear();
                    (due, damaged) = (0, false);
                }
                if u32::from(frame.part) == due {
                    let limit = self.options.max_answer;
                    if self.answer.len() + frame.payload.len() > limit as usize {
                        return Err(ClientError::AnswerTooLong { limit });
                    }
                    self.answer.extend_from_slice(frame.payload);
                    due += 1;
                } else {
                    damaged = true;
                }
                match (frame.kind, damaged) {
                    (Kind::Last, false) => return Ok(Arrived::Answer),
                    (Kind::Last, true) => return Ok(Arrived::Garbage),
                    _ => {}
                }
            }
            if Instant::now() >= deadline {
                return Err(ClientError::Timeout { waited: timeout });
            }
            let silent = Instant::now() + stream.silence();
            match stream.read(&mut buffer, silent.min(deadline)) {
                Ok(0) => return Err(ClientError::Closed),
                Ok(count) => self.read.extend_from_slice(&buffer[..count]),
                Err(source) if source.kind() != io::ErrorKind::TimedOut => {
                    return Err(ClientError::Line { source });
                }
                Err(_) if Instant::now() >= deadline => {
                    return Err(ClientError::Timeout { waited: timeout });
                }
                // An answer comes in one go: the end of this one is lost.
                Err(_) if damaged || due > 0 || self.receiver.pending() > 0 => {
                    self.receiver.clear();
                    return Ok(Arrived::Garbage);
                }
                // The end of the request may be. To a device that is at work on it this says nothing.
                Err(_) => {
                    let end = stream.write(&[DELIMITER], deadline);
                    end.map_err(|source| ClientError::Line { source })?;
                }
            }
        }
    }
}

/// What came of waiting.
enum Arrived {
    Answer,
    Garbage,
}

/// Encodes a request, in place of what is there.
fn encode(request: &Request<'_>, payload: &mut Vec<u8>) {
    payload.resize(picket_abi::encoded_len(request), 0);
    let written = picket_abi::encode(request, payload);
    debug_assert!(written.is_ok(), "a request is longer than it was measured");
}
