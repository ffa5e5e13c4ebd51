//! From a value to its candidates: each distinct variant is looked through once.

use alloc::vec;
use alloc::vec::Vec;

use super::store::{Span, Store};
use crate::format::*;
use crate::ruleset::RuleSet;
use crate::scan::Scanner;
use crate::transform::Transformation;

/// Most candidates of a transaction.
pub(crate) const MAX_CANDIDATES: usize = 1 << 16;

/// A value that an operator could match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// The next of the same matcher, or [`NONE`].
    pub next: u32,
    pub entry: u32,
    /// The value behind any of `pipelines`.
    pub variant: Span,
    pub pipelines: u64,
    pub state: State,
}

/// What is known of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Possible,
    Match,
    NoMatch,
}

/// A value as it is behind some pipelines. Number 0 is the value as it came, which `bytes` leaves
/// out.
#[derive(Debug, Default)]
struct Variant {
    bytes: Vec<u8>,
    present: u64,
    /// The pipelines that end in it.
    own: u64,
    /// The variant whose literals it has too: folding case changes none.
    like: u16,
}

#[derive(Debug)]
pub(crate) struct Screen<'r> {
    words: usize,
    silent: &'r [[u8; 4]],
    /// First and last candidate of each matcher.
    chains: Vec<(u32, u32)>,
    candidates: Vec<Candidate>,
    /// The rules that have candidates, one bit each.
    pub todo: Vec<u32>,
    variants: Vec<Variant>,
    /// The ruleset's nodes, once they are needed, and the variant of each.
    tree: Vec<Node>,
    nodes: Vec<u16>,
    /// The literals' matchers, `words` for each variant.
    hits: Vec<u32>,
    found: Vec<(u16, u16)>,
    output: Vec<u8>,
    memo: Memo,
    pub dropped: u32,
}

/// Which of a slot's silent matchers are possible for values with the same byte sets: most values of
/// a request are of few kinds.
#[derive(Debug)]
struct Memo {
    /// The byte sets that any silent matcher needs, once they are known.
    asked: Option<u64>,
    /// The byte sets and the slot's sets that each place is of.
    kinds: [(u64, u32); Memo::PLACES],
    /// `words` for each place.
    possible: Vec<u32>,
}

impl Memo {
    const PLACES: usize = 16;

    fn place(present: u64, sets: u32) -> usize {
        let mixed = (present ^ u64::from(sets)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 60) as usize
    }
}

impl<'r> Screen<'r> {
    pub fn new(rules: &RuleSet<'r>, meta: &Meta) -> Self {
        let words = meta.matcher_words as usize;
        // A set is a row of words that are there: a damaged number gives an empty one.
        let silent = rules.matcher_set(meta.silent as usize, words);
        let words = silent.len();
        let rule_words = rules.rule_count().div_ceil(32);
        Screen {
            words,
            silent,
            chains: vec![(NONE, NONE); rules.count::<Matcher>(Section::Matchers)],
            candidates: Vec::new(),
            todo: vec![0; rule_words],
            variants: Vec::new(),
            tree: Vec::new(),
            nodes: Vec::new(),
            hits: Vec::new(),
            found: Vec::new(),
            output: Vec::new(),
            memo: Memo {
                asked: None,
                kinds: [(0, NONE); Memo::PLACES],
                possible: vec![0; words * Memo::PLACES],
            },
            dropped: 0,
        }
    }

    /// The first candidate of a matcher, or [`NONE`].
    #[inline]
    pub fn first(&self, matcher: u16) -> u32 {
        self.chains.get(usize::from(matcher)).map_or(NONE, |chain| chain.0)
    }

    #[inline]
    pub fn candidate(&self, number: u32) -> Option<Candidate> {
        self.candidates.get(number as usize).copied()
    }

    pub fn judge(&mut self, number: u32, matches: bool) {
        if let Some(candidate) = self.candidates.get_mut(number as usize) {
            candidate.state = if matches { State::Match } else { State::NoMatch };
        }
    }

    /// Looks through the value of entry number `entry` as its slot asks.
    pub fn look(
        &mut self,
        rules: &RuleSet<'r>,
        scanner: &Scanner<'r>,
        slot: &Slot,
        store: &mut Store<'r>,
        entry: u32,
        span: Span,
    ) {
        let value = store.bytes(span);
        let present = scanner.present(value);
        if self.variants.is_empty() {
            self.variants.push(Variant::default());
        }
        self.found.clear();
        let always = if value.len() < usize::from(slot.min_len) { 0 } else { TRIGGER_ALWAYS };
        if (present | always) & slot.triggers == 0 {
            self.single(rules, scanner, slot, value, present);
        } else {
            self.several(rules, scanner, slot, value, present);
        }
        if !self.found.is_empty() {
            self.file(rules, slot, store, entry, span);
        }
    }

    /// One variant for all pipelines.
    fn single(
        &mut self,
        rules: &RuleSet<'r>,
        scanner: &Scanner<'r>,
        slot: &Slot,
        value: &[u8],
        present: u64,
    ) {
        let words = self.words;
        self.variants[0].own = slot.pipelines;
        self.hits.clear();
        self.hits.resize(words, 0);
        if value.len() > 1 {
            scanner.scan(value, &mut self.hits);
        }
        let place = self.silent(rules, slot, present) * words;
        let silent = self.memo.possible.get(place..).unwrap_or(&[]);
        let set = rules.matcher_set(slot.sets as usize, words);
        for (at, ((&hits, &silent), set)) in self.hits.iter().zip(silent).zip(set).enumerate() {
            let mut word = hits & u32::from_le_bytes(*set) | silent;
            while word != 0 {
                let matcher = at * 32 + word.trailing_zeros() as usize;
                word &= word - 1;
                if is_possible(rules, matcher, present, value.len()) {
                    self.found.push((matcher as u16, 0));
                }
            }
        }
    }

    /// Walks down the pipelines, and looks through each different value that they come to.
    #[inline(never)]
    fn several(
        &mut self,
        rules: &RuleSet<'r>,
        scanner: &Scanner<'r>,
        slot: &Slot,
        value: &[u8],
        present: u64,
    ) {
        let count = self.transform(rules, scanner, slot, value, present);
        let words = self.words;
        self.hits.clear();
        self.hits.resize(words * count, 0);
        for number in 0..count {
            let variant = &self.variants[number];
            let bytes = if number == 0 { value } else { &variant.bytes };
            let like = usize::from(variant.like);
            if like != number {
                self.hits.copy_within(like * words..(like + 1) * words, number * words);
            } else if bytes.len() > 1 {
                scanner.scan(bytes, &mut self.hits[number * words..(number + 1) * words]);
            }
            if variant.own == 0 {
                continue;
            }
            let (present, len, own) = (variant.present, bytes.len(), variant.own);
            let place = self.silent(rules, slot, present) * words;
            let silent = self.memo.possible.get(place..).unwrap_or(&[]);
            let hits = self.hits.get(number * words..).unwrap_or(&[]);
            let union = rules.matcher_set(slot.sets as usize, words);
            for (at, ((&hits, &silent), set)) in hits.iter().zip(silent).zip(union).enumerate() {
                let mut word = hits & u32::from_le_bytes(*set) | silent;
                while word != 0 {
                    let bit = word.trailing_zeros();
                    let matcher = at * 32 + bit as usize;
                    word &= word - 1;
                    if is_possible(rules, matcher, present, len)
                        && is_behind(rules, slot, own, words, matcher)
                    {
                        self.found.push((matcher as u16, number as u16));
                    }
                }
            }
        }
    }

    /// The place in the memo where the slot's silent matchers stand that values of these byte sets can
    /// match.
    fn silent(&mut self, rules: &RuleSet<'r>, slot: &Slot, present: u64) -> usize {
        let asked = match self.memo.asked {
            Some(asked) => asked,
            None => self.asked(rules),
        };
        let present = present & asked;
        let place = Memo::place(present, slot.sets);
        if self.memo.kinds[place] == (present, slot.sets) {
            return place;
        }
        let words = self.words;
        self.memo.kinds[place] = (present, slot.sets);
        let set = rules.matcher_set(slot.sets as usize, words);
        for (at, (silent, set)) in self.silent.iter().zip(set).enumerate() {
            let all = u32::from_le_bytes(*silent) & u32::from_le_bytes(*set);
            let mut possible = all;
            let mut rest = all;
            while rest != 0 {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                if !is_possible(rules, at * 32 + bit as usize, present, usize::MAX) {
                    possible &= !(1 << bit);
                }
            }
            if let Some(word) = self.memo.possible.get_mut(place * words + at) {
                *word = possible;
            }
        }
        place
    }

    /// The byte sets that silent matchers need.
    #[inline(never)]
    fn asked(&mut self, rules: &RuleSet<'r>) -> u64 {
        let mut asked = 0;
        for (at, silent) in self.silent.iter().enumerate() {
            let mut rest = u32::from_le_bytes(*silent);
            while rest != 0 {
                asked |= rules.matcher(at * 32 + rest.trailing_zeros() as usize).needs;
                rest &= rest - 1;
            }
        }
        self.memo.asked = Some(asked);
        asked
    }

    /// Gives every node on the slot's pipelines its variant, and returns how many variants there are.
    fn transform(
        &mut self,
        rules: &RuleSet<'r>,
        scanner: &Scanner<'r>,
        slot: &Slot,
        value: &[u8],
        present: u64,
    ) -> usize {
        if self.tree.is_empty() {
            // Read once: a form has a hundred values, and each walks them.
            self.tree.extend(
                (0..rules.count::<Node>(Section::Nodes)).map(|at| rules.record::<Node>(Section::Nodes, at)),
            );
            self.nodes.resize(self.tree.len(), 0);
        }
        let variant = &mut self.variants[0];
        variant.own = self.tree.first().map_or(0, |root: &Node| root.own) & slot.pipelines;
        variant.like = 0;
        variant.present = present;
        let mut count = 1;
        let mut at = 1;
        while let Some(&node) = self.tree.get(at) {
            let parent = self.nodes.get(usize::from(node.parent)).copied().unwrap_or(0);
            let below = node.below & slot.pipelines;
            let above = &self.variants[usize::from(parent)];
            let seen = above.present | TRIGGER_ALWAYS;
            let len = if parent == 0 { value.len() } else { above.bytes.len() };
            if node.must & !seen != 0 || len < usize::from(node.min_len) {
                // Nothing below can match.
                at = usize::from(node.next).max(at + 1);
                continue;
            }
            if below == 0 || seen & node.triggers == 0 {
                // Nothing changes from here on down.
                self.variants[usize::from(parent)].own |= below;
                at = usize::from(node.next).max(at + 1);
                continue;
            }
            let mut owner = parent;
            if seen & node.trigger != 0 {
                owner = self.apply(scanner, &node, value, parent, &mut count);
            }
            self.nodes[at] = owner;
            self.variants[usize::from(owner)].own |= node.own & slot.pipelines;
            at += 1;
        }
        count
    }

    /// The variant that a node makes of its parent's.
    fn apply(
        &mut self,
        scanner: &Scanner<'r>,
        node: &Node,
        value: &[u8],
        parent: u16,
        count: &mut usize,
    ) -> u16 {
        let Some(transformation) = Transformation::from_u8(node.transformation) else { return parent };
        let input = if parent == 0 { value } else { &self.variants[usize::from(parent)].bytes };
        if !transformation.apply(input, &mut self.output) {
            return parent;
        }
        let output = &self.output;
        if output == value {
            return 0;
        }
        let known = self.variants.get(1..*count).unwrap_or(&[]);
        if let Some(at) = known.iter().position(|variant| variant.bytes == *output) {
            return at as u16 + 1;
        }
        let number = *count;
        if number == self.variants.len() {
            self.variants.push(Variant::default());
        }
        let like = match transformation {
            Transformation::Lowercase | Transformation::Uppercase => self.variants[usize::from(parent)].like,
            _ => number as u16,
        };
        let variant = &mut self.variants[number];
        variant.present = scanner.present(output);
        variant.own = 0;
        variant.like = like;
        core::mem::swap(&mut variant.bytes, &mut self.output);
        *count += 1;
        number as u16
    }

    /// Files what was found, and wakes the rules that it concerns.
    #[inline(never)]
    fn file(&mut self, rules: &RuleSet<'r>, slot: &Slot, store: &mut Store<'r>, entry: u32, span: Span) {
        let mut last = (0, span);
        for &(matcher, variant) in &self.found {
            if self.candidates.len() == MAX_CANDIDATES {
                self.dropped += 1;
                return;
            }
            // Candidates of a variant stand together.
            if variant != last.0 {
                let bytes = self.variants.get(usize::from(variant)).map_or(&[][..], |variant| &variant.bytes);
                last = (variant, store.keep(bytes));
            }
            let pipelines = self.variants.get(usize::from(variant)).map_or(slot.pipelines, |found| found.own);
            let number = self.candidates.len() as u32;
            self.candidates.push(Candidate {
                next: NONE,
                entry,
                variant: last.1,
                pipelines,
                state: State::Possible,
            });
            let Some(chain) = self.chains.get_mut(usize::from(matcher)) else { continue };
            if chain.0 == NONE {
                *chain = (number, number);
                let Matcher { uses, use_count, .. } = rules.matcher(usize::from(matcher));
                for at in uses as usize..uses as usize + usize::from(use_count) {
                    let rule = usize::from(rules.record::<Use>(Section::Uses, at).rule);
                    if let Some(word) = self.todo.get_mut(rule / 32) {
                        *word |= 1 << (rule % 32);
                    }
                }
            } else {
                if let Some(before) = self.candidates.get_mut(chain.1 as usize) {
                    before.next = number;
                }
                chain.1 = number;
            }
        }
    }
}

/// Whether a matcher stands behind any of these pipelines of a slot.
fn is_behind(rules: &RuleSet<'_>, slot: &Slot, own: u64, words: usize, matcher: usize) -> bool {
    if own == slot.pipelines {
        return true;
    }
    let sets = rules.section(Section::MatcherSets).as_chunks::<4>().0;
    let mut at = (slot.sets as usize).saturating_mul(words).saturating_add(matcher / 32);
    let mut rest = slot.pipelines;
    while rest != 0 {
        // The sets of the pipelines follow in the order of the bits.
        at = at.saturating_add(words);
        if own & rest & rest.wrapping_neg() != 0
            && sets.get(at).is_some_and(|word| u32::from_le_bytes(*word) >> (matcher % 32) & 1 != 0)
        {
            return true;
        }
        rest &= rest - 1;
    }
    false
}

/// Whether a value of that length, with bytes of these sets, can match.
#[inline]
fn is_possible(rules: &RuleSet<'_>, matcher: usize, present: u64, len: usize) -> bool {
    let matcher = rules.matcher(matcher);
    matcher.needs & !present == 0 && usize::from(matcher.min_len) <= len
}
