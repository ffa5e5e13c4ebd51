//! Which byte sets get one of the bits that a look at a value's bytes tells.
//!
//! What transformations ask for comes first: it decides whether a value has variants at all. What is
//! left goes to the sets that spare most runs of operators on ordinary values, one after the other, each
//! in the light of those before it.

use std::collections::{BTreeMap, BTreeSet};

use picket_seclang::format::{MAX_BYTE_SETS, TRIGGER_ALWAYS};
use picket_seclang::transform::{Transformation, Trigger};

use super::matchers::Matcher;
use crate::regex::ByteSet;

/// The sets that have a bit, by its number.
pub(super) struct ByteSets {
    pub sets: Vec<ByteSet>,
}

/// Bits of values in a sample.
type Values = Vec<u64>;

impl ByteSets {
    /// Chooses. `hits` tells for each matcher and value of the sample whether a literal of it is there;
    /// `weights` how often each matcher is asked.
    pub fn choose(
        transformations: &BTreeSet<Transformation>,
        matchers: &[Matcher],
        weights: &[usize],
        hits: Vec<Values>,
        sample: &[&[u8]],
    ) -> Self {
        let mut sets: Vec<ByteSet> = Vec::new();
        for transformation in transformations {
            if let Trigger::Bytes(bytes) = transformation.trigger() {
                let set = ByteSet(bytes);
                if !set.is_empty() && !sets.contains(&set) {
                    sets.push(set);
                }
            }
        }
        // The last bit is `TRIGGER_ALWAYS`. There are fewer transformations than bits.
        let most = MAX_BYTE_SETS - 1;
        let mut wanted: BTreeMap<ByteSet, Vec<usize>> = BTreeMap::new();
        for (number, matcher) in matchers.iter().enumerate() {
            for &set in &matcher.needs {
                if weights[number] > 0 && !set.is_empty() {
                    wanted.entry(set).or_default().push(number);
                }
            }
        }
        let without: BTreeMap<ByteSet, Values> = wanted
            .keys()
            .chain(&sets)
            .map(|&set| (set, bits(sample, |value| !value.iter().any(|&byte| set.contains(byte)))))
            .collect();
        let mut left = hits;
        let spare = |left: &mut [Values], set: &ByteSet, matchers: &[usize]| {
            let without = &without[set];
            for &number in matchers {
                left[number].iter_mut().zip(without).for_each(|(left, without)| *left &= !without);
            }
        };
        for set in &sets {
            if let Some(matchers) = wanted.remove(set) {
                spare(&mut left, set, &matchers);
            }
        }
        let gain = |left: &[Values], set: &ByteSet, matchers: &[usize]| -> usize {
            let spared = |number: &usize| {
                let both = left[*number].iter().zip(&without[set]).map(|(left, without)| left & without);
                weights[*number] * both.map(|bits| bits.count_ones() as usize).sum::<usize>()
            };
            matchers.iter().map(spared).sum()
        };
        while sets.len() < most {
            let best = wanted
                .iter()
                .map(|(set, matchers)| (gain(&left, set, matchers), std::cmp::Reverse(set)))
                .max()
                .map(|(gain, set)| (gain, *set.0));
            let Some((1.., set)) = best else { break };
            let Some(matchers) = wanted.remove(&set) else { break };
            spare(&mut left, &set, &matchers);
            sets.push(set);
        }
        ByteSets { sets }
    }

    /// The bits of the sets that a value must meet if it meets all of `needs`.
    pub fn needs(&self, needs: &[ByteSet]) -> u64 {
        self.sets.iter().enumerate().fold(0, |bits, (number, set)| {
            bits | u64::from(needs.iter().any(|need| !need.is_empty() && set.holds(need))) << number
        })
    }

    /// The bits of a transformation's trigger.
    pub fn trigger(&self, transformation: Transformation) -> u64 {
        match transformation.trigger() {
            Trigger::Always => TRIGGER_ALWAYS,
            Trigger::Bytes(bytes) => {
                match self.sets.iter().position(|set| *set == ByteSet(bytes)) {
                    Some(number) => 1 << number,
                    // Nothing triggers it.
                    None => 0,
                }
            }
        }
    }

    /// For each byte the sets that it is in.
    pub fn present(&self) -> Vec<u64> {
        let of = |byte: u8| {
            let bit = |(number, set): (usize, &ByteSet)| u64::from(set.contains(byte)) << number;
            self.sets.iter().enumerate().map(bit).fold(0, |bits, bit| bits | bit)
        };
        (0..=255).map(of).collect()
    }
}

/// The values of a sample that a test picks.
pub(super) fn bits(sample: &[&[u8]], test: impl Fn(&[u8]) -> bool) -> Values {
    let mut bits = vec![0; sample.len().div_ceil(64)];
    for (number, value) in sample.iter().enumerate() {
        bits[number / 64] |= u64::from(test(value)) << (number % 64);
    }
    bits
}
