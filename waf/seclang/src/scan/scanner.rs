//! The trigram filter and the byte sets.
//!
//! Bytes fold to 64 classes; each literal has one trigram of classes, chosen by the compiler, whose
//! bit is set. Where the last three bytes have theirs set, the literals with this trigram are
//! compared, up to eight bytes of each at once: in groups of equal position and length, so that many
//! of them cost a binary search. That bounds what a hostile value can cause at any position.

use super::layout::{CLASSES, HEADER, LAST, LIST, LIST_UNIT, START, Shape};

const PAIRS: usize = CLASSES * CLASSES;
/// Rows are read by halves: an interpreter has fewer steps with 32 bits.
const HALVES: usize = 2 * PAIRS;

/// The tables of a ruleset's prefilter, in place; see [`layout`](super::layout).
#[derive(Clone, Copy, Debug)]
pub struct Scanner<'a> {
    present: &'a [[u8; 8]; 256],
    classes: &'a [u8; 256],
    rows: &'a [[u8; 4]; HALVES],
    bases: &'a [[u8; 4]; CLASSES],
    ranks: &'a [[u8; 2]; PAIRS],
    keys: &'a [[u8; 8]],
    groups: &'a [[u8; 4]],
    index: &'a [[u8; 2]],
    outputs: &'a [[u8; 2]],
    lists: &'a [[u8; 2]],
}

/// Takes `count` items of `N` bytes.
fn take<'a, const N: usize>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [[u8; N]]> {
    let (items, rest) = bytes.split_at_checked(count.checked_mul(N)?)?;
    *bytes = rest;
    Some(items.as_chunks().0)
}

impl<'a> Scanner<'a> {
    /// The scanner whose tables `bytes` are; `None` if their lengths do not fit together.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (header, mut rest) = bytes.split_first_chunk::<HEADER>()?;
        let count = |at: usize| Some(u32::from_le_bytes(*header.get(at..)?.first_chunk()?) as usize);
        let (keys, groups, trigrams, lists) = (count(0)?, count(4)?, count(8)?, count(12)?);
        let rest = &mut rest;
        let scanner = Scanner {
            present: take(rest, 256)?.first_chunk()?,
            classes: take::<256>(rest, 1)?.first()?,
            rows: take(rest, HALVES)?.first_chunk()?,
            bases: take(rest, CLASSES)?.first_chunk()?,
            ranks: take(rest, PAIRS)?.first_chunk()?,
            keys: take(rest, keys)?,
            groups: take(rest, groups)?,
            index: take(rest, trigrams)?,
            outputs: take(rest, keys)?,
            lists: take(rest, lists)?,
        };
        rest.is_empty().then_some(scanner)
    }

    /// Which byte sets have a byte in `value`: bit `n` for the set of number `n`.
    #[inline(never)]
    #[must_use]
    pub fn present(&self, value: &[u8]) -> u64 {
        let of = |byte: u8| u64::from_le_bytes(self.present[usize::from(byte)]);
        let (eights, rest) = value.as_chunks::<8>();
        let mut seen = 0;
        for &[a, b, c, d, e, f, g, h] in eights {
            seen |= of(a) | of(b) | of(c) | of(d) | of(e) | of(f) | of(g) | of(h);
        }
        rest.iter().fold(seen, |seen, &byte| seen | of(byte))
    }

    /// Sets in `hits` the bit of each matcher that has a literal in `value` (32 matchers a word, the
    /// lowest bit first) and tells whether any was found. Bits that are set stay set; matchers beyond
    /// `hits` are left out.
    #[inline(never)]
    pub fn scan(&self, value: &[u8], hits: &mut [u32]) -> bool {
        let (classes, rows) = (self.classes, self.rows);
        let mut found = false;
        let mut last = u32::from(START) << 6 | u32::from(START);
        let (fours, rest) = value.as_chunks::<4>();
        // Four bytes a turn: one branch for all of them is what an interpreter likes best.
        for (turn, &[a, b, c, d]) in fours.iter().enumerate() {
            let a = push(last, classes, a);
            let b = push(a, classes, b);
            let c = push(b, classes, c);
            let d = push(c, classes, d);
            last = d;
            if (bit(rows, a) | bit(rows, b) | bit(rows, c) | bit(rows, d)) & 1 != 0 {
                for (at, trigram) in [a, b, c, d].into_iter().enumerate() {
                    if bit(rows, trigram) & 1 != 0 {
                        found |= self.look(value, 4 * turn + at, trigram, hits);
                    }
                }
            }
        }
        for (at, &byte) in rest.iter().enumerate() {
            last = push(last, classes, byte);
            if bit(rows, last) & 1 != 0 {
                found |= self.look(value, 4 * fours.len() + at, last, hits);
            }
        }
        found
    }

    /// Looks for the literals whose trigram, which is in use, ends at `at`.
    #[inline(never)]
    fn look(&self, value: &[u8], at: usize, trigram: u32, hits: &mut [u32]) -> bool {
        let (pair, class) = ((trigram >> 6) as usize & (PAIRS - 1), trigram & 63);
        let (Some(row), Some(&rank)) = (self.rows.as_chunks().0.get(pair), self.ranks.get(pair)) else {
            return false;
        };
        let below = u64::from_le_bytes(concat(row)) & ((1 << class) - 1);
        let base = u32::from_le_bytes(self.bases[pair / CLASSES]) as usize;
        let rank = base.wrapping_add(short(rank)).wrapping_add(below.count_ones() as usize);
        let Some(&group) = self.index.get(rank) else { return false };
        let mut found = false;
        for &group in self.groups.get(short(group)..).unwrap_or(&[]) {
            let group = u32::from_le_bytes(group);
            let shape = (group >> 24) as u8;
            if let Some(word) = window(value, at, Shape::decode(shape)) {
                let (first, count) = ((group & 0xffff) as usize, (group >> 16 & 0xff) as usize);
                let keys = self.keys.get(first..first + count).unwrap_or(&[]);
                if let Some(key) = position(keys, word) {
                    found |= self.report(first + key, hits);
                }
            }
            if shape & LAST != 0 {
                break;
            }
        }
        found
    }

    /// Sets the bits of the matchers that a literal stands for.
    fn report(&self, key: usize, hits: &mut [u32]) -> bool {
        let Some(&output) = self.outputs.get(key) else { return false };
        let output = u16::from_le_bytes(output);
        if output & LIST == 0 {
            set(hits, output);
            return true;
        }
        let list = self.lists.get(usize::from(output ^ LIST) * LIST_UNIT..).unwrap_or(&[]);
        let Some((&count, list)) = list.split_first() else { return false };
        for &matcher in list.iter().take(short(count)) {
            set(hits, u16::from_le_bytes(matcher));
        }
        true
    }
}

/// Adds a byte's class to the last ones; what is older than three is shifted out or masked away.
#[inline]
fn push(last: u32, classes: &[u8; 256], byte: u8) -> u32 {
    last << 6 | u32::from(classes[usize::from(byte)])
}

/// The bit of a trigram, and others above it.
#[inline]
fn bit(rows: &[[u8; 4]; HALVES], trigram: u32) -> u32 {
    u32::from_le_bytes(rows[(trigram >> 5) as usize % HALVES]) >> (trigram & 31)
}

fn concat(&[low, high]: &[[u8; 4]; 2]) -> [u8; 8] {
    let mut row = [0; 8];
    row[..4].copy_from_slice(&low);
    row[4..].copy_from_slice(&high);
    row
}

fn short(bytes: [u8; 2]) -> usize {
    usize::from(u16::from_le_bytes(bytes))
}

fn set(hits: &mut [u32], matcher: u16) {
    if let Some(word) = hits.get_mut(usize::from(matcher / 32)) {
        *word |= 1 << (matcher % 32);
    }
}

/// The position of `word` in ascending keys.
#[inline]
fn position(keys: &[[u8; 8]], word: u64) -> Option<usize> {
    if let [key] = keys {
        // By far most trigrams belong to one literal.
        return (u64::from_le_bytes(*key) == word).then_some(0);
    }
    keys.binary_search_by(|&key| u64::from_le_bytes(key).cmp(&word)).ok()
}

/// The bytes of `value` where a literal of this shape would be, folded, as a key; `None` if they are
/// not all in the value.
#[inline]
fn window(value: &[u8], at: usize, shape: Shape) -> Option<u64> {
    let start = at.checked_sub(usize::from(shape.back))?;
    let rest = value.get(start..)?;
    let word = match rest.first_chunk::<8>() {
        Some(&word) => u64::from_le_bytes(word),
        None if rest.len() < usize::from(shape.len) => return None,
        None => match value.last_chunk::<8>() {
            // `rest` is shorter than a word, the value is not.
            Some(&word) => u64::from_le_bytes(word) >> ((8 * (8 - rest.len())) & 63),
            None => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        },
    };
    Some(fold(word) & u64::MAX >> ((64 - 8 * u32::from(shape.len)) & 63))
}

/// Eight bytes in lower case, as ASCII has it.
#[inline]
fn fold(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let low = word & (0x7f * ONES);
    let from_a = low + (0x80 - b'A' as u64) * ONES;
    let after_z = low + (0x7f - b'Z' as u64) * ONES;
    word | ((from_a & !after_z & !word) & (0x80 * ONES)) >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_folds_as_its_bytes_do() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                let mut bytes = *b"aZ@[\xff\x00\x80z";
                bytes[place] = byte;
                let folded = fold(u64::from_le_bytes(bytes)).to_le_bytes();
                assert_eq!(folded[..], bytes.to_ascii_lowercase(), "{bytes:?}");
            }
        }
    }

    #[test]
    fn a_window_is_inside_the_value_or_none() {
        let value = b"ABCDEFGHIJ";
        for len in 0..=value.len() {
            let value = &value[..len];
            for at in 0..len {
                for (back, width) in (0..8u8).flat_map(|back| (1..=8u8).map(move |width| (back, width))) {
                    let expected = at.checked_sub(usize::from(back)).and_then(|start| {
                        let bytes = value.get(start..start + usize::from(width))?;
                        let mut key = [0; 8];
                        for (byte, &from) in key.iter_mut().zip(bytes) {
                            *byte = from.to_ascii_lowercase();
                        }
                        Some(u64::from_le_bytes(key))
                    });
                    let shape = Shape { back, len: width };
                    assert_eq!(window(value, at, shape), expected, "{len} {at} {shape:?}");
                    assert_eq!(Shape::decode(shape.encode() | LAST), shape);
                }
            }
        }
    }
}
