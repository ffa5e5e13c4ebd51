//! Tables against the regex engine they stand for: a pattern matches in the WAF exactly where it
//! matches there, prefilter included.

use picket_abi::{Header, RequestHead, SeqBuf};
use picket_waf::{Config, RuleSet, Waf};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as RunnerConfig, RngAlgorithm, TestRng, TestRunner};
use regex_automata::{meta, util::syntax};

#[derive(serde::Deserialize)]
struct File {
    rule: Vec<Rule>,
}

#[derive(serde::Deserialize)]
struct Rule {
    detect: Vec<Detect>,
}

#[derive(serde::Deserialize)]
struct Detect {
    #[serde(default)]
    patterns: Vec<String>,
}

fn builtin_patterns() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../rules/builtin.toml");
    let file: File = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut patterns: Vec<_> =
        file.rule.into_iter().flat_map(|rule| rule.detect).flat_map(|detect| detect.patterns).collect();
    patterns.sort();
    patterns.dedup();
    patterns
}

fn waf(pattern: &str) -> Waf {
    // A header of one name takes any pattern, also those that always run.
    let source = format!(
        "[[rule]]\nid = 1\nmessage = ''\nseverity = 'critical'\ncategory = ''\n\
         [[rule.detect]]\ntargets = ['REQUEST_HEADERS:X']\npatterns = ['''{pattern}''']\n"
    );
    let blob = picket_waf_compiler::compile(&source).unwrap_or_else(|error| panic!("{error}")).blob.leak();
    Waf::new(RuleSet::load(blob).unwrap(), Config::default())
}

fn matches(waf: &mut Waf, value: &[u8]) -> bool {
    let mut headers = SeqBuf::<Header<'_>>::new();
    headers.push(Header { name: "X".into(), value: value.into() });
    let outcome = waf.request_head(&RequestHead { headers: headers.as_seq(), ..RequestHead::default() });
    !outcome.verdict.matches.is_empty()
}

#[test]
fn every_builtin_pattern_matches_what_its_regex_matches() {
    let patterns = builtin_patterns();
    assert!(patterns.len() > 20, "the ruleset was read");
    let mut runner =
        TestRunner::new_with_rng(RunnerConfig::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    for pattern in patterns {
        let regex = meta::Builder::new()
            .syntax(
                syntax::Config::new()
                    .unicode(false)
                    .utf8(false)
                    .case_insensitive(true)
                    .dot_matches_new_line(true),
            )
            .build(&pattern)
            .unwrap();
        let mut waf = waf(&pattern);
        let matching = proptest::string::bytes_regex(&without_looks(&pattern)).unwrap();
        let mut hits = 0;
        for round in 0..60 {
            let mut value = matching.new_tree(&mut runner).unwrap().current();
            let noise: Vec<u8> =
                proptest::collection::vec(any::<u8>(), 0..6).new_tree(&mut runner).unwrap().current();
            match round % 4 {
                0 => {}
                1 => value = [&noise[..], &value, &noise].concat(),
                2 => value = [b" ", &value[..], b" "].concat(),
                _ => {
                    if let Some(byte) = value.get_mut(round / 4) {
                        *byte ^= 0x20;
                    }
                }
            }
            let expected = regex.is_match(&value);
            hits += usize::from(expected);
            assert_eq!(
                matches(&mut waf, &value),
                expected,
                "{pattern} on {:?}",
                value.escape_ascii().to_string()
            );
        }
        assert!(hits > 0, "{pattern}: no generated value matches it");
    }
}

/// The generator knows no assertions; what it makes without them is judged by the regex.
fn without_looks(pattern: &str) -> String {
    use regex_syntax::hir::{Hir, HirKind};
    fn strip(hir: &Hir) -> Hir {
        match hir.kind() {
            HirKind::Look(_) => Hir::empty(),
            HirKind::Concat(parts) => Hir::concat(parts.iter().map(strip).collect()),
            HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(strip).collect()),
            HirKind::Capture(capture) => strip(&capture.sub),
            HirKind::Repetition(repetition) => {
                let mut repetition = repetition.clone();
                repetition.sub = Box::new(strip(&repetition.sub));
                Hir::repetition(repetition)
            }
            _ => hir.clone(),
        }
    }
    let hir = regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .build()
        .parse(pattern)
        .unwrap();
    format!("(?s-u:{})", strip(&hir))
}
