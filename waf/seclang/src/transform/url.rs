//! Percent escapes.

use alloc::vec::Vec;

use super::{hex, pair, quad};
use crate::body::find;

/// What [`encode`] changes: all but letters, digits and `*`.
pub(super) const ENCODED: [u64; 4] = {
    let mut set = [0; 4];
    let mut b = 0usize;
    while b < 256 {
        if !kept(b as u8) {
            set[b >> 6] |= 1 << (b & 63);
        }
        b += 1;
    }
    set
};

const fn kept(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'*'
}

/// `%HH` to the byte, `+` to a blank, with `unicode` also `%uHHHH` to its low byte (fullwidth forms
/// to ASCII). Broken escapes are kept.
pub(super) fn decode(input: &[u8], start: usize, unicode: bool, out: &mut Vec<u8>) {
    out.reserve(input.len());
    out.extend_from_slice(input.get(..start).unwrap_or_default());
    let mut at = start;
    while let Some([first, rest @ ..]) = input.get(at..) {
        let (len, byte) = match (*first, rest) {
            (b'+', _) => (1, b' '),
            (b'%', [b'u' | b'U', a, b, c, d, ..]) if unicode => match quad([*a, *b, *c, *d]) {
                Some(byte) => (6, byte),
                None => (1, b'%'),
            },
            (b'%', [high, low, ..]) => match pair(*high, *low) {
                Some(byte) => (3, byte),
                None => (1, b'%'),
            },
            (byte, _) => (1, byte),
        };
        out.push(byte);
        at += len;
    }
}

/// Whether an escape may be decoded: two digits, or what looks like `%u`, are behind a percent sign.
pub(super) fn has_escape(input: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = find(input, at, b'%') {
        at = found + 1;
        match input.get(at..) {
            Some([b'u' | b'U', ..]) => return true,
            Some([high, low, ..]) if pair(*high, *low).is_some() => return true,
            _ => {}
        }
    }
    false
}

/// Letters, digits and `*` are kept, a blank becomes `+`, all else `%hh`.
pub(super) fn encode(input: &[u8], out: &mut Vec<u8>) {
    for &byte in input {
        match byte {
            b' ' => out.push(b'+'),
            _ if kept(byte) => out.push(byte),
            _ => {
                out.push(b'%');
                hex::push(byte, out);
            }
        }
    }
}
