//! Which byte sets get one of the bits that a look at a value's bytes tells.
//!
//! What transformations ask for comes first: it decides whether a value has variants at all. What is
//! left goes to the sets that spare most runs of operators on ordinary values, one after the other, each
//! in the light of those before it.

use std::collections::{BTreeMap, BTreeSet};

use picket_seclang::format::{MAX_BYTE_SETS, TRIGGER_ALWAYS};
use picket_seclang::transform::{Transformation, Trigger};

use super::super::scan::sample;
use super::matchers::Matcher;
use super::pipelines::{Pipelines, needs_behind};
use crate::regex::{ByteSet, beyond};

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
        first: &[ByteSet],
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
        let beyond = beyond();
        let beyond = beyond.iter().filter(|set| matchers.iter().any(|matcher| matcher.needs.contains(set)));
        for set in beyond.chain(first).chain(matchers.iter().map(|matcher| &matcher.signs)) {
            if !set.is_empty() && !sets.contains(set) {
                sets.push(*set);
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

/// Notes for each matcher with literals the byte set that each of them has its rarest byte in.
pub(super) fn note_literals(matchers: &mut [Matcher]) {
    let mut often = [1usize; 256];
    for byte in sample().flatten() {
        often[usize::from(byte.to_ascii_lowercase())] += 1;
    }
    let rarest = |literal: &Vec<u8>| {
        literal.iter().map(u8::to_ascii_lowercase).min_by_key(|byte| (often[usize::from(*byte)], *byte))
    };
    for matcher in matchers {
        let Some(literals) = &matcher.literals else { continue };
        let bytes = literals.iter().filter_map(rarest);
        let bytes: ByteSet = bytes.flat_map(|byte| [byte, byte.to_ascii_uppercase()]).collect();
        matcher.literal_need = Some(bytes.union(&matcher.signs)).filter(|_| !literals.is_empty());
    }
}

/// Most byte sets that are there for the sake of transformations that need not be run.
const MOST_OF_PIPELINES: usize = 16;

/// What is behind a pipeline that changes values of a sample.
struct Behind {
    /// What each of its matchers needs.
    needs: Vec<Vec<ByteSet>>,
    /// The values that it changes, as far as no set that was chosen spares that.
    left: Values,
}

impl Behind {
    /// How many values without a byte of the set are left, if nothing can match those.
    fn without(&self, set: &ByteSet, without: &Values) -> usize {
        if !self.needs.iter().all(|needs| needs.iter().any(|need| !need.is_empty() && set.holds(need))) {
            return 0;
        }
        self.left.iter().zip(without).map(|(left, without)| (left & without).count_ones() as usize).sum()
    }
}

/// Byte sets that spare most transformations of ordinary values: without which nothing behind a
/// pipeline can match, though its transformations would change the value.
pub(super) fn of_pipelines(
    pipelines: &Pipelines,
    behind: &[BTreeSet<usize>],
    matchers: &[Matcher],
    sample: &[&[u8]],
) -> Vec<ByteSet> {
    let has = |value: &[u8], set: &ByteSet| value.iter().any(|&byte| set.contains(byte));
    let mut all: Vec<Behind> = Vec::new();
    let mut candidates: BTreeMap<ByteSet, Values> = BTreeMap::new();
    for (list, behind) in pipelines.lists().zip(behind) {
        let changes = |value: &[u8]| {
            list.iter().any(|transformation| match transformation.trigger() {
                Trigger::Always => false,
                Trigger::Bytes(bytes) => has(value, &ByteSet(bytes)),
            })
        };
        let left = bits(sample, changes);
        let needs: Vec<Vec<ByteSet>> =
            behind.iter().map(|&number| needs_behind(list, &matchers[number])).collect();
        if let [needs] = &needs[..] {
            candidates.extend(needs.iter().map(|need| (*need, Values::new())));
        }
        // The rarest that each matcher needs, all together.
        let often = |set: &ByteSet| sample.iter().filter(|value| has(value, set)).count();
        let rarest = |needs: &Vec<ByteSet>| {
            let needs = needs.iter().filter(|need| !need.is_empty()).copied();
            needs.min_by_key(|need| (often(need), *need)).unwrap_or(ByteSet::ALL)
        };
        let union = needs.iter().map(rarest).fold(ByteSet::default(), |all, set| all.union(&set));
        candidates.insert(union, Values::new());
        all.push(Behind { needs, left });
    }
    candidates.remove(&ByteSet::default());
    for (set, without) in &mut candidates {
        *without = bits(sample, |value| !has(value, set));
    }
    let mut chosen = Vec::new();
    while chosen.len() < MOST_OF_PIPELINES {
        let gain = |set: &ByteSet, without: &Values| -> usize {
            all.iter().map(|behind| behind.without(set, without)).sum()
        };
        let best = candidates.iter().map(|(set, without)| (gain(set, without), std::cmp::Reverse(set))).max();
        // One that spares less than this is not worth its bit.
        let Some((gain, std::cmp::Reverse(&set))) = best else { break };
        if gain * 8 < sample.len() {
            break;
        }
        let without = &candidates[&set];
        for behind in all.iter_mut().filter(|behind| behind.without(&set, without) != 0) {
            behind.left.iter_mut().zip(without).for_each(|(left, without)| *left &= !without);
        }
        chosen.push(set);
    }
    chosen
}

/// The values of a sample that a test picks.
pub(super) fn bits(sample: &[&[u8]], test: impl Fn(&[u8]) -> bool) -> Values {
    let mut bits = vec![0; sample.len().div_ceil(64)];
    for (number, value) in sample.iter().enumerate() {
        bits[number / 64] |= u64::from(test(value)) << (number % 64);
    }
    bits
}
