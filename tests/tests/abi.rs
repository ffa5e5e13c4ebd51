//! What a filter's answers do to a transaction, over every backend and kind of instance: the cases of
//! `cases/abi/*.toml`.

use std::collections::BTreeMap;
use std::fs;

use picket_abi::{Header, HttpVersion, ResponseHead, SeqBuf, TransactionLog, Value};
use picket_host::{BodyDecision, HeadDecision, Reply, ReplyCause};
use picket_tests::{
    Request, Sandbox, guest_module, header_buf, pairs, request_head, sandboxes, settings_buf, workspace,
};
use serde::Deserialize;

type Fields = Vec<(String, String)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

/// A transaction and what becomes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "puppet")]
    guest: String,
    /// Commands, each an X-Puppet header behind the others. The expectation does not name them.
    #[serde(default)]
    puppet: Vec<String>,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    request: RequestText,
    response: Option<ResponseText>,
    expect: Expectation,
}

fn puppet() -> String {
    "test_puppet".into()
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RequestText {
    method: Option<String>,
    target: Option<String>,
    headers: Fields,
    body: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ResponseText {
    status: u16,
    headers: Fields,
    body: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expectation {
    /// What reaches the upstream; absent if nothing does.
    request: Option<Passed>,
    /// What of the upstream's response reaches the client.
    response: Option<Passed>,
    /// What the client gets instead.
    reply: Option<ReplyText>,
    /// Kind of the failure that is counted.
    failure: Option<String>,
    rules: Vec<u32>,
    score: u32,
    tags: Vec<String>,
}

/// A message that was let through. What is not named is as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Passed {
    headers: Option<Fields>,
    body: Option<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ReplyText {
    status: u16,
    headers: Option<Fields>,
    body: Option<String>,
}

/// What became of a transaction, in the words of an [`Expectation`].
#[derive(Clone, Debug, Default, PartialEq)]
struct Played {
    request: Option<(Fields, String)>,
    response: Option<(Fields, String)>,
    reply: Option<(u16, Fields, String)>,
    failure: Option<String>,
    rules: Vec<u32>,
    score: u32,
    tags: Vec<String>,
}

#[test]
fn requests_are_changed_as_the_filter_says() {
    check("requests");
}

#[test]
fn responses_are_changed_as_the_filter_says() {
    check("responses");
}

#[test]
fn a_filter_that_breaks_the_rules_fails_closed() {
    check("faults");
}

#[test]
fn the_examples_do_what_they_say() {
    check("examples");
}

fn check(family: &str) {
    let path = workspace().join("tests/cases/abi").join(family).with_extension("toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut failures = Vec::new();
    for case in &file.case {
        let settings: Vec<_> = case
            .settings
            .iter()
            .map(|(key, value)| (key.as_str(), Value::Text(value.as_str().into())))
            .collect();
        for lane in sandboxes(&guest_module(&case.guest), &settings_buf(&settings)) {
            // Twice: an instance that is used again must not have kept anything.
            for turn in ["first", "second"] {
                let played = play(&lane, case);
                let expected = expected(case);
                if let Some(difference) = difference(&expected, &played, case) {
                    failures.push(format!("{}, {turn} on {}: {difference}", case.name, lane.name()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{family}: {}", failures.join("\n"));
}

/// The whole of what is expected, with what the case leaves out filled in.
fn expected(case: &Case) -> Played {
    let fill = |passed: &Passed, headers: &Fields, body: &str| {
        (
            passed.headers.clone().unwrap_or_else(|| headers.clone()),
            passed.body.clone().unwrap_or_else(|| body.to_owned()),
        )
    };
    let response = case.response.clone().unwrap_or_default();
    let reply = case.expect.reply.as_ref().map(|reply| {
        (reply.status, reply.headers.clone().unwrap_or_default(), reply.body.clone().unwrap_or_default())
    });
    Played {
        request: case
            .expect
            .request
            .as_ref()
            .map(|passed| fill(passed, &case.request.headers, &case.request.body)),
        response: case.expect.response.as_ref().map(|passed| fill(passed, &response.headers, &response.body)),
        // What the policy of the suites says.
        reply: if case.expect.failure.is_some() { Some((503, Vec::new(), String::new())) } else { reply },
        failure: case.expect.failure.clone(),
        rules: case.expect.rules.clone(),
        score: case.expect.score,
        tags: case.expect.tags.clone(),
    }
}

fn difference(expected: &Played, played: &Played, case: &Case) -> Option<String> {
    let mut played = played.clone();
    // A reply's fields and body are only held to what the case names.
    if let (Some(reply), Some(named)) = (&mut played.reply, &case.expect.reply) {
        if named.headers.is_none() {
            reply.1.clear();
        }
        if named.body.is_none() {
            reply.2.clear();
        }
    }
    (*expected != played).then(|| format!("expected\n  {expected:?}\nis\n  {played:?}"))
}

fn play(lane: &Sandbox, case: &Case) -> Played {
    let commands = case.puppet.iter().map(|command| ("X-Puppet".to_owned(), command.clone()));
    let headers: Vec<(String, Vec<u8>)> = case
        .request
        .headers
        .iter()
        .cloned()
        .chain(commands)
        .map(|(name, value)| (name, value.into_bytes()))
        .collect();
    let request = Request {
        method: case.request.method.clone().unwrap_or_else(|| "GET".into()),
        target: case.request.target.clone().unwrap_or_else(|| "/".into()).into_bytes(),
        headers,
        body: case.request.body.clone().into_bytes(),
    };
    let encoded = header_buf(&request.headers);
    let mut transaction = lane.chain().begin();
    let mut played = Played::default();

    let head = request_head(&request, &encoded);
    let decision = transaction.request_head(&head);
    let passed = pass(decision, &encoded, &request.body, |body| transaction.request_body(body, true));
    let mut reply = None;
    match passed {
        Ok((headers, body)) => {
            let headers = headers.into_iter().filter(|(name, _)| name != "X-Puppet").collect();
            played.request = Some((headers, body));
        }
        Err(answer) => reply = Some(answer),
    }

    if let (Some(response), None) = (&case.response, &reply) {
        let encoded = header_buf(&response.headers);
        let head = ResponseHead {
            status: response.status,
            version: HttpVersion::Http11,
            headers: encoded.as_seq(),
            end: response.body.is_empty(),
        };
        let decision = transaction.response_head(&head);
        match pass(decision, &encoded, response.body.as_bytes(), |body| transaction.response_body(body, true))
        {
            Ok(passed) => played.response = Some(passed),
            Err(answer) => reply = Some(answer),
        }
    }

    let report = transaction.finish(&TransactionLog::default());
    played.score = report.score();
    played.rules = report.matches().map(|(_, found)| found.rule_id).collect();
    played.tags = report.tags().map(|(_, tag)| tag.to_string()).collect();
    played.failure = report.failures.first().map(|failure| failure.error.kind().name().to_owned());
    if let Some(reply) = reply {
        let failed = matches!(reply.cause, ReplyCause::Failure(_));
        assert_eq!(failed, played.failure.is_some(), "{}: the reply's cause", case.name);
        played.reply =
            Some((reply.status, pairs(&reply.headers), String::from_utf8_lossy(&reply.body).into_owned()));
    }
    played
}

/// The message that goes on, or the reply in its place.
fn pass(
    decision: HeadDecision,
    headers: &SeqBuf<Header<'static>>,
    body: &[u8],
    show_body: impl FnOnce(&[u8]) -> BodyDecision,
) -> Result<(Fields, String), Reply> {
    let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    let headers = match decision {
        HeadDecision::Respond(reply) => return Err(reply),
        HeadDecision::Continue => pairs(headers),
        HeadDecision::Modify { headers: changed, body: Some(replaced) } => {
            return Ok((pairs(changed.as_ref().unwrap_or(headers)), text(&replaced)));
        }
        HeadDecision::Modify { headers: changed, body: None } => pairs(changed.as_ref().unwrap_or(headers)),
    };
    if body.is_empty() {
        return Ok((headers, String::new()));
    }
    match show_body(body) {
        BodyDecision::Continue => Ok((headers, text(body))),
        BodyDecision::Replace(replaced) => Ok((headers, text(&replaced))),
        BodyDecision::Respond(reply) => Err(reply),
    }
}
