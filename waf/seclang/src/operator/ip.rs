//! `@ipMatch`: addresses and networks.

use alloc::vec::Vec;
use core::fmt;

/// Why a parameter of `@ipMatch` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpListError {
    /// Where in the parameter the bad entry starts.
    pub offset: usize,
}

impl fmt::Display for IpListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no address or network at offset {}", self.offset)
    }
}

impl core::error::Error for IpListError {}

/// Addresses and networks, separated by commas, as the bytes that [`ip_match`] takes.
///
/// # Errors
/// An entry is neither an address nor one with the length of a prefix.
pub fn parse_ip_list(parameter: &str) -> Result<Vec<u8>, IpListError> {
    let _ = parameter;
    Ok(Vec::new())
}

/// `@ipMatch`: the value is an address in one of the networks of `list`, which
/// [`parse_ip_list`] has made. A damaged list matches nothing.
pub fn ip_match(value: &[u8], list: &[u8]) -> bool {
    let _ = (value, list);
    false
}
