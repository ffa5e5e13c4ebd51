//! A chain behind a device with the buffers of a board, against the same chain asked directly: the same
//! decisions, findings, fuel and memory, phase by phase.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use picket_abi::{BodyChunk, Match, Octets, RequestHead, ResponseHead, SeqBuf, TransactionLog};
use picket_host::{
    BodyDecision, Chain, ConfigureBuf, Environment, Filter, HeadDecision, Isolation, ReplyCause, Source,
};
use picket_link::{
    Address, Appliance, Cause, Client, Decision, Device, Judged, Line, Options, PhaseMessage, Profile,
    Sha256, Shelf,
};
use picket_tests::{
    RuleMatch, Sandbox, backends, guest_module, header_buf, load_cases, policy, request_head, sandboxes,
    settings_buf, workspace,
};

/// Input and output of a small board. The longest head of a case fits into the former.
const BUFFERS: (usize, usize) = (4096, 96);

/// A client of a device that judges with this chain.
fn client(chain: &Chain) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let shelf = Shelf::with_chain(chain.clone(), Sha256::default());
    std::thread::spawn(move || {
        let mut profile = Profile::new("board");
        profile.slots = 2;
        profile.cycles = Some(|| 7);
        let appliance = Appliance::new(profile, None, Arc::new(Environment::closed()), shelf);
        let (mut input, mut output) = (vec![0; BUFFERS.0], vec![0; BUFFERS.1]);
        let mut device = Device::new(appliance, &mut input, &mut output).unwrap();
        let (stream, _): (TcpStream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        // Until the client hangs up.
        let _ = device.serve(&mut Line(stream));
    });
    Client::connect(Address::Tcp { authority }, Options::default()).unwrap()
}

/// New header fields, encoded, and a new body, where there are such.
type Changes = (Option<Vec<u8>>, Option<Vec<u8>>);

/// What a phase came to, from either side.
#[derive(Debug, Default, PartialEq)]
struct Said {
    /// The answer in place of the upstream's: status, header fields, body, whether it was a verdict.
    answer: Option<(u16, Vec<u8>, Vec<u8>, bool)>,
    /// New header fields and body.
    changed: Option<Changes>,
}

impl From<HeadDecision> for Said {
    fn from(decision: HeadDecision) -> Said {
        match decision {
            HeadDecision::Continue => Said::default(),
            HeadDecision::Modify { headers, body } => {
                let headers = headers.map(|headers| headers.encoded().to_vec());
                Said { changed: Some((headers, body)), ..Said::default() }
            }
            HeadDecision::Respond(reply) => reply.into(),
        }
    }
}

impl From<BodyDecision> for Said {
    fn from(decision: BodyDecision) -> Said {
        match decision {
            BodyDecision::Continue => Said::default(),
            BodyDecision::Replace(body) => Said { changed: Some((None, Some(body))), ..Said::default() },
            BodyDecision::Respond(reply) => reply.into(),
        }
    }
}

impl From<picket_host::Reply> for Said {
    fn from(reply: picket_host::Reply) -> Said {
        let verdict = !matches!(reply.cause, ReplyCause::Failure(_));
        let answer = (reply.status, reply.headers.encoded().to_vec(), reply.body, verdict);
        Said { answer: Some(answer), ..Said::default() }
    }
}

impl From<&Judged<'_>> for Said {
    fn from(judged: &Judged<'_>) -> Said {
        let verdict = judged.answered_by.is_none_or(|answered| answered.cause != Cause::Failure);
        match judged.decision {
            Decision::Continue => Said::default(),
            Decision::Modify { headers, body } => {
                let headers = headers.map(|headers| headers.encoded().to_vec());
                Said { changed: Some((headers, body.map(|body| body.to_vec()))), ..Said::default() }
            }
            Decision::Respond { status, headers, body } => {
                let answer = (status, headers.encoded().to_vec(), body.to_vec(), verdict);
                Said { answer: Some(answer), ..Said::default() }
            }
            Decision::Redirect { status, location } => {
                let mut headers = SeqBuf::<picket_abi::Header>::new();
                headers.push(picket_abi::Header { name: "Location".into(), value: location });
                Said {
                    answer: Some((status, headers.encoded().to_vec(), Vec::new(), verdict)),
                    ..Said::default()
                }
            }
        }
    }
}

/// Pieces of a body, as small as a board takes them.
fn pieces(body: &[u8]) -> impl Iterator<Item = BodyChunk<'_>> {
    const PIECE: usize = 1000;
    body.chunks(PIECE).enumerate().map(|(n, data)| BodyChunk {
        offset: (n * PIECE) as u64,
        end: n * PIECE + data.len() == body.len(),
        data: Octets(data),
    })
}

/// Shows both sides the same transaction and holds each answer against the other.
fn compare(
    name: &str,
    chain: &Chain,
    client: &mut Client,
    slot: u8,
    head: &RequestHead<'_>,
    body: &[u8],
    response: Option<(&ResponseHead<'_>, &[u8])>,
) {
    let mut here = chain.begin();
    let (mut fuel, mut calls) = (0, 0);
    let mut matches = Vec::new();
    let mut check = |phase: &str, here: &picket_host::Transaction, said: Said, judged: &Judged<'_>| {
        assert_eq!(Said::from(judged), said, "{name}: {phase}");
        let report = here.report();
        assert_eq!(judged.spent.fuel, report.fuel.0 - fuel, "{name}: fuel of {phase}");
        assert_eq!(judged.spent.calls, report.calls - calls, "{name}: calls of {phase}");
        assert_eq!(judged.memory_peak, report.memory_peak as u64, "{name}: memory in {phase}");
        assert_eq!(judged.score, report.score(), "{name}: score in {phase}");
        assert_eq!(judged.spent.cycles, Some(0));
        (fuel, calls) = (report.fuel.0, report.calls);
        let found = judged.findings.iter().flat_map(|finding| finding.matches.iter());
        matches.extend(found.map(|found: Match<'_>| RuleMatch::from(found)));
        let all: Vec<RuleMatch> = report.matches().map(|(_, found)| RuleMatch::from(found)).collect();
        assert_eq!(matches, all, "{name}: matches up to {phase}");
        for (failure, there) in report.failures.iter().zip(judged.failures.iter()) {
            assert_eq!(there.filter, *failure.filter);
            assert_eq!(there.phase, failure.phase.name());
            assert_eq!(there.kind, failure.error.kind().name());
            assert_eq!(there.culprit, failure.error.culprit().name());
            assert_eq!(String::from_utf8_lossy(&there.message), failure.error.to_string());
        }
        judged.decision == Decision::Continue
            || matches!(judged.decision, Decision::Modify { body: None, .. })
    };
    let said = here.request_head(head).into();
    let judged = client.judge(slot, PhaseMessage::RequestHead(*head)).unwrap();
    let mut on = check("request head", &here, said, &judged);
    for chunk in pieces(body) {
        if !on {
            break;
        }
        let said = here.request_body(&chunk.data, chunk.end).into();
        let judged = client.judge(slot, PhaseMessage::RequestBody(chunk)).unwrap();
        on = check("request body", &here, said, &judged);
    }
    if let Some((head, body)) = response.filter(|_| on) {
        let said = here.response_head(head).into();
        let judged = client.judge(slot, PhaseMessage::ResponseHead(*head)).unwrap();
        on = check("response head", &here, said, &judged);
        for chunk in pieces(body) {
            if !on {
                break;
            }
            let said = here.response_body(&chunk.data, chunk.end).into();
            let judged = client.judge(slot, PhaseMessage::ResponseBody(chunk)).unwrap();
            on = check("response body", &here, said, &judged);
        }
    }
    let log = TransactionLog { status: 200, ..TransactionLog::default() };
    let report = here.finish(&log);
    let finished = client.finish(slot, log).unwrap();
    assert_eq!(finished.total.fuel, report.fuel.0, "{name}: fuel in all");
    assert_eq!(finished.total.calls, report.calls, "{name}: calls in all");
    assert_eq!(finished.last.score, report.score(), "{name}: score in the end");
}

fn fresh(module: &std::path::Path, settings: &[(&str, picket_abi::Value<'_>)]) -> Vec<Sandbox> {
    let mut lanes = sandboxes(module, &settings_buf(settings));
    lanes.retain(|lane| lane.name().ends_with("fresh"));
    assert_eq!(lanes.len(), backends().len());
    lanes
}

#[test]
fn every_case_has_the_same_answers_on_a_board() {
    let cases = load_cases(&workspace().join("tests/cases")).unwrap();
    for lane in fresh(&guest_module("picket_waf_guest"), &[("explain", picket_abi::Value::Bool(true))]) {
        let mut client = client(lane.chain());
        for (n, case) in cases.iter().enumerate() {
            let headers = header_buf(&case.request.headers);
            let head = request_head(&case.request, &headers);
            // Heads that are longer than a board takes are told apart, and do no harm.
            if picket_abi::encoded_len(&head) + 2 > client.info().max_message {
                let error = client.judge(0, PhaseMessage::RequestHead(head)).unwrap_err();
                assert!(error.to_string().contains("larger frame buffer"), "{error}");
                continue;
            }
            let name = format!("{} on {}", case.name, lane.name());
            compare(&name, lane.chain(), &mut client, (n % 2) as u8, &head, &case.request.body, None);
        }
        assert!(client.status().unwrap().counts.transactions > 100);
    }
}

#[test]
fn changes_answers_and_failures_are_told_whole() {
    let commands: [&[&str]; 13] = [
        &["request set X-A 1", "request append X-A 2", "request remove X-B"],
        &["request redirect 307 /elsewhere?a=b"],
        &["request reply-with X-Why because", "request respond 418 teapot"],
        &["request body instead"],
        &["request tag seen", "request match 7 odd"],
        &["request-body upper"],
        &["request-body respond 413 enough"],
        &["response set X-Late 1", "response tag late"],
        &["response-body find secret"],
        &["request panic on purpose"],
        &["request loop"],
        &["response trap"],
        &["request set content-length 5"],
    ];
    for lane in fresh(&guest_module("test_puppet"), &[]) {
        let mut client = client(lane.chain());
        for commands in commands {
            let mut fields = vec![("Host".to_owned(), b"a".to_vec()), ("X-B".to_owned(), b"b".to_vec())];
            fields
                .extend(commands.iter().map(|command| ("X-Puppet".to_owned(), command.as_bytes().to_vec())));
            let headers = header_buf(&fields);
            let head = RequestHead {
                method: "POST".into(),
                target: "/".into(),
                headers: headers.as_seq(),
                ..RequestHead::default()
            };
            let body = b"some text ".repeat(250);
            let answer = ResponseHead { status: 200, headers: headers.as_seq(), ..ResponseHead::default() };
            let response = Some((&answer, &b"no secret is safe"[..]));
            let name = format!("{commands:?} on {}", lane.name());
            compare(&name, lane.chain(), &mut client, 1, &head, &body, response);
        }
    }
}

#[test]
fn a_failure_says_which_limit_it_was() {
    let wat = std::fs::read_to_string(workspace().join("tests/modules/endless_loop.wat")).unwrap();
    let wasm = wat::parse_str(&wat).unwrap();
    for backend in backends() {
        let source = Source { id: "endless", wasm: &wasm };
        let policy = policy(Isolation::Fresh);
        let environment = Arc::new(Environment::closed());
        let filter = Filter::load(&**backend, source, policy, ConfigureBuf::default(), environment).unwrap();
        let chain = Chain::new(vec![Arc::new(filter)]);
        let mut client = client(&chain);
        let head = RequestHead { request_id: "x".into(), ..RequestHead::default() };
        let judged = client.judge(0, PhaseMessage::RequestHead(head)).unwrap();
        let failure = judged.failures.iter().next().unwrap();
        assert_eq!((failure.kind, failure.culprit), ("fuel".into(), "limit".into()));
        assert_eq!((failure.limit, failure.value), (Some(policy.limits.call.fuel.0), None));
        assert_eq!(failure.filter, "endless");
        assert!(matches!(judged.decision, Decision::Respond { status: 503, .. }));
        assert_eq!(judged.answered_by.unwrap().cause, Cause::Failure);
    }
}
