//! Encoding and decoding of whole messages, and the errors of both.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A message could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is shorter than the message.
    BufferFull {
        /// Bytes there were.
        capacity: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::BufferFull { capacity } => {
                write!(f, "the message is longer than its buffer of {capacity} bytes")
            }
        }
    }
}

impl core::error::Error for EncodeError {}

/// Bytes are not the message they are said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes at `offset` are no `what`.
    Malformed {
        /// The message or element that was expected.
        what: &'static str,
        /// Bytes from the start of the list (or message) it stands in.
        offset: usize,
    },
    /// The message ends before the bytes do.
    TrailingBytes {
        /// The message that was decoded.
        what: &'static str,
        /// Bytes that are left over.
        excess: usize,
    },
    /// A field holds a value that its type does not admit.
    OutOfRange {
        /// The field.
        what: &'static str,
        /// The value it holds.
        value: u32,
    },
}

impl DecodeError {
    pub(crate) const fn malformed(what: &'static str, offset: usize) -> Self {
        DecodeError::Malformed { what, offset }
    }

    /// The same error, seen from `start` bytes further out.
    pub(crate) const fn behind(self, start: usize) -> Self {
        match self {
            DecodeError::Malformed { what, offset } => {
                DecodeError::Malformed { what, offset: offset + start }
            }
            other => other,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Malformed { what, offset } => write!(f, "malformed {what} at byte {offset}"),
            DecodeError::TrailingBytes { what, excess } => {
                write!(f, "{excess} bytes left over behind the {what}")
            }
            DecodeError::OutOfRange { what, value } => write!(f, "{what} {value} is out of range"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Writes `message` to the front of `buffer` and returns its length in bytes.
///
/// # Errors
/// [`EncodeError::BufferFull`]; [`encoded_len`] tells beforehand how much is needed.
#[inline]
pub fn encode<T: Serialize + ?Sized>(message: &T, buffer: &mut [u8]) -> Result<usize, EncodeError> {
    let capacity = buffer.len();
    postcard::to_slice(message, buffer)
        .map(|written| written.len())
        .map_err(|_| EncodeError::BufferFull { capacity })
}

/// The length in bytes of `message` when encoded.
pub fn encoded_len<T: Serialize + ?Sized>(message: &T) -> usize {
    // The size flavour only counts; it has no error to return.
    postcard::experimental::serialized_size(message).unwrap_or(usize::MAX)
}

/// Decodes a message that a trusted side wrote. Bytes behind it are ignored: a host of a later
/// minor version may append fields.
#[inline]
pub(crate) fn decode_prefix<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    what: &'static str,
) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, _)) => Ok(message),
        Err(_) => Err(DecodeError::malformed(what, 0)),
    }
}

/// Decodes a message that an untrusted side wrote: nothing may follow it.
pub(crate) fn decode_exact<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    what: &'static str,
) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(DecodeError::TrailingBytes { what, excess: rest.len() }),
        Err(_) => Err(DecodeError::malformed(what, 0)),
    }
}
