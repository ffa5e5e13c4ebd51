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
    let rest = bytes.get(from..)?;
    let (first, second) = (ONES * u64::from(two[0]), ONES * u64::from(two[1]));
    let mut at = from;
    for (one, next) in rest.chunks_exact(8).zip(rest.get(1..)?.chunks_exact(8)) {
        // Both are eight bytes long, and a byte is zero where the pair is.
        let word = (u64::from_le_bytes(one.try_into().unwrap_or([0; 8])) ^ first)
            | (u64::from_le_bytes(next.try_into().unwrap_or([0; 8])) ^ second);
        let zero = word.wrapping_sub(ONES) & !word & HIGH;
        if zero != 0 {
            return Some(at + (zero.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    bytes.get(at..)?.windows(2).position(|pair| pair == two).map(|found| at + found)
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
