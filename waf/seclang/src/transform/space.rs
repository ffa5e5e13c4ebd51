//! White space.

use alloc::vec::Vec;

use super::is_white;

/// Bytes that [`removable`] takes for a no-break space: Latin-1's, and the first of UTF-8's two.
pub(super) const NO_BREAK: &[u8] = b"\xa0\xc2";

/// Runs of white space to one blank each.
pub(super) fn compress(input: &[u8], start: usize, out: &mut Vec<u8>) {
    let (head, rest) = input.split_at_checked(start).unwrap_or((&[], input));
    out.reserve(input.len());
    out.extend_from_slice(head);
    let mut blank = false;
    for &byte in rest {
        if !is_white(byte) {
            out.push(byte);
        } else if !blank {
            out.push(b' ');
        }
        blank = is_white(byte);
    }
}

/// 1 for each byte that [`remove`] keeps.
const KEPT: [u8; 256] = {
    let mut kept = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        kept[byte] = !removable(byte as u8) as u8;
        byte += 1;
    }
    kept
};

/// White space to nothing. Every byte is written, and the next one over it if it goes: that is less
/// than a branch each.
pub(super) fn remove(input: &[u8], out: &mut Vec<u8>) {
    out.resize(input.len(), 0);
    let places = out.as_mut_slice();
    let mut at = 0;
    for &byte in input {
        if let Some(place) = places.get_mut(at) {
            *place = byte;
        }
        at += usize::from(KEPT[usize::from(byte)]);
    }
    out.truncate(at);
}

/// Whether `removeWhitespace` drops the byte.
const fn removable(byte: u8) -> bool {
    is_white(byte) || matches!(byte, 0xa0 | 0xc2)
}

/// The value without white space at its start, its end, or both.
pub(super) fn trim(mut input: &[u8], left: bool, right: bool) -> &[u8] {
    if left {
        while let [first, rest @ ..] = input
            && is_white(*first)
        {
            input = rest;
        }
    }
    if right {
        while let [rest @ .., last] = input
            && is_white(*last)
        {
            input = rest;
        }
    }
    input
}
