//! Many yes-or-no questions about a value's byte sets, answered by a few loads.

use crate::format::NONE16;
use crate::format::glance::{HEADER, TABLES};

/// Eight tables, one for each byte of the byte sets.
type Word = [[[u8; 8]; 256]; TABLES];

/// The tables of [`format::glance`](crate::format::glance), in place.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'a> {
    words: &'a [Word],
    nodes: usize,
    silent: &'a [[u8; 2]],
    slots: &'a [[u8; 8]],
}

impl<'a> Glance<'a> {
    /// The tables that `bytes` are; without any if they do not fit together.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::checked(bytes).unwrap_or(Glance { words: &[], nodes: 0, silent: &[], slots: &[] })
    }

    fn checked(bytes: &'a [u8]) -> Option<Self> {
        let (&[a, b, c, d], rest) = bytes.split_first_chunk::<HEADER>()?;
        let (nodes, silent) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        let (nodes, silent) = (usize::from(nodes), usize::from(silent));
        let (tables, numbers) = rest.split_at_checked((1 + nodes + silent) * size_of::<Word>())?;
        let words = tables.as_chunks().0.as_chunks().0.as_chunks().0;
        let (numbers, slots) = numbers.split_at_checked(silent * 64 * 2)?;
        Some(Glance { words, nodes, silent: numbers.as_chunks().0, slots: slots.as_chunks().0 })
    }

    #[inline]
    fn word(&self, word: usize, present: u64) -> u64 {
        let Some([a, b, c, d, e, f, g, h]) = self.words.get(word) else { return 0 };
        let (low, high) = (present as u32, (present >> 32) as u32);
        let at = |table: &[[u8; 8]; 256], bits: u32| u64::from_le_bytes(table[(bits & 255) as usize]);
        at(a, low)
            & at(b, low >> 8)
            & at(c, low >> 16)
            & at(d, low >> 24)
            & at(e, high)
            & at(f, high >> 8)
            & at(g, high >> 16)
            & at(h, high >> 24)
    }

    /// The pipelines, one bit each, that a value of these byte sets comes out of unchanged.
    #[inline(never)]
    #[must_use]
    pub fn unchanged(&self, present: u64) -> u64 {
        self.word(0, present)
    }

    /// How many words of nodes there are.
    #[must_use]
    pub fn node_words(&self) -> usize {
        self.nodes
    }

    /// The nodes from `64 * word` on, one bit each, that are the first to change a value of these byte
    /// sets, and below which something may match.
    #[inline(never)]
    #[must_use]
    pub fn nodes(&self, word: usize, present: u64) -> u64 {
        self.word(1 + word, present)
    }

    /// How many words of silent matchers there are.
    #[must_use]
    pub fn silent_words(&self) -> usize {
        self.silent.len() / 64
    }

    /// Which of the silent matchers of a slot, from `64 * word` on, have all byte sets that they need.
    #[inline(never)]
    #[must_use]
    pub fn silent(&self, slot: u16, word: usize, present: u64) -> u64 {
        match self.slots.get(usize::from(slot) * self.silent_words() + word).copied().map(u64::from_le_bytes)
        {
            None | Some(0) => 0,
            Some(slot) => slot & self.word(1 + self.nodes + word, present),
        }
    }

    /// The number of a silent matcher.
    #[inline]
    #[must_use]
    pub fn matcher(&self, silent: usize) -> u16 {
        self.silent.get(silent).map_or(NONE16, |number| u16::from_le_bytes(*number))
    }
}
