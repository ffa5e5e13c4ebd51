//! Which literals must occur wherever a pattern matches.
//!
//! Over the pattern's structure: what every match of a part begins with, what it ends with, and the
//! best set found so far anywhere in it. Where two parts meet, the ends of one and the beginnings of
//! the other make literals. Nothing is guessed: a set that comes out of here is complete, or there is
//! none. Which set is best is judged by ordinary values: the one that they hold least often.

use std::collections::{BTreeMap, HashSet};

use regex_syntax::hir::{Hir, HirKind, Repetition};

use super::ByteSet;
use super::build::byte_set;
use super::needs::without;
use super::sample::{Sample, Values};

/// Longest literal that is kept at an end, in bytes.
const MAX_LEN: usize = 12;
/// Length below which no literal is cut to make a set smaller.
const MIN_CUT: usize = 4;
/// Most bytes (folded) of a class that is written out.
const MAX_CLASS: usize = 64;
/// Most literals where parts are put together.
const MAX_CROSS: usize = 3000;
/// Most literals that are extended although they hold a rare sign.
const MAX_OPEN: usize = 4;
/// Most literals of a set.
const MAX_SET: usize = 3000;
/// Number of literals that is never too many.
const FEW: usize = 150;
/// Needs that are taken to be asked for: whoever asks may have room for some only.
const CERTAIN_NEEDS: usize = 2;
/// What a literal costs, in values that hold one in vain.
const LITERAL_COST: f64 = 0.006;

/// A short one costs more: the scan meets it in values of no concern as well.
fn literal_cost(literal: &[u8]) -> f64 {
    LITERAL_COST
        * match literal.len() {
            ..=2 => 8.0,
            3 => 4.0,
            4 => 2.0,
            _ => 1.0,
        }
}
/// What a value costs that has a sign which evades literals.
const SIGN_COST: f64 = 1.5;

/// What every match of a part begins (or ends) with: literals in lower case, and whether the match may
/// be just that. Of a literal that is not exact more follows (or precedes), which nothing is known of.
#[derive(Clone, Debug)]
struct Ends(BTreeMap<Vec<u8>, bool>);

impl Ends {
    /// Nothing is known.
    fn unknown() -> Self {
        Ends(BTreeMap::from([(Vec::new(), false)]))
    }

    /// The empty match.
    fn empty() -> Self {
        Ends(BTreeMap::from([(Vec::new(), true)]))
    }

    fn add(&mut self, literal: Vec<u8>, exact: bool) {
        // More of the same may follow: what is not exact covers what is.
        self.0.entry(literal).and_modify(|known| *known &= exact).or_insert(exact);
    }

    fn union(&mut self, other: &Ends) {
        for (literal, &exact) in &other.0 {
            self.add(literal.clone(), exact);
        }
    }

    /// Shortens the longest literals until there are few enough; `cut` keeps the end that counts.
    fn limit(mut self, most: usize, cut: fn(&[u8], usize) -> &[u8]) -> Self {
        for len in (MIN_CUT..MAX_LEN).rev() {
            if self.0.len() <= most {
                return self;
            }
            let mut shorter = Ends(BTreeMap::new());
            for (literal, exact) in self.0 {
                if literal.len() > len {
                    shorter.add(cut(&literal, len).to_vec(), false);
                } else {
                    shorter.add(literal, exact);
                }
            }
            self = shorter;
        }
        if self.0.len() > most { Ends::unknown() } else { self }
    }

    fn inexact(mut self) -> Self {
        self.0.values_mut().for_each(|exact| *exact = false);
        self
    }

    fn is_unknown(&self) -> bool {
        self.0.get(&[][..]) == Some(&false)
    }

    /// Gives up extending literals that are rare already, if there are several: each optional sign
    /// between letters would double them.
    fn settled(&self) -> Ends {
        let mut ends = self.clone();
        if ends.0.values().filter(|exact| **exact).count() > MAX_OPEN {
            for (literal, exact) in &mut ends.0 {
                *exact &= literal.len() < 2 || !literal.iter().copied().any(is_sign);
            }
        }
        ends
    }

    /// Beginnings of a concatenation, from the beginnings of its parts.
    fn then(&self, next: &Ends) -> Ends {
        let this = self.settled();
        let exact = this.0.values().filter(|exact| **exact).count();
        if exact == 0 || next.is_unknown() || exact * next.0.len() + this.0.len() - exact > MAX_CROSS {
            return this.inexact();
        }
        let mut ends = Ends(BTreeMap::new());
        for (head, &exact) in &this.0 {
            if !exact {
                ends.add(head.clone(), false);
                continue;
            }
            for (tail, &exact) in &next.0 {
                let mut literal = [&head[..], tail].concat();
                let fits = literal.len() <= MAX_LEN;
                literal.truncate(MAX_LEN);
                ends.add(literal, exact && fits);
            }
        }
        ends
    }

    /// Ends of a concatenation, from the ends of its parts.
    fn after(&self, before: &Ends) -> Ends {
        let this = self.settled();
        let exact = this.0.values().filter(|exact| **exact).count();
        if exact == 0 || before.is_unknown() || exact * before.0.len() + this.0.len() - exact > MAX_CROSS {
            return this.inexact();
        }
        let mut ends = Ends(BTreeMap::new());
        for (tail, &exact) in &this.0 {
            if !exact {
                ends.add(tail.clone(), false);
                continue;
            }
            for (head, &exact) in &before.0 {
                let literal = [&head[..], tail].concat();
                let from = literal.len().saturating_sub(MAX_LEN);
                ends.add(literal[from..].to_vec(), exact && from == 0);
            }
        }
        ends
    }
}

/// Signs that are rare in ordinary values.
fn is_sign(byte: u8) -> bool {
    matches!(
        byte,
        b'\\'
            | b'"'
            | b'\''
            | b'`'
            | b'('
            | b')'
            | b'['
            | b']'
            | b'{'
            | b'}'
            | b'$'
            | b'|'
            | b'<'
            | b'>'
            | b'^'
            | b'!'
            | b'#'
            | b'*'
            | b'@'
            | b'~'
            | b'%'
            | b'&'
            | b';'
    )
}

fn head(literal: &[u8], len: usize) -> &[u8] {
    &literal[..len.min(literal.len())]
}

fn tail(literal: &[u8], len: usize) -> &[u8] {
    &literal[literal.len().saturating_sub(len)..]
}

/// A complete set of literals, and what it costs.
#[derive(Clone, Debug)]
struct Set {
    literals: Vec<Vec<u8>>,
    cost: f64,
}

/// What is known of a part.
#[derive(Clone, Debug)]
struct Facts {
    begins: Ends,
    ends: Ends,
    best: Option<Set>,
}

impl Facts {
    fn empty() -> Self {
        Facts { begins: Ends::empty(), ends: Ends::empty(), best: None }
    }

    fn unknown() -> Self {
        Facts { begins: Ends::unknown(), ends: Ends::unknown(), best: None }
    }
}

fn better(left: Option<Set>, right: Option<Set>) -> Option<Set> {
    match (left, right) {
        (Some(left), Some(right)) => Some(if right.cost < left.cost { right } else { left }),
        (left, right) => left.or(right),
    }
}

struct Judge<'s> {
    sample: &'s Sample<'s>,
    /// How frequent a byte is, folded.
    frequency: [f64; 256],
    /// The values that have the bytes that a match needs: of the others literals keep nothing off.
    eligible: Values,
}

impl<'s> Judge<'s> {
    fn new(sample: &'s Sample<'s>, needs: &[ByteSet], min_len: usize) -> Self {
        let mut counts = [1.0; 256];
        let mut total = 256.0;
        for byte in sample.values().iter().flat_map(|value| value.iter()) {
            counts[usize::from(byte.to_ascii_lowercase())] += 1.0;
            total += 1.0;
        }
        Judge {
            sample,
            frequency: counts.map(|count| count / total),
            eligible: sample.meeting(needs, min_len),
        }
    }

    /// The set's cost: the values that hold one of its literals, how many more are likely to, and the
    /// literals themselves.
    fn set(&self, literals: Vec<Vec<u8>>) -> Option<Set> {
        if literals.is_empty() || literals.iter().any(|literal| literal.len() < 2) {
            return None;
        }
        if literals.len() > MAX_SET {
            return None;
        }
        let mut held = vec![0_u64; self.sample.len().div_ceil(64)];
        let mut expected = 0.0;
        for literal in &literals {
            self.sample.add_holding(literal, &mut held);
            expected += literal.iter().map(|&byte| self.frequency[usize::from(byte)]).product::<f64>();
        }
        held.iter_mut().zip(&self.eligible).for_each(|(held, eligible)| *held &= eligible);
        let likely = expected * 60.0 * count(&self.eligible);
        let held = count(&held);
        let cost = held + likely + literals.iter().map(|literal| literal_cost(literal)).sum::<f64>();
        Some(Set { literals, cost })
    }

    fn ends(&self, ends: &Ends) -> Option<Set> {
        if ends.0.keys().any(|literal| literal.len() < 2) {
            return None;
        }
        self.set(ends.0.keys().cloned().collect())
    }

    /// Where two parts meet.
    fn joint(&self, before: &Ends, after: &Ends) -> Option<Set> {
        let all = |behind: usize, ahead: usize| {
            let mut literals = HashSet::new();
            for left in before.0.keys() {
                for right in after.0.keys() {
                    literals.insert([tail(left, behind), head(right, ahead)].concat());
                    if literals.len() > MAX_CROSS {
                        return None;
                    }
                }
            }
            self.set(literals.into_iter().collect())
        };
        // One side alone is judged where it stands.
        let shortest = |ends: &Ends| ends.0.keys().map(Vec::len).min().unwrap_or(0);
        let (tails, heads) = (shortest(before), shortest(after));
        if tails + heads < 2 || before.is_unknown() || after.is_unknown() {
            return None;
        }
        all(MAX_LEN, MAX_LEN).or_else(|| all(2, 2)).or_else(|| all(1, 2)).or_else(|| all(2, 1))
    }

    /// The best set for a part by itself.
    fn settle(&self, facts: Facts) -> Option<Set> {
        let ends = better(self.ends(&facts.begins), self.ends(&facts.ends));
        better(facts.best, ends)
    }

    fn facts(&self, hir: &Hir) -> Facts {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Facts::empty(),
            HirKind::Literal(literal) => {
                let text = literal.0.to_ascii_lowercase();
                let (mut begins, mut ends) = (Ends(BTreeMap::new()), Ends(BTreeMap::new()));
                let fits = text.len() <= MAX_LEN;
                begins.add(text[..text.len().min(MAX_LEN)].to_vec(), fits);
                ends.add(text[text.len().saturating_sub(MAX_LEN)..].to_vec(), fits);
                Facts { begins, ends, best: self.set(vec![text]) }
            }
            HirKind::Class(class) => {
                let set = byte_set(class).unwrap_or(ByteSet::ALL);
                let mut ends = Ends(BTreeMap::new());
                for byte in set.iter() {
                    ends.add(vec![byte.to_ascii_lowercase()], true);
                }
                if ends.0.is_empty() || ends.0.len() > MAX_CLASS {
                    return Facts::unknown();
                }
                Facts { begins: ends.clone(), ends, best: None }
            }
            HirKind::Capture(capture) => self.facts(&capture.sub),
            HirKind::Repetition(repetition) => self.repetition(repetition),
            HirKind::Concat(parts) => {
                let mut all = Facts::empty();
                for part in parts {
                    let part = self.facts(part);
                    let joint = self.joint(&all.ends, &part.begins);
                    all.best = better(better(all.best, part.best), joint);
                    all.best = better(all.best, better(self.ends(&part.begins), self.ends(&part.ends)));
                    all.begins = all.begins.then(&part.begins);
                    all.ends = part.ends.after(&all.ends);
                }
                all
            }
            HirKind::Alternation(branches) => {
                let (mut begins, mut ends) = (Ends(BTreeMap::new()), Ends(BTreeMap::new()));
                let mut best: Option<Vec<Vec<u8>>> = Some(Vec::new());
                for branch in branches {
                    let facts = self.facts(branch);
                    begins.union(&facts.begins);
                    ends.union(&facts.ends);
                    best = match (best, self.settle(facts)) {
                        (Some(mut best), Some(set)) => {
                            best.extend(set.literals);
                            Some(best)
                        }
                        _ => None,
                    };
                }
                let (begins, ends) = (begins.limit(MAX_SET, head), ends.limit(MAX_SET, tail));
                Facts { begins, ends, best: best.and_then(|literals| self.set(without_longer(literals))) }
            }
        }
    }

    fn repetition(&self, repetition: &Repetition) -> Facts {
        let sub = self.facts(&repetition.sub);
        if repetition.max == Some(0) {
            return Facts::empty();
        }
        if repetition.min == 0 {
            let may = |ends: Ends| {
                let mut all = if repetition.max == Some(1) { ends } else { ends.inexact() };
                all.add(Vec::new(), true);
                all
            };
            return Facts { begins: may(sub.begins), ends: may(sub.ends), best: None };
        }
        // Some turns are written out; what follows them is not known.
        let mut all = sub.clone();
        let mut turns = 1;
        while turns < repetition.min.min(4) {
            let joint = self.joint(&all.ends, &sub.begins);
            all.best = better(all.best, joint);
            all.begins = all.begins.then(&sub.begins);
            all.ends = sub.ends.after(&all.ends);
            turns += 1;
        }
        if repetition.max != Some(turns) {
            all.begins = all.begins.inexact();
            all.ends = all.ends.inexact();
        }
        all
    }
}

/// Without literals that contain another: they add nothing.
fn without_longer(literals: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let all: HashSet<Vec<u8>> = literals.into_iter().collect();
    let contains = |literal: &&Vec<u8>| {
        (2..literal.len()).any(|len| literal.windows(len).any(|part| all.contains(part)))
    };
    let mut kept: Vec<Vec<u8>> = all.iter().filter(|literal| !contains(literal)).cloned().collect();
    kept.sort();
    kept
}

/// How many values there are in a set of them.
fn count(values: &Values) -> f64 {
    values.iter().map(|word| f64::from(word.count_ones())).sum()
}

/// Signs that evade a search for words, as they are used together: between the letters of a command,
/// and around it.
const SIGNS: [&[u8]; 4] =
    [br#""')[\$"#, br#""')[\$=`{"#, br#""')[\$|&;`{(<>="#, br#""')[\$|&;`{(<>=]}^!#*@~%"#];

/// The literals of a pattern of which the needs are known; `None` if nothing must occur, or nothing that
/// would keep off more than the needs do. With them the signs that a match may have instead of a literal,
/// if there are any: a word that may have signs anywhere between its letters is no literal, but without
/// such a sign it is.
pub(super) fn required(
    hir: &Hir,
    needs: &[ByteSet],
    min_len: usize,
    sample: &Sample<'_>,
) -> Option<(Vec<Vec<u8>>, ByteSet)> {
    let needs = &needs[..needs.len().min(CERTAIN_NEEDS)];
    let judge = Judge::new(sample, needs, min_len);
    let mut best = judge.settle(judge.facts(hir)).map(|set| (set, ByteSet::default()));
    for signs in SIGNS {
        let signs: ByteSet = signs.iter().copied().collect();
        // Without any match the signs are something that each match needs.
        let Some(rest) = without(hir, &signs) else { continue };
        let with: Vec<ByteSet> = needs.iter().copied().chain([signs]).collect();
        let with = sample.meeting(&with, min_len);
        let mut judge = Judge::new(sample, needs, min_len);
        judge.eligible.iter_mut().zip(&with).for_each(|(eligible, with)| *eligible &= !with);
        let Some(mut set) = judge.settle(judge.facts(&rest)) else { continue };
        // The sample has less signs than values of programs do.
        set.cost += SIGN_COST * count(&with);
        if best.as_ref().is_none_or(|(best, _)| set.cost < best.cost) {
            best = Some((set, signs));
        }
    }
    let (set, signs) = best?;
    // A few literals are always worth having: the sample is small.
    let worth = (count(&judge.eligible) * 0.9).max(LITERAL_COST * FEW as f64);
    (set.cost < worth).then(|| (without_longer(set.literals), signs))
}

#[cfg(test)]
mod tests {
    use super::super::{Options, requirements};

    fn of(pattern: &str) -> Vec<String> {
        let literals = requirements(pattern, &Options::default()).unwrap().literals;
        literals.unwrap_or_default().iter().map(|literal| literal.escape_ascii().to_string()).collect()
    }

    #[test]
    fn words_and_what_stands_around_them() {
        assert_eq!(of("information_schema"), ["information_schema"]);
        let folded = of("(?i)information_SCHEMA");
        assert!(folded.len() == 1 && folded[0].len() >= 8 && "information_schema".contains(&folded[0]));
        assert_eq!(of("on(?:load|error)x"), ["onerrorx", "onloadx"]);
        assert_eq!(of(r"<scr(?:ipt)?\b"), ["<scr"]);
        // One that is rare enough is better than several.
        assert_eq!(of(r"[a-z]+xp_(?:cmd|reg)[a-z]*"), ["xp_"]);
        // The blank or sign behind a frequent word is part of what makes it rare.
        assert!(of(r"\bcat[ <]").contains(&"cat<".to_string()));
        // Signs between letters, as often as one likes: there is one, or none.
        assert_eq!(of(r"b\x5c*a\x5c*z\x5c*q"), ["bazq"]);
    }

    #[test]
    fn signs_stand_for_words_that_have_them() {
        let signs = |pattern: &str| requirements(pattern, &Options::default()).unwrap().signs;
        assert!(signs(r"b\x5c*a\x5c*z\x5c*q").contains(b'\\'));
        assert!(signs("nohup").is_empty() && signs(r"\x5c+nohup").is_empty());
    }

    #[test]
    fn nothing_that_must_occur() {
        for pattern in [r"\d+", "a?b?", "(?:foo)?", "foo|", "[^a]{3}", "^$", "x"] {
            assert!(of(pattern).is_empty(), "{pattern}");
        }
    }
}
