//! The tables of the scan that tells which matchers a value could match: see
//! [`picket_seclang::scan`].
//!
//! Each literal is cut to at most eight bytes around one trigram. Both are chosen by what they cost
//! on ordinary values, of which a sample is needed: how often the trigram is met, what is compared
//! there then, and how often the cut literal is found although the whole one is not there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use picket_seclang::scan::layout::{CLASSES, KEY, LAST, LIST, LIST_UNIT, START, Shape};

use super::phrases::lengths;
use crate::error::fit;

/// Most byte sets.
pub const BYTE_SETS: usize = 64;
/// Shortest literal.
pub const SHORTEST: usize = 2;

/// Why no tables were built.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A literal is shorter than [`SHORTEST`]: a byte set does what it should.
    Short {
        /// Its position.
        literal: usize,
    },
    /// There is more than the tables hold.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many the tables hold.
        limit: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Short { literal } => {
                write!(f, "literal {literal} has less than {SHORTEST} bytes")
            }
            Error::TooMany { what, found, limit } => {
                write!(f, "{found} {what}, the scan holds at most {limit}")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<crate::Error> for Error {
    /// Of `fit`, which has only one fault.
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::TooLarge { what, found, limit } => Error::TooMany { what, found, limit },
            _ => Error::TooMany { what: "tables", found: 1, limit: 0 },
        }
    }
}

/// Tables, and what they hold.
#[derive(Debug)]
pub struct ScanTables {
    /// For [`Scanner::new`](picket_seclang::scan::Scanner::new).
    pub bytes: Vec<u8>,
    /// Different literals after cutting.
    pub keys: usize,
    /// Trigrams in use, of 262,144.
    pub trigrams: usize,
    /// Most groups of literals at one trigram: each costs a binary search.
    pub most_groups: usize,
}

/// Values of ordinary requests, from which the compiler learns what is usual.
pub fn sample() -> impl Iterator<Item = &'static [u8]> {
    crate::prefilter::CLEAN.lines().chain(include_str!("scan_sample.txt").lines()).map(str::as_bytes)
}

/// Builds the tables for literals, each with the matchers that finding it is a reason to run, and
/// byte sets.
///
/// The same input gives the same bytes, in whatever order the literals come.
///
/// # Errors
/// [`Error::Short`] for a literal of less than two bytes; [`Error::TooMany`] for more than 64 byte
/// sets, a matcher above 32,767, or more literals than can be numbered.
pub fn build(
    literals: &[(Vec<u8>, Vec<u16>)],
    byte_sets: &[[u64; 4]],
    sample: &[&[u8]],
) -> Result<ScanTables, Error> {
    fit::<u8>("byte sets", byte_sets.len(), BYTE_SETS)?;
    let literals = merge(literals)?;
    let classes = Classes::new(&literals);
    let usual = Usual::new(&classes, sample);
    let mut placed = Placed::default();
    // Those that have little choice first.
    let mut order: Vec<&Vec<u8>> = literals.keys().collect();
    order.sort_by_key(|literal| (literal.len(), *literal));
    for literal in order {
        placed.place(literal, &literals[literal], &classes, &usual);
    }
    let mut present = vec![0u64; 256];
    for (number, set) in byte_sets.iter().enumerate() {
        for byte in 0..256 {
            present[byte] |= (set[byte / 64] >> (byte % 64) & 1) << number;
        }
    }
    emit(&present, &classes, &placed)
}

/// The literals in lower case, each once; a matcher's literal that has another of the same matcher
/// in it adds nothing.
fn merge(literals: &[(Vec<u8>, Vec<u16>)]) -> Result<BTreeMap<Vec<u8>, BTreeSet<u16>>, Error> {
    let mut merged: BTreeMap<Vec<u8>, BTreeSet<u16>> = BTreeMap::new();
    for (number, (literal, matchers)) in literals.iter().enumerate() {
        if literal.len() < SHORTEST {
            return Err(Error::Short { literal: number });
        }
        for &matcher in matchers {
            fit::<u16>("matchers", usize::from(matcher), usize::from(LIST - 1))?;
        }
        merged.entry(literal.to_ascii_lowercase()).or_default().extend(matchers);
    }
    let lengths = lengths(&merged.keys().cloned().collect::<Vec<_>>());
    let all = merged.clone();
    for (literal, matchers) in &mut merged {
        for &len in lengths.iter().take_while(|&&len| len < literal.len()) {
            for part in literal.windows(len) {
                if matchers.is_empty() {
                    break;
                }
                if let Some(theirs) = all.get(part) {
                    matchers.retain(|matcher| !theirs.contains(matcher));
                }
            }
        }
    }
    merged.retain(|_, matchers| !matchers.is_empty());
    Ok(merged)
}

/// The class of each byte: one for each letter, one for each of the signs that literals use most, some
/// for the other bytes in literals, by kind, and one for all that are in none.
struct Classes([u8; 256]);

impl Classes {
    fn new<T>(literals: &BTreeMap<Vec<u8>, T>) -> Self {
        const OTHERS: u8 = CLASSES as u8 - 4;
        // Text that is not ASCII must not look as if it were all the same.
        let other = |byte: u8| match byte {
            0..0x20 | 0x7f => OTHERS,
            0x20..0x7f => OTHERS + 1,
            0x80..0xc0 => OTHERS + 2,
            0xc0.. => OTHERS + 3,
        };
        // A byte matters by the number of literals it is in, the more in short ones.
        let mut weight = [0usize; 256];
        for literal in literals.keys() {
            for &byte in literal.iter().collect::<BTreeSet<_>>() {
                weight[usize::from(byte)] += if literal.len() < 4 { 4 } else { 1 };
            }
        }
        let mut classes = [START; 256];
        let mut next = START + 1;
        for letter in b'a'..=b'z' {
            classes[usize::from(letter)] = next;
            classes[usize::from(letter.to_ascii_uppercase())] = next;
            next += 1;
        }
        let mut signs: Vec<u8> = (0..=255u8)
            .filter(|&byte| weight[usize::from(byte)] > 0 && !byte.is_ascii_alphabetic())
            .collect();
        signs.sort_by_key(|&byte| (std::cmp::Reverse(weight[usize::from(byte)]), byte));
        for sign in signs {
            classes[usize::from(sign)] = if next < OTHERS { next } else { other(sign) };
            next = (next + 1).min(OTHERS);
        }
        Classes(classes)
    }

    fn of(&self, byte: u8) -> usize {
        usize::from(self.0[usize::from(byte)])
    }

    fn trigram(&self, bytes: &[u8]) -> usize {
        bytes.iter().fold(0, |trigram, &byte| (trigram * CLASSES) | self.of(byte))
    }
}

const PAIRS: usize = CLASSES * CLASSES;
const TRIGRAMS: usize = PAIRS * CLASSES;

/// How usual a trigram is, a byte of ordinary text.
struct Usual {
    trigrams: Vec<f64>,
    pairs: Vec<f64>,
}

impl Usual {
    /// Three parts of what the sample has, one part of what its pairs let expect, and a little of
    /// what its single bytes do: it is short, and what it lacks may well occur.
    fn new(classes: &Classes, sample: &[&[u8]]) -> Self {
        let mut ones = vec![0.5f64; CLASSES];
        let mut twos = vec![0.01f64; PAIRS];
        let mut threes = vec![0f64; TRIGRAMS];
        let mut total = CLASSES as f64 / 2.0;
        for value in sample {
            let mut last = usize::from(START) * CLASSES + usize::from(START);
            for &byte in *value {
                let trigram = last * CLASSES + classes.of(byte);
                last = trigram % PAIRS;
                ones[last % CLASSES] += 1.0;
                twos[last] += 1.0;
                threes[trigram] += 1.0;
                total += 1.0;
            }
        }
        let trigrams: Vec<f64> = (0..TRIGRAMS)
            .map(|trigram| {
                let (a, b, c) = (trigram / PAIRS, trigram / CLASSES % CLASSES, trigram % CLASSES);
                let by_pairs = twos[trigram / CLASSES] * twos[trigram % PAIRS] / ones[b];
                let by_bytes = ones[a] * ones[b] * ones[c] / (total * total);
                (0.75 * threes[trigram] + 0.2 * by_pairs + 0.05 * by_bytes) / total
            })
            .collect();
        let pairs = trigrams.chunks(CLASSES).map(|row| row.iter().sum()).collect();
        Usual { trigrams, pairs }
    }

    /// How often a cut literal is expected.
    fn literal(&self, classes: &Classes, literal: &[u8]) -> f64 {
        let mut windows = literal.windows(3).map(|window| classes.trigram(window));
        let Some(first) = windows.next() else { return self.pairs[classes.trigram(literal)] };
        windows.fold(self.trigrams[first], |seen, trigram| {
            seen * self.trigrams[trigram] / self.pairs[trigram / CLASSES]
        })
    }
}

/// What it costs to run an operator for nothing, in looks at a trigram.
const FALSE_ALARM: f64 = 60.0;
/// What a group costs, in looks.
const GROUP: f64 = 0.3;
/// Groups at a trigram from which on others are preferred, for the sake of hostile values.
const CROWDED: usize = 4;

type Keys = BTreeMap<u64, BTreeSet<u16>>;

/// The cut literals, by trigram, or pair of classes, and position.
#[derive(Default)]
struct Placed {
    trigrams: BTreeMap<usize, BTreeMap<Shape, Keys>>,
    pairs: BTreeMap<usize, BTreeMap<Shape, Keys>>,
}

fn key(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |key, &byte| key << 8 | u64::from(byte))
}

impl Placed {
    fn place(&mut self, literal: &[u8], matchers: &BTreeSet<u16>, classes: &Classes, usual: &Usual) {
        if literal.len() < 3 {
            let shape = Shape { back: 1, len: literal.len() as u8 };
            let groups = self.pairs.entry(classes.trigram(literal)).or_default();
            groups.entry(shape).or_default().entry(key(literal)).or_default().extend(matchers);
            return;
        }
        let width = literal.len().min(KEY);
        let mut best: Option<(f64, usize, Shape, &[u8])> = None;
        for cut in literal.windows(width) {
            let alarms = FALSE_ALARM * usual.literal(classes, cut);
            for (at, window) in cut.windows(3).enumerate() {
                let trigram = classes.trigram(window);
                let shape = Shape { back: at as u8 + 2, len: width as u8 };
                let cost = alarms + self.cost(trigram, shape, usual);
                if best.is_none_or(|(least, ..)| cost < least) {
                    best = Some((cost, trigram, shape, cut));
                }
            }
        }
        if let Some((_, trigram, shape, cut)) = best {
            let groups = self.trigrams.entry(trigram).or_default();
            groups.entry(shape).or_default().entry(key(cut)).or_default().extend(matchers);
        }
    }

    /// What a literal more at this place costs a byte of ordinary text.
    fn cost(&self, trigram: usize, shape: Shape, usual: &Usual) -> f64 {
        let often = usual.trigrams[trigram];
        let pair = self.pairs.contains_key(&(trigram % PAIRS));
        let groups = self.trigrams.get(&trigram);
        let look = if pair || groups.is_some() { 0.0 } else { often };
        let Some(groups) = groups else { return look + GROUP * often };
        let keys = groups.get(&shape).map_or(0, BTreeMap::len);
        if keys > 0 && keys < 255 {
            // A comparison more for each doubling.
            return look + 0.1 * GROUP * often / keys as f64;
        }
        look + GROUP * often + 1e-4 * (groups.len() + keys).saturating_sub(CROWDED) as f64
    }
}

fn emit(present: &[u64], classes: &Classes, placed: &Placed) -> Result<ScanTables, Error> {
    let mut out = Outputs::default();
    let mut trigrams: BTreeMap<usize, Vec<[u8; 4]>> = BTreeMap::new();
    for (&trigram, groups) in &placed.trigrams {
        trigrams.insert(trigram, out.groups(groups)?);
    }
    for (&pair, groups) in &placed.pairs {
        let groups = out.groups(groups)?;
        for before in 0..CLASSES {
            trigrams.entry(before * PAIRS + pair).or_default().extend(&groups);
        }
    }

    let mut rows = vec![0u64; PAIRS];
    let mut groups: Vec<[u8; 4]> = Vec::new();
    let mut index = Vec::new();
    // Trigrams with the same two-byte literals and nothing else share their groups.
    let mut known: HashMap<&[[u8; 4]], u16> = HashMap::new();
    for (&trigram, own) in &trigrams {
        rows[trigram / CLASSES] |= 1 << (trigram % CLASSES);
        let at = match known.get(&own[..]) {
            Some(&at) => at,
            None => {
                let at = fit("groups of literals", groups.len(), usize::from(u16::MAX))?;
                groups.extend(own);
                if let Some([.., shape]) = groups.last_mut() {
                    *shape |= LAST;
                }
                known.insert(own, at);
                at
            }
        };
        index.extend(at.to_le_bytes());
    }

    let mut bytes = Vec::new();
    for count in [out.keys.len(), groups.len(), trigrams.len(), out.lists.len()] {
        bytes.extend(fit::<u32>("entries", count, u32::MAX as usize)?.to_le_bytes());
    }
    bytes.extend(present.iter().flat_map(|sets| sets.to_le_bytes()));
    bytes.extend(classes.0);
    bytes.extend(rows.iter().flat_map(|row| row.to_le_bytes()));
    let (mut bases, mut ranks, mut before) = (Vec::new(), Vec::new(), 0u32);
    for rows in rows.chunks(CLASSES) {
        let mut rank = 0u16;
        bases.extend(before.to_le_bytes());
        for row in rows {
            ranks.extend(rank.to_le_bytes());
            rank += row.count_ones() as u16;
        }
        before += u32::from(rank);
    }
    bytes.extend(bases);
    bytes.extend(ranks);
    bytes.extend(out.keys.iter().flat_map(|key| key.to_le_bytes()));
    bytes.extend(groups.as_flattened());
    bytes.extend(index);
    bytes.extend(out.outputs.iter().flat_map(|output| output.to_le_bytes()));
    bytes.extend(out.lists.iter().flat_map(|entry| entry.to_le_bytes()));
    Ok(ScanTables {
        bytes,
        keys: out.keys.len(),
        trigrams: trigrams.len(),
        most_groups: trigrams.values().map(Vec::len).max().unwrap_or(0),
    })
}

#[derive(Default)]
struct Outputs<'a> {
    keys: Vec<u64>,
    outputs: Vec<u16>,
    lists: Vec<u16>,
    known: HashMap<&'a BTreeSet<u16>, u16>,
}

impl<'a> Outputs<'a> {
    fn groups(&mut self, groups: &'a BTreeMap<Shape, Keys>) -> Result<Vec<[u8; 4]>, Error> {
        let mut written = Vec::new();
        for (shape, keys) in groups {
            let keys: Vec<_> = keys.iter().collect();
            for keys in keys.chunks(255) {
                let [low, high] =
                    fit::<u16>("literals", self.keys.len(), usize::from(u16::MAX))?.to_le_bytes();
                written.push([low, high, keys.len() as u8, shape.encode()]);
                for &(&key, matchers) in keys {
                    let output = self.output(matchers)?;
                    self.keys.push(key);
                    self.outputs.push(output);
                }
            }
        }
        Ok(written)
    }

    fn output(&mut self, matchers: &'a BTreeSet<u16>) -> Result<u16, Error> {
        if let (1, Some(&matcher)) = (matchers.len(), matchers.first()) {
            return Ok(matcher);
        }
        if let Some(&known) = self.known.get(matchers) {
            return Ok(known);
        }
        self.lists.resize(self.lists.len().next_multiple_of(LIST_UNIT), 0);
        let at = fit::<u16>("lists of matchers", self.lists.len() / LIST_UNIT, usize::from(LIST - 1))?;
        self.lists.push(fit("matchers of a literal", matchers.len(), usize::from(u16::MAX))?);
        self.lists.extend(matchers);
        self.known.insert(matchers, at | LIST);
        Ok(at | LIST)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;

    use picket_seclang::scan::Scanner;
    use proptest::prelude::*;

    use super::super::phrases;
    use super::*;

    /// The phrase files of the Core Rule Set, if they are at hand.
    pub(crate) fn data_files() -> Option<Vec<(String, Vec<Vec<u8>>)>> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs");
        let rules = std::env::var_os("CRS_DIR").map_or(root, PathBuf::from).join("rules");
        let Ok(entries) = std::fs::read_dir(&rules) else {
            println!("skipped: there is no {}", rules.display());
            return None;
        };
        let mut files: Vec<(String, Vec<Vec<u8>>)> = entries
            .filter_map(|entry| {
                let path = entry.expect("the directory can be listed").path();
                (path.extension()? == "data").then(|| {
                    let text = std::fs::read(&path).expect("the file can be read");
                    (path.file_name().unwrap_or_default().display().to_string(), phrases::parse_file(&text))
                })
            })
            .collect();
        files.sort();
        assert!(files.len() >= 20, "the Core Rule Set has 21 phrase files");
        Some(files)
    }

    type Literals = Vec<(Vec<u8>, Vec<u16>)>;

    fn tables(literals: &Literals) -> Vec<u8> {
        build(literals, &[], &sample().collect::<Vec<_>>()).expect("the literals fit").bytes
    }

    fn scan(bytes: &[u8], value: &[u8]) -> BTreeSet<u16> {
        let scanner = Scanner::new(bytes).expect("the tables are sound");
        let mut hits = [0u32; 64];
        let found = scanner.scan(value, &mut hits);
        let hits: BTreeSet<u16> =
            (0..64 * 32).filter(|bit| hits[usize::from(bit / 32)] >> (bit % 32) & 1 != 0).collect();
        assert_eq!(found, !hits.is_empty());
        hits
    }

    fn contains(value: &[u8], literal: &[u8]) -> bool {
        let (value, literal) = (value.to_ascii_lowercase(), literal.to_ascii_lowercase());
        value.windows(literal.len()).any(|part| part == literal)
    }

    /// Nothing that occurs is missed; what is reported occurs, if nothing was cut.
    fn check(literals: &Literals, bytes: &[u8], value: &[u8]) {
        let found = scan(bytes, value);
        let expected: BTreeSet<u16> = literals
            .iter()
            .filter(|(literal, _)| contains(value, literal))
            .flat_map(|(_, matchers)| matchers.iter().copied())
            .collect();
        assert!(expected.is_subset(&found), "{}: {expected:?}, {found:?}", value.escape_ascii());
        if literals.iter().all(|(literal, _)| literal.len() <= KEY) {
            assert_eq!(found, expected, "{}", value.escape_ascii());
        }
    }

    fn numbered(literals: &[&str]) -> Literals {
        literals
            .iter()
            .zip(0..)
            .map(|(literal, number)| (literal.as_bytes().to_vec(), vec![number]))
            .collect()
    }

    fn alternating_case(literal: &[u8]) -> Vec<u8> {
        let turn = |(at, &byte): (usize, &u8)| match at % 2 {
            0 => byte.to_ascii_uppercase(),
            _ => byte.to_ascii_lowercase(),
        };
        literal.iter().enumerate().map(turn).collect()
    }

    fn found_everywhere(literals: &Literals) {
        let bytes = tables(literals);
        for (literal, matchers) in literals {
            let written = alternating_case(literal);
            for value in [
                written.clone(),
                [b"x", &written[..]].concat(),
                [&written[..], b"y"].concat(),
                [b"some text ", &written[..], b" and more"].concat(),
                [b"ab", &written[..], &written[..]].concat(),
            ] {
                let found = scan(&bytes, &value);
                assert!(
                    matchers.iter().all(|matcher| found.contains(matcher)),
                    "{} in {}",
                    literal.escape_ascii(),
                    value.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn every_literal_is_found_at_every_place() {
        found_everywhere(&numbered(&[
            "ab",
            "a(",
            "((",
            "\0\0",
            "\u{e9}",
            "../",
            "or 1",
            "union",
            "select",
            "<script",
            "javascript:",
            "/etc/passwd",
            "information_schema",
            "0x",
            "--",
            "  ",
            "%00",
            "abc",
            "bca",
            "zzzzzzzzzzzzzzzz",
        ]));
    }

    #[test]
    fn phrase_files_are_found_at_every_place() {
        let Some(files) = data_files() else { return };
        let literals: Literals = files
            .iter()
            .zip(0..)
            .flat_map(|((_, phrases), number)| {
                phrases.iter().map(move |phrase| (phrase.clone(), vec![number]))
            })
            .filter(|(literal, _)| literal.len() >= SHORTEST)
            .collect();
        found_everywhere(&literals);
    }

    #[test]
    fn a_literal_stands_for_all_its_matchers() {
        let literals: Literals = vec![
            (b"union".to_vec(), vec![1, 2, 3]),
            (b"UNION".to_vec(), vec![700]),
            (b"select".to_vec(), (0..40).collect()),
            (b"insert".to_vec(), vec![1, 2, 3]),
            (b"nothing".to_vec(), vec![]),
            (b"union select".to_vec(), vec![2, 9]),
        ];
        let bytes = tables(&literals);
        for value in ["union", "Select", "INSERT", "nothing", "union selec", "union select", ""] {
            let found = scan(&bytes, value.as_bytes());
            let expected: BTreeSet<u16> = literals
                .iter()
                .filter(|(literal, _)| contains(value.as_bytes(), literal))
                .flat_map(|(_, matchers)| matchers.iter().copied())
                .collect();
            assert!(expected.is_subset(&found), "{value}");
        }
        let scanner = Scanner::new(&bytes).expect("the tables are sound");
        let mut hits = [0u32; 1];
        assert!(scanner.scan(b"union", &mut hits), "a matcher beyond the bits is left out");
        assert_eq!(hits, [0b1110]);
    }

    #[test]
    fn present_tells_the_sets_that_have_a_byte() {
        let set = |bytes: &[u8]| {
            bytes.iter().fold([0u64; 4], |mut set, &byte| {
                set[usize::from(byte / 64)] |= 1 << (byte % 64);
                set
            })
        };
        let mut sets: Vec<[u64; 4]> = (0..63).map(|number| set(&[number, number + 100])).collect();
        sets.push(set(b"\xff"));
        let bytes = build(&[], &sets, &[]).expect("64 sets fit").bytes;
        let scanner = Scanner::new(&bytes).expect("the tables are sound");
        assert_eq!(scanner.present(b""), 0);
        assert_eq!(scanner.present(b"\xff\x00"), 1 << 63 | 1);
        assert_eq!(scanner.present(&[101, 5, 5]), 1 << 1 | 1 << 5);
        sets.push(set(b"a"));
        assert!(matches!(build(&[], &sets, &[]), Err(Error::TooMany { found: 65, limit: 64, .. })));
    }

    #[test]
    fn what_cannot_be_scanned_for_is_refused() {
        let short = vec![(b"ab".to_vec(), vec![1]), (b"x".to_vec(), vec![1])];
        assert!(matches!(build(&short, &[], &[]), Err(Error::Short { literal: 1 })));
        let far = vec![(b"ab".to_vec(), vec![0x8000])];
        assert!(matches!(build(&far, &[], &[]), Err(Error::TooMany { found: 0x8000, .. })));
    }

    #[test]
    fn the_order_of_the_literals_does_not_matter() {
        let mut literals = numbered(&["union", "select", "ab", "/etc/passwd", "abc", "a b", "UNION"]);
        let bytes = tables(&literals);
        literals.reverse();
        assert!(tables(&literals) == bytes);
    }

    #[test]
    fn sixty_thousand_literals_fit() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        let mut literals: Literals = (0..60_000)
            .map(|number: u32| {
                let len = 4 + random() % 16;
                let letters = b"etaoinshrdlucmfwypvbgkqjxz_-./ 0123";
                let literal = (0..len).map(|_| letters[(random() % 35) * (random() % 35) / 35]).collect();
                (literal, vec![(number % 1000) as u16])
            })
            .collect();
        let letters = b"abcdefghij";
        literals.extend((0..100).map(|n| (vec![letters[n / 10], letters[n % 10]], vec![n as u16])));
        let built = build(&literals, &[], &sample().collect::<Vec<_>>()).expect("they fit");
        println!("{} bytes, {} keys, at most {} groups", built.bytes.len(), built.keys, built.most_groups);
        for (literal, matchers) in literals.iter().step_by(97) {
            assert!(
                scan(&built.bytes, &alternating_case(literal))
                    .is_superset(&matchers.iter().copied().collect())
            );
        }
    }

    /// All begin alike and end alike, as generated lists do.
    #[test]
    fn many_alike_are_found_and_do_not_crowd() {
        let literals: Literals = (0..5000u32)
            .map(|n| (format!("/var/lib/{n:04}/config.json").into_bytes(), vec![(n % 9) as u16]))
            .collect();
        let built = build(&literals, &[], &sample().collect::<Vec<_>>()).expect("they fit");
        assert!(built.most_groups <= 32, "{}", built.most_groups);
        for (literal, matchers) in &literals {
            assert!(scan(&built.bytes, literal).contains(&matchers[0]));
        }
    }

    #[test]
    fn damaged_tables_never_panic() {
        let good = tables(&numbered(&["union", "select", "ab", "a(", "/etc/passwd", "abc", "abd", "xabd"]));
        let value = b"a union of select, abd, xabd, a(b and /etc/passwd";
        for len in (0..good.len()).step_by(211).chain(good.len() - 64..good.len()) {
            assert!(Scanner::new(&good[..len]).is_none());
        }
        let run = |bytes: &[u8]| {
            if let Some(scanner) = Scanner::new(bytes) {
                let mut hits = [0u32; 2];
                let _ = scanner.scan(value, &mut hits);
                let _ = scanner.present(value);
            }
        };
        for at in (0..16)
            .chain(2000..2400)
            .chain((2320..good.len()).step_by(61))
            .chain(good.len() - 300..good.len())
        {
            for damage in [1u8, 0x40, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= damage;
                run(&bytes);
            }
        }
        for fill in [0xff, 0x55] {
            let mut bytes = good.clone();
            bytes[16..].fill(fill);
            run(&bytes);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn exactly_what_occurs_is_found(
            literals in prop::collection::vec("[abcA(/ 0]{2,8}", 0..60),
            values in prop::collection::vec("[abcAB(/ 0]{0,40}", 1..40),
        ) {
            let literals = numbered(&literals.iter().map(String::as_str).collect::<Vec<_>>());
            let bytes = tables(&literals);
            for value in values {
                check(&literals, &bytes, value.as_bytes());
            }
        }

        #[test]
        fn any_bytes_are_a_literal(
            literals in prop::collection::vec(prop::collection::vec(any::<u8>(), 2..14), 1..50),
            filler in prop::collection::vec(any::<u8>(), 0..12),
            pick in any::<prop::sample::Index>(),
        ) {
            let literals: Literals = literals.into_iter().zip(0..).map(|(it, number)| (it, vec![number])).collect();
            let bytes = tables(&literals);
            let value = [&filler[..], pick.get(&literals[..]).0.as_slice(), &filler].concat();
            check(&literals, &bytes, &value);
        }
    }
}
