//! What the fuzz targets found: see `docs/fuzzing.md`.

use picket_abi::RequestHead;
use picket_seclang::body::{Limits, Scratch, Sink, xml};
use picket_seclang::format::{HEADER_LEN, SECTIONS};
use picket_seclang::{NoServices, RuleSet, Settings, Transaction};
use picket_waf_compiler::seclang::{Options, compile, syntax};

#[derive(Default)]
struct Attributes(usize);

impl Sink for Attributes {
    fn arg(&mut self, _: &[u8], _: &[u8]) {}

    fn xml_attribute(&mut self, _: &[u8]) {
        self.0 += 1;
    }
}

#[test]
fn xml_values_that_a_doctype_declares_count_as_attributes() {
    // Two bytes each, and each was a value to be inspected, past every limit.
    let body = format!("<!DOCTYPE a [<!ATTLIST a b {}>]><a/>", "\"\"".repeat(10_000));
    let limits = Limits { parts: 40, ..Limits::default() };
    let mut sink = Attributes::default();
    let fault = xml(body.as_bytes(), &limits, &mut Scratch::new(), &mut sink).unwrap_err();
    assert_eq!(fault.reason, "More elements and attributes than allowed");
    assert_eq!(sink.0, 40);
}

fn blob(rules: &str) -> Vec<u8> {
    let configuration = syntax::parse_str("test.conf", rules).unwrap();
    compile(configuration, &Options::default()).unwrap().blob
}

#[test]
fn a_ruleset_that_states_four_billion_rules_is_no_longer_than_it_is() {
    let whole = blob("SecRuleEngine On\nSecAction \"id:1,phase:1,log,pass\"\n");
    // The first section's numbers: all the bits of each in turn, the bounds of the phases among them.
    let start =
        usize::try_from(u32::from_le_bytes(whole[HEADER_LEN..HEADER_LEN + 4].try_into().unwrap())).unwrap();
    assert!(start >= HEADER_LEN + 8 * SECTIONS);
    for at in (start..start + 64).step_by(4) {
        let mut damaged = whole.clone();
        damaged[at..at + 4].fill(0xff);
        let rules = RuleSet::from_trusted(&damaged).unwrap();
        // It took seconds.
        let mut transaction = Transaction::begin(rules, Settings::default(), Box::new(NoServices));
        transaction.request_head(&RequestHead { end: true, ..RequestHead::default() });
        transaction.log();
        assert!(transaction.matches().len() <= 1);
    }
}

/// Ids, messages and locations of the matches of `GET /?a=x`, with folding and without.
fn outcomes(rules: &str) -> [Vec<(u32, String, String)>; 2] {
    [true, false].map(|fold| {
        let configuration = syntax::parse_str("test.conf", &format!("SecRuleEngine On\n{rules}")).unwrap();
        let blob = compile(configuration, &Options { fold, ..Options::default() }).unwrap().blob;
        let rules = RuleSet::load(&blob).unwrap();
        let mut transaction = Transaction::begin(rules, Settings::default(), Box::new(NoServices));
        transaction.request_head(&RequestHead {
            target: "/?a=x".into(),
            end: true,
            ..RequestHead::default()
        });
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let matches = transaction.matches().iter();
        matches.map(|matched| (matched.id, text(&matched.message), text(&matched.location))).collect()
    })
}

#[test]
fn a_chain_that_fails_leaves_what_its_first_link_matched() {
    let [folded, plain] = outcomes(
        "SecAction \"id:1,phase:1,nolog,pass,setvar:tx.a=0\"\n\
         SecRule TX:a \"@eq 0\" \"id:2,phase:1,nolog,pass,chain\"\n\
         SecRule TX:a \"@eq 1\" \"t:none\"\n\
         SecAction \"id:3,phase:1,log,pass,msg:'%{MATCHED_VAR_NAME}=%{MATCHED_VAR}'\"\n",
    );
    assert_eq!(folded, [(3, "TX:a=0".into(), String::new())]);
    assert_eq!(folded, plain);
}

#[test]
fn a_rule_without_a_condition_matches_nowhere() {
    let [folded, plain] = outcomes(
        "SecRule ARGS:a \"@streq x\" \"id:1,phase:2,nolog,pass\"\n\
         SecAction \"id:2,phase:2,log,pass,msg:'m'\"\n",
    );
    assert_eq!(folded, [(2, "m".into(), String::new())]);
    assert_eq!(folded, plain);
}

#[test]
fn rules_that_want_no_bytes_compile() {
    // There was no set of bytes to number, and a shift by the width of the word.
    for transformation in ["lowercase", "urlDecode", "length", "cmdLine"] {
        let rules = format!(
            "SecRuleEngine On\nSecRule ARGS \"@le 3\" \"id:1,phase:1,log,pass,t:{transformation}\"\n"
        );
        let blob = blob(&rules);
        let request = RequestHead { target: "/?a=2".into(), end: true, ..RequestHead::default() };
        let rules = RuleSet::load(&blob).unwrap();
        let mut transaction = Transaction::begin(rules, Settings::default(), Box::new(NoServices));
        transaction.request_head(&request);
        assert_eq!(transaction.matches().len(), 1, "{transformation}");
    }
}
