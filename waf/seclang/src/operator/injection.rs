//! `@detectSQLi` and `@detectXSS`: libinjection's judgement, behind cheap screens.

use super::libinjection;

/// The shape of an SQL injection: one letter for each of up to five tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    bytes: [u8; 5],
    len: u8,
}

impl Fingerprint {
    /// The letters.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&self.bytes)
    }
}

/// Sets of bytes of each of which a value must hold one for [`detect_sqli`] to find anything.
///
/// One: a value of nothing but letters, digits, `_` and bytes beyond ASCII is a number, a word, or a
/// number and a word, and none of these is an attack.
pub const SQLI_NEEDS: &[[u64; 4]] = &[SEPARATORS];

/// Sets of bytes of each of which a value must hold one for [`detect_xss`] to find anything.
///
/// One: it needs a tag, or an attribute with a value.
pub const XSS_NEEDS: &[[u64; 4]] = &[[1 << b'<' | 1 << b'=', 0, 0, 0]];

const SEPARATORS: [u64; 4] = {
    let mut set = [0; 4];
    let mut b = 0usize;
    while b < 256 {
        let byte = b as u8;
        if !(byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80) || byte == 0xa0 {
            set[b >> 6] |= 1 << (b & 63);
        }
        b += 1;
    }
    set
};

fn any(value: &[u8], set: &[u64; 4]) -> bool {
    value.iter().any(|b| set[usize::from(b >> 6)] >> (b & 63) & 1 != 0)
}

/// Whether [`detect_sqli`] could find anything, by [`SQLI_NEEDS`].
pub fn sqli_possible(value: &[u8]) -> bool {
    any(value, &SEPARATORS)
}

/// Whether [`detect_xss`] could find anything, by [`XSS_NEEDS`].
pub fn xss_possible(value: &[u8]) -> bool {
    value.iter().any(|b| matches!(b, b'<' | b'='))
}

/// `@detectSQLi`: the fingerprint, if the value looks like an SQL injection.
pub fn detect_sqli(value: &[u8]) -> Option<Fingerprint> {
    libinjection::detect_sqli(value).map(|(bytes, len)| Fingerprint { bytes, len })
}

/// `@detectXSS`: the value looks like script that is slipped into a page.
pub fn detect_xss(value: &[u8]) -> bool {
    libinjection::detect_xss(value)
}
