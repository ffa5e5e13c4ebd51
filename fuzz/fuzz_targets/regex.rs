//! Compiled regexes against `regex-automata`, over patterns that both read alike; any other text must
//! compile or be refused, and then its table and its NFA must agree.
#![no_main]

use std::cell::RefCell;
use std::ops::Range;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use picket_fuzz::{contains, fold};
use picket_regex::{Cache, Regex};
use picket_waf_compiler::regex::{Options, compile, requirements};
use regex_automata::meta;
use regex_automata::util::syntax;

const LEAVES: [&str; 44] = [
    "a",
    "b",
    "c",
    "a",
    "b",
    "B",
    "ab",
    "abc",
    "select",
    "union",
    "x",
    "1",
    " ",
    r"\n",
    r"\xff",
    r"\x00",
    r"\.",
    r"\/",
    "<",
    "=",
    "[abc]",
    "[ab]",
    "[^a]",
    "[^ab]",
    "[a-z]",
    "[0-9a-f]",
    r"[\w.-]",
    r"[^\s]",
    ".",
    r"\b",
    r"\B",
    "^",
    "$",
    r"\w",
    r"\s",
    r"\d",
    r"\W",
    r"\S",
    "(?i:B)",
    "(?i:select)",
    "(?m:^)",
    "(?m:$)",
    "(?-s:.)",
    "",
];

// That of the compiler is long, and goes through every table.
const SAMPLE: &[&[u8]] = &[b"a sample", b"of", b"ordinary text 1"];

const QUANTIFIERS: [&str; 16] = [
    "*", "+", "?", "*?", "+?", "??", "{2}", "{0,3}", "{1,3}?", "{2,}", "{3,5}", "{0}", "{1}", "{0,1}?",
    "{8}", "{0,20}",
];

fn grow(u: &mut Unstructured<'_>, depth: usize, out: &mut String) -> Result<()> {
    let kind = u.int_in_range(0..=if depth == 0 { 3u8 } else { 12 })?;
    match kind {
        0..=3 => out.push_str(u.choose(&LEAVES)?),
        4..=6 => {
            for _ in 0..u.int_in_range(1..=4u8)? {
                grow(u, depth - 1, out)?;
            }
        }
        7..=8 => {
            out.push_str("(?:");
            for branch in 0..u.int_in_range(1..=4u8)? {
                if branch > 0 {
                    out.push('|');
                }
                grow(u, depth - 1, out)?;
            }
            out.push(')');
        }
        9 => {
            out.push('(');
            grow(u, depth - 1, out)?;
            out.push(')');
        }
        10 => {
            out.push_str("(?i:");
            grow(u, depth - 1, out)?;
            out.push(')');
        }
        _ => {
            out.push_str("(?:");
            grow(u, depth - 1, out)?;
            out.push(')');
            out.push_str(u.choose(&QUANTIFIERS)?);
        }
    }
    Ok(())
}

/// Words of the alphabet, and some bytes as they come.
fn haystack(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    const WORDS: [&[u8]; 24] = [
        b"a",
        b"b",
        b"c",
        b"ab",
        b"abc",
        b"B",
        b"A",
        b" ",
        b"\n",
        b"\xff",
        b"\0",
        b"select",
        b"SeLeCt",
        b"union",
        b"x",
        b"1",
        b".",
        b"/",
        b"<",
        b"=",
        b"_",
        b"-",
        b"aaaaaaaa",
        b"abababab",
    ];
    let mut out = Vec::new();
    for _ in 0..u.int_in_range(0..=24u8)? {
        if u.ratio(1, 8u8)? {
            out.push(u.arbitrary()?);
        } else {
            out.extend_from_slice(u.choose(&WORDS)?);
        }
    }
    Ok(out)
}

thread_local! {
    // Shared, as in the engine: what it knows of one regex must not get into another. And small.
    static CACHE: RefCell<(Cache, Cache)> = RefCell::new((Cache::default(), Cache::with_limit(3000)));
}

type Spans = Option<Vec<Option<Range<usize>>>>;

fn captures(regex: &Regex<'_>, cache: &mut Cache, haystack: &[u8], groups: usize) -> Spans {
    let mut slots = vec![None; groups];
    regex.captures(cache, haystack, &mut slots).then_some(slots)
}

fn against_oracle(u: &mut Unstructured<'_>) -> Result<()> {
    let limit = *u.choose(&[0, 0, 30, 100, 300, 300, 1000, 2000, 8192])?;
    let case_insensitive = u.ratio(1, 4u8)?;
    let mut pattern = String::new();
    grow(u, 5, &mut pattern)?;
    let config = syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .case_insensitive(case_insensitive);
    let Ok(oracle) = meta::Regex::builder()
        .syntax(config)
        .configure(meta::Config::new().utf8_empty(false).nfa_size_limit(Some(1 << 20)).onepass(false))
        .build(&pattern)
    else {
        return Ok(());
    };
    let options = Options {
        case_insensitive,
        captures: true,
        table_limit: limit,
        sample: SAMPLE,
        ..Options::default()
    };
    // Too large for one of them is no matter.
    let Ok(compiled) = compile(&pattern, &options) else { return Ok(()) };
    let required = requirements(&pattern, &options).expect("compiled above");
    let regex = Regex::new(&compiled.bytes);
    let groups = oracle.group_info().all_group_len().min(10);
    for _ in 0..6 {
        let haystack = haystack(u)?;
        let context = || {
            format!(
                "{pattern:?} on {:?} ({:?}, {limit})",
                haystack.escape_ascii().to_string(),
                compiled.representation
            )
        };
        let mut found = oracle.create_captures();
        oracle.captures(&haystack, &mut found);
        let expected = found.is_match().then(|| {
            (0..groups)
                .map(|group| found.get_group(group).map(|span| span.start..span.end))
                .collect::<Vec<_>>()
        });
        CACHE.with_borrow_mut(|(large, small)| {
            for cache in [large, small] {
                assert_eq!(regex.is_match(cache, &haystack), expected.is_some(), "{}", context());
                assert_eq!(captures(&regex, cache, &haystack, groups), expected, "{}", context());
            }
        });
        if expected.is_some() {
            let folded = fold(&haystack);
            if let Some(literals) = &required.literals {
                assert!(
                    literals.iter().any(|literal| contains(&folded, literal))
                        || haystack.iter().any(|&byte| required.signs.contains(byte)),
                    "{literals:?}: {}",
                    context()
                );
            }
            for need in &required.needs {
                assert!(haystack.iter().any(|&byte| need.contains(byte)), "{need:?}: {}", context());
            }
            assert!(
                haystack.len() >= required.min_len && haystack.len() >= compiled.min_len,
                "{}",
                context()
            );
        }
    }
    Ok(())
}

fn with_itself(mut u: Unstructured<'_>) -> Result<()> {
    let haystacks = [haystack(&mut u)?, haystack(&mut u)?];
    let bytes = u.take_rest();
    let pattern = String::from_utf8_lossy(bytes);
    let options = Options { captures: true, table_limit: 1000, sample: SAMPLE, ..Options::default() };
    let Ok(table) = compile(&pattern, &options) else {
        assert!(requirements(&pattern, &options).is_err() || compile(&pattern, &options).is_err());
        return Ok(());
    };
    let nfa = compile(&pattern, &Options { table_limit: 0, ..options }).expect("compiled above");
    let required = requirements(&pattern, &options).expect("compiled above");
    CACHE.with_borrow_mut(|(large, small)| {
        for haystack in haystacks.iter().map(Vec::as_slice).chain([bytes]) {
            let context = || format!("{pattern:?} on {:?}", haystack.escape_ascii().to_string());
            let by_table = captures(&Regex::new(&table.bytes), large, haystack, 10);
            let by_nfa = captures(&Regex::new(&nfa.bytes), small, haystack, 10);
            assert_eq!(by_table, by_nfa, "{}", context());
            assert_eq!(Regex::new(&table.bytes).is_match(small, haystack), by_nfa.is_some(), "{}", context());
            if by_nfa.is_some() {
                let folded = fold(haystack);
                assert!(
                    required.literals.iter().all(|any| any.iter().any(|literal| contains(&folded, literal)))
                        || haystack.iter().any(|&byte| required.signs.contains(byte)),
                    "{}",
                    context()
                );
                for need in &required.needs {
                    assert!(haystack.iter().any(|&byte| need.contains(byte)), "{need:?}: {}", context());
                }
            }
        }
    });
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let mut u = Unstructured::new(data);
    // Input that ends early is no input.
    let _ = if choice % 4 == 0 { with_itself(u) } else { against_oracle(&mut u) };
});
