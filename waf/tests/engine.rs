//! The engine over a small ruleset: from a request to its verdict.

use picket_abi::{
    Action, BodyChunk, Configure, Header, Octets, OutcomeBuf, RequestHead, SeqBuf, Setting, Value,
};
use picket_waf::{BlobError, RuleSet, Waf};
use proptest::prelude::*;

const RULES: &str = r#"
[[pipeline]]
name = "sql"
transformations = ["urlDecodeDeep", "removeNulls", "sqlFold"]

[[rule]]
id = 100
message = "a keyword pair"
severity = "critical"
category = "sqli"
tags = ["one", "two"]
[[rule.detect]]
targets = ["ARGS", "ARGS_NAMES", "REQUEST_COOKIES", "REQUEST_HEADERS", "!REQUEST_HEADERS:Referer"]
pipeline = "sql"
patterns = ['''\bunion\s+select\b''']

[[rule]]
id = 200
message = "protocol"
severity = "warning"
category = "protocol"
[[rule.detect]]
targets = ["REQUEST_METHOD"]
op = "not_rx"
patterns = ['''^get$''', '''^post$''']
[[rule.detect]]
targets = ["REQUEST_HEADERS:Host"]
op = "absent"
[[rule.detect]]
targets = ["HEADER_COUNT:Host"]
patterns = ['''^([2-9]|[1-9]\d+)$''']
[[rule.detect]]
targets = ["REQBODY_ERROR"]
patterns = ['''json|multipart''']
"#;

fn waf(settings: &[(&str, Value<'_>)]) -> Waf {
    let blob = picket_waf_compiler::compile(RULES).unwrap().blob.leak();
    let mut encoded = SeqBuf::<Setting<'_>>::new();
    for &(key, value) in settings {
        encoded.push(Setting { key: key.into(), value });
    }
    let configure = Configure { settings: encoded.as_seq(), data: Octets(b"") };
    Waf::configure(RuleSet::load(blob).unwrap(), &configure).unwrap()
}

struct Request<'a> {
    method: &'a str,
    target: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: Option<&'a [u8]>,
}

const GET: Request<'static> = Request { method: "GET", target: "/", headers: &[("Host", "a")], body: None };

/// Runs a request; the outcomes of its head and of its body in one chunk.
fn run(waf: &mut Waf, request: &Request<'_>) -> Vec<OutcomeBuf> {
    let mut headers = SeqBuf::<Header<'_>>::new();
    for &(name, value) in request.headers {
        headers.push(Header { name: name.into(), value: value.into() });
    }
    let head = RequestHead {
        method: request.method.into(),
        target: request.target.into(),
        headers: headers.as_seq(),
        end: request.body.is_none(),
        ..RequestHead::default()
    };
    let mut outcomes = vec![waf.request_head(&head)];
    if let Some(body) = request.body {
        outcomes.push(waf.request_body(&BodyChunk { offset: 0, end: true, data: Octets(body) }));
    }
    outcomes
}

fn found(outcomes: &[OutcomeBuf]) -> Vec<(u32, String)> {
    outcomes
        .iter()
        .flat_map(|outcome| outcome.verdict.matches.iter())
        .map(|found| (found.rule_id, found.location.to_string()))
        .collect()
}

fn blocked(outcomes: &[OutcomeBuf]) -> bool {
    outcomes.iter().any(|outcome| matches!(outcome.as_outcome().action, Action::Respond { .. }))
}

#[test]
fn an_attack_is_found_wherever_it_stands_and_however_it_is_written() {
    for (request, location) in [
        (Request { target: "/?q=1+union+select+2", ..GET }, "ARGS:q"),
        (Request { target: "/?a=b&q=1%20UnIoN%0aSeLeCt", ..GET }, "ARGS:q"),
        (Request { target: "/?q=1%2520union%2520select", ..GET }, "ARGS:q"),
        (Request { target: "/?q=un%00ion/**/select", ..GET }, "ARGS:q"),
        (Request { target: "/?union+select=1", ..GET }, "ARGS_NAMES:union select"),
        (Request { headers: &[("Host", "a"), ("X-Any", "union select")], ..GET }, "REQUEST_HEADERS:X-Any"),
        (
            Request { headers: &[("Host", "a"), ("Cookie", "s=1; t=union%20select")], ..GET },
            "REQUEST_COOKIES:t",
        ),
        (
            Request {
                method: "POST",
                headers: &[("Host", "a"), ("Content-Type", "application/json")],
                body: Some(br#"{"a":["\u0075nion select"]}"#),
                ..GET
            },
            "ARGS:json.a.0",
        ),
        (
            Request {
                method: "POST",
                headers: &[("Host", "a"), ("Content-Type", "application/x-www-form-urlencoded")],
                body: Some(b"x=y&z=union%2bselect&q=union%20select"),
                ..GET
            },
            "ARGS:q",
        ),
    ] {
        let mut waf = waf(&[]);
        let outcomes = run(&mut waf, &request);
        assert_eq!(found(&outcomes), [(100, location.to_owned())], "{}", request.target);
        assert!(blocked(&outcomes));
        assert_eq!(waf.score(), 5);
        assert_eq!(found(&run(&mut waf, &GET)), [], "the next transaction begins anew");
        assert_eq!(waf.score(), 0);
    }
}

#[test]
fn an_excluded_header_is_left_alone() {
    let request = Request { headers: &[("Host", "a"), ("referer", "/?union select")], ..GET };
    assert_eq!(found(&run(&mut waf(&[]), &request)), []);
}

#[test]
fn a_rule_counts_once_and_reports_every_place() {
    let request = Request { target: "/?a=union+select&b=union+select", ..GET };
    let outcomes = run(&mut waf(&[]), &request);
    assert_eq!(found(&outcomes), [(100, "ARGS:a".into()), (100, "ARGS:b".into())]);
    assert_eq!(outcomes[0].verdict.score, 5);
    let scores: Vec<_> = outcomes[0].verdict.matches.iter().map(|found| found.score).collect();
    assert_eq!(scores, [5, 0]);
    let tags: Vec<_> =
        outcomes[0].verdict.matches.iter().next().unwrap().tags.iter().map(|tag| tag.to_string()).collect();
    assert_eq!(tags, ["one", "two"]);
}

#[test]
fn protocol_checks() {
    for (request, locations) in [
        (Request { method: "PUT", ..GET }, &["REQUEST_METHOD"][..]),
        (Request { headers: &[], ..GET }, &["REQUEST_HEADERS:Host"]),
        (Request { headers: &[("Host", "a"), ("host", "b")], ..GET }, &["HEADER_COUNT:Host"]),
        (
            Request {
                method: "POST",
                headers: &[("Host", "a"), ("Content-Type", "text/json")],
                body: Some(b"{"),
                ..GET
            },
            &["REQBODY_ERROR"],
        ),
    ] {
        let outcomes = run(&mut waf(&[]), &request);
        let expected: Vec<_> = locations.iter().map(|&location| (200, location.to_owned())).collect();
        assert_eq!(found(&outcomes), expected);
        assert!(!blocked(&outcomes), "a warning alone stays below the threshold");
    }
}

#[test]
fn settings_decide() {
    let attack = Request { target: "/admin/x?Q=union+select", ..GET };
    let text = |text: &'static str| Value::Text(Octets(text.as_bytes()));
    for (settings, blocks, matches) in [
        (&[("mode", text("detect"))][..], false, 1),
        (&[("threshold", Value::Int(6))], false, 1),
        (&[("allow.0.rule", Value::Int(100))], false, 0),
        (&[("allow.0.rule", Value::Int(200))], true, 1),
        (&[("allow.0.path", text("/admin/*")), ("allow.0.arg", text("q"))], false, 0),
        (&[("allow.0.path", text("/admin")), ("allow.0.arg", text("q"))], true, 1),
        (&[("allow.0.rule", Value::Int(200)), ("allow.1.arg", text("*"))], false, 0),
    ] {
        let outcomes = run(&mut waf(settings), &attack);
        assert_eq!((blocked(&outcomes), found(&outcomes).len()), (blocks, matches), "{settings:?}");
    }
    let outcomes = run(&mut waf(&[("block_status", Value::Int(418))]), &attack);
    assert!(matches!(outcomes[0].as_outcome().action, Action::Respond { status: 418, .. }));
}

#[test]
fn a_wrong_setting_is_named() {
    let blob = picket_waf_compiler::compile(RULES).unwrap().blob.leak();
    for (key, value) in [
        ("mod", Value::Int(1)),
        ("mode", Value::Text(Octets(b"off"))),
        ("threshold", Value::Int(0)),
        ("block_status", Value::Int(200)),
        ("allow.1.rule", Value::Int(1)),
        ("allow.0.rule", Value::Int(1)),
        ("allow.0.rules", Value::Int(1)),
        ("allow.x.rule", Value::Int(1)),
    ] {
        let mut settings = SeqBuf::<Setting<'_>>::new();
        settings.push(Setting { key: key.into(), value });
        let configure = Configure { settings: settings.as_seq(), data: Octets(b"") };
        let error = Waf::configure(RuleSet::load(blob).unwrap(), &configure).err().expect(key);
        assert_eq!(error.key(), key);
    }
}

#[test]
fn explanations_show_the_way_to_the_match() {
    let request = Request { target: "/?q=1%2520union/**/select+2", ..GET };
    let outcomes = run(&mut waf(&[("explain", Value::Bool(true))]), &request);
    let found = outcomes[0].verdict.matches.iter().next().unwrap();
    assert_eq!(found.value, "1%20union/**/select 2");
    assert_eq!(found.transformations, "urlDecodeDeep,sqlFold");
    assert!(found.matched.ends_with(b"union select"), "{}", found.matched);
}

#[test]
fn a_damaged_blob_is_refused_and_never_panics() {
    let blob = picket_waf_compiler::compile(RULES).unwrap().blob;
    assert_eq!(RuleSet::load(b"PK").unwrap_err(), BlobError::NotARuleset);
    assert!(matches!(RuleSet::load(&blob[..100]), Err(BlobError::Length { .. })));
    for at in (0..blob.len()).step_by(7) {
        let mut damaged = blob.clone();
        damaged[at] ^= 0x55;
        assert!(RuleSet::load(&damaged).is_err(), "byte {at}");
        // Even unchecked it may only be wrong, not dangerous.
        if let Ok(rules) = RuleSet::from_trusted(damaged.leak()) {
            let mut waf = Waf::new(rules, picket_waf::Config::default());
            run(&mut waf, &Request { target: "/?q=1%20union/**/select&b=%2527", ..GET });
        }
    }
}

const CONTENT_TYPES: [&str; 6] = [
    "application/x-www-form-urlencoded",
    "application/json",
    "multipart/form-data; boundary=b",
    "text/plain",
    "multipart/form-data",
    "\u{ff}/;;=",
];

/// Bytes that are mostly what the parsers look for.
fn body_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"union select".to_vec()),
        Just(b"\r\n--b\r\n".to_vec()),
        Just(b"--b--".to_vec()),
        Just(b"Content-Disposition: form-data; name=\"x\"; filename=y\r\n\r\n".to_vec()),
        Just(b"{\"a\":[\"".to_vec()),
        Just(b"\"]}".to_vec()),
        Just(b"\\u00".to_vec()),
        Just(b"%2".to_vec()),
        Just(b"/*".to_vec()),
        Just(b"&=".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Whatever comes: no panic, and the same matches however the body is cut into chunks.
    #[test]
    fn any_request_in_any_chunks(
        target in proptest::collection::vec(any::<u8>(), 0..40),
        header in proptest::collection::vec(any::<u8>(), 0..40),
        content_type in 0..CONTENT_TYPES.len(),
        body in body_bytes(),
        cuts in proptest::collection::vec(1usize..20, 1..8),
    ) {
        let judge = |cuts: &[usize]| {
            let mut waf = waf(&[]);
            let mut headers = SeqBuf::<Header<'_>>::new();
            headers.push(Header { name: "cookie".into(), value: Octets(&header) });
            headers.push(Header { name: "content-type".into(), value: CONTENT_TYPES[content_type].into() });
            let head =
                RequestHead { target: Octets(&target), headers: headers.as_seq(), ..RequestHead::default() };
            let mut found = found(&[waf.request_head(&head)]);
            let mut rest = &body[..];
            for &cut in cuts.iter().cycle() {
                let (data, tail) = rest.split_at(cut.min(rest.len()));
                let chunk = BodyChunk { offset: 0, end: tail.is_empty(), data: Octets(data) };
                found.extend(self::found(&[waf.request_body(&chunk)]));
                rest = tail;
                if chunk.end {
                    break;
                }
            }
            (found, waf.score())
        };
        let whole = judge(&[usize::MAX]);
        // Raw bodies are inspected in overlapping windows, which may report one place twice.
        prop_assert_eq!(judge(&cuts).1, whole.1, "score");
    }
}
