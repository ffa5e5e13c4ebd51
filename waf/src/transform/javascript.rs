//! JavaScript string escapes.

use alloc::vec::Vec;

use super::{encode, hex, hex_number};

pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = input.iter().position(|&b| b == b'\\') else { return false };
    out.extend_from_slice(&input[..first]);
    let mut rest = &input[first..];
    while let [byte, after @ ..] = rest {
        match after.first() {
            Some(next) if *byte == b'\\' && next.is_ascii() => {}
            // The backslash goes; the sequence that it stood before stays whole.
            Some(_) if *byte == b'\\' => {
                rest = after;
                continue;
            }
            _ => {
                out.push(*byte);
                rest = after;
                continue;
            }
        }
        let (len, code) = escape(after);
        let mut utf8 = [0; 4];
        let encoded = encode(code, &mut utf8);
        out.extend_from_slice(&utf8[..encoded]);
        rest = &after[len..];
    }
    // A lone backslash at the end is kept: then nothing may have changed.
    out.len() != input.len()
}

/// The escape that `after` starts with, after its backslash: how many bytes, and for what
/// character. `after` starts with ASCII.
fn escape(after: &[u8]) -> (usize, u32) {
    match *after {
        [b'x', ..] => {
            if let Some(code) = hex_number(&after[1..], 2) {
                return (3, code);
            }
        }
        [b'u', b'{', ..] => {
            let digits = after[2..].iter().take_while(|d| hex(**d).is_some()).count();
            // Leading zeros may be many; more than six other digits are no character.
            let zeros = after[2..2 + digits].iter().take_while(|d| **d == b'0').count();
            let significant = digits - zeros;
            if digits > 0
                && significant <= 6
                && after.get(2 + digits) == Some(&b'}')
                && let Some(code) = hex_number(&after[2 + zeros..], significant)
            {
                return (digits + 3, code);
            }
        }
        [b'u', ..] => {
            if let Some(code) = hex_number(&after[1..], 4) {
                return (5, code);
            }
        }
        [b'0'..=b'7', ..] => {
            let digits = after.iter().take(3).take_while(|d| matches!(d, b'0'..=b'7')).count();
            // Three digits reach beyond a byte from \400 on: then only two belong.
            let digits = if digits == 3 && after[0] > b'3' { 2 } else { digits };
            let code = after[..digits].iter().fold(0, |n, d| n << 3 | u32::from(d - b'0'));
            return (digits, code);
        }
        _ => {}
    }
    let code = match after[0] {
        b'b' => 8,
        b't' => 9,
        b'n' => 10,
        b'v' => 11,
        b'f' => 12,
        b'r' => 13,
        other => u32::from(other),
    };
    (1, code)
}
