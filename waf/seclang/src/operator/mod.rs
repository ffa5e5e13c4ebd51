//! Operators: what a rule asks of a value. Pure functions, each with ModSecurity v3's meaning of
//! *match*; patterns and phrase sets are elsewhere (`picket-regex`, `scan`).

mod bytes;
mod card;
mod encoding;
mod injection;
mod ip;
#[doc(hidden)]
pub mod libinjection;
mod number;

pub use bytes::{begins_with, contains, contains_word, ends_with, str_match, streq, within};
pub use card::{verify_cc, verify_cpf, verify_ssn};
pub use encoding::{
    ByteRangeError, parse_byte_range, validate_byte_range, validate_url_encoding, validate_utf8_encoding,
};
pub use injection::{
    Fingerprint, SQLI_NEEDS, XSS_NEEDS, detect_sqli, detect_xss, sqli_possible, xss_possible,
};
pub use ip::{IpListError, ip_match, parse_ip_list};
pub use number::{eq, ge, gt, le, lt, parse_number};

/// Matches every value.
pub const fn unconditional_match(_value: &[u8]) -> bool {
    true
}

/// Matches no value.
pub const fn no_match(_value: &[u8]) -> bool {
    false
}
