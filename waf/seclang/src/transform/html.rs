//! HTML character references.

use alloc::vec::Vec;

use super::{copy_until, digit};

const NAMES: &[(&[u8], u8)] =
    &[(b"quot", b'"'), (b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"nbsp", 0xa0)];

/// Numeric references (their low byte) and five named ones, each with or without its semicolon.
pub(super) fn decode(input: &[u8], start: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(input.get(..start).unwrap_or_default());
    let mut at = start;
    while let Some([_, rest @ ..]) = input.get(at..) {
        at += 1;
        match reference(rest) {
            Some((len, byte)) => {
                out.push(byte);
                at += len + usize::from(rest.get(len) == Some(&b';'));
            }
            None => out.push(b'&'),
        }
        at = copy_until(input, at, b'&', out);
    }
}

/// The reference that `rest`, what follows a `&`, starts with: how many bytes without the
/// semicolon, and for what.
fn reference(rest: &[u8]) -> Option<(usize, u8)> {
    match rest {
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16).map(|(len, byte)| (len + 2, byte)),
        [b'#', digits @ ..] => number(digits, 10).map(|(len, byte)| (len + 1, byte)),
        _ => {
            // A name ends where letters and digits end: `&lt1` is none.
            let len = rest.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
            let name = rest.get(..len)?;
            let (_, byte) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
            Some((len, *byte))
        }
    }
}

/// The low byte of the number at the start; beyond 63 bits all of its bits are set, as in C.
fn number(digits: &[u8], radix: u64) -> Option<(usize, u8)> {
    let mut value = 0u64;
    let mut len = 0;
    while let Some(d) = digits.get(len).and_then(|d| digit(*d)).filter(|d| u64::from(*d) < radix) {
        value = value.saturating_mul(radix).saturating_add(u64::from(d));
        len += 1;
    }
    let byte = if value > i64::MAX as u64 { 0xff } else { value as u8 };
    (len > 0).then_some((len, byte))
}
