//! Escapes that start with a backslash: JavaScript's, CSS's, C's.

use alloc::vec::Vec;

use super::{copy_until, digit, is_white, pair, quad};

/// The control character that a letter after a backslash stands for, in C and in JavaScript.
const fn control(letter: u8) -> Option<u8> {
    Some(match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        _ => return None,
    })
}

/// Up to `most` octal digits at the start: how many, and the number.
fn octal(input: &[u8], most: usize) -> (usize, u32) {
    let digits = input.iter().take(most).take_while(|b| matches!(b, b'0'..=b'7'));
    digits.fold((0, 0), |(len, n), d| (len + 1, n << 3 | u32::from(d & 7)))
}

/// Runs over the input from its first backslash, at `start`, copying; `escape` is given what follows each backslash, not empty, and says
/// how many bytes it takes and what stands there instead, if anything.
fn decode(
    input: &[u8],
    start: usize,
    out: &mut Vec<u8>,
    lone: bool,
    escape: fn(&[u8]) -> (usize, Option<u8>),
) {
    out.extend_from_slice(input.get(..start).unwrap_or_default());
    let mut at = start;
    while let Some([_, rest @ ..]) = input.get(at..) {
        if rest.is_empty() {
            if lone {
                out.push(b'\\');
            }
            return;
        }
        let (len, byte) = escape(rest);
        out.extend(byte);
        at = copy_until(input, at + 1 + len, b'\\', out);
    }
}

/// `\uHHHH` (its low byte; fullwidth forms to ASCII), `\xHH`, up to three octal digits, control
/// letters; any other byte stands for itself. A lone backslash at the end is kept.
pub(super) fn javascript(input: &[u8], start: usize, out: &mut Vec<u8>) {
    decode(input, start, out, true, |rest| match *rest {
        [b'u', a, b, c, d, ..] if quad([a, b, c, d]).is_some() => (5, quad([a, b, c, d])),
        [b'x', a, b, ..] if pair(a, b).is_some() => (3, pair(a, b)),
        [b'0'..=b'7', ..] => {
            // Three digits only if they are a byte.
            let most = if matches!(rest, [b'0'..=b'3', ..]) { 3 } else { 2 };
            let (len, byte) = octal(rest, most);
            (len, Some(byte as u8))
        }
        [byte, ..] => (1, Some(control(byte).unwrap_or(byte))),
        [] => (0, None),
    });
}

/// Control letters, `\xHH`, up to three octal digits (the low byte); any other byte stands for
/// itself. A lone backslash at the end is kept.
pub(super) fn ansi_c(input: &[u8], start: usize, out: &mut Vec<u8>) {
    decode(input, start, out, true, |rest| match *rest {
        [b'x' | b'X', a, b, ..] if pair(a, b).is_some() => (3, pair(a, b)),
        [b'0'..=b'7', ..] => {
            let (len, byte) = octal(rest, 3);
            (len, Some(byte as u8))
        }
        [byte, ..] => (1, Some(control(byte).unwrap_or(byte))),
        [] => (0, None),
    });
}

/// One to six hexadecimal digits (their low byte; fullwidth forms to ASCII) and one white space
/// after them; an escaped line end and a lone backslash at the end vanish; any other byte stands
/// for itself.
pub(super) fn css(input: &[u8], start: usize, out: &mut Vec<u8>) {
    decode(input, start, out, false, |rest| {
        let len = rest.iter().take(6).take_while(|b| digit(**b).is_some()).count();
        let digits = rest.get(..len).unwrap_or_default();
        let byte = match *digits {
            [] => {
                let byte = rest.first().copied();
                return (1, byte.filter(|b| *b != b'\n'));
            }
            [a] => digit(a),
            [a, b, c, d] | [b'0', a, b, c, d] | [b'0', b'0', a, b, c, d] => quad([a, b, c, d]),
            [.., a, b] => pair(a, b),
        };
        let white = rest.get(len).is_some_and(|b| is_white(*b));
        (len + usize::from(white), byte)
    });
}
