//! Removing bytes.

use alloc::vec::Vec;

pub(super) fn remove(input: &[u8], out: &mut Vec<u8>, unwanted: impl Fn(u8) -> bool) -> bool {
    let Some(first) = input.iter().position(|&b| unwanted(b)) else { return false };
    out.extend_from_slice(&input[..first]);
    out.extend(input[first + 1..].iter().copied().filter(|&b| !unwanted(b)));
    true
}
