//! Why a device did not answer as it was asked to.

use core::fmt;
use core::time::Duration;
use std::io;
use std::string::String;

use picket_abi::DecodeError;

use super::address::Address;
use crate::fault::Fault;
use crate::message::Version;

/// Why a device did not answer as it was asked to.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The line cannot be opened.
    Connect {
        /// Where the device was looked for.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// The line broke off.
    Line {
        /// How.
        source: io::Error,
    },
    /// The device has hung up.
    Closed,
    /// No answer came in time.
    Timeout {
        /// How long was waited.
        waited: Duration,
    },
    /// There is no session: it has ended with an error before this.
    NoSession,
    /// The request was done and its answer was damaged on the way.
    AnswerLost,
    /// The answer is none.
    Malformed(DecodeError),
    /// The answer belongs to another request.
    Unexpected {
        /// What was asked for.
        asked: &'static str,
    },
    /// The answer is longer than it may be.
    AnswerTooLong {
        /// Bytes it may have.
        limit: u32,
    },
    /// The request is longer than the device takes.
    MessageTooLong {
        /// Bytes the device takes.
        limit: usize,
        /// Bytes the request has.
        value: usize,
    },
    /// The device speaks another version.
    Version {
        /// What it speaks.
        device: Version,
    },
    /// The device could not do it.
    Fault(Fault),
    /// The device did not install what was transferred.
    Refused {
        /// Who has to act.
        culprit: String,
        /// Why; empty if the device has no words.
        message: String,
    },
}

impl ClientError {
    /// Whether the session is over, so that the device has to be connected to anew.
    pub const fn ends_session(&self) -> bool {
        match self {
            ClientError::Connect { .. }
            | ClientError::Line { .. }
            | ClientError::Closed
            | ClientError::Timeout { .. }
            | ClientError::NoSession
            | ClientError::Malformed(_)
            | ClientError::Unexpected { .. }
            | ClientError::AnswerTooLong { .. }
            | ClientError::Version { .. }
            | ClientError::Fault(Fault::HelloFirst | Fault::Version { .. }) => true,
            ClientError::AnswerLost
            | ClientError::MessageTooLong { .. }
            | ClientError::Fault(_)
            | ClientError::Refused { .. } => false,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Connect { address, source } => {
                write!(f, "the device {address} cannot be reached: {source}")?;
                match (address, source.kind()) {
                    (Address::Serial { .. }, io::ErrorKind::PermissionDenied) => {
                        f.write_str(" (is this user in the group of the serial line, often `dialout`?)")
                    }
                    (Address::Tcp { .. }, io::ErrorKind::ConnectionRefused) => {
                        f.write_str(" (is it running, and does it listen on that address?)")
                    }
                    _ => Ok(()),
                }
            }
            ClientError::Line { source } => write!(f, "the line to the device broke off: {source}"),
            ClientError::Closed => f.write_str("the device has closed the line"),
            ClientError::Timeout { waited } => write!(
                f,
                "the device did not answer within {} ms (is it a Picket device, and on a serial line, is the speed right?)",
                waited.as_millis()
            ),
            ClientError::NoSession => f.write_str("there is no session with the device"),
            ClientError::AnswerLost => {
                f.write_str("the device's answer was damaged on the way: the line is noisy")
            }
            ClientError::Malformed(error) => write!(f, "the device answered with no answer: {error}"),
            ClientError::Unexpected { asked } => write!(f, "the device answered something else than {asked}"),
            ClientError::AnswerTooLong { limit } => {
                write!(f, "the device's answer has more than {limit} bytes")
            }
            ClientError::MessageTooLong { limit, value } => write!(
                f,
                "a message has {value} bytes, and the device takes {limit}: it needs a larger frame buffer for such requests"
            ),
            ClientError::Version { device } => write!(
                f,
                "the device speaks version {device} of the protocol, and this is version {}: upgrade the {}",
                Version::CURRENT,
                if device.major < Version::CURRENT.major { "device" } else { "client" }
            ),
            ClientError::Fault(fault) => fmt::Display::fmt(fault, f),
            ClientError::Refused { culprit, message } if message.is_empty() => {
                write!(f, "the device did not install it; at fault: {culprit}")
            }
            ClientError::Refused { culprit, message } => {
                write!(f, "the device did not install it: {message} (at fault: {culprit})")
            }
        }
    }
}

impl core::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            ClientError::Connect { source, .. } | ClientError::Line { source } => Some(source),
            ClientError::Malformed(error) => Some(error),
            ClientError::Fault(fault) => Some(fault),
            _ => None,
        }
    }
}
