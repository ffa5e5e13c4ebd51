//! What a device has against a request.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::message::{Artifact, Sha256, Version};

/// Why a device did not do what it was asked. The request had no effect, unless its variant says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Fault {
    /// Bytes between two delimiters that are no frame: broken COBS, a CRC that differs, a kind that is
    /// none.
    Garbled,
    /// A frame that is longer than the device's buffer.
    FrameTooLong {
        /// Bytes a frame may have, without its delimiter.
        limit: u32,
        /// Bytes it had.
        value: u32,
    },
    /// A frame that is whole and holds no request.
    Malformed {
        /// The number of the request; see `Request`.
        request: u8,
        /// Bytes from the start of the payload.
        offset: u32,
    },
    /// A request of a number that this device does not know.
    UnknownRequest {
        /// The number.
        request: u8,
    },
    /// A request before any hello.
    HelloFirst,
    /// Client and device speak different languages.
    Version {
        /// What the device speaks.
        device: Version,
        /// What the client speaks.
        client: Version,
    },
    /// The request was taken already: its answer was lost.
    Duplicate {
        /// Its number.
        sequence: u16,
    },
    /// A transaction's slot that the device does not have.
    NoSlot {
        /// Slots it has.
        limit: u8,
        /// The slot that was named.
        value: u8,
    },
    /// No transaction has begun in that slot.
    NoTransaction {
        /// The slot.
        slot: u8,
    },
    /// Bytes that do not follow those before them.
    OutOfOrder {
        /// The offset they had to have.
        expected: u64,
        /// The offset they have.
        actual: u64,
    },
    /// No filter is installed: there is nothing to judge with.
    NoFilter,
    /// Something is longer than the device has room for.
    TooLong {
        /// What.
        artifact: Artifact,
        /// Bytes there is room for.
        limit: u32,
        /// Bytes it has.
        value: u32,
    },
    /// Bytes without a transfer that they belong to.
    NoTransfer,
    /// The transfer is over before all bytes have come, or bytes come behind its end.
    Incomplete {
        /// Bytes that were announced.
        expected: u32,
        /// Bytes that came.
        actual: u32,
    },
    /// What was transferred is not what was announced. It has been thrown away.
    DigestDiffers {
        /// The digest that was announced.
        expected: Sha256,
        /// The digest of what came.
        actual: Sha256,
    },
    /// This device cannot take it.
    Unsupported {
        /// What.
        artifact: Artifact,
    },
    /// The answer is longer than the client takes. The request has been done.
    AnswerTooLong {
        /// Bytes the client takes.
        limit: u32,
        /// Bytes the answer has.
        value: u32,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Garbled => f.write_str(
                "the device received no whole frame: the line is noisy, or both sides differ in its settings",
            ),
            Fault::FrameTooLong { limit, value } => write!(
                f,
                "a frame has {value} bytes, and the device takes {limit}: send less at once, or give it a larger buffer"
            ),
            Fault::Malformed { request, offset } => {
                write!(f, "request {request} is malformed at byte {offset}: client and device disagree on it")
            }
            Fault::UnknownRequest { request } => {
                write!(f, "the device does not know request {request}: upgrade the device")
            }
            Fault::HelloFirst => f.write_str("the device wants a hello first: it has been restarted"),
            Fault::Version { device, client } => write!(
                f,
                "the device speaks version {device} of the protocol and the client {client}: upgrade the {}",
                if device.major < client.major { "device" } else { "client" }
            ),
            Fault::Duplicate { sequence } => {
                write!(f, "the device has taken request {sequence} already: its answer was lost")
            }
            Fault::NoSlot { limit, value } => {
                write!(f, "slot {value} of {limit}: the device takes that many transactions at once")
            }
            Fault::NoTransaction { slot } => {
                write!(f, "no transaction has begun in slot {slot}: the device has been restarted")
            }
            Fault::OutOfOrder { expected, actual } => {
                write!(f, "bytes from {actual} on, where those from {expected} on are due")
            }
            Fault::NoFilter => {
                f.write_str("no filter is installed on the device: transfer a module (`--module FILE`)")
            }
            Fault::TooLong { artifact, limit, value } => {
                write!(f, "the {} has {value} bytes, and the device has room for {limit}", artifact.name())
            }
            Fault::NoTransfer => f.write_str("no transfer has begun"),
            Fault::Incomplete { expected, actual } => {
                write!(f, "{expected} bytes were announced and {actual} came: begin the transfer anew")
            }
            Fault::DigestDiffers { expected, actual } => write!(
                f,
                "what was transferred has the SHA-256 {actual} and not {expected}, and was thrown away: begin the transfer anew"
            ),
            Fault::Unsupported { artifact } => {
                write!(f, "the device takes no {}: it was built with its own", artifact.name())
            }
            Fault::AnswerTooLong { limit, value } => {
                write!(f, "the answer has {value} bytes, and the client takes {limit}")
            }
        }
    }
}

impl core::error::Error for Fault {}
