//! The prefilter's tables and phrase sets against searching for one word after the other.
#![no_main]

use std::ops::Range;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use picket_fuzz::{contains, fold};
use picket_seclang::scan::{PhraseSet, Scanner};
use picket_waf_compiler::seclang::{phrases, scan};

#[derive(Debug)]
struct Input {
    literals: Vec<(Vec<u8>, Vec<u16>)>,
    sets: Vec<[u64; 4]>,
    values: Vec<Vec<u8>>,
}

/// Words over few letters, so that they overlap, and now and then any bytes.
fn word(u: &mut Unstructured<'_>, most: usize) -> arbitrary::Result<Vec<u8>> {
    let free = u.ratio(1, 6u8)?;
    let len = u.int_in_range(0..=most)?;
    (0..len).map(|_| if free { u.arbitrary() } else { u.choose(b"aabAB(c <\xe9/").copied() }).collect()
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let mut literals = Vec::new();
        for _ in 0..u.int_in_range(0..=40usize)? {
            let most = *u.choose(&[2, 3, 5, 8, 12, 20])?;
            let matchers = (0..u.int_in_range(1..=3u8)?).map(|_| u.int_in_range(0..=70u16));
            let matchers = matchers.collect::<arbitrary::Result<_>>()?;
            literals.push((word(u, most)?, matchers));
        }
        let sets = (0..u.int_in_range(0..=4u8)?).map(|_| u.arbitrary()).collect::<arbitrary::Result<_>>()?;
        let mut values = Vec::new();
        for _ in 0..24 {
            let mut value = word(u, 12)?;
            for _ in 0..u.int_in_range(0..=2u8)? {
                if let Some((literal, _)) = literals.get(u.int_in_range(0..=40usize)?) {
                    value.extend_from_slice(literal);
                }
                value.extend(word(u, 6)?);
            }
            values.push(value);
        }
        Ok(Input { literals, sets, values })
    }
}

fn has(set: &[u64; 4], byte: u8) -> bool {
    set[usize::from(byte / 64)] >> (byte % 64) & 1 != 0
}

/// The phrase that ends first, the longest of those that end there.
fn first(phrases: &[Vec<u8>], value: &[u8]) -> Option<Range<usize>> {
    let value = fold(value);
    (1..=value.len()).find_map(|end| {
        let ends_here = phrases.iter().filter(|it| !it.is_empty() && value[..end].ends_with(&fold(it)));
        ends_here.map(Vec::len).max().map(|len| end - len..end)
    })
}

fuzz_target!(|input: Input| {
    let Input { mut literals, sets, values } = input;

    let words: Vec<Vec<u8>> = literals.iter().map(|(word, _)| word.clone()).collect();
    let built = phrases::build(&words);
    let set = PhraseSet::new(&built);
    let (required, bytes) = (phrases::literals(&words), phrases::bytes(&words));
    for value in &values {
        let found = set.find(value);
        assert_eq!(found, first(&words, value), "{words:?} in {:?}", value.escape_ascii().to_string());
        if found.is_some() {
            let folded = fold(value);
            assert!(required.iter().all(|any| any.iter().any(|literal| contains(&folded, literal))));
            assert!(value.iter().any(|&byte| has(&bytes, byte)));
        }
    }

    literals.retain(|(literal, _)| literal.len() >= scan::SHORTEST);
    let tables = scan::build(&literals, &sets, &[b"a sample of ordinary text"]).expect("within the limits");
    let scanner = Scanner::new(&tables.bytes).expect("built above");
    for value in &values {
        let context = || format!("{literals:?} in {:?}", value.escape_ascii().to_string());
        let folded = fold(value);
        let mut hits = [0u32; 3];
        let found = scanner.scan(value, &mut hits);
        assert_eq!(found, hits != [0; 3], "{}", context());
        let hit = |matcher: u16| hits[usize::from(matcher / 32)] >> (matcher % 32) & 1 != 0;
        for (literal, matchers) in &literals {
            if contains(&folded, &fold(literal)) {
                assert!(matchers.iter().all(|&matcher| hit(matcher)), "missed {literal:?}: {}", context());
            }
        }
        for matcher in (0..96).filter(|&matcher| hit(matcher)) {
            // Eight bytes of a literal are compared.
            let reason =
                literals.iter().filter(|(_, matchers)| matchers.contains(&matcher)).any(|(literal, _)| {
                    fold(literal).windows(literal.len().min(8)).any(|part| contains(&folded, part))
                });
            assert!(reason, "matcher {matcher} for nothing: {}", context());
        }
        let present = scanner.present(value);
        for (number, set) in sets.iter().enumerate() {
            assert_eq!(present >> number & 1 != 0, value.iter().any(|&byte| has(set, byte)), "{}", context());
        }
        // Fewer words than there are matchers: none is written beyond them.
        scanner.scan(value, &mut hits[..1]);
        scanner.scan(value, &mut []);
    }
});
