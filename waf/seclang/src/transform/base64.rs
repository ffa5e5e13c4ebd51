//! Base64, RFC 4648 with the alphabets of section 4.

use alloc::vec::Vec;

use crate::body::find;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The six bits of each letter of the standard alphabet, [`NO_LETTER`] for all other bytes.
const SEXTETS: [u8; 256] = {
    let mut sextets = [NO_LETTER; 256];
    let mut at = 0;
    while at < 64 {
        sextets[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    sextets
};
const NO_LETTER: u8 = 0x80;

/// The six bits of a letter of the standard alphabet.
fn sextet(byte: u8) -> Option<u8> {
    Some(SEXTETS[usize::from(byte)]).filter(|bits| *bits != NO_LETTER)
}

/// Decodes whole groups of letters from the start of `input`, and returns how many bytes those are.
fn decode_groups(input: &[u8], out: &mut Vec<u8>) -> usize {
    let groups = input.as_chunks::<4>().0;
    let start = out.len();
    out.resize(start + 3 * groups.len(), 0);
    let places = out.get_mut(start..).unwrap_or_default().as_chunks_mut::<3>().0;
    let mut decoded = 0;
    for (place, group) in places.iter_mut().zip(groups) {
        let [a, b, c, d] = group.map(|byte| u32::from(SEXTETS[usize::from(byte)]));
        if (a | b | c | d) & u32::from(NO_LETTER) != 0 {
            break;
        }
        let bits = a << 18 | b << 12 | c << 6 | d;
        *place = [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8];
        decoded += 1;
    }
    out.truncate(start + 3 * decoded);
    4 * decoded
}

/// Whether what letters of the alphabet stand for can have four bytes of ASCII in a row, bytes of a
/// no-break space left out. Words do not stand for text, mostly. True if there is anything else.
pub(super) fn may_be_text(input: &[u8]) -> bool {
    let (groups, rest) = input.as_chunks::<4>();
    // A bit for each byte that is decoded, the last one lowest.
    let mut text = 0u32;
    for &[a, b, c, d] in groups {
        let [a, b, c, d] = [a, b, c, d].map(|byte| u32::from(TEXTS[usize::from(byte)]));
        if (a | b | c | d) & u32::from(NO_LETTER) != 0 {
            return true;
        }
        text = text << 3 | a & 4 | (b | c >> 3) & 2 | (c | d >> 3) & 1;
        if text & text >> 1 & text >> 2 & text >> 3 != 0 {
            return true;
        }
    }
    rest.iter().any(|&byte| sextet(byte).is_none())
}

/// For each letter what it tells of the bytes of its group if it is the first, second or third letter: 4,
/// 2, 1 for the byte that begins with it, which is ASCII. What is no ASCII can be part of a no-break space,
/// which a later transformation would take away: 4 for that of the first byte, and 16 and 8 where the letter
/// ends a second or third byte that may be one.
const TEXTS: [u8; 256] = {
    let mut texts = [NO_LETTER; 256];
    let mut at = 0;
    while at < 64 {
        // The upper six, four and two bits of the first, second and third byte.
        let first = at < 32 || at == 0xc2 >> 2 || at == 0xa0 >> 2;
        let second = at & 15 < 8;
        let third = at & 3 < 2;
        let ends_second = at >> 2 == 0xc2 & 15 || at >> 2 == 0xa0 & 15;
        let ends_third = at == 0xc2 & 63 || at == 0xa0 & 63;
        texts[ALPHABET[at] as usize] = (first as u8) << 2
            | (second as u8) << 1
            | third as u8
            | (ends_second as u8) << 4
            | (ends_third as u8) << 3;
        at += 1;
    }
    texts
};

/// Strict: false (nothing decoded) if anything but the alphabet, up to two `=` at the end and line
/// ends occurs. What follows a NUL is not looked at, a last group that is not whole is dropped.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut at = decode_groups(input, out);
    let end = find(input, at, 0).unwrap_or(input.len());
    let input = input.get(..end).unwrap_or_default();
    let mut group = 0u32;
    let mut filled = 0;
    let mut padding = 0;
    while at < input.len() {
        // Blanks are accepted at the end of a line and of the value.
        let spaces = input.get(at..).unwrap_or_default().iter().take_while(|b| **b == b' ').count();
        at += spaces;
        let bits = match *input.get(at..).unwrap_or_default() {
            [] => break,
            [b'\r', b'\n', ..] => {
                at += 2;
                continue;
            }
            [b'\n', ..] => {
                at += 1;
                continue;
            }
            [b'=', ..] if spaces == 0 && padding < 2 => {
                padding += 1;
                0
            }
            [byte, ..] if spaces == 0 && padding == 0 => match sextet(byte) {
                Some(bits) => bits,
                None => return false,
            },
            _ => return false,
        };
        at += 1;
        group = group << 6 | u32::from(bits);
        filled += 1;
        if filled == 4 {
            let [_, bytes @ ..] = group.to_be_bytes();
            out.extend_from_slice(bytes.get(..3 - padding).unwrap_or_default());
            group = 0;
            filled = 0;
        }
    }
    true
}

/// Forgiving: both alphabets, what is of neither is skipped. A `=` after the first letter of a
/// group that is not followed by another spoils everything.
pub(super) fn decode_forgiving(input: &[u8], out: &mut Vec<u8>) {
    let mut group = 0u32;
    let mut filled = 0;
    for (at, &byte) in input.iter().enumerate() {
        let bits = match byte {
            b'=' => {
                if filled == 1 && input.get(at + 1) != Some(&b'=') {
                    out.clear();
                    return;
                }
                continue;
            }
            b'-' => 62,
            b'_' => 63,
            _ => match sextet(byte) {
                Some(bits) => bits,
                None => continue,
            },
        };
        // Bytes leave as soon as they are whole.
        group = group << 6 | u32::from(bits);
        match filled {
            0 => {}
            1 => out.push((group >> 4) as u8),
            2 => out.push((group >> 2) as u8),
            _ => out.push(group as u8),
        }
        filled = (filled + 1) & 3;
    }
}

pub(super) fn encode(input: &[u8], out: &mut Vec<u8>) {
    out.reserve(input.len().div_ceil(3) * 4);
    for chunk in input.chunks(3) {
        let mut bytes = [0; 4];
        for (to, from) in bytes.iter_mut().skip(1).zip(chunk) {
            *to = *from;
        }
        let group = u32::from_be_bytes(bytes);
        for i in 0..4 {
            let letter = ALPHABET[(group >> (18 - 6 * i)) as usize & 63];
            out.push(if i <= chunk.len() { letter } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_text(bytes: &[u8]) -> bool {
        bytes.windows(4).any(|part| part.iter().all(|byte| byte.is_ascii() || matches!(byte, 0xc2 | 0xa0)))
    }

    #[test]
    fn text_is_never_taken_for_none() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as usize
        };
        let (mut texts, mut told) = (0, 0);
        for _ in 0..20_000 {
            let len = 3 * (1 + random() % 5);
            let kinds: [&[u8]; 4] = [b"eval(", b"\xc2\xa0", b"\x80\xff\x9c\xe3", b"a\xc3"];
            let bytes: Vec<u8> = (0..len)
                .map(|_| {
                    let kind = kinds[random() % 4];
                    kind[random() % kind.len()]
                })
                .collect();
            let mut letters = Vec::new();
            encode(&bytes, &mut letters);
            let may = may_be_text(&letters);
            assert!(may || !has_text(&bytes), "{}", bytes.escape_ascii());
            texts += usize::from(has_text(&bytes));
            told += usize::from(!may);
        }
        assert!(texts > 4000 && told > 4000, "{texts} {told}");
    }

    #[test]
    fn what_is_more_than_letters_may_be_text() {
        for input in [&b"////"[..], b"////////", b"//////"] {
            assert!(!may_be_text(input));
        }
        for input in [&b"ZXZhbCg="[..], b"ZXZh", b"//=/", b"//// ", b"////=", b"a b"] {
            assert!(may_be_text(input) == (input != b"ZXZh"), "{}", input.escape_ascii());
        }
    }
}
