//! libmodsecurity with rules of our own, so that no rule set needs to be there.
#![cfg(feature = "libmodsecurity")]

use picket_ftw::{Engine, Exchange, Request, Response};
use picket_reference::{Error, LibModSecurity, time_request};

const RULES: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain
SecRule ARGS:q "@contains evil" "id:11,phase:2,t:none,pass,log,severity:'CRITICAL',tag:'t',msg:'found',logdata:'%{MATCHED_VAR}',setvar:tx.blocking_inbound_anomaly_score=+5"
SecRule ARGS:q "@contains worse" "id:12,phase:2,t:none,deny,status:418,log,msg:'no'"
SecRule RESPONSE_BODY "@contains secret" "id:13,phase:4,t:none,pass,log,msg:'leak',setvar:tx.blocking_outbound_anomaly_score=+4"
"#;

fn exchange(query: &str, body: &str) -> Exchange {
    let request = Request {
        method: b"GET".to_vec(),
        target: format!("/?q={query}").into_bytes(),
        version: b"HTTP/1.1".to_vec(),
        headers: vec![(b"Host".to_vec(), b"h".to_vec())],
        body: Vec::new(),
    };
    let headers = vec![(b"Content-Type".to_vec(), b"text/plain".to_vec())];
    Exchange::new(request, Response { status: 200, headers, body: body.into() })
}

#[test]
fn what_is_logged_is_observed() {
    let mut engine = LibModSecurity::new(RULES).unwrap();
    let observed = engine.run(&exchange("an+evil+word", "a secret")).unwrap();
    assert_eq!(observed.interruption, None);
    let ids: Vec<u32> = observed.rules.iter().map(|rule| rule.id).collect();
    assert_eq!(ids, [11, 13]);
    let rule = &observed.rules[0];
    assert_eq!((&rule.msg[..], &rule.data[..], &rule.var_name[..]), ("found", "an evil word", "ARGS:q"));
    assert_eq!((rule.severity, &rule.tags[..]), (Some(2), &["t".to_owned()][..]));
    let scores = observed.scores.unwrap();
    assert_eq!((scores.blocking_inbound, scores.blocking_outbound), (5, 4));
}

#[test]
fn an_interruption_ends_the_exchange_and_is_logged() {
    let mut engine = LibModSecurity::new(RULES).unwrap();
    let decision = engine.decide(&exchange("evil+and+worse", "a secret")).unwrap();
    assert_eq!((decision.status, decision.inbound, decision.outbound), (Some(418), 5, 0));
    assert_eq!(decision.rules, [11, 12]);
    // The next transaction starts afresh.
    let decision = engine.decide(&exchange("good", "nothing")).unwrap();
    assert_eq!((decision.status, decision.inbound, decision.rules), (None, 0, Vec::new()));
}

#[test]
fn rules_that_are_none_are_refused_and_requests_are_timed() {
    assert!(
        matches!(LibModSecurity::new("SecNothing On"), Err(Error::Rules(text)) if text.contains("SecNothing"))
    );
    let mut engine = LibModSecurity::new(RULES).unwrap();
    assert!(!time_request(&mut engine, &exchange("a", ""), 3).unwrap().is_zero());
}
