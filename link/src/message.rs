//! What a client asks of a device.

use core::fmt;

use picket_abi::{BodyChunk, DecodeError, FailureReport, Octets, RequestHead, ResponseHead, TransactionLog};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Serialize, Serializer};

use crate::fault::Fault;

/// The version of the protocol. A later minor version only appends: fields at the end of messages,
/// numbers of requests and of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Changed when an earlier side would misread a message.
    pub major: u16,
    /// Changed when something is added.
    pub minor: u16,
}

impl Version {
    /// The version of this crate.
    pub const CURRENT: Version = Version { major: 1, minor: 0 };
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The SHA-256 of something. Shown in lower-case hexadecimal.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Sha256(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

/// What can be transferred to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Artifact {
    /// A filter's module.
    Module,
    /// A compiled ruleset, which becomes a part of the module. Of no length, it takes the one away that
    /// is there.
    Ruleset,
    /// The filter's settings: the elements of a [`Seq`](picket_abi::Seq) of
    /// [`Setting`](picket_abi::Setting). Of no length, none.
    Settings,
}

impl Artifact {
    /// All of them.
    pub const ALL: [Artifact; 3] = [Artifact::Module, Artifact::Ruleset, Artifact::Settings];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Artifact::Module => "module",
            Artifact::Ruleset => "ruleset",
            Artifact::Settings => "settings",
        }
    }
}

/// Begins a session. Transactions and transfers of an earlier one are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// What the client speaks.
    pub version: Version,
    /// Bytes of the longest answer that it takes.
    pub max_answer: u32,
    /// Who it is, for logs.
    #[serde(borrow)]
    pub client: Octets<'a>,
}

/// Begins a transfer. One that has not ended is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// What comes.
    pub artifact: Artifact,
    /// Its length, in bytes.
    pub length: u32,
    /// Its digest.
    pub sha256: Sha256,
}

/// A message that belongs to a transaction: one of the ABI, as a guest would get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseMessage<'a> {
    /// Begins a transaction. One that has not ended in the same slot is given up.
    RequestHead(RequestHead<'a>),
    /// A piece of the request's body. Its offset counts what came before it.
    RequestBody(BodyChunk<'a>),
    /// The head of the response.
    ResponseHead(ResponseHead<'a>),
    /// A piece of the response's body.
    ResponseBody(BodyChunk<'a>),
    /// The transaction failed elsewhere.
    Error(FailureReport<'a>),
    /// The transaction is over: answered with what it came to.
    Log(TransactionLog),
}

impl PhaseMessage<'_> {
    /// The ABI's phase. Its number is that of the request.
    pub const fn phase(&self) -> picket_abi::Phase {
        match self {
            PhaseMessage::RequestHead(_) => picket_abi::Phase::RequestHead,
            PhaseMessage::RequestBody(_) => picket_abi::Phase::RequestBody,
            PhaseMessage::ResponseHead(_) => picket_abi::Phase::ResponseHead,
            PhaseMessage::ResponseBody(_) => picket_abi::Phase::ResponseBody,
            PhaseMessage::Error(_) => picket_abi::Phase::Error,
            PhaseMessage::Log(_) => picket_abi::Phase::Log,
        }
    }
}

/// What a client asks of a device: a number, then what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request<'a> {
    /// 0
    Hello(Hello<'a>),
    /// 1 to 6, the number of the ABI's phase.
    Phase {
        /// The transaction's place on the device, from 0.
        slot: u8,
        /// The message. It ends the payload.
        message: PhaseMessage<'a>,
    },
    /// 7
    Transfer(Transfer),
    /// 8: the next bytes of the transfer.
    Chunk {
        /// Bytes before them.
        offset: u32,
        /// The bytes.
        data: Octets<'a>,
    },
    /// 9: puts to work what was transferred, all at once. What runs goes on on what it began with.
    Install,
    /// 10: how the device is.
    Status,
}

const HELLO: u8 = 0;
const TRANSFER: u8 = 7;
const CHUNK: u8 = 8;
const INSTALL: u8 = 9;
const STATUS: u8 = 10;

impl<'a> Request<'a> {
    /// Decodes a payload. Every element of every list is proved, so that iterating does not end early.
    ///
    /// # Errors
    /// [`Fault::Malformed`] or [`Fault::UnknownRequest`].
    pub fn decode(payload: &'a [u8]) -> Result<Self, Fault> {
        let (&number, body) = payload.split_first().ok_or(Fault::Malformed { request: 0, offset: 0 })?;
        match number {
            HELLO => Ok(Request::Hello(plain(number, body)?)),
            1..=6 => {
                let (&slot, message) =
                    body.split_first().ok_or(Fault::Malformed { request: number, offset: 1 })?;
                let message = phase(number, message).map_err(|error| malformed(number, 2, error))?;
                Ok(Request::Phase { slot, message })
            }
            TRANSFER => Ok(Request::Transfer(plain(number, body)?)),
            CHUNK => {
                let (offset, data) = plain(number, body)?;
                Ok(Request::Chunk { offset, data })
            }
            INSTALL => Ok(Request::Install),
            STATUS => Ok(Request::Status),
            request => Err(Fault::UnknownRequest { request }),
        }
    }
}

fn phase(number: u8, bytes: &[u8]) -> Result<PhaseMessage<'_>, DecodeError> {
    Ok(match number {
        1 => {
            let head = RequestHead::decode(bytes)?;
            head.headers.check()?;
            PhaseMessage::RequestHead(head)
        }
        2 => PhaseMessage::RequestBody(BodyChunk::decode(bytes)?),
        3 => {
            let head = ResponseHead::decode(bytes)?;
            head.headers.check()?;
            PhaseMessage::ResponseHead(head)
        }
        4 => PhaseMessage::ResponseBody(BodyChunk::decode(bytes)?),
        5 => PhaseMessage::Error(FailureReport::decode(bytes)?),
        _ => PhaseMessage::Log(TransactionLog::decode(bytes)?),
    })
}

/// What follows the number. Bytes behind it are a later minor version's.
fn plain<'a, T: Deserialize<'a>>(request: u8, body: &'a [u8]) -> Result<T, Fault> {
    match postcard::take_from_bytes(body) {
        Ok((message, _)) => Ok(message),
        Err(_) => Err(Fault::Malformed { request, offset: 1 }),
    }
}

fn malformed(request: u8, start: u32, error: DecodeError) -> Fault {
    let inside = match error {
        DecodeError::Malformed { offset, .. } => u32::try_from(offset).unwrap_or(u32::MAX),
        _ => 0,
    };
    Fault::Malformed { request, offset: start.saturating_add(inside) }
}

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Postcard writes a tuple as its fields, one behind the other.
        let mut fields = serializer.serialize_tuple(3)?;
        match self {
            Request::Hello(hello) => {
                fields.serialize_element(&HELLO)?;
                fields.serialize_element(hello)?;
            }
            Request::Phase { slot, message } => {
                fields.serialize_element(&(message.phase() as u8))?;
                fields.serialize_element(slot)?;
                match message {
                    PhaseMessage::RequestHead(head) => fields.serialize_element(head)?,
                    PhaseMessage::RequestBody(chunk) | PhaseMessage::ResponseBody(chunk) => {
                        fields.serialize_element(chunk)?;
                    }
                    PhaseMessage::ResponseHead(head) => fields.serialize_element(head)?,
                    PhaseMessage::Error(report) => fields.serialize_element(report)?,
                    PhaseMessage::Log(log) => fields.serialize_element(log)?,
                }
            }
            Request::Transfer(transfer) => {
                fields.serialize_element(&TRANSFER)?;
                fields.serialize_element(transfer)?;
            }
            Request::Chunk { offset, data } => {
                fields.serialize_element(&CHUNK)?;
                fields.serialize_element(&(offset, data))?;
            }
            Request::Install => fields.serialize_element(&INSTALL)?,
            Request::Status => fields.serialize_element(&STATUS)?,
        }
        fields.end()
    }
}
