//! Which bytes must occur wherever a pattern matches, beside its literals.
//!
//! The literals of a pattern may be ordinary words (`or`, `cat`); what makes them an attack are the
//! signs around them. A value that has the word but none of the signs is dropped after one look at
//! the set of its bytes.

use std::collections::BTreeMap;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::prefilter::CLEAN;

/// A set of ASCII bytes, one bit each.
pub(crate) type ByteSet = u128;

/// Largest set that is worth asking for.
const MAX_BYTES: u32 = 48;

/// Sets of which each has a byte in every match: at most `limit`, those that clean text lacks most
/// often.
pub(crate) fn required(pattern: &str, limit: usize) -> Vec<ByteSet> {
    let Ok(hir) = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .case_insensitive(true)
        .dot_matches_new_line(true)
        .build()
        .parse(pattern)
    else {
        return Vec::new();
    };
    let mut sets = of(&hir);
    sets.sort_by_key(|&set| (frequency(set), set));
    sets.dedup();
    // A set that holds another adds nothing.
    let mut kept: Vec<ByteSet> = Vec::new();
    for set in sets {
        let is_superset = |known: &ByteSet| known & !set == 0;
        if !kept.iter().any(is_superset) {
            kept.push(set);
        }
    }
    kept.truncate(limit);
    kept
}

/// The sets worth asking for: `first`, then one by one the set that spares most runs of patterns which
/// the chosen ones let through. Of each pattern: the sets it needs, and how many lines of clean text have
/// one of its literals.
pub(crate) fn choose(all: &[Vec<ByteSet>], hits: &[usize], first: &[ByteSet], most: usize) -> Vec<ByteSet> {
    let lines = CLEAN.lines().count();
    let mut left: BTreeMap<ByteSet, usize> =
        all.iter().flatten().chain(first).map(|&set| (set, frequency(set))).collect();
    // In how many lines each pattern's best chosen set has a byte.
    let mut open = vec![lines; all.len()];
    let mut chosen = Vec::new();
    while chosen.len() < most && !left.is_empty() {
        let spared = |set: ByteSet, frequency: usize| -> usize {
            let needed = all.iter().zip(hits).zip(&open).filter(|((needs, _), _)| needs.contains(&set));
            needed.map(|((_, hits), open)| hits * open.saturating_sub(frequency)).sum()
        };
        let best = left
            .iter()
            .map(|(&set, &lines)| (set, lines))
            .max_by_key(|&(set, lines)| (first.contains(&set), spared(set, lines), std::cmp::Reverse(set)));
        let Some((set, frequency)) = best else { break };
        left.remove(&set);
        for (open, _) in open.iter_mut().zip(all).filter(|(_, needs)| needs.contains(&set)) {
            *open = frequency.min(*open);
        }
        chosen.push(set);
    }
    chosen
}

/// The bytes of which one must occur wherever a pattern matches, if clean text has none of them: each
/// is as good as a literal.
pub(crate) fn rare(pattern: &str) -> Option<Vec<Vec<u8>>> {
    let set = *required(pattern, 1).first()?;
    // In urlencoded strings a `+` is a blank.
    if frequency(set) > 0 || set >> b'+' & 1 != 0 {
        return None;
    }
    let mut bytes: Vec<Vec<u8>> =
        (0..128u8).filter(|byte| set >> byte & 1 != 0).map(|byte| vec![byte.to_ascii_lowercase()]).collect();
    bytes.dedup();
    Some(bytes)
}

/// How many lines of clean text have a byte of the set.
fn frequency(set: ByteSet) -> usize {
    CLEAN.lines().filter(|line| line.bytes().any(|byte| set >> byte & 1 != 0)).count()
}

fn of(hir: &Hir) -> Vec<ByteSet> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Vec::new(),
        HirKind::Literal(literal) => {
            literal.0.iter().filter(|byte| byte.is_ascii()).map(|&byte| 1 << byte).collect()
        }
        HirKind::Class(Class::Bytes(class)) => {
            let mut set: ByteSet = 0;
            for range in class.ranges() {
                if !range.end().is_ascii() {
                    return Vec::new();
                }
                for byte in range.start()..=range.end() {
                    set |= 1 << byte;
                }
            }
            if set.count_ones() <= MAX_BYTES { vec![set] } else { Vec::new() }
        }
        HirKind::Class(Class::Unicode(_)) => Vec::new(),
        HirKind::Repetition(repetition) if repetition.min > 0 => of(&repetition.sub),
        HirKind::Repetition(_) => Vec::new(),
        HirKind::Capture(capture) => of(&capture.sub),
        HirKind::Concat(parts) => parts.iter().flat_map(of).collect(),
        // One set of each branch; the rarest, since their union is what is asked for.
        HirKind::Alternation(branches) => {
            let mut union = 0;
            for branch in branches {
                match of(branch).into_iter().min_by_key(|&set| frequency(set)) {
                    Some(set) => union |= set,
                    None => return Vec::new(),
                }
            }
            if ByteSet::count_ones(union) <= MAX_BYTES { vec![union] } else { Vec::new() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(bytes: &[u8]) -> ByteSet {
        bytes.iter().fold(0, |set, &byte| set | 1 << byte)
    }

    #[test]
    fn signs_around_words() {
        assert_eq!(required(r"[;|]\s*(?:cat|ls)\b", 1), [set(b";|")]);
        assert_eq!(required(r"on[a-z]+\s*=", 1), [set(b"=")]);
        assert_eq!(required(r"(?:a\(|b\[)", 1), [set(b"([")]);
        assert_eq!(required(r"[^a]", 3), []);
        assert_eq!(required(r"x*", 3), []);
        assert_eq!(rare(r"[\x00\x7f]+"), Some(vec![vec![0], vec![0x7f]]));
        assert_eq!(rare(r"[ \x00]"), None, "prose has blanks");
    }
}
