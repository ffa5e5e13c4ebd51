//! Folding of byte sequences that lenient decoders take for ASCII.

use alloc::vec::Vec;

/// The first bytes of all that is folded. 0xA0 alone is a blank to databases that speak Latin-1.
pub(super) const LEADS: &[u8] =
    &[0xa0, 0xc0, 0xc1, 0xc2, 0xc4, 0xc5, 0xca, 0xe0, 0xe2, 0xef, 0xf0, 0xf8, 0xfc];

pub(super) fn fold(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = input.iter().position(|b| *b >= 0x80) else { return false };
    out.extend_from_slice(&input[..first]);
    let mut rest = &input[first..];
    let mut changed = false;
    while let Some(&byte) = rest.first() {
        let len = if byte < 0x80 {
            out.push(byte);
            1
        } else if let Some((len, ascii)) = fold_sequence(rest) {
            out.extend(ascii);
            changed = true;
            len
        } else {
            let len = sequence_len(rest);
            out.extend_from_slice(&rest[..len]);
            len
        };
        rest = &rest[len..];
    }
    changed
}

/// How many bytes belong to the sequence at the start of `rest`: a lead byte and what continuation
/// bytes follow it, as many as it announces at most. At least one.
fn sequence_len(rest: &[u8]) -> usize {
    let announced = match rest[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    };
    1 + rest[1..].iter().take(announced - 1).take_while(|b| is_continuation(**b)).count()
}

const fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// The length of the sequence at the start of `rest` and the ASCII character that it is folded to;
/// no character where it is invisible.
fn fold_sequence(rest: &[u8]) -> Option<(usize, Option<u8>)> {
    let ascii = |len, byte| Some((len, Some(byte)));
    match *rest {
        // Two-byte overlong forms: never valid, and some decoders do not even look whether a
        // continuation byte follows (`%c0%2f`, `%c1%1c`).
        [lead @ (0xc0 | 0xc1), next, ..] => {
            let byte = (lead & 1) << 6 | next & 0x3f;
            (is_continuation(next) || matches!(byte, b'.' | b'/' | b'\\')).then_some((2, Some(byte)))
        }
        [0xe0, middle @ (0x80 | 0x81), last, ..] if is_continuation(last) => {
            ascii(3, (middle & 1) << 6 | last & 0x3f)
        }
        [0xf0, 0x80, middle @ (0x80 | 0x81), last, ..] if is_continuation(last) => {
            ascii(4, (middle & 1) << 6 | last & 0x3f)
        }
        [0xf8, 0x80, 0x80, middle @ (0x80 | 0x81), last, ..] if is_continuation(last) => {
            ascii(5, (middle & 1) << 6 | last & 0x3f)
        }
        [0xfc, 0x80, 0x80, 0x80, middle @ (0x80 | 0x81), last, ..] if is_continuation(last) => {
            ascii(6, (middle & 1) << 6 | last & 0x3f)
        }
        // U+FF01 to U+FF5E, fullwidth forms; U+FEFF, the byte order mark.
        [0xef, 0xbc, last @ 0x81..=0xbf, ..] => ascii(3, last - 0x80 + 0x20),
        [0xef, 0xbd, last @ 0x80..=0x9e, ..] => ascii(3, last - 0x80 + 0x60),
        [0xef, 0xbb, 0xbf, ..] => Some((3, None)),
        // Small forms of < and >.
        [0xef, 0xb9, 0xa4, ..] => ascii(3, b'<'),
        [0xef, 0xb9, 0xa5, ..] => ascii(3, b'>'),
        // General punctuation: blanks, invisible characters, quotes, primes, angle quotes, slashes.
        [0xe2, 0x80, last, ..] => match last {
            0x80..=0x8a | 0xaf => ascii(3, b' '),
            0x8b..=0x8f => Some((3, None)),
            0x98..=0x9b | 0xb2 => ascii(3, b'\''),
            0x9c..=0x9f | 0xb3 => ascii(3, b'"'),
            0xb9 => ascii(3, b'<'),
            0xba => ascii(3, b'>'),
            _ => None,
        },
        [0xe2, 0x81, 0x84, ..] | [0xe2, 0x88, 0x95, ..] => ascii(3, b'/'),
        [0xe2, 0x88, 0x96, ..] => ascii(3, b'\\'),
        [0xe2, 0x81, 0xa0, ..] => Some((3, None)),
        // Letters whose other case is ASCII: the Kelvin sign, long s, dotless and dotted i.
        [0xe2, 0x84, 0xaa, ..] => ascii(3, b'k'),
        [0xc5, 0xbf, ..] => ascii(2, b's'),
        [0xc4, 0xb0 | 0xb1, ..] => ascii(2, b'i'),
        // Modifier letter apostrophes.
        [0xca, 0xb9 | 0xbb | 0xbc, ..] => ascii(2, b'\''),
        [0xca, 0xba, ..] => ascii(2, b'"'),
        // No-break space, next line, soft hyphen.
        [0xc2, 0xa0 | 0x85, ..] => ascii(2, b' '),
        [0xc2, 0xad, ..] => Some((2, None)),
        [0xa0, ..] => ascii(1, b' '),
        _ => None,
    }
}
