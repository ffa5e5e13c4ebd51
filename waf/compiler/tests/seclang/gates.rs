//! What rules wait for: which run, and that no request can tell.

use picket_seclang::RuleSet;
use picket_seclang::format::{Section, flag};

use super::fold::Random;
use super::run::{Observed, exchange};
use crate::{Options, build};

/// The rules that run in every transaction.
fn always(text: &str) -> Vec<u32> {
    let compiled = build(text, &Options::default());
    let rules = RuleSet::load(&compiled.blob).unwrap();
    let set = rules.section(Section::RuleSets);
    (0..rules.rule_count())
        .filter(|&at| set[at / 8] >> (at % 8) & 1 != 0)
        .map(|at| rules.rule(at))
        .filter(|rule| rule.flags & flag::LEAVES == 0)
        .map(|rule| rule.id)
        .collect()
}

/// What is seen of a request, with gates and without: the same.
fn same(text: &str, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Observed {
    let see = |fold| {
        let compiled = build(text, &Options { fold, ..Options::default() });
        exchange(&compiled.blob, method, target, headers, body.as_bytes(), b"fine")
    };
    let (gated, plain) = (see(true), see(false));
    assert_eq!(gated, plain, "{method} {target} {headers:?} {body}\n{text}");
    gated
}

#[test]
fn what_is_not_ascii_is_waited_for() {
    let text = r#"
SecRule REQUEST_METHOD "@rx ^[A-Z]" "id:1,phase:2,pass,log,chain"
    SecRule REQUEST_URI|ARGS "@validateUtf8Encoding" ""
"#;
    assert!(always(text).is_empty());
    assert!(same(text, "GET", "/?a=b", &[], "").logged().is_empty());
    assert_eq!(same(text, "GET", "/?a=%ff", &[], "").logged(), [1]);
}

#[test]
fn what_only_some_requests_have_is_waited_for() {
    let text = r#"
SecRule REQUEST_HEADERS:Content-Type "!@rx ^text/" "id:1,phase:1,pass,log"
SecRule &REQUEST_HEADERS:X-A "@gt 1" "id:2,phase:1,pass,log"
SecRule &REQUEST_HEADERS:X-A "!@eq 0" "id:3,phase:1,pass,log"
SecRule REQUEST_PROTOCOL "!@within HTTP/2 HTTP/3" "id:4,phase:1,pass,log,chain"
    SecRule REQUEST_METHOD "@streq POST" "chain"
        SecRule &REQUEST_HEADERS:Content-Length "@eq 0"
SecRule REQBODY_PROCESSOR "@streq URLENCODED" "id:5,phase:2,pass,log"
SecRule REQUEST_BODY_LENGTH "@gt 3" "id:6,phase:2,pass,log"
SecRule REQUEST_METHOD "@rx ^(?:GET|HEAD)$" "id:7,phase:1,pass,log,chain"
    SecRule REQUEST_HEADERS:Content-Length "!@rx ^0?$"
SecRule REQUEST_HEADERS:X-B "@rx ^$" "id:8,phase:1,pass,log"
SecRule &REQUEST_HEADERS:X-C "@eq 0" "id:9,phase:1,pass,log"
"#;
    assert_eq!(always(text), [9]);
    assert_eq!(same(text, "GET", "/", &[], "").logged(), [9]);
    assert_eq!(same(text, "GET", "/", &[("Content-Type", "image/png"), ("X-C", "")], "").logged(), [1]);
    assert_eq!(same(text, "GET", "/", &[("X-A", "1")], "").logged(), [3, 9]);
    assert_eq!(same(text, "GET", "/", &[("x-a", "1"), ("X-A", "2")], "").logged(), [2, 3, 9]);
    assert_eq!(same(text, "GET", "/", &[("X-B", "")], "").logged(), [8, 9]);
    assert_eq!(same(text, "GET", "/", &[("X-B", "b")], "").logged(), [9]);
    assert_eq!(same(text, "POST", "/", &[], "").logged(), [4, 9]);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(same(text, "POST", "/", &form, "a=12").logged(), [1, 9, 5, 6]);
    assert_eq!(same(text, "POST", "/", &form, "a").logged(), [1, 9, 5]);
    assert_eq!(same(text, "GET", "/", &[], "body").logged(), [7, 9, 6]);
}

const LISTS: &str = r#"
SecRule REQUEST_BASENAME "@rx \.([^.]+)$" \
    "id:1,phase:1,pass,log,capture,logdata:'%{TX.0}',setvar:'tx.extension=.%{tx.1}/',chain"
    SecRule TX:EXTENSION "@within .bak/ .ini/ .cs/" "t:lowercase,setvar:tx.score=+5"
SecRule REQUEST_HEADERS_NAMES "@rx ^.*$" \
    "id:2,phase:1,pass,log,capture,t:lowercase,msg:'%{MATCHED_VAR}',\
    setvar:'tx.name_2_%{tx.0}=/%{tx.0}/',chain"
    SecRule TX:/^name_2_/ "@within /proxy/ /if/ /content-encoding/" "setvar:tx.score=+5"
"#;

#[test]
fn a_list_is_asked_only_for_its_words() {
    assert_eq!(always(LISTS), [] as [u32; 0]);
    assert_eq!(same(LISTS, "GET", "/a.html", &[], "").logged(), []);
    assert_eq!(same(LISTS, "GET", "/a.BAK", &[("Accept-Encoding", "x")], "").logged(), [1]);
    assert_eq!(same(LISTS, "GET", "/a.CS", &[], "").logged(), [1]);
    assert_eq!(same(LISTS, "GET", "/a.bak.html", &[], "").logged(), []);
    assert_eq!(same(LISTS, "GET", "/a.bak/ .ini", &[], "").logged(), [1]);
    // One letter is no word to scan for.
    let short = LISTS.replace(".cs/", ".c/");
    assert_eq!(same(&short, "GET", "/a.c", &[], "").logged(), [1]);
    assert_eq!(same(LISTS, "GET", "/", &[("Proxy", "x"), ("X-Z", "1")], "").logged(), [2]);
    assert_eq!(same(LISTS, "GET", "/", &[(" ", "x")], "").logged(), [2]);
    assert_eq!(same(LISTS, "GET", "/", &[("Proxy/ /if", "x")], "").logged(), [2]);
    assert_eq!(same(LISTS, "GET", "/", &[("content-encodin", "x")], "").logged(), []);
}

#[test]
fn what_another_rule_sees_is_there() {
    // Names that a pattern of another rule fits.
    let seen =
        format!("{LISTS}SecRule TX:/evil_.*/ \"@rx .\" \"id:3,phase:2,pass,log,msg:'%{{MATCHED_VAR}}'\"");
    assert_eq!(same(&seen, "GET", "/", &[("X-Evil_1", "x")], "").logged(), [3]);
    assert_eq!(same(&seen, "GET", "/", &[("X-Evil", "x")], "").logged(), []);
    for more in [
        "SecRule TX \"@rx html\" \"id:3,phase:2,pass,log\"",
        "SecRule TX:/ext/ \"@rx html\" \"id:3,phase:2,pass,log\"",
        "SecAction \"id:3,phase:2,pass,log,msg:'%{tx.extension} %{tx.name_2_host}'\"",
        "SecRule &TX:extension \"@eq 1\" \"id:3,phase:2,pass,log\"",
        // What a match leaves behind, though its chain has none.
        "SecAction \"id:3,phase:2,pass,log,msg:'%{tx.0} %{tx.1}'\"",
        "SecAction \"id:3,phase:2,pass,log,msg:'%{MATCHED_VAR} %{MATCHED_VAR_NAME}'\"",
        "SecRule TX:1 \"@streq html\" \"id:3,phase:3,pass,log\"",
    ] {
        let text = format!("{LISTS}{more}");
        for headers in [&[][..], &[("Proxy", "1")]] {
            let seen = same(&text, "GET", "/a.html", headers, "").logged();
            assert!(seen.contains(&3) || more.contains("TX:1"), "{more}: {seen:?}");
        }
    }
}

#[test]
fn captures_of_rules_passed_over_are_made_up_for() {
    let text = r#"
SecRule REQUEST_HEADERS:X-A "@rx (.)$" "id:1,phase:1,pass,nolog,capture,chain"
    SecRule &REQUEST_HEADERS:X-Never "@gt 0" ""
SecRule REQUEST_HEADERS:X-A "@streq and" "id:2,phase:1,pass,nolog,ctl:ruleRemoveTargetById=1;REQUEST_HEADERS:X-A"
SecAction "id:3,phase:2,pass,log,msg:'%{tx.0}'"
SecRule ARGS:p "@rx ^(.)" "id:4,phase:2,pass,nolog,capture"
SecAction "id:5,phase:5,pass,log,msg:'%{tx.0}'"
"#;
    let said = |seen: Observed| seen.matches.iter().map(|matched| matched.1.clone()).collect::<Vec<_>>();
    assert_eq!(said(same(text, "GET", "/", &[("X-A", "and")], "")), ["d", "d"]);
    assert_eq!(said(same(text, "GET", "/?p=quick", &[("X-A", "and")], "")), ["d", "q"]);
    assert_eq!(said(same(text, "GET", "/", &[], "")), ["", ""]);
}

fn random_rules(random: &mut Random) -> String {
    let mut text = String::new();
    for id in 1..=4 + random.below(10) {
        let condition = |random: &mut Random| {
            random.pick(&[
                "REQUEST_HEADERS:X-A \"!@rx ^[ab]\"",
                "REQUEST_HEADERS:X-A \"@rx ^$\"",
                "REQUEST_HEADERS \"@streq xa\"",
                "&REQUEST_HEADERS:X-A \"@gt 0\"",
                "&REQUEST_HEADERS:X-A|&ARGS \"@ge 2\"",
                "&REQUEST_HEADERS:X-B \"!@eq 0\"",
                "&REQUEST_HEADERS:X-B \"@lt 1\"",
                "ARGS|!ARGS:p \"!@streq 1\"",
                "ARGS:p|REQUEST_HEADERS:X-A \"@rx (.)(.?)$\"",
                "ARGS \"@rx ^(a)?(b)\"",
                "ARGS_NAMES|REQUEST_METHOD \"@contains os\"",
                "REQUEST_METHOD \"@streq POST\"",
                "REQUEST_METHOD \"@rx ^(GET|HEAD)$\"",
                "REQUEST_PROTOCOL \"!@within HTTP/2 HTTP/3\"",
                "REQBODY_PROCESSOR \"@streq URLENCODED\"",
                "REQBODY_PROCESSOR \"!@streq JSON\"",
                "REQUEST_BODY_LENGTH \"@gt 4\"",
                "REQUEST_BODY_LENGTH \"@lt 4\"",
                "TX:1 \"@streq b\"",
                "TX:a \"@within .bak/ .b/\"",
                "TX:a \"@within .bak/ .ab/\"",
                "TX:/^n_/ \"@within /xa/ /q/\"",
                "TX:/n_x/ \"@rx .\"",
                "MATCHED_VAR \"@rx .\"",
            ])
        };
        let set = |random: &mut Random| {
            random.pick(&[
                "",
                "",
                ",setvar:tx.a=.%{tx.1}/",
                ",setvar:tx.n_%{tx.0}=/%{tx.0}/",
                ",setvar:tx.s=+1",
                ",setvar:tx.b=%{MATCHED_VAR}",
                ",ctl:ruleRemoveTargetByTag=x;REQUEST_HEADERS:X-A",
                ",ctl:ruleRemoveById=3",
                ",ctl:requestBodyProcessor=JSON",
            ])
        };
        let phase = random.pick(&["1", "1", "2", "2", "3", "5"]);
        let mut rule = format!("id:{id},phase:{phase},pass,t:none,tag:{}", random.pick(&["x", "y"]));
        // What others have left behind is seen in few rulesets: it keeps many gates away.
        rule += match random.below(12) {
            0 => ",log,msg:'%{tx.0}-%{tx.1}-%{MATCHED_VAR}'",
            1 => ",log,msg:'%{tx.0}-%{tx.1}-%{tx.2}'",
            2 | 3 => ",nolog",
            _ => ",log",
        };
        if random.below(2) == 0 {
            rule += ",capture";
        }
        rule += set(random);
        if random.below(10) == 0 {
            rule += ",skip:1";
        }
        if random.below(14) == 0 {
            text += &format!("SecAction \"{rule}\"\n");
            continue;
        }
        let links = random.below(3) as usize;
        let chain = |more: usize| if more > 0 { ",chain" } else { "" };
        text += &format!("SecRule {} \"{rule}{}\"\n", condition(random), chain(links));
        for link in 0..links {
            let capture = random.pick(&["", ",capture"]);
            let actions = format!("t:none{capture}{}{}", set(random), chain(links - 1 - link));
            // A ctl belongs to the head alone.
            let actions =
                if actions.contains("ctl:") { format!("t:none{}", chain(links - 1 - link)) } else { actions };
            text += &format!("SecRule {} \"{actions}\"\n", condition(random));
        }
    }
    if random.below(3) == 0 {
        text += "SecAction \"id:900,phase:5,pass,log,msg:'%{tx.a}-%{tx.s}-%{tx.0}'\"\n";
    }
    text
}

#[test]
fn no_request_can_tell() {
    let mut random = Random(77);
    let (mut before, mut after) = (0, 0);
    for _ in 0..std::env::var("GATE_ROUNDS").map_or(400, |rounds| rounds.parse().unwrap()) {
        let text = random_rules(&mut random);
        before += text.lines().filter(|line| line.contains("id:")).count();
        after += always(&text).len();
        let (gated, plain) =
            (build(&text, &Options::default()), build(&text, &Options { fold: false, ..Options::default() }));
        const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
        for (method, target, headers, body) in [
            ("GET", "/", &[][..], ""),
            ("GET", "/a.bak?p=ab&q=b", &[("X-A", "xa")][..], ""),
            ("POST", "/?xa=1&post=b", &[("X-A", ""), ("X-B", "1"), FORM], "p=1&q=b&xa=2"),
            ("GET", "/?p=1&bs=aab&q", &[("X-A", "c"), ("X-A", "a.b")], ""),
            ("POST", "/?os=%00", &[("X-B", "xa")], "abc"),
        ] {
            let see = |blob: &[u8]| exchange(blob, method, target, headers, body.as_bytes(), b"fine");
            let (gated, plain) = (see(&gated.blob), see(&plain.blob));
            assert_eq!(gated, plain, "{method} {target} {headers:?} {body}\n{text}");
        }
    }
    assert!(after * 2 < before, "{before} rules, {after} run always: too many to mean anything");
}

#[test]
fn scores_that_nothing_was_added_to_are_not_summed_up() {
    let text = r#"
SecAction "id:1,phase:1,pass,nolog,setvar:tx.a=0,setvar:tx.b=0,setvar:tx.sum=0,setvar:tx.word=x"
SecRule ARGS:x "@streq 1" "id:2,phase:1,pass,log,setvar:tx.a=+5"
SecAction "id:3,phase:1,pass,nolog,setvar:tx.sum=+%{tx.a}"
SecRule ARGS:y "@rx ^(a|sum|word)$" "id:4,phase:2,pass,log,capture,setvar:tx.%{tx.1}=+4"
SecAction "id:5,phase:2,pass,nolog,setvar:tx.sum=0"
SecAction "id:6,phase:2,pass,nolog,setvar:tx.sum=+%{tx.a},setvar:tx.sum=+%{tx.b}"
SecRule TX:sum "@ge 5" "id:7,phase:2,pass,log,msg:'%{tx.sum} %{tx.word}'"
SecRule TX:sum|TX:none "@gt 6" "id:8,phase:2,pass,log,chain"
    SecRule REQUEST_METHOD "@streq GET" "setvar:tx.b=+1"
SecRule ARGS:z "@streq 1" "id:9,phase:2,pass,log,setvar:!tx.sum"
SecRule TX:b "@eq 1" "id:10,phase:2,pass,log"
SecRule ARGS:z "@streq 2" "id:11,phase:3,pass,log,setvar:tx.sum=-9"
SecRule TX:sum "!@ge -8" "id:12,phase:4,pass,log"
"#;
    assert!(always(text).is_empty());
    let logged = |query: &str| same(text, "GET", &format!("/?{query}"), &[], "").logged();
    assert!(logged("q=1").is_empty());
    assert_eq!(logged("x=1"), [2, 7]);
    assert_eq!(logged("y=a"), [4]);
    assert_eq!(logged("x=1&y=a"), [2, 4, 7, 8, 10]);
    assert_eq!(logged("x=1&y=sum"), [2, 4, 7]);
    assert_eq!(logged("z=2"), [11, 12]);
    for query in ["x=1&y=word", "x=1&z=1", "y=sum&z=2", "x=1&x=1&y=b&z=1&z=2", "x=1&x=1&y=none"] {
        logged(query);
    }
    // What is true at the beginning, what is told, and what may be a capture waits for nothing.
    let text = r#"
SecAction "id:1,phase:1,pass,nolog,setvar:tx.a=0,setvar:tx.sum=0,setvar:tx.text=007"
SecRule ARGS:x "@streq 1" "id:2,phase:1,pass,log,setvar:tx.a=+5,setvar:tx.sum=+1,setvar:tx.text=+1"
SecRule TX:sum "@lt 1" "id:3,phase:2,pass,log"
SecAction "id:4,phase:2,pass,log,setvar:tx.sum=+%{tx.a}"
SecRule TX:1 "@gt 5" "id:5,phase:2,pass,log"
SecAction "id:6,phase:2,pass,nolog,setvar:tx.text=+%{tx.a}"
SecRule TX:sum "@lt 1" "id:7,phase:2,pass,log"
"#;
    assert_eq!(always(text), [3, 4, 5, 6, 7]);
    for query in ["q=1", "x=1"] {
        same(text, "GET", &format!("/?{query}"), &[], "");
    }
}
