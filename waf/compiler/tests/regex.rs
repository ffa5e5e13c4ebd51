//! The compiled regexes against `regex-automata`, over patterns of the Core Rule Set and random ones.

use std::collections::BTreeSet;
use std::ops::Range;

use picket_regex::{Cache, Regex};
use picket_waf_compiler::regex::{Options, Representation, benign, compile, requirements};
use proptest::prelude::*;
use regex_automata::meta;
use regex_automata::util::syntax;
use regex_syntax::hir::{Class, Hir, HirKind};

/// The distinct `@rx` arguments of the rules; none if the rules are not there.
fn crs_patterns() -> Vec<String> {
    let dir = std::env::var("CRS_DIR")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/crs").into());
    let Ok(files) = std::fs::read_dir(format!("{dir}/rules")) else {
        println!("skipped: no rules in {dir}");
        return Vec::new();
    };
    let mut found = BTreeSet::new();
    for file in files.flatten().filter(|file| file.path().extension().is_some_and(|end| end == "conf")) {
        for line in std::fs::read_to_string(file.path()).unwrap_or_default().lines() {
            let rest = line.split_once("\"@rx ").or_else(|| line.split_once("\"!@rx "));
            let Some((_, rest)) = rest.filter(|_| !line.trim_start().starts_with('#')) else { continue };
            let mut pattern = String::new();
            let mut chars = rest.chars().peekable();
            while let Some(char) = chars.next() {
                match char {
                    '"' => break,
                    '\\' if chars.peek() == Some(&'"') => pattern.extend(chars.next()),
                    _ => pattern.push(char),
                }
            }
            found.insert(pattern);
        }
    }
    found.into_iter().collect()
}

fn syntax_config() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true)
}

/// `\x{c2}` is a byte to us, a code point to the oracle.
fn for_oracle(pattern: &str) -> String {
    let mut text = pattern.to_string();
    while let Some(at) = text.find(r"\x{") {
        let digits = text[at + 3..].split('}').next().unwrap().to_string();
        text = text.replace(&format!(r"\x{{{digits}}}"), &format!(r"\x{digits}"));
    }
    text
}

fn oracle(pattern: &str) -> meta::Regex {
    meta::Regex::builder()
        .syntax(syntax_config())
        .configure(meta::Config::new().utf8_empty(false).nfa_size_limit(Some(1 << 27)).onepass(false))
        .build(&for_oracle(pattern))
        .unwrap_or_else(|error| panic!("{pattern}: {error:?}"))
}

fn oracle_hir(pattern: &str) -> Hir {
    syntax::parse_with(&for_oracle(pattern), &syntax_config()).unwrap()
}

/// A small generator of numbers: the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}

/// Appends a string that `hir` describes, assertions aside.
fn generate(hir: &Hir, random: &mut Random, out: &mut Vec<u8>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(Class::Bytes(class)) => {
            let ranges = class.ranges();
            if let Some(range) = ranges.get(random.below(ranges.len())) {
                let span = usize::from(range.end() - range.start()) + 1;
                out.push(range.start() + random.below(span) as u8);
            }
        }
        HirKind::Class(Class::Unicode(_)) => {}
        HirKind::Repetition(repetition) => {
            let extra = repetition.max.map_or(4, |max| (max - repetition.min).min(12)) as usize + 1;
            for _ in 0..repetition.min as usize + random.below(extra) {
                generate(&repetition.sub, random, out);
            }
        }
        HirKind::Capture(capture) => generate(&capture.sub, random, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| generate(part, random, out)),
        HirKind::Alternation(branches) => generate(&branches[random.below(branches.len())], random, out),
    }
}

fn mutate(value: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(2) {
        let at = random.below(value.len() + 1);
        match random.below(4) {
            0 => value.insert(at, b" a'\"(;x1\n<=/\\%\xc3"[random.below(15)]),
            1 if at < value.len() => drop(value.remove(at)),
            2 if at < value.len() => value[at] = random.below(256) as u8,
            _ => value.truncate(at),
        }
    }
}

fn haystacks(pattern: &str, seed: usize, count: usize) -> Vec<Vec<u8>> {
    let hir = oracle_hir(pattern);
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (seed as u64) << 20);
    let values = benign();
    let mut all: Vec<Vec<u8>> = (0..count / 2).map(|_| values[random.below(values.len())].to_vec()).collect();
    all.push(Vec::new());
    for number in 0..count {
        let mut value = Vec::new();
        if number % 3 == 1 {
            value.extend_from_slice(values[random.below(values.len())]);
            value.push(b' ');
        }
        generate(&hir, &mut random, &mut value);
        if number % 2 == 1 {
            mutate(&mut value, &mut random);
        }
        if number % 3 == 2 {
            value.extend_from_slice(values[random.below(values.len())]);
        }
        all.push(value);
    }
    all
}

fn spans(regex: &meta::Regex, haystack: &[u8], groups: usize) -> Option<Vec<Option<Range<usize>>>> {
    let mut captures = regex.create_captures();
    regex.captures(haystack, &mut captures);
    captures.is_match().then(|| {
        (0..groups).map(|group| captures.get_group(group).map(|span| span.start..span.end)).collect()
    })
}

/// Compares one pattern over haystacks; gives how many matched.
fn compare(pattern: &str, options: &Options<'_>, cache: &mut Cache, haystacks: &[Vec<u8>]) -> usize {
    let oracle = oracle(pattern);
    let compiled = compile(pattern, options).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    let regex = Regex::new(&compiled.bytes);
    let groups = oracle.group_info().all_group_len().min(10);
    let mut matched = 0;
    for haystack in haystacks {
        let expected = oracle.is_match(haystack);
        let context = || {
            format!("{pattern} on {:?} ({:?})", haystack.escape_ascii().to_string(), compiled.representation)
        };
        assert_eq!(regex.is_match(cache, haystack), expected, "{}", context());
        matched += usize::from(expected);
        if options.captures {
            let mut found = vec![None; groups];
            let is_match = regex.captures(cache, haystack, &mut found);
            let found = is_match.then_some(found);
            assert_eq!(found, spans(&oracle, haystack, groups), "{}", context());
        }
    }
    matched
}

#[test]
fn crs_patterns_match_as_they_should() {
    let mut cache = Cache::default();
    let mut tiny = Cache::with_limit(3000);
    let (mut total, mut matched) = (0, 0);
    for (number, pattern) in crs_patterns().iter().enumerate() {
        let haystacks = haystacks(pattern, number, 60);
        let options = Options { captures: true, ..Options::default() };
        total += haystacks.len();
        matched += compare(pattern, &options, &mut cache, &haystacks);
        // Tables too small for anything but the start, so that the NFA decides nearly always.
        let options = Options { table_limit: 300, ..options };
        compare(pattern, &options, &mut tiny, &haystacks);
        let options = Options { table_limit: 0, captures: false, ..options };
        compare(pattern, &options, &mut cache, &haystacks[..haystacks.len() / 2]);
    }
    println!("{matched} of {total} haystacks matched");
    assert!(matched * 4 >= total, "too few of the generated strings match: {matched} of {total}");
}

#[test]
fn crs_matches_have_what_is_required() {
    for (number, pattern) in crs_patterns().iter().enumerate() {
        let required = requirements(pattern, &Options::default()).unwrap();
        check_requirements(pattern, &required, &haystacks(pattern, number + 1000, 200));
    }
}

fn check_requirements(
    pattern: &str,
    required: &picket_waf_compiler::regex::Requirements,
    haystacks: &[Vec<u8>],
) {
    let oracle = oracle(pattern);
    for haystack in haystacks.iter().filter(|haystack| oracle.is_match(&haystack[..])) {
        let context = || format!("{pattern} on {:?}", haystack.escape_ascii().to_string());
        let folded = haystack.to_ascii_lowercase();
        if let Some(literals) = &required.literals {
            assert!(
                literals.iter().any(|literal| folded.windows(literal.len()).any(|part| part == &literal[..]))
                    || haystack.iter().any(|&byte| required.signs.contains(byte)),
                "literals: {}",
                context()
            );
            assert!(
                literals.iter().all(|literal| literal.len() >= 2 && *literal == literal.to_ascii_lowercase())
            );
        }
        for need in &required.needs {
            assert!(haystack.iter().any(|&byte| need.contains(byte)), "{need:?}: {}", context());
        }
        assert!(haystack.len() >= required.min_len, "{}", context());
    }
}

#[test]
fn damaged_bytes_do_no_harm() {
    let patterns =
        [r"(?i)\b(?:union|select)\b.*?from\s+(\w+)", r"^(a|b)*c$", r"(?:a.{1,20}b|x[^y]{2,9}z)+q", "foo"];
    let mut random = Random(42);
    let mut cache = Cache::with_limit(20_000);
    for (number, pattern) in patterns.iter().enumerate() {
        let haystacks = haystacks(pattern, number, 6);
        for table_limit in [0, 400, 8192] {
            let whole = compile(pattern, &Options { captures: true, table_limit, ..Options::default() })
                .unwrap()
                .bytes;
            for round in 0..3000 {
                let mut bytes = whole.clone();
                for _ in 0..=random.below(3) {
                    // The header more often than the rest.
                    let reach = if round % 2 == 0 { 28 } else { bytes.len() };
                    let at = random.below(reach);
                    bytes[at] ^= 1 << random.below(8);
                }
                if round % 5 == 0 {
                    bytes.truncate(random.below(bytes.len()));
                }
                let regex = Regex::new(&bytes);
                let haystack = &haystacks[round % haystacks.len()];
                regex.is_match(&mut cache, haystack);
                regex.captures(&mut cache, haystack, &mut [const { None }; 12]);
            }
        }
    }
}

#[test]
fn tables_are_exact_where_they_fit() {
    let representation = |pattern: &str, table_limit| {
        compile(pattern, &Options { table_limit, ..Options::default() }).unwrap().representation
    };
    assert!(matches!(representation("(?i)<script", 8192), Representation::Exact { states: 7 }));
    assert!(matches!(representation("a.{20}b", 2000), Representation::Frozen { .. }));
    assert_eq!(representation("abc", 0), Representation::NfaOnly);
    // Once the head is found it is of no more consequence: no product of head and tail.
    assert!(matches!(representation("abcabd.*xyxyz.*foofoo", 8192), Representation::Exact { states: 17 }));
}

#[test]
fn a_haystack_costs_no_more_than_its_length() {
    // With backtracking or without bounds on states, any of these would take for ever.
    let mut cache = Cache::with_limit(10_000);
    let haystack = vec![b'a'; 200_000];
    for pattern in ["(?:a*)*b", "(?:a|a)*b", "a.{200}b", "(a?){50}b", "(?:a{1,50}){1,20}b"] {
        let options = Options { captures: true, table_limit: 0, ..Options::default() };
        let compiled = compile(pattern, &options).unwrap();
        assert!(!Regex::new(&compiled.bytes).is_match(&mut cache, &haystack), "{pattern}");
    }
    // From every place on but the last, a match could begin up to the end.
    let haystack = [&haystack[..], b"xc"].concat();
    for pattern in ["a[^x]*xb|c", r"(?:a*\b){3}d|(?:\bx)?c", "(a|aa)+xb|c"] {
        let options = Options { captures: true, table_limit: 0, ..Options::default() };
        let compiled = compile(pattern, &options).unwrap();
        for limit in [2_000, 10_000, 100_000] {
            let mut found = [None];
            let mut cache = Cache::with_limit(limit);
            assert!(Regex::new(&compiled.bytes).captures(&mut cache, &haystack, &mut found), "{pattern}");
            let expected = oracle(pattern).find(&haystack[..]).map(|found| found.range());
            assert_eq!(found[0], expected, "{pattern}");
        }
    }
}

fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => "[abc]",
        2 => Just("[ab]".to_string()),
        1 => Just("[^a]".to_string()),
        1 => Just(".".to_string()),
        1 => Just(r"\b".to_string()),
        1 => Just(r"\B".to_string()),
        1 => Just("^".to_string()),
        1 => Just("$".to_string()),
        1 => Just(r"\w".to_string()),
        1 => Just(r"\s".to_string()),
        1 => Just("(?i:B)".to_string()),
        1 => Just("(?m:^)".to_string()),
        1 => Just("(?m:$)".to_string()),
        1 => Just("".to_string()),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            2 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            1 => inner.clone().prop_map(|inner| format!("({inner})")),
            2 => (inner, prop_oneof![
                Just("*"), Just("+"), Just("?"), Just("*?"), Just("+?"), Just("??"),
                Just("{2}"), Just("{0,3}"), Just("{1,3}?"), Just("{2,}"),
            ])
                .prop_map(|(inner, quantifier)| format!("(?:{inner}){quantifier}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_patterns_match_as_they_should(
        pattern in pattern(),
        haystacks in prop::collection::vec(prop::collection::vec(
            prop_oneof![3 => Just(b'a'), 3 => Just(b'b'), 2 => Just(b'c'), 1 => Just(b' '), 1 => Just(b'\n'), 1 => Just(b'B'), 1 => Just(0xff)],
            0..12,
        ), 8),
        limit in prop_oneof![Just(0), Just(30), Just(100), Just(8192)],
    ) {
        let mut cache = Cache::default();
        let options = Options { captures: true, table_limit: limit, ..Options::default() };
        compare(&pattern, &options, &mut cache, &haystacks);
        let required = requirements(&pattern, &options).unwrap();
        check_requirements(&pattern, &required, &haystacks);
    }
}
