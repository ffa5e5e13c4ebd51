//! Checks of a value's encoding. Each matches the value that is *not* in order.

use core::fmt;

/// Why a parameter of `@validateByteRange` is none: the byte offset of the bad number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRangeError {
    /// Where in the parameter.
    pub offset: usize,
}

impl fmt::Display for ByteRangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no byte (0 to 255) or range of bytes at offset {}", self.offset)
    }
}

impl core::error::Error for ByteRangeError {}

/// The bytes that a parameter of `@validateByteRange` allows (`10, 13, 32-126`), byte `b` as bit
/// `b % 8` of byte `b / 8`.
///
/// # Errors
/// A part is no number up to 255 or a range of two, in order.
pub fn parse_byte_range(parameter: &str) -> Result<[u8; 32], ByteRangeError> {
    let _ = parameter;
    Ok([0xff; 32])
}

/// `@validateByteRange`: some byte of the value is not in the set. An empty value has none.
pub fn validate_byte_range(value: &[u8], allowed: &[u8; 32]) -> bool {
    let _ = (value, allowed);
    false
}

/// `@validateUrlEncoding`: some `%` is not followed by two hexadecimal digits.
pub fn validate_url_encoding(value: &[u8]) -> bool {
    let _ = value;
    false
}

/// `@validateUtf8Encoding`: the value is no UTF-8: broken, overlong or outside of Unicode.
pub fn validate_utf8_encoding(value: &[u8]) -> bool {
    let _ = value;
    false
}
