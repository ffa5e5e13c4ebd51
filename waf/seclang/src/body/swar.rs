//! Looks for a byte eight at a time: an interpreter pays for instructions, not for their width.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Where `byte` first occurs in `bytes` from `from` on.
pub(crate) fn find(bytes: &[u8], from: usize, byte: u8) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let pattern = ONES * u64::from(byte);
    let mut chunks = rest.chunks_exact(8);
    let mut at = from;
    for chunk in &mut chunks {
        // A chunk of `chunks_exact(8)` is eight bytes long.
        let word = u64::from_le_bytes(chunk.try_into().unwrap_or([0; 8])) ^ pattern;
        let zero = word.wrapping_sub(ONES) & !word & HIGH;
        if zero != 0 {
            return Some(at + (zero.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    chunks.remainder().iter().position(|b| *b == byte).map(|found| at + found)
}

/// Where `byte` first stands twice, side by side, in `bytes` from `from` on.
pub(crate) fn find_pair(bytes: &[u8], from: usize, byte: u8) -> Option<usize> {
    find_two(bytes, from, [byte, byte])
}

/// Where two bytes first stand side by side in `bytes` from `from` on.
pub(crate) fn find_two(bytes: &[u8], from: usize, two: [u8; 2]) -> Option<usize> {
    let first = ONES * u64::from(two[0]);
    let zeros = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word) ^ first;
        word.wrapping_sub(ONES) & !word
    };
    let mut at = from;
    // Most of a file has not even the first byte: four words a turn.
    for block in bytes.get(from..)?.as_chunks::<32>().0 {
        let words = block.as_chunks::<8>().0;
        if let [a, b, c, d] = words
            && (zeros(a) | zeros(b) | zeros(c) | zeros(d)) & HIGH != 0
        {
            for (word, from) in words.iter().zip((at..).step_by(8)) {
                // Above the first place that is told of, some may be told of in vain.
                let mut places = zeros(word) & HIGH;
                while places != 0 {
                    let place = from + (places.trailing_zeros() / 8) as usize;
                    if bytes.get(place..).is_some_and(|rest| rest.starts_with(&two)) {
                        return Some(place);
                    }
                    places &= places - 1;
                }
            }
        }
        at += 32;
    }
    find_two_near(bytes, at, two)
}

/// The same, a word a turn.
fn find_two_near(bytes: &[u8], from: usize, two: [u8; 2]) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let (first, second) = (ONES * u64::from(two[0]), ONES * u64::from(two[1]));
    let mut at = from;
    for (one, next) in rest.as_chunks::<8>().0.iter().zip(rest.get(1..).unwrap_or(&[]).as_chunks::<8>().0) {
        // A byte is zero where the pair is.
        let word = (u64::from_le_bytes(*one) ^ first) | (u64::from_le_bytes(*next) ^ second);
        let zero = word.wrapping_sub(ONES) & !word & HIGH;
        if zero != 0 {
            return Some(at + (zero.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    bytes.get(at..)?.windows(2).position(|pair| pair == two).map(|found| at + found)
}

/// A word with its ASCII letters in lower case.
fn fold(word: u64) -> u64 {
    let low = word & !HIGH;
    let from_a = low + ONES * (0x80 - b'A' as u64);
    let after_z = low + ONES * (0x7f - b'Z' as u64);
    word | (from_a & !after_z & !word & HIGH) >> 2
}

/// Whether two texts are the same but for the case of ASCII letters.
pub(crate) fn is_same_text(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let same =
        |one: &[u8; 8], other: &[u8; 8]| fold(u64::from_le_bytes(*one)) == fold(u64::from_le_bytes(*other));
    match (one.last_chunk(), other.last_chunk()) {
        (Some(one_end), Some(other_end)) => {
            // What is left behind the last whole word is in the last eight bytes.
            same(one_end, other_end)
                && one.as_chunks().0.iter().zip(other.as_chunks().0).all(|(one, other)| same(one, other))
        }
        _ => one.eq_ignore_ascii_case(other),
    }
}

/// Where `bytes`, from `from` on, first has a byte that a JSON string cannot hold as it is: a quote, a backslash, a
/// control character; or one that is not ASCII, which is to be validated.
pub(crate) fn find_special(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let mut chunks = rest.chunks_exact(8);
    let mut at = from;
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().unwrap_or([0; 8]));
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        // A borrow only spoils bytes above one that is found, and the lowest is what counts.
        let below = quote.wrapping_sub(ONES) & !quote
            | backslash.wrapping_sub(ONES) & !backslash
            | word.wrapping_sub(ONES * 0x20) & !word;
        let found = (below | word) & HIGH;
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let special = |b: &u8| !(0x20..0x80).contains(b) || matches!(b, b'"' | b'\\');
    chunks.remainder().iter().position(special).map(|found| at + found)
}

/// Where `bytes`, from `from` on, first has a control character.
pub(crate) fn find_control(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let mut chunks = rest.chunks_exact(8);
    let mut at = from;
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().unwrap_or([0; 8]));
        let found = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    chunks.remainder().iter().position(|b| *b < 0x20).map(|found| at + found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn texts_are_the_same_in_any_case() {
        for len in 0..20usize {
            let text: Vec<u8> = (0..len).map(|at| b"aZ@[`{m\xe1\xc1"[at % 9]).collect();
            assert!(is_same_text(&text, &text.to_ascii_uppercase()));
            assert!(!is_same_text(&text, &[&text[..], b"x"].concat()));
            for place in 0..len {
                for byte in 0..=255u8 {
                    let mut other = text.clone();
                    other[place] = byte;
                    assert_eq!(is_same_text(&text, &other), text.eq_ignore_ascii_case(&other));
                }
            }
        }
    }

    #[test]
    fn two_bytes_are_found_wherever_they_stand() {
        for two in [*b"--", *b"/*"] {
            let plain = |bytes: &[u8], from: usize| {
                let rest = bytes.get(from..)?;
                rest.windows(2).position(|pair| pair == two).map(|found| from + found)
            };
            for len in 0..80usize {
                for place in 0..len.max(1) {
                    for lone in [None, Some(place / 2), Some(place + 2)] {
                        let mut bytes: Vec<u8> = (0..len).map(|at| (at * 37 + 128) as u8).collect();
                        for (at, byte) in [(Some(place), two[0]), (Some(place + 1), two[1]), (lone, two[0])] {
                            if let Some(to) = at.and_then(|at| bytes.get_mut(at)) {
                                *to = byte;
                            }
                        }
                        for from in [0, 1, place, place + 1, len + 1] {
                            assert_eq!(find_two(&bytes, from, two), plain(&bytes, from), "{bytes:?} {from}");
                        }
                    }
                }
            }
        }
    }
}
