//! SecLang rules to blobs: what is in them, and that folding changes nothing that a request can see.

mod seclang {
    pub mod crs;
    pub mod fold;
    pub mod gates;
    pub mod run;
}

use picket_seclang::RuleSet;
use picket_seclang::format::{Section, flag};
use picket_waf_compiler::seclang::syntax::{self, Level};
use picket_waf_compiler::seclang::{
    BASE, Compiled, Error, ExplainError, Options, compile, explain, strip_sources,
};
use seclang::run::{Observed, run};

fn build(text: &str, options: &Options<'_>) -> Compiled {
    let configuration = syntax::parse_str("test.conf", text).unwrap();
    assert_eq!(configuration.diagnostics, [], "{text}");
    compile(configuration, options).unwrap()
}

/// What a rule set says of a target, with and without folding: the same.
fn observe(text: &str, target: &str) -> Observed {
    let folded = run(&build(text, &Options::default()).blob, target);
    let plain = run(&build(text, &Options { fold: false, ..Options::default() }).blob, target);
    assert_eq!(folded, plain, "{target}\n{text}");
    folded
}

#[test]
fn a_rule_comes_back_as_it_was_compiled() {
    let compiled = build(
        r#"
SecAction "id:1,phase:1,nolog,pass,setvar:tx.level=3"
SecRule ARGS|!ARGS:ok|REQUEST_HEADERS:User-Agent "@rx (?i)union\s+select" \
    "id:2,phase:2,deny,status:406,t:none,t:urlDecodeUni,t:lowercase,capture,log,\
    msg:'found %{TX.0}',tag:'one',severity:CRITICAL,setvar:'tx.score=+%{tx.level}',chain"
    SecRule REQUEST_METHOD "!@streq GET" "t:none"
"#,
        &Options::default(),
    );
    let rule = explain(&compiled.blob, 2).unwrap();
    assert_eq!((rule.phase, rule.place, rule.of, rule.scanned), (2, 1, 2, true));
    assert_eq!(rule.disruption, "deny (406)");
    let [head, link] = &rule.links[..] else { panic!("{rule:?}") };
    assert_eq!(head.targets, ["ARGS", "!ARGS:ok", "REQUEST_HEADERS:user-agent"]);
    assert_eq!(head.transformations, ["urlDecodeUni", "lowercase"]);
    assert_eq!(head.message, "found %{tx.0}");
    assert_eq!(head.tags, ["one"]);
    assert!(head.actions.contains(&"setvar:tx.score=+3".into()), "{:?}", head.actions);
    let operator = head.operator.as_ref().unwrap();
    assert_eq!((operator.name.as_str(), operator.argument.as_str()), ("@rx", r"(?i)union\s+select"));
    assert!(operator.announced && operator.min_len == 12 && operator.bytes > 0);
    assert_eq!(link.operator.as_ref().unwrap().name, "!@streq");
    let text = rule.to_string();
    assert!(text.contains("announced by a literal") && text.contains("test.conf:3"), "{text}");
    assert!(matches!(explain(&compiled.blob, 1), Err(ExplainError::NoSuchRule(1))));
    assert!(matches!(explain(&compiled.blob[1..], 2), Err(ExplainError::Blob(_))));
}

#[test]
fn equal_input_gives_equal_blobs() {
    let text = format!("{BASE}\nSecRule ARGS \"@pm alpha beta gamma\" \"id:1,phase:2,deny\"\n");
    let first = build(&text, &Options::default());
    let second = build(&text, &Options::default());
    assert!(first.blob == second.blob);
    assert!(RuleSet::load(&first.blob).is_ok());
}

#[test]
fn sources_can_be_left_out_and_damage_is_seen() {
    let text = "SecRule ARGS \"@contains evil\" \"id:1,phase:2,deny,log,msg:'m'\"\n";
    let compiled = build(text, &Options::default());
    let stripped = strip_sources(&compiled.blob).unwrap();
    assert!(stripped.len() < compiled.blob.len());
    assert!(stripped == build(text, &Options { sources: false, ..Options::default() }).blob);
    assert_eq!(run(&stripped, "/?a=evil"), run(&compiled.blob, "/?a=evil"));
    assert_eq!(run(&stripped, "/?a=evil").status, Some(403));
    for at in (0..compiled.blob.len()).step_by(4099) {
        let mut damaged = compiled.blob.clone();
        damaged[at] ^= 0x55;
        assert!(RuleSet::load(&damaged).is_err(), "byte {at}");
        // Whatever it says, it says without a panic.
        let _ = explain(&damaged, 1);
    }
}

#[test]
fn what_cannot_be_compiled_is_left_out_or_an_error() {
    let text = r#"
SecRule ARGS "@rx (a" "id:1,phase:2,deny"
SecRule ARGS "@rx b(?=c)" "id:2,phase:2,deny"
SecRule ARGS "@contains d" "id:3,phase:2,deny,skipAfter:NOWHERE"
"#;
    let parsed = || syntax::parse_str("test.conf", text).unwrap();
    let compiled = compile(parsed(), &Options::default()).unwrap();
    let left_out: Vec<u32> =
        compiled.diagnostics.iter().filter_map(|diagnostic| diagnostic.rule_left_out).collect();
    assert_eq!(left_out, [1, 2], "{:?}", compiled.diagnostics);
    assert_eq!(compiled.summary.rules, 1);
    assert!(compiled.diagnostics.iter().any(|d| d.level == Level::Warning && d.text.contains("NOWHERE")));
    let strict = compile(parsed(), &Options { strict: true, ..Options::default() });
    let Err(Error::Strict(problems)) = strict else { panic!("{strict:?}") };
    assert!(problems.len() >= 3);
}

#[test]
fn base_directives_are_in_order() {
    let compiled = build(BASE, &Options { strict: true, ..Options::default() });
    let rules = RuleSet::load(&compiled.blob).unwrap();
    let meta = rules.meta();
    assert_eq!((meta.request_body_limit, meta.request_body_no_files_limit), (13_107_200, 131_072));
    // Nothing here sets what 200005 asks for.
    let ids: Vec<u32> = (0..rules.rule_count()).map(|at| rules.rule(at).id).collect();
    assert_eq!(ids, [200_000, 200_001, 200_006, 200_002, 200_003, 200_004, 200_007]);
    assert_eq!(compiled.summary.dead, 1);
}

#[test]
fn only_stored_values_are_scanned() {
    let text = r#"
SecRule ARGS "@rx evil" "id:1,phase:2,pass"
SecRule ARGS "!@rx evil" "id:2,phase:2,pass"
SecRule &ARGS "@rx evil" "id:3,phase:2,pass"
SecRule ARGS|TX:a "@rx evil" "id:4,phase:2,pass"
SecRule ARGS "@within evil" "id:5,phase:2,pass"
SecRule ARGS|XML:/* "@pm evil bad" "id:6,phase:2,pass,multiMatch,t:lowercase,t:trim"
"#;
    let compiled = build(text, &Options { fold: false, ..Options::default() });
    let rules = RuleSet::load(&compiled.blob).unwrap();
    let scanned: Vec<u32> = (0..rules.rule_count())
        .map(|at| rules.rule(at))
        .filter(|rule| rule.flags & flag::SCANNED != 0)
        .map(|rule| rule.id)
        .collect();
    assert_eq!(scanned, [1, 6]);
    assert_eq!(rules.section(Section::RuleSets)[0], 0b01_1110);
    // One rule each with the value as it came; multiMatch sees every beginning of its list.
    assert_eq!(compiled.summary.scanned_pipelines, 3);
    assert_eq!(run(&compiled.blob, "/?a=xEVILx").logged(), [2, 6]);
}

#[test]
fn keyed_values_meet_general_rules_too() {
    let text = r#"
SecRule REQUEST_HEADERS "@contains evil" "id:1,phase:1,pass,log"
SecRule REQUEST_HEADERS:X-A "@contains worse" "id:2,phase:1,pass,log"
SecRule ARGS:/^x/ "@contains evil" "id:3,phase:1,pass,log"
SecRule ARGS:Key "@contains evil" "id:4,phase:1,pass,log"
"#;
    assert_eq!(observe(text, "/?xa=evil&key=evil&other=evil").logged(), [3, 4]);
    // The helper sends `X-A: evil and worse`.
    assert_eq!(observe(text, "/headers").logged(), [1, 2]);
}
