//! Ordinary values: what literals and needs are weighed with, and what frozen tables are made for.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::ByteSet;

static VALUES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let unescape = |line: &str| {
        let line = line.replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t");
        line.into_bytes()
    };
    include_str!("sample.txt").lines().map(unescape).collect()
});

static BENIGN: LazyLock<Vec<&'static [u8]>> = LazyLock::new(|| VALUES.iter().map(Vec::as_slice).collect());
static BENIGN_SAMPLE: LazyLock<Index> = LazyLock::new(|| Index::new(&BENIGN));

/// Values of ordinary traffic: names, sentences, addresses, header values, tokens, numbers.
pub fn benign() -> &'static [&'static [u8]] {
    &BENIGN
}

/// Values with an index by what occurs in them.
struct Index {
    len: usize,
    present: Vec<ByteSet>,
    /// The values that have these two or three bytes, folded, in a row: a bit each.
    grams: HashMap<u32, Values>,
}

/// Values by number, a bit each.
pub(super) type Values = Vec<u64>;

impl Index {
    fn new(values: &[&[u8]]) -> Self {
        let words = values.len().div_ceil(64);
        let mut grams: HashMap<u32, Values> = HashMap::new();
        for (number, value) in values.iter().enumerate() {
            let folded = value.to_ascii_lowercase();
            for gram in folded.windows(2).chain(folded.windows(3)) {
                grams.entry(key(gram)).or_insert_with(|| vec![0; words])[number / 64] |= 1 << (number % 64);
            }
        }
        let present = values.iter().map(|value| value.iter().copied().collect()).collect();
        Index { len: values.len(), present, grams }
    }
}

fn key(gram: &[u8]) -> u32 {
    gram.iter().fold(1, |key, &byte| key << 8 | u32::from(byte))
}

/// A sample to weigh with.
pub(super) enum Sample<'s> {
    Own(Box<OwnSample<'s>>),
    Benign,
}

/// A caller's sample.
pub(super) struct OwnSample<'s> {
    index: Index,
    values: &'s [&'s [u8]],
}

impl<'s> Sample<'s> {
    /// `values`, or the built-in ones if there are none.
    pub(super) fn of(values: &'s [&'s [u8]]) -> Self {
        if values.is_empty() {
            Sample::Benign
        } else {
            Sample::Own(Box::new(OwnSample { index: Index::new(values), values }))
        }
    }

    fn index(&self) -> &Index {
        match self {
            Sample::Own(own) => &own.index,
            Sample::Benign => &BENIGN_SAMPLE,
        }
    }

    pub(super) fn values(&self) -> &[&[u8]] {
        match self {
            Sample::Own(own) => own.values,
            Sample::Benign => &BENIGN,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index().len
    }

    /// The values that have a byte of each set and a length of at least `min_len`.
    pub(super) fn meeting(&self, sets: &[ByteSet], min_len: usize) -> Values {
        let mut found = vec![0; self.len().div_ceil(64)];
        for (number, (value, present)) in self.values().iter().zip(&self.index().present).enumerate() {
            if value.len() >= min_len && sets.iter().all(|set| present.meets(set)) {
                found[number / 64] |= 1 << (number % 64);
            }
        }
        found
    }

    /// How many values have a byte of the set.
    pub(super) fn with(&self, set: &ByteSet) -> usize {
        self.index().present.iter().filter(|present| present.meets(set)).count()
    }

    /// Adds to `all` the values that a literal (in lower case, of two bytes or more) may occur in: those
    /// that have all three bytes in a row that it has.
    pub(super) fn add_holding(&self, literal: &[u8], all: &mut Values) {
        let grams = &self.index().grams;
        let mut found: Option<Values> = None;
        for gram in literal.windows(literal.len().min(3)) {
            let Some(values) = grams.get(&key(gram)) else { return };
            match &mut found {
                Some(found) => found.iter_mut().zip(values).for_each(|(found, values)| *found &= values),
                None => found = Some(values.clone()),
            }
        }
        all.iter_mut().zip(found.unwrap_or_default()).for_each(|(all, found)| *all |= found);
    }
}
