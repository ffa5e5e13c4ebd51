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
/// A part is no number up to 255 and no range of two, in order.
pub fn parse_byte_range(parameter: &str) -> Result<[u8; 32], ByteRangeError> {
    let mut set = [0u8; 32];
    let mut offset = 0;
    for part in parameter.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.trim().parse::<u8>(), last.trim().parse::<u8>()) {
            (Ok(first), Ok(last)) if first <= last => {
                for byte in first..=last {
                    set[usize::from(byte >> 3)] |= 1 << (byte & 7);
                }
            }
            _ => return Err(ByteRangeError { offset }),
        }
        offset += part.len() + 1;
    }
    Ok(set)
}

/// `@validateByteRange`: some byte of the value is not in the set. An empty value has none.
pub fn validate_byte_range(value: &[u8], allowed: &[u8; 32]) -> bool {
    value.iter().any(|byte| allowed[usize::from(byte >> 3)] >> (byte & 7) & 1 == 0)
}

/// `@validateUrlEncoding`: some `%` is not followed by two hexadecimal digits.
pub fn validate_url_encoding(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        match rest.get(at..) {
            Some([_, high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = after;
            }
            _ => return true,
        }
    }
    false
}

/// `@validateUtf8Encoding`: the value is no UTF-8: broken, overlong, a surrogate, or beyond the
/// lead bytes that Unicode needs.
pub fn validate_utf8_encoding(value: &[u8]) -> bool {
    let mut rest = value;
    loop {
        // Most values have nothing to check.
        let ascii = rest.iter().position(|b| *b >= 0x80).unwrap_or(rest.len());
        let tail = rest.get(ascii..).unwrap_or_default();
        let [first, after @ ..] = tail else { return false };
        let (len, bits, least) = match first {
            0xc0..0xe0 => (1, 0x1f, 0x80),
            0xe0..0xf0 => (2, 0x0f, 0x800),
            0xf0..0xf5 => (3, 0x07, 0x1_0000),
            _ => return true,
        };
        let Some((more, after)) = after.split_at_checked(len) else { return true };
        if more.iter().any(|b| b & 0xc0 != 0x80) {
            return true;
        }
        let code = more.iter().fold(u32::from(first & bits), |n, b| n << 6 | u32::from(b & 0x3f));
        if code < least || (0xd800..0xe000).contains(&code) {
            return true;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_ranges() {
        let set = parse_byte_range("10, 13,32-126,255").unwrap();
        assert!(!validate_byte_range(b"a\r\n ~\xff", &set));
        assert!(validate_byte_range(b"a\x7f", &set));
        assert!(!validate_byte_range(b"", &set));
        assert_eq!(parse_byte_range("1,2-300"), Err(ByteRangeError { offset: 2 }));
        assert_eq!(parse_byte_range("9-1"), Err(ByteRangeError { offset: 0 }));
        assert!(parse_byte_range("").is_err());
    }

    #[test]
    fn url_encoding() {
        assert!(!validate_url_encoding(b"a%20%fF+"));
        for bad in [&b"%"[..], b"a%2", b"%2g", b"%20%%20"] {
            assert!(validate_url_encoding(bad), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn utf8_encoding() {
        for good in ["", "plain", "\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}"] {
            assert!(!validate_utf8_encoding(good.as_bytes()));
        }
        let bad: &[&[u8]] = &[
            b"\x80",
            b"\xff",
            b"a\xc3",
            b"\xc0\xbc",
            b"\xe0\x80\xbc",
            b"\xf0\x80\x80\xbc",
            b"\xed\xa0\x80",
            b"\xf5\x80\x80\x80",
            b"\xe3\x81a",
        ];
        for bad in bad {
            assert!(validate_utf8_encoding(bad), "{}", bad.escape_ascii());
        }
    }
}
