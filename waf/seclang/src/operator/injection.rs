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
pub const SQLI_NEEDS: &[[u64; 4]] = &[];

/// Sets of bytes of each of which a value must hold one for [`detect_xss`] to find anything.
pub const XSS_NEEDS: &[[u64; 4]] = &[];

/// Whether [`detect_sqli`] could find anything: false is sure and cheap.
pub fn sqli_possible(value: &[u8]) -> bool {
    !value.is_empty()
}

/// Whether [`detect_xss`] could find anything: false is sure and cheap.
pub fn xss_possible(value: &[u8]) -> bool {
    !value.is_empty()
}

/// `@detectSQLi`: the fingerprint, if the value looks like an SQL injection.
pub fn detect_sqli(value: &[u8]) -> Option<Fingerprint> {
    if !sqli_possible(value) {
        return None;
    }
    libinjection::detect_sqli(value).map(|(bytes, len)| Fingerprint { bytes, len })
}

/// `@detectXSS`: the value looks like script that is slipped into a page.
pub fn detect_xss(value: &[u8]) -> bool {
    xss_possible(value) && libinjection::detect_xss(value)
}
