//! Bytes and runs of records that are written once, however often they are needed.

use std::collections::HashMap;

use picket_seclang::format::{Record, Text};

use super::super::error::{Error, fit};

/// Bytes of a section, equal pieces once.
#[derive(Default)]
pub(super) struct Bytes {
    pub bytes: Vec<u8>,
    known: HashMap<Vec<u8>, u32>,
}

impl Bytes {
    pub fn add(&mut self, piece: &[u8]) -> Result<Text, Error> {
        let len = fit("bytes in one piece", piece.len(), u32::MAX as usize)?;
        if piece.is_empty() {
            return Ok(Text::default());
        }
        if let Some(&at) = self.known.get(piece) {
            return Ok(Text { at, len });
        }
        let at = fit("bytes in a section", self.bytes.len(), u32::MAX as usize)?;
        self.bytes.extend_from_slice(piece);
        self.known.insert(piece.to_vec(), at);
        Ok(Text { at, len })
    }
}

/// Records of a section, equal runs once.
#[derive(Default)]
pub(super) struct Runs {
    pub bytes: Vec<u8>,
    known: HashMap<Vec<u8>, u32>,
}

impl Runs {
    /// Appends a run unless there is an equal one. Gives the number of its first record and its length.
    pub fn add<R: Record>(&mut self, what: &'static str, run: &[R]) -> Result<(u32, u16), Error> {
        let count = fit(what, run.len(), usize::from(u16::MAX))?;
        if run.is_empty() {
            return Ok((0, 0));
        }
        let mut bytes = Vec::with_capacity(run.len() * R::LEN);
        run.iter().for_each(|record| record.write(&mut bytes));
        if let Some(&first) = self.known.get(&bytes) {
            return Ok((first, count));
        }
        let first = fit(what, self.bytes.len() / R::LEN, u32::MAX as usize)?;
        self.bytes.extend_from_slice(&bytes);
        self.known.insert(bytes, first);
        Ok((first, count))
    }
}

/// Sets of numbers as bits, equal sequences of sets once.
pub(super) struct BitSets {
    pub bytes: Vec<u8>,
    words: usize,
    known: HashMap<Vec<u32>, u32>,
}

impl BitSets {
    /// Sets of numbers below `count`.
    pub fn new(count: usize) -> Self {
        BitSets { bytes: Vec::new(), words: count.div_ceil(32), known: HashMap::new() }
    }

    pub fn words(&self) -> usize {
        self.words
    }

    /// Whether a number is in set number `set`.
    pub fn has(&self, set: u32, number: usize) -> bool {
        let at = (set as usize * self.words + number / 32) * 4 + number / 8 % 4;
        self.bytes.get(at).is_some_and(|byte| byte >> (number % 8) & 1 != 0)
    }

    /// Adds sets that stand one behind the other; gives the number of the first.
    pub fn add<S: IntoIterator<Item = usize>>(
        &mut self,
        sets: impl IntoIterator<Item = S>,
    ) -> Result<u32, Error> {
        let mut words = Vec::new();
        for set in sets {
            let first = words.len();
            words.resize(first + self.words, 0u32);
            for number in set {
                words[first + number / 32] |= 1 << (number % 32);
            }
        }
        if let Some(&first) = self.known.get(&words) {
            return Ok(first);
        }
        let first = self.bytes.len() / 4 / self.words.max(1);
        let first = fit("bit sets", first, u32::MAX as usize)?;
        words.iter().for_each(|word| word.write(&mut self.bytes));
        self.known.insert(words, first);
        Ok(first)
    }
}
