//! Which literals must occur wherever a pattern matches.
//!
//! Over the pattern's structure: of a concatenation the best stretch of exact text, of an
//! alternation the literals of every branch. Nothing is guessed: a set that comes out of here is
//! complete, or there is none.

use std::sync::LazyLock;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::prefilter::CLEAN;

/// Longest literal that is kept, in bytes: each costs states.
const MAX_LEN: usize = 4;
/// Most literals for one stretch of text.
const MAX_SET: usize = 24;
/// Most literals for a pattern.
const MAX_TOTAL: usize = 64;

/// A set of literals of which at least one occurs, in lower case, in every match.
pub(crate) type Literals = Vec<Vec<u8>>;

/// Bytes that the sweep treats on its own, so that they cannot be part of a literal: in urlencoded
/// strings `%` is decoded on the fly and `+` is a blank.
fn is_gap(byte: u8) -> bool {
    matches!(byte, b'%' | b'+')
}

/// The literals of a pattern; `None` if nothing in it must occur.
///
/// # Errors
/// What is wrong with the pattern, in the words of the parser.
pub(crate) fn required(pattern: &str) -> Result<Option<Literals>, String> {
    let hir = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .build()
        .parse(pattern)
        .map_err(|error| error.to_string())?;
    Ok(best(&hir).map(|mut literals| {
        for literal in &mut literals {
            shorten(literal);
        }
        literals.sort();
        literals.dedup();
        drop_longer(&mut literals);
        literals
    }))
}

/// A literal that contains another of the set adds nothing.
fn drop_longer(literals: &mut Literals) {
    let all = literals.clone();
    literals.retain(|literal| {
        !all.iter().any(|other| other != literal && literal.windows(other.len()).any(|part| part == other))
    });
}

/// How rare a byte is in clean text, roughly, in tenths.
fn weight(byte: u8) -> u32 {
    match byte {
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 8,
        b'h' | b'd' | b'l' | b'u' | b'c' | b'm' => 10,
        b'a'..=b'z' => 14,
        b'0'..=b'9' | b'.' | b'-' | b'/' | b',' | b'=' | b'&' | b';' | b':' => 11,
        b' ' | b'\t' | b'\n' | b'\r' | b'%' => 8,
        _ => 20,
    }
}

fn rarity(literal: &[u8]) -> u32 {
    literal.iter().map(|&byte| weight(byte)).sum()
}

/// How many lines of clean text hold a literal.
fn clean_lines(literal: &[u8]) -> usize {
    static LINES: LazyLock<Vec<Vec<u8>>> =
        LazyLock::new(|| CLEAN.lines().map(|line| line.to_ascii_lowercase().into_bytes()).collect());
    LINES.iter().filter(|line| line.windows(literal.len()).any(|part| part == literal)).count()
}

/// Cuts a literal to the stretch that clean text holds least often, then to the rarest.
fn shorten(literal: &mut Vec<u8>) {
    if literal.len() > MAX_LEN {
        // The first of equals: literals that begin alike share states.
        let best = literal
            .windows(MAX_LEN)
            .enumerate()
            .min_by_key(|(at, window)| (clean_lines(window), std::cmp::Reverse(rarity(window)), *at))
            .map_or(0, |(at, _)| at);
        *literal = literal[best..best + MAX_LEN].to_vec();
    }
}

/// How good a set is: its weakest literal counts, and every line of clean text that holds one of
/// them. Beyond the kept length nothing is gained.
fn quality(literals: &Literals) -> i64 {
    let shortened: Literals = literals
        .iter()
        .map(|literal| {
            let mut literal = literal.clone();
            shorten(&mut literal);
            literal
        })
        .collect();
    let weakest = shortened.iter().map(|literal| rarity(literal)).min().unwrap_or(0);
    let clean: usize = shortened.iter().map(|literal| clean_lines(literal)).sum();
    i64::from(weakest) - literals.len() as i64 - 8 * clean as i64
}

fn better(left: Option<Literals>, right: Option<Literals>) -> Option<Literals> {
    match (left, right) {
        (Some(left), Some(right)) if quality(&right) > quality(&left) => Some(right),
        (Some(left), _) => Some(left),
        (None, right) => right,
    }
}

fn usable(literals: &Literals) -> Option<Literals> {
    let usable = |literal: &Vec<u8>| match literal[..] {
        [] => false,
        [byte] => weight(byte) >= 20,
        _ => true,
    };
    (!literals.is_empty() && literals.iter().all(usable)).then(|| literals.clone())
}

/// All texts that `hir` can be, if they are few and of no gap byte.
fn exact(hir: &Hir) -> Option<Literals> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(vec![Vec::new()]),
        HirKind::Literal(literal) => {
            (!literal.0.iter().any(|&byte| is_gap(byte))).then(|| vec![literal.0.to_ascii_lowercase()])
        }
        HirKind::Class(Class::Bytes(class)) => {
            let mut bytes: Vec<u8> = Vec::new();
            for range in class.ranges() {
                for byte in range.start()..=range.end() {
                    let byte = byte.to_ascii_lowercase();
                    // White space would multiply the set by six and make no literal rarer.
                    if is_gap(byte) || byte == b'\t' || bytes.len() > 10 {
                        return None;
                    }
                    if !bytes.contains(&byte) {
                        bytes.push(byte);
                    }
                }
            }
            Some(bytes.into_iter().map(|byte| vec![byte]).collect())
        }
        HirKind::Class(Class::Unicode(_)) => None,
        HirKind::Repetition(repetition) => match (repetition.min, repetition.max) {
            (min, Some(max)) if max <= 1 => {
                let mut set = exact(&repetition.sub)?;
                if min == 0 {
                    set.push(Vec::new());
                }
                Some(set)
            }
            _ => None,
        },
        HirKind::Capture(capture) => exact(&capture.sub),
        HirKind::Concat(parts) => {
            let mut set = vec![Vec::new()];
            for part in parts {
                set = cross(&set, &exact(part)?)?;
            }
            Some(set)
        }
        HirKind::Alternation(branches) => {
            let mut set = Vec::new();
            for branch in branches {
                set.extend(exact(branch)?);
                if set.len() > MAX_SET {
                    return None;
                }
            }
            Some(set)
        }
    }
}

fn cross(left: &Literals, right: &Literals) -> Option<Literals> {
    (left.len() * right.len() <= MAX_SET).then(|| {
        left.iter().flat_map(|head| right.iter().map(move |tail| [&head[..], tail].concat())).collect()
    })
}

/// The best set for `hir`, wherever it stands.
fn best(hir: &Hir) -> Option<Literals> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => None,
        HirKind::Literal(literal) => literal
            .0
            .split(|&byte| is_gap(byte))
            .map(|part| vec![part.to_ascii_lowercase()])
            .filter_map(|set| usable(&set))
            .fold(None, |best, set| better(best, Some(set)))
            // A `%` alone is something to wait for, if there is nothing better.
            .or_else(|| literal.0.contains(&b'%').then(|| vec![b"%".to_vec()])),
        HirKind::Class(_) => exact(hir).and_then(|set| usable(&set)),
        HirKind::Repetition(repetition) => {
            if repetition.min > 0 {
                best(&repetition.sub)
            } else {
                None
            }
        }
        HirKind::Capture(capture) => best(&capture.sub),
        HirKind::Alternation(branches) => {
            let mut union = Vec::new();
            for branch in branches {
                union.extend(best(branch)?);
            }
            (union.len() <= MAX_TOTAL).then_some(union)
        }
        HirKind::Concat(parts) => concat(parts),
    }
}

fn concat(parts: &[Hir]) -> Option<Literals> {
    let mut found = None;
    // The stretch of exact text that ends here.
    let mut stretch = vec![Vec::new()];
    for part in parts {
        if let HirKind::Literal(literal) = part.kind()
            && literal.0.iter().any(|&byte| is_gap(byte))
        {
            // Text around a gap byte: what stands before it ends the stretch, what stands behind begins one.
            let mut pieces = literal.0.split(|&byte| is_gap(byte)).map(<[u8]>::to_ascii_lowercase);
            if let Some(set) = pieces.next().and_then(|piece| cross(&stretch, &vec![piece])) {
                found = better(found, usable(&set));
            }
            found = better(found, best(part));
            stretch = vec![pieces.next_back().unwrap_or_default()];
            continue;
        }
        let next = exact(part).and_then(|set| cross(&stretch, &set));
        match next {
            // Once long enough, more text only multiplies the set.
            Some(set) if set.iter().all(|literal| literal.len() <= 3 * MAX_LEN) => {
                found = better(found, usable(&stretch));
                stretch = set;
            }
            _ => {
                found = better(found, usable(&stretch));
                found = better(found, best(part));
                stretch = exact(part).unwrap_or_else(|| vec![Vec::new()]);
            }
        }
    }
    better(found, usable(&stretch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str) -> Vec<String> {
        required(pattern)
            .unwrap()
            .unwrap_or_default()
            .iter()
            .map(|literal| literal.escape_ascii().to_string())
            .collect()
    }

    #[test]
    fn finds_the_rarest_stretch() {
        assert_eq!(of(r"\bunion\b\s+(all\s+)?select\b"), ["elec"]);
        assert_eq!(of(r"<\s*script\b"), ["crip"]);
        assert_eq!(of("(exec|xp_cmdshell)"), ["exec", "xp_c"]);
        assert_eq!(of(r"on(load|error)\s*="), ["load", "oner"]);
        assert_eq!(of("information_schema"), ["_sch"]);
        assert_eq!(of(r"\d+"), [""; 0]);
        assert_eq!(of("a?b?"), [""; 0]);
        assert_eq!(of(r"drop\s+table"), ["drop"]);
    }

    #[test]
    fn every_match_holds_a_literal() {
        for (pattern, text) in [
            (r"(foo|ba[rz])+qux", "barqux"),
            (r"x{2,}select", "xxxselect"),
            (r"a b c", "a b c"),
            (r"%2e%2e", "%2e%2e"),
            (r"%u[0-9a-f]", "%u00"),
        ] {
            let literals = of(pattern);
            assert!(
                literals.is_empty() || literals.iter().any(|literal| text.contains(literal)),
                "{pattern}"
            );
        }
    }
}
