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
    folded: Vec<Vec<u8>>,
    present: Vec<ByteSet>,
    /// The values that have these three bytes, folded, in a row.
    trigrams: HashMap<[u8; 3], Vec<u32>>,
    bigrams: HashMap<[u8; 2], Vec<u32>>,
}

impl Index {
    fn new(values: &[&[u8]]) -> Self {
        let folded: Vec<Vec<u8>> = values.iter().map(|value| value.to_ascii_lowercase()).collect();
        let mut trigrams: HashMap<[u8; 3], Vec<u32>> = HashMap::new();
        let mut bigrams: HashMap<[u8; 2], Vec<u32>> = HashMap::new();
        for (number, value) in folded.iter().enumerate() {
            let number = number as u32;
            for gram in value.array_windows::<3>() {
                let list = trigrams.entry(*gram).or_default();
                if list.last() != Some(&number) {
                    list.push(number);
                }
            }
            for gram in value.array_windows::<2>() {
                let list = bigrams.entry(*gram).or_default();
                if list.last() != Some(&number) {
                    list.push(number);
                }
            }
        }
        let present = values.iter().map(|value| value.iter().copied().collect()).collect();
        Index { folded, present, trigrams, bigrams }
    }
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
        self.index().folded.len()
    }

    /// How many values have a byte of the set.
    pub(super) fn with(&self, set: &ByteSet) -> usize {
        self.index().present.iter().filter(|present| present.meets(set)).count()
    }

    /// The values that a literal (in lower case) occurs in.
    pub(super) fn holding(&self, literal: &[u8]) -> Vec<u32> {
        let index = self.index();
        if let [a, b] = *literal {
            return index.bigrams.get(&[a, b]).cloned().unwrap_or_default();
        }
        let mut rarest: Option<&Vec<u32>> = None;
        for gram in literal.array_windows::<3>() {
            let Some(list) = index.trigrams.get(gram) else { return Vec::new() };
            if rarest.is_none_or(|rarest| list.len() < rarest.len()) {
                rarest = Some(list);
            }
        }
        let occurs =
            |value: &u32| index.folded[*value as usize].windows(literal.len()).any(|part| part == literal);
        rarest.map_or(Vec::new(), |list| list.iter().copied().filter(occurs).collect())
    }

    /// How many values any of the literals occurs in.
    pub(super) fn holding_any<'l>(&self, literals: impl IntoIterator<Item = &'l Vec<u8>>) -> usize {
        let mut found = vec![false; self.len()];
        for literal in literals {
            for value in self.holding(literal) {
                found[value as usize] = true;
            }
        }
        found.iter().filter(|found| **found).count()
    }
}
