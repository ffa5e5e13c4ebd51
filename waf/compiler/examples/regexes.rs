//! What becomes of the regexes of the Core Rule Set: sizes, kinds of table, what is asked of a value
//! before they run.
//!
//! `CRS_DIR=../shared/crs cargo run --release -p picket-waf-compiler --example regexes [table limit]`

use std::collections::BTreeSet;
use std::time::Instant;

use picket_regex::Regex;
use picket_waf_compiler::regex::{
    Compiled, Options, Representation, Requirements, benign, compile, requirements,
};

/// The distinct `@rx` arguments of the rules.
fn patterns(dir: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    let Ok(files) = std::fs::read_dir(format!("{dir}/rules")) else { return Vec::new() };
    for file in files.flatten().filter(|file| file.path().extension().is_some_and(|end| end == "conf")) {
        for line in std::fs::read_to_string(file.path()).unwrap_or_default().lines() {
            let line = line.trim().trim_end_matches('\\').trim_end();
            let Some((_, rest)) = line.split_once("\"@rx ").or_else(|| line.split_once("\"!@rx ")) else {
                continue;
            };
            if line.starts_with('#') {
                continue;
            }
            // To the next quote that is not escaped.
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

struct Row {
    pattern: String,
    compiled: Compiled,
    requirements: Requirements,
    candidates: usize,
    undecided: usize,
    micros: u128,
}

fn row(pattern: &str, table_limit: usize) -> Option<Row> {
    let options =
        Options { captures: std::env::var_os("CAPTURES").is_some(), table_limit, ..Options::default() };
    let start = Instant::now();
    let compiled = match compile(pattern, &options) {
        Ok(compiled) => compiled,
        Err(error) => {
            eprintln!("{error}: {pattern}");
            return None;
        }
    };
    let requirements = requirements(pattern, &options).ok()?;
    let micros = start.elapsed().as_micros();
    let regex = Regex::new(&compiled.bytes);
    let passes = |value: &&&[u8]| {
        let folded = value.to_ascii_lowercase();
        let literal = requirements.literals.as_ref().is_none_or(|literals| {
            literals.iter().any(|literal| folded.windows(literal.len()).any(|part| part == &literal[..]))
        });
        (literal || value.iter().any(|&byte| requirements.signs.contains(byte)))
            && value.len() >= requirements.min_len
            && requirements.needs.iter().all(|need| value.iter().any(|&byte| need.contains(byte)))
    };
    let passing: Vec<&&[u8]> = benign().iter().filter(passes).collect();
    let undecided = passing.iter().filter(|value| regex.is_undecided(value)).count();
    Some(Row {
        pattern: pattern.into(),
        candidates: passing.len(),
        compiled,
        requirements,
        undecided,
        micros,
    })
}

fn main() {
    let dir = std::env::var("CRS_DIR").unwrap_or_else(|_| "../shared/crs".into());
    let limit =
        std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(Options::default().table_limit);
    let patterns = patterns(&dir);
    let start = Instant::now();
    let half = patterns.len() / 2;
    let mut rows: Vec<Row> = std::thread::scope(|scope| {
        let other = scope
            .spawn(|| patterns[half..].iter().filter_map(|pattern| row(pattern, limit)).collect::<Vec<_>>());
        let mut rows: Vec<Row> = patterns[..half].iter().filter_map(|pattern| row(pattern, limit)).collect();
        rows.extend(other.join().expect("no row panics"));
        rows
    });
    let time = start.elapsed();
    rows.sort_by_key(|row| std::cmp::Reverse(row.candidates));
    println!("candidates undecided literals shortest needs minimum bytes table nfa states µs pattern");
    for row in &rows {
        let Row { compiled, requirements, .. } = row;
        let (literals, shortest) = match &requirements.literals {
            Some(literals) => (literals.len(), literals.iter().map(Vec::len).min().unwrap_or(0)),
            None => (0, 0),
        };
        let kind = match compiled.representation {
            Representation::Exact { states } => format!("exact:{states}"),
            Representation::Frozen { states } => format!("frozen:{states}"),
            Representation::NfaOnly => "none".into(),
        };
        println!(
            "{:4} {:4} {literals:5} {shortest:3} {:2} {:4} {:6} {:6} {:6} {:5} {kind:12} {:6} {}",
            row.candidates,
            row.undecided,
            requirements.needs.len(),
            requirements.min_len,
            compiled.bytes.len(),
            compiled.table_bytes,
            compiled.nfa_bytes,
            compiled.nfa_states,
            row.micros,
            row.pattern.chars().take(100).collect::<String>(),
        );
    }
    let sum = |of: &dyn Fn(&Row) -> usize| rows.iter().map(of).sum::<usize>();
    let count = |of: &dyn Fn(Representation) -> bool| {
        rows.iter().filter(|row| of(row.compiled.representation)).count()
    };
    println!(
        "{} of {} patterns, table limit {limit}, {} values, {time:?}",
        rows.len(),
        patterns.len(),
        benign().len()
    );
    println!(
        "exact {}, frozen {}, none {}; bytes {}: tables {}, NFAs {} ({} states)",
        count(&|kind| matches!(kind, Representation::Exact { .. })),
        count(&|kind| matches!(kind, Representation::Frozen { .. })),
        count(&|kind| kind == Representation::NfaOnly),
        sum(&|row| row.compiled.bytes.len()),
        sum(&|row| row.compiled.table_bytes),
        sum(&|row| row.compiled.nfa_bytes),
        sum(&|row| row.compiled.nfa_states),
    );
    println!(
        "literals {} in {} sets, {} distinct; candidates {} of {}, undecided {}",
        sum(&|row| row.requirements.literals.as_ref().map_or(0, Vec::len)),
        rows.iter().filter(|row| row.requirements.literals.is_some()).count(),
        rows.iter().flat_map(|row| row.requirements.literals.iter().flatten()).collect::<BTreeSet<_>>().len(),
        sum(&|row| row.candidates),
        rows.len() * benign().len(),
        sum(&|row| row.undecided),
    );
}
