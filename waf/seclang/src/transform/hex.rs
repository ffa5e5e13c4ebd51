//! Hexadecimal digits.

use alloc::vec::Vec;

use super::{copy_until, pair};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Every two bytes to one; what is no digit counts for what ModSecurity's arithmetic makes of it. A
/// last single byte is dropped.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) {
    const fn loose(byte: u8) -> u8 {
        if byte >= b'A' { (byte & 0xdf).wrapping_sub(b'A' - 10) } else { byte.wrapping_sub(b'0') }
    }
    out.extend(input.chunks_exact(2).map(|p| match *p {
        [high, low] => loose(high).wrapping_mul(16).wrapping_add(loose(low)),
        _ => 0,
    }));
}

pub(super) fn encode(input: &[u8], out: &mut Vec<u8>) {
    out.reserve(input.len() * 2);
    for &byte in input {
        push(byte, out);
    }
}

/// Writes a byte's two digits.
pub(super) fn push(byte: u8, out: &mut Vec<u8>) {
    out.push(digit(byte >> 4));
    out.push(digit(byte));
}

/// The digit of a byte's low half.
pub(super) fn digit(byte: u8) -> u8 {
    DIGITS[usize::from(byte & 15)]
}

/// `0x` and pairs of digits to the bytes; without a pair it is kept.
pub(super) fn decode_sql(input: &[u8], out: &mut Vec<u8>) {
    let mut at = copy_until(input, 0, b'0', out);
    while let Some([_, rest @ ..]) = input.get(at..) {
        at += 1;
        match *rest {
            [b'x' | b'X', high, low, ..] if pair(high, low).is_some() => {
                at += 1;
                while let Some(&[high, low, ..]) = input.get(at..)
                    && let Some(byte) = pair(high, low)
                {
                    out.push(byte);
                    at += 2;
                }
            }
            _ => out.push(b'0'),
        }
        at = copy_until(input, at, b'0', out);
    }
}
