//! A transaction through the engine, and what it says.

use picket_abi::{Header, RequestHead, ResponseHead, SeqBuf};
use picket_seclang::format::flag;
use picket_seclang::{NoServices, RuleSet, Settings, Transaction};

/// What can be seen of a transaction from outside.
#[derive(Debug, PartialEq, Eq)]
pub struct Observed {
    /// Rules that were logged: id, message, data, and where.
    pub matches: Vec<(u32, String, String, String)>,
    /// Status, if it was interrupted.
    pub status: Option<u16>,
    /// The rule that did.
    pub by: Option<u32>,
    pub scores: (u32, u32),
}

impl Observed {
    pub fn logged(&self) -> Vec<u32> {
        self.matches.iter().map(|matched| matched.0).collect()
    }
}

/// A request without a body, then an answer.
pub fn run(blob: &[u8], target: &str) -> Observed {
    exchange(blob, "GET", target, &[], b"", b"fine")
}

/// A request and its response.
pub fn exchange(
    blob: &[u8],
    method: &str,
    target: &str,
    more: &[(&str, &str)],
    body: &[u8],
    answer: &[u8],
) -> Observed {
    let rules = RuleSet::load(blob).unwrap();
    let mut transaction = Transaction::begin(rules, Settings::default(), Box::new(NoServices));
    let mut headers: SeqBuf<Header<'_>> = SeqBuf::new();
    let length = body.len().to_string();
    let mut list: Vec<(&str, &str)> =
        vec![("Host", "example.test"), ("Accept", "*/*"), ("User-Agent", "test")];
    if target == "/headers" {
        list.push(("X-A", "evil and worse"));
    }
    if !body.is_empty() {
        list.push(("Content-Length", &length));
    }
    list.extend(more);
    for (name, value) in &list {
        headers.push(Header { name: name.as_bytes().into(), value: value.as_bytes().into() });
    }
    transaction.request_head(&RequestHead {
        method: method.as_bytes().into(),
        target: target.as_bytes().into(),
        headers: headers.as_seq(),
        end: body.is_empty(),
        ..RequestHead::default()
    });
    if !body.is_empty() {
        transaction.request_body(body, true);
    }
    let mut headers: SeqBuf<Header<'_>> = SeqBuf::new();
    headers.push(Header { name: b"Content-Type"[..].into(), value: b"text/html"[..].into() });
    transaction.response_head(&ResponseHead {
        status: 200,
        headers: headers.as_seq(),
        end: false,
        ..ResponseHead::default()
    });
    transaction.response_body(answer, true);
    transaction.log();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Observed {
        matches: transaction
            .matches()
            .iter()
            .map(|matched| {
                // An action has matched nothing: what it reports is left from a rule before it, which
                // folding may have taken out.
                let is_action = rules.rule(matched.rule).flags & flag::UNCONDITIONAL != 0;
                let location = if is_action { String::new() } else { text(&matched.location) };
                (matched.id, text(&matched.message), text(&matched.data), location)
            })
            .collect(),
        status: transaction.interruption().map(|interruption| interruption.status),
        by: transaction.interruption().map(|interruption| interruption.rule_id),
        scores: (transaction.inbound_score(), transaction.outbound_score()),
    }
}
