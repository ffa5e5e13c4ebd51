//! What rules do, by rules of our own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use picket_abi::{Action, Header, Peer, PeerAddr, RequestHead, ResponseHead, SeqBuf};
use picket_seclang::{Guard, NoServices, RuleSet, Services, Settings, Transaction, Verb};
use picket_waf_compiler::seclang::{Options, compile, syntax};

const BASE: &str = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n\
    SecRequestBodyLimit 4096\nSecRequestBodyNoFilesLimit 1024\nSecRequestBodyLimitAction Reject\n\
    SecResponseBodyMimeType text/plain text/html\nSecResponseBodyLimit 1024\n\
    SecResponseBodyLimitAction ProcessPartial\n\
    SecDefaultAction \"phase:1,log,auditlog,pass\"\nSecDefaultAction \"phase:2,log,auditlog,pass\"\n\
    SecDefaultAction \"phase:3,log,auditlog,pass\"\nSecDefaultAction \"phase:4,log,auditlog,pass\"\n\
    SecDefaultAction \"phase:5,log,auditlog,pass\"\n";

/// A request and its response.
#[derive(Clone)]
struct Case<'c> {
    rules: &'c str,
    method: &'c str,
    target: &'c str,
    headers: &'c [(&'c str, &'c str)],
    body: &'c [u8],
    status: u16,
    response_headers: &'c [(&'c str, &'c str)],
    response: &'c [u8],
}

impl Default for Case<'_> {
    fn default() -> Self {
        Case {
            rules: "",
            method: "GET",
            target: "/",
            headers: &[],
            body: b"",
            status: 200,
            response_headers: &[("Content-Type", "text/plain")],
            response: b"hello",
        }
    }
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    ids: Vec<u32>,
    messages: Vec<String>,
    locations: Vec<String>,
    data: Vec<String>,
    stopped: Option<(u16, u32)>,
}

fn blob(rules: &str, fold: bool) -> Vec<u8> {
    let configuration = syntax::parse_str("test.conf", &format!("{BASE}{rules}")).unwrap();
    let compiled = compile(configuration, &Options { fold, ..Options::default() }).unwrap();
    let left_out: Vec<_> =
        compiled.diagnostics.iter().filter(|diagnostic| diagnostic.rule_left_out.is_some()).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
    compiled.blob
}

fn list(from: &[(&str, &str)]) -> SeqBuf<Header<'static>> {
    let mut headers = SeqBuf::new();
    for (name, value) in from {
        headers.push(Header { name: (*name).into(), value: (*value).into() });
    }
    headers
}

fn drive(case: &Case<'_>, transaction: &mut Transaction<'_>) {
    let headers = list(case.headers);
    transaction.request_head(&RequestHead {
        request_id: "id-1".into(),
        client: Peer { addr: PeerAddr::V4([192, 0, 2, 1]), port: 4000 },
        method: case.method.into(),
        target: case.target.into(),
        headers: headers.as_seq(),
        end: case.body.is_empty(),
        ..RequestHead::default()
    });
    // In pieces, so that the seams are not where the values end.
    let mut chunks = case.body.chunks(7).peekable();
    while let Some(chunk) = chunks.next() {
        transaction.request_body(chunk, chunks.peek().is_none());
    }
    let headers = list(case.response_headers);
    transaction.response_head(&ResponseHead {
        status: case.status,
        headers: headers.as_seq(),
        end: false,
        ..ResponseHead::default()
    });
    transaction.response_body(case.response, true);
    transaction.log();
}

fn run_blob(case: &Case<'_>, blob: &[u8]) -> Seen {
    let rules = RuleSet::load(blob).unwrap();
    let mut transaction = Transaction::begin(rules, Settings::default(), Box::new(NoServices));
    drive(case, &mut transaction);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Seen {
        ids: transaction.matches().iter().map(|matched| matched.id).collect(),
        messages: transaction.matches().iter().map(|matched| text(&matched.message)).collect(),
        locations: transaction.matches().iter().map(|matched| text(&matched.location)).collect(),
        data: transaction.matches().iter().map(|matched| text(&matched.data)).collect(),
        stopped: transaction.interruption().map(|stop| (stop.status, stop.rule_id)),
    }
}

/// Runs a case; what the compiler decides ahead must not show.
fn run(case: &Case<'_>) -> Seen {
    let seen = run_blob(case, &blob(case.rules, true));
    assert_eq!(seen, run_blob(case, &blob(case.rules, false)), "folding changes the outcome");
    seen
}

fn get(rules: &str, target: &str) -> Seen {
    run(&Case { rules, target, ..Case::default() })
}

const ECHO: &str = "SecAction \"id:99,phase:2,msg:'%{tx.a} %{tx.b} %{tx.c}'\"\n";

#[test]
fn a_rule_matches_where_its_operator_does() {
    let rules = "SecRule ARGS \"@rx ev[il]l\" \"id:1,phase:2,deny,status:418,msg:'bad'\"\n";
    let seen = get(rules, "/?a=good&b=so%20evel");
    assert_eq!(seen.ids, []);
    let seen = get(rules, "/?a=good&b=so+evll+it+is");
    assert_eq!((&seen.ids[..], seen.stopped), (&[1][..], Some((418, 1))));
    assert_eq!(seen.locations, ["ARGS:b"]);
}

#[test]
fn variables_are_set_for_each_value_that_matches() {
    let rules = "SecRule ARGS \"@contains x\" \"id:1,phase:2,pass,setvar:tx.a=+5,\
        setvar:'tx.b=%{tx.b}<%{matched_var_name}=%{matched_var}>'\"\n";
    let seen = get(&(rules.to_owned() + ECHO), "/?p=x1&q=n&r=2x");
    assert_eq!(seen.ids, [1, 99]);
    assert_eq!(seen.messages[1], "10 <ARGS:p=x1><ARGS:r=2x> ");
    assert_eq!(seen.locations[0], "ARGS:r", "the last match is the one that is told");
}

#[test]
fn a_chain_matches_as_a_whole_but_sets_its_variables_as_it_goes() {
    let rules = "SecRule ARGS:p \"@contains x\" \"id:1,phase:2,deny,setvar:tx.a=1,chain\"\n\
        SecRule ARGS:q \"@contains y\" \"setvar:tx.b=2,chain\"\n\
        SecRule ARGS:r \"@contains z\" \"setvar:tx.c=3\"\n";
    let rules = rules.to_owned() + ECHO;
    assert_eq!(get(&rules, "/?p=1").messages, ["  "]);
    assert_eq!(get(&rules, "/?p=x&r=z").messages, ["1  "]);
    assert_eq!(get(&rules, "/?p=x&q=y").messages, ["1 2 "]);
    let seen = get(&rules, "/?p=x&q=y&r=z");
    assert_eq!((&seen.ids[..], seen.stopped), (&[1][..], Some((403, 1))));
}

#[test]
fn links_see_what_matched_before_them() {
    let rules = "SecRule ARGS \"@rx ^(\\w+):(\\d+)$\" \"id:1,phase:2,capture,chain,msg:'%{tx.1}'\"\n\
        SecRule TX:2 \"@gt 10\" \"chain\"\n\
        SecRule MATCHED_VARS_NAMES \"@streq ARGS:b\" \"chain\"\n\
        SecRule TX:3 \"!@streq x\" \"t:none\"\n";
    assert_eq!(get(rules, "/?a=one:11&b=two:12").ids, [], "TX.3 is not there");
    let rules = rules.replace("SecRule TX:3 \"!@streq x\"", "SecRule &TX:3 \"@eq 0\"");
    let seen = get(&rules, "/?a=one:11&b=two:12");
    assert_eq!((seen.ids, seen.messages), (vec![1], vec!["two".to_owned()]));
    assert_eq!(get(&rules, "/?a=one:11&b=two:9").ids, []);
    assert_eq!(get(&rules, "/?a=one:11").ids, []);
}

#[test]
fn captures_of_an_earlier_rule_do_not_stay() {
    let rules = "SecRule ARGS:a \"@rx (.)(.)\" \"id:1,phase:2,capture,nolog\"\n\
        SecRule ARGS:b \"@rx (.)\" \"id:2,phase:2,capture,msg:'[%{tx.0}%{tx.1}%{tx.2}]'\"\n";
    assert_eq!(get(rules, "/?a=xy&b=z").messages, ["[zz]"]);
}

#[test]
fn what_is_not_there_is_not_asked() {
    let rules = "SecRule REQUEST_HEADERS:X-A \"!@rx ^ok$\" \"id:1,phase:1\"\n\
        SecRule &REQUEST_HEADERS:X-A \"@eq 0\" \"id:2,phase:1\"\n\
        SecRule TX:none \"!@eq 1\" \"id:3,phase:1\"\n\
        SecRule QUERY_STRING \"!@rx .\" \"id:4,phase:1\"\n\
        SecRule &ARGS \"@gt 2\" \"id:5,phase:1\"\n";
    assert_eq!(get(rules, "/").ids, [2, 4], "scalars are always there");
    let seen =
        run(&Case { rules, target: "/?1&2&3", headers: &[("x-a", "no"), ("X-A", "ok")], ..Case::default() });
    assert_eq!(seen.ids, [1, 5]);
    assert_eq!(seen.locations, ["REQUEST_HEADERS:x-a", "&ARGS"]);
}

#[test]
fn targets_are_left_out_by_key_and_by_pattern() {
    let rules = "SecRule ARGS|!ARGS:free|!ARGS:/^tmp_/ \"@contains bad\" \"id:1,phase:2\"\n\
        SecRule REQUEST_HEADERS|!REQUEST_HEADERS:Cookie \"@contains bad\" \"id:2,phase:1\"\n";
    assert_eq!(get(rules, "/?Free=bad&tmp_1=bad").ids, []);
    assert_eq!(get(rules, "/?tmp=bad").ids, [1]);
    let headers = &[("cookie", "a=bad")][..];
    assert_eq!(run(&Case { rules, headers, ..Case::default() }).ids, []);
}

#[test]
fn rules_and_targets_go_at_run_time() {
    let rules = "SecRule ARGS:off \"@streq rule\" \"id:1,phase:1,nolog,ctl:ruleRemoveById=10-11\"\n\
        SecRule ARGS:off \"@streq tag\" \"id:2,phase:1,nolog,ctl:ruleRemoveByTag=some\"\n\
        SecRule ARGS:off \"@streq target\" \"id:3,phase:1,nolog,ctl:ruleRemoveTargetById=10;ARGS:a\"\n\
        SecRule ARGS:off \"@streq tags\" \"id:4,phase:1,nolog,ctl:ruleRemoveTargetByTag=some;ARGS\"\n\
        SecRule ARGS \"@contains bad\" \"id:10,phase:2\"\n\
        SecRule ARGS|REQUEST_URI \"@contains bad\" \"id:11,phase:2,tag:some\"\n\
        SecAction \"id:12,phase:2,tag:some\"\n";
    assert_eq!(get(rules, "/?a=bad").ids, [10, 11, 12]);
    assert_eq!(get(rules, "/?a=bad&off=rule").ids, [12]);
    assert_eq!(get(rules, "/?a=bad&off=tag").ids, [10]);
    assert_eq!(get(rules, "/?a=bad&off=target").ids, [11, 12]);
    assert_eq!(get(rules, "/?a=bad&b=bad&off=target").locations[0], "ARGS:b");
    let seen = get(rules, "/?a=bad&off=tags");
    assert_eq!(seen.ids, [10, 11, 12]);
    assert_eq!(seen.locations[1], "REQUEST_URI");
}

#[test]
fn skipping_ends_at_its_marker() {
    let rules = "SecRule ARGS:s \"@streq 1\" \"id:1,phase:2,nolog,skipAfter:END\"\n\
        SecRule ARGS:s \"@streq 2\" \"id:2,phase:2,nolog,skip:1\"\n\
        SecAction \"id:3,phase:2\"\nSecAction \"id:4,phase:2\"\nSecMarker END\nSecAction \"id:5,phase:2\"\n";
    assert_eq!(get(rules, "/?s=1").ids, [5]);
    assert_eq!(get(rules, "/?s=2").ids, [4, 5]);
    assert_eq!(get(rules, "/?s=3").ids, [3, 4, 5]);
}

#[test]
fn the_operator_looks_between_transformations() {
    let target = "/?a=%252e%252e%252f";
    let once = "SecRule ARGS \"@contains %2e\" \"id:1,phase:2,t:urlDecodeUni,t:urlDecodeUni\"\n";
    assert_eq!(get(once, target).ids, []);
    let each = "SecRule ARGS \"@contains %2e\" \"id:1,phase:2,t:urlDecodeUni,t:urlDecodeUni,multiMatch\"\n";
    assert_eq!(get(each, target).ids, [1]);
    let counted = "SecRule ARGS \"@rx [./]\" \"id:1,phase:2,t:urlDecodeUni,t:normalizePath,multiMatch,\
        setvar:tx.a=+1,nolog\"\n";
    let seen = get(&(counted.to_owned() + ECHO), "/?a=/x%252f..%252fy");
    assert_eq!(seen.messages, ["3  "], "as it came, decoded, and as a path");
}

#[test]
fn detection_only_refuses_nothing() {
    let rules = "SecRuleEngine DetectionOnly\nSecRule ARGS \"@contains a\" \"id:1,phase:1,deny\"\n\
        SecAction \"id:2,phase:1\"\n";
    let seen = get(rules, "/?x=a");
    assert_eq!((&seen.ids[..], seen.stopped), (&[1, 2][..], None));
    let off = rules.replace("DetectionOnly", "Off");
    assert_eq!(get(&off, "/?x=a").ids, []);
    let turned = "SecRule ARGS:e \"@streq off\" \"id:1,phase:1,nolog,ctl:ruleEngine=Off\"\n\
        SecRule ARGS:e \"@streq see\" \"id:2,phase:1,nolog,ctl:ruleEngine=DetectionOnly\"\n\
        SecAction \"id:3,phase:2,deny\"\n";
    assert_eq!(get(turned, "/?e=off").ids, []);
    assert_eq!(get(turned, "/?e=see").stopped, None);
    assert_eq!(get(turned, "/").stopped, Some((403, 3)));
}

#[test]
fn what_is_allowed_ends_as_far_as_it_says() {
    let rules = |scope: &str| {
        let mut rules = format!("SecRule ARGS:a \"@eq 1\" \"id:1,phase:1,nolog,allow{scope}\"\n");
        for phase in 1..=5 {
            rules += &format!("SecAction \"id:1{phase},phase:{phase}\"\n");
        }
        rules
    };
    assert_eq!(get(&rules(""), "/?a=2").ids, [11, 12, 13, 14, 15]);
    assert_eq!(get(&rules(""), "/?a=1").ids, [15]);
    assert_eq!(get(&rules(":phase"), "/?a=1").ids, [12, 13, 14, 15]);
    assert_eq!(get(&rules(":request"), "/?a=1").ids, [13, 14, 15]);
}

#[test]
fn a_redirection_leads_where_its_text_says() {
    let rules = "SecRule REQUEST_URI \"@beginsWith /old\" \
        \"id:1,phase:1,redirect:'https://example.org/new?%{query_string}',status:301\"\n";
    let blob = blob(rules, true);
    let rules = RuleSet::load(&blob).unwrap();
    let mut guard = Guard::new(rules, Settings::default(), NoServices);
    let head = RequestHead { method: "GET".into(), target: "/old?a=1".into(), ..RequestHead::default() };
    let outcome = guard.request_head(&head);
    assert_eq!(guard.transaction().unwrap().interruption().unwrap().verb, Verb::Redirect);
    match outcome.as_outcome().action {
        Action::Redirect { status: 301, location } => assert_eq!(location, "https://example.org/new?a=1"),
        other => panic!("{other:?}"),
    }
    let matches: Vec<u32> = outcome.as_outcome().verdict.matches.iter().map(|found| found.rule_id).collect();
    assert_eq!(matches, [1]);
    assert!(guard.log().verdict.matches.is_empty(), "told once");
}

#[test]
fn a_clean_request_says_nothing() {
    let blob = blob("SecRule ARGS \"@contains bad\" \"id:1,phase:2,deny\"\n", true);
    let mut guard = Guard::new(RuleSet::load(&blob).unwrap(), Settings::default(), NoServices);
    let head = RequestHead { target: "/?a=good".into(), end: true, ..RequestHead::default() };
    assert!(guard.request_head(&head).is_silent());
    let head = RequestHead { target: "/?a=bad".into(), end: true, ..RequestHead::default() };
    assert!(!guard.request_head(&head).is_silent());
}

#[test]
fn bodies_are_read_by_their_type() {
    let rules = "SecRule REQUEST_HEADERS:Content-Type \"@contains json\" \
        \"id:1,phase:1,nolog,ctl:requestBodyProcessor=JSON\"\n\
        SecRule ARGS_POST \"@contains bad\" \"id:2,phase:2\"\n\
        SecRule REQUEST_BODY \"@contains bad\" \"id:3,phase:2\"\n\
        SecRule REQBODY_ERROR \"@eq 1\" \"id:4,phase:2,msg:'%{reqbody_processor}'\"\n\
        SecRule FILES \"@contains bad\" \"id:5,phase:2\"\n\
        SecRule REQUEST_BODY_LENGTH \"@gt 60\" \"id:6,phase:2\"\n";
    let case = Case { rules, method: "POST", ..Case::default() };
    let form = &[("Content-Type", "application/x-www-form-urlencoded")][..];
    assert_eq!(run(&Case { headers: form, body: b"a=b%61d", ..case.clone() }).ids, [2]);
    assert_eq!(run(&Case { headers: form, body: b"a=bad", ..case.clone() }).ids, [2, 3]);
    let json = &[("Content-Type", "application/json")][..];
    let seen = run(&Case { headers: json, body: br#"{"a":["x","b\u0061d"]}"#, ..case.clone() });
    assert_eq!((&seen.ids[..], &seen.locations[0][..]), (&[2][..], "ARGS_POST:json.a.1"));
    let seen = run(&Case { headers: json, body: br#"{"a":"#, ..case.clone() });
    assert_eq!((&seen.ids[..], &seen.messages[0][..]), (&[4][..], "JSON"));
    let multipart = &[("Content-Type", "multipart/form-data; boundary=b")][..];
    let body =
        b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"bad.txt\"\r\n\r\nbad\r\n--b--\r\n";
    assert_eq!(run(&Case { headers: multipart, body, ..case.clone() }).ids, [5, 6]);
    assert_eq!(run(&Case { body: b"plain bad", ..case.clone() }).ids, [3]);
}

#[test]
fn bodies_have_limits() {
    let rules = "SecRule INBOUND_DATA_ERROR \"@eq 1\" \"id:1,phase:2\"\n\
        SecRule REQUEST_BODY \"@endsWith z\" \"id:2,phase:2\"\n\
        SecRule OUTBOUND_DATA_ERROR \"@eq 1\" \"id:3,phase:4\"\n\
        SecRule RESPONSE_BODY \"@endsWith z\" \"id:4,phase:4\"\n";
    let mut body = vec![b'z'; 1025];
    let case = Case { rules, body: &body, ..Case::default() };
    assert_eq!(run(&case).stopped, Some((413, 0)));
    let partial = rules.to_owned() + "SecRequestBodyLimitAction ProcessPartial\n";
    assert_eq!(run(&Case { rules: &partial, ..case.clone() }).ids, [1, 2]);
    let only = rules.to_owned() + "SecRuleEngine DetectionOnly\n";
    assert_eq!(run(&Case { rules: &only, ..case.clone() }).stopped, None);
    body.truncate(1024);
    assert_eq!(run(&Case { rules, body: &body, ..Case::default() }).ids, [2]);
    body[1023] = b'y';
    body.push(b'z');
    assert_eq!(run(&Case { rules, response: &body, ..Case::default() }).ids, [3]);
    body.truncate(3);
    let image = &[("Content-Type", "image/png")][..];
    assert_eq!(run(&Case { rules, response: b"z", response_headers: image, ..Case::default() }).ids, []);
    assert_eq!(run(&Case { rules, response: b"z", ..Case::default() }).ids, [4]);
}

#[test]
fn responses_are_inspected_and_refused() {
    let rules = "SecRule RESPONSE_STATUS \"@rx ^5\" \"id:1,phase:3,msg:'%{status_line}'\"\n\
        SecRule RESPONSE_HEADERS:Server \"@contains secret\" \"id:2,phase:3\"\n\
        SecRule RESPONSE_BODY \"@rx stack (trace)\" \"id:3,phase:4,deny,status:502\"\n\
        SecAction \"id:4,phase:5\"\n";
    let headers = &[("Content-Type", "text/html; charset=utf-8"), ("server", "a secret")][..];
    let case = Case { rules, status: 503, response_headers: headers, ..Case::default() };
    let seen = run(&Case { response: b"a stack trace", ..case.clone() });
    assert_eq!((&seen.ids[..], seen.stopped), (&[1, 2, 3, 4][..], Some((502, 3))));
    assert_eq!(seen.messages[0], "HTTP/1.1 503");
}

#[test]
fn pipelines_share_what_does_not_change() {
    let rules = "SecRule ARGS \"@rx select from\" \"id:1,phase:2,t:lowercase,t:compressWhitespace\"\n\
        SecRule ARGS \"@rx select  from\" \"id:2,phase:2,t:lowercase\"\n\
        SecRule ARGS \"@rx SELECT  from\" \"id:3,phase:2\"\n\
        SecRule ARGS \"@rx ^13$\" \"id:4,phase:2,t:length\"\n\
        SecRule ARGS \"@streq selectfrom\" \"id:5,phase:2,t:lowercase,t:removeWhitespace\"\n";
    assert_eq!(get(rules, "/?a=SELECT++from").ids, [1, 2, 3, 5]);
    assert_eq!(get(rules, "/?a=select+from").ids, [1, 5]);
    assert_eq!(get(rules, "/?a=SELECT++from1").ids, [1, 2, 3, 4]);
}

#[test]
fn names_in_tx_may_be_made_up() {
    let rules = "SecRule ARGS_NAMES \"@rx .\" \"id:1,phase:2,nolog,setvar:'tx.seen_%{matched_var}=+1'\"\n\
        SecRule TX:/^seen_/ \"@gt 1\" \"id:2,phase:2,msg:'%{matched_var_name}=%{matched_var}'\"\n\
        SecRule &TX:/^seen_/ \"@eq 3\" \"id:3,phase:2\"\n\
        SecRule ARGS:c \"@rx .\" \"id:4,phase:2,nolog,setvar:'!tx.seen_%{args.c}'\"\n\
        SecRule &TX:/^seen_/ \"@eq 2\" \"id:5,phase:2\"\n";
    let seen = get(rules, "/?a&B&b&c=a");
    assert_eq!(seen.ids, [2, 3, 5]);
    assert_eq!(seen.messages[0].to_ascii_lowercase(), "tx:seen_b=2");
}

#[test]
fn arguments_of_operators_may_have_macros() {
    let rules = "SecAction \"id:1,phase:1,nolog,setvar:'tx.methods=GET HEAD',setvar:tx.most=3\"\n\
        SecRule REQUEST_METHOD \"!@within %{tx.methods}\" \"id:2,phase:1\"\n\
        SecRule &ARGS \"@gt %{tx.most}\" \"id:3,phase:2\"\n\
        SecRule ARGS:a \"!@endsWith .%{request_headers.host}\" \"id:4,phase:2\"\n";
    let headers = &[("Host", "example.org")][..];
    let case = Case { rules, headers, target: "/?a=www.example.org", ..Case::default() };
    assert_eq!(run(&case).ids, []);
    assert_eq!(run(&Case { method: "PUT", ..case.clone() }).ids, [2]);
    assert_eq!(run(&Case { target: "/?a=example.org&b&c&d", ..case }).ids, [3, 4]);
}

#[test]
fn values_come_from_everywhere() {
    let rules = "SecRule REQUEST_COOKIES:sid \"@streq 7\" \"id:1,phase:1,setvar:tx.a=%{remote_addr}\"\n\
        SecRule REMOTE_ADDR \"@ipMatch 192.0.2.0/24\" \"id:2,phase:1\"\n\
        SecRule REQUEST_BASENAME \"@streq b.php\" \"id:3,phase:1\"\n\
        SecRule REQUEST_LINE \"@streq GET /a/b.php?x=1 HTTP/1.1\" \"id:4,phase:1\"\n\
        SecRule ARGS_COMBINED_SIZE \"@eq 2\" \"id:5,phase:1\"\n\
        SecRule UNIQUE_ID|SERVER_NAME \"@within id-1 example.org\" \"id:6,phase:1\"\n\
        SecRule REQUEST_HEADERS_NAMES \"@streq COOKIE\" \"id:7,phase:1,t:uppercase\"\n";
    let headers = &[("Host", "example.org:8080"), ("Cookie", "a=1; sid=7")][..];
    let seen = run(&Case { rules, headers, target: "/a/b.php?x=1", ..Case::default() });
    assert_eq!(seen.ids, [1, 2, 3, 4, 5, 6, 7]);
}

/// A store that lives on.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<BTreeMap<Vec<u8>, Vec<u8>>>>, u64);

impl Services for Kept {
    fn kv_get(&mut self, key: &[u8], value: &mut Vec<u8>) -> bool {
        let found = self.0.borrow().get(key).cloned();
        value.extend(found.clone().unwrap_or_default());
        found.is_some()
    }

    fn kv_set(&mut self, key: &[u8], value: &[u8], ttl_ms: i64) {
        assert_eq!(ttl_ms, 3_600_000);
        self.0.borrow_mut().insert(key.to_vec(), value.to_vec());
    }

    fn now_us(&mut self) -> u64 {
        self.1
    }
}

#[test]
fn collections_outlive_a_transaction() {
    let rules = "SecAction \"id:1,phase:1,nolog,initcol:ip=%{remote_addr}\"\n\
        SecRule IP:count \"@ge 2\" \"id:2,phase:1,msg:'%{ip.count}'\"\n\
        SecAction \"id:3,phase:1,nolog,setvar:ip.count=+1,setvar:ip.soon=1,expirevar:ip.soon=10\"\n\
        SecRule &IP:soon \"@eq 1\" \"id:4,phase:2\"\n\
        SecRule ARGS \"@streq clear\" \"id:5,phase:2,setvar:!ip.count\"\n";
    // `ip.soon` is set again by each, so look at what is stored.
    let blob = blob(rules, true);
    let rules = RuleSet::load(&blob).unwrap();
    let mut kept = Kept::default();
    let mut ids = Vec::new();
    for (second, target) in [(1, "/"), (2, "/"), (3, "/?a=clear"), (4, "/")] {
        kept.1 = second * 1_000_000;
        let mut transaction = Transaction::begin(rules, Settings::default(), Box::new(kept.clone()));
        drive(&Case { target, ..Case::default() }, &mut transaction);
        ids.push(transaction.matches().iter().map(|matched| matched.id).collect::<Vec<_>>());
    }
    assert_eq!(ids, [vec![4], vec![4], vec![2, 4, 5], vec![4]]);
    assert_eq!(kept.0.borrow().keys().collect::<Vec<_>>(), [&b"seclang/ip/192.0.2.1".to_vec()]);

    let rules = "SecAction \"id:1,phase:1,nolog,initcol:ip=%{remote_addr}\"\n\
        SecRule &IP:soon \"@eq 1\" \"id:2,phase:1\"\n";
    let blob = self::blob(rules, true);
    let rules = RuleSet::load(&blob).unwrap();
    for (second, expected) in [(13, 1), (14, 0)] {
        kept.1 = second * 1_000_000;
        let mut transaction = Transaction::begin(rules, Settings::default(), Box::new(kept.clone()));
        drive(&Case::default(), &mut transaction);
        assert_eq!(transaction.matches().len(), expected, "ten seconds after the fourth");
    }
}

#[test]
fn reports_are_bounded_and_explain_themselves() {
    let rules = "SecRule ARGS \"@rx b+\" \"id:1,phase:2,capture,t:lowercase,severity:CRITICAL,\
        tag:'attack-sqli',tag:'other',msg:'m',logdata:'%{tx.0}',setvar:'tx.inbound_anomaly_score_pl1=+5'\"\n\
        SecAction \"id:2,phase:2\"\nSecAction \"id:3,phase:2\"\n";
    let blob = blob(rules, true);
    let rules = RuleSet::load(&blob).unwrap();
    let settings = Settings { max_matches: 2, explain: true, max_excerpt: 6, ..Settings::default() };
    let mut guard = Guard::new(rules, settings, NoServices);
    let head = RequestHead { target: "/?a=xxxxxxxBBBBBBBB".into(), end: true, ..RequestHead::default() };
    let outcome = guard.request_head(&head);
    let outcome = outcome.as_outcome();
    let matches: Vec<_> = outcome.verdict.matches.iter().collect();
    assert_eq!(matches.len(), 2);
    assert_eq!(guard.transaction().unwrap().unreported(), 1);
    let first = &matches[0];
    assert_eq!((first.rule_id, first.score, u8::from(first.severity)), (1, 5, 5));
    assert_eq!(first.category, "sqli");
    assert_eq!((first.matched, first.value), ("bbbbbb".into(), "xxxxxx".into()));
    assert_eq!((first.location, first.transformations), ("ARGS:a".into(), "lowercase".into()));
    let tags: Vec<_> = first.tags.iter().collect();
    assert_eq!(tags, ["attack-sqli", "other", "data=bbbbbbbb"]);
}

#[test]
fn damaged_rulesets_do_no_harm() {
    let rules = "SecRule ARGS \"@rx (b+)\" \"id:1,phase:2,capture,t:lowercase,msg:'%{tx.1}',chain\"\n\
        SecRule TX:1 \"@pm bb cc\" \"setvar:'tx.x_%{tx.1}=1'\"\nSecRule &ARGS \"@gt 1\" \"id:2,phase:2,deny\"\n";
    let blob = blob(rules, true);
    let case = Case { target: "/?a=BBB&c=cc", ..Case::default() };
    // Every 61st byte of the tables, turned over: no panic and no endless loop.
    for at in (16..blob.len()).step_by(61) {
        let mut damaged = blob.clone();
        damaged[at] ^= 0xff;
        if let Ok(rules) = RuleSet::from_trusted(&damaged) {
            let mut transaction = Transaction::begin(rules, Settings::default(), Box::new(NoServices));
            drive(&case, &mut transaction);
        }
    }
}
