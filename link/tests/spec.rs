//! The examples of `SPEC.md`, byte by byte, against the implementation. The document is the
//! authority: it is read, not repeated here.

use picket_abi::*;
use picket_link::*;
use serde::Serialize;

const SPEC: &str = include_str!("../SPEC.md");

/// The bytes of the example called `name`.
#[track_caller]
fn golden(name: &str) -> Vec<u8> {
    let begin = format!("```golden {name}\n");
    let mut found = SPEC.split(&begin).skip(1);
    let block = found.next().unwrap_or_else(|| panic!("SPEC.md has no example `{name}`"));
    assert!(found.next().is_none(), "SPEC.md has two examples `{name}`");
    let block = block.split("```").next().unwrap_or_default();
    block
        .lines()
        .filter_map(|line| line.split(';').next())
        .flat_map(str::split_whitespace)
        .map(|byte| u8::from_str_radix(byte, 16).expect("an example is made of hexadecimal bytes"))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect()
}

fn encoded<M: Serialize>(message: &M) -> Vec<u8> {
    let mut buffer = [0; 512];
    let len = encode(message, &mut buffer).unwrap();
    buffer[..len].to_vec()
}

#[track_caller]
fn pinned_request(name: &str, request: Request<'_>) {
    let golden = golden(name);
    assert_eq!(hex(&encoded(&request)), hex(&golden), "{name}");
    assert_eq!(Request::decode(&golden), Ok(request), "{name}");
    // A later minor version appends; only what ends with a message of the ABI has its own rule there.
    let longer = [&golden[..], &[0]].concat();
    assert!(Request::decode(&longer).is_ok(), "{name}");
}

#[track_caller]
fn pinned_answer(name: &str, answer: Answer<'_>) {
    let golden = golden(name);
    assert_eq!(hex(&encoded(&answer)), hex(&golden), "{name}");
    assert_eq!(Answer::decode(&golden), Ok(answer), "{name}");
    let longer = [&golden[..], &[0]].concat();
    assert_eq!(Answer::decode(&longer), Ok(answer), "{name}");
    for end in 0..golden.len() {
        assert!(Answer::decode(&golden[..end]).is_err(), "{name}, {end} bytes of it");
    }
}

#[test]
fn every_example_has_a_test() {
    let source = include_str!("spec.rs");
    for block in SPEC.split("```golden ").skip(1) {
        let name = block.lines().next().unwrap_or_default();
        assert!(source.contains(&format!("\"{name}\"")), "no test pins the example `{name}`");
    }
}

#[test]
fn frames() {
    let mut buffer = [0; 64];
    let length = request_frame(1, &[10], &mut buffer).unwrap();
    assert_eq!(hex(&buffer[..length]), hex(&golden("frame-status")));

    let (answer, mut frames) = (Answer::Received { length: 300 }, Vec::new());
    let mut emission = Emission::new(0x0102, &answer);
    assert_eq!(emission.message_length(), 3);
    loop {
        let length = emission.next(&answer, &mut buffer);
        if length == 0 {
            break;
        }
        frames.extend_from_slice(&buffer[..length]);
    }
    assert_eq!(hex(&frames), hex(&golden("frame-received")));
}

#[test]
fn requests() {
    let client = "picket".into();
    pinned_request(
        "hello",
        Request::Hello(Hello { version: Version { major: 1, minor: 0 }, max_answer: 65536, client }),
    );
    let head = RequestHead { method: "GET".into(), target: "/".into(), end: true, ..RequestHead::default() };
    pinned_request("request-head", Request::Phase { slot: 2, message: PhaseMessage::RequestHead(head) });
    let chunk = BodyChunk { offset: 5, end: true, data: Octets(b"q=1") };
    pinned_request("request-body", Request::Phase { slot: 2, message: PhaseMessage::RequestBody(chunk) });
    let head = ResponseHead { status: 200, end: false, ..ResponseHead::default() };
    pinned_request("response-head", Request::Phase { slot: 2, message: PhaseMessage::ResponseHead(head) });
    let chunk = BodyChunk { offset: 0, end: false, data: Octets(b"ok") };
    pinned_request("response-body", Request::Phase { slot: 2, message: PhaseMessage::ResponseBody(chunk) });
    let report = FailureReport { source: FailureSource::Client, status: 400, message: "gone".into() };
    pinned_request("error", Request::Phase { slot: 2, message: PhaseMessage::Error(report) });
    let log = TransactionLog { status: 403, answered_by_filter: true, ..TransactionLog::default() };
    pinned_request("log", Request::Phase { slot: 2, message: PhaseMessage::Log(log) });
    let sha256 = Sha256::of(b"");
    let transfer = Transfer { artifact: Artifact::Ruleset, length: 300, sha256 };
    pinned_request("transfer", Request::Transfer(transfer));
    pinned_request("chunk", Request::Chunk { offset: 128, data: Octets(b"\0asm") });
    pinned_request("install", Request::Install);
    pinned_request("status", Request::Status);
}

#[test]
fn answers() {
    pinned_answer("fault", Answer::Fault(Fault::FrameTooLong { limit: 2047, value: 5000 }));
    let device = Description {
        name: "demo".into(),
        software: "0.1.0".into(),
        target: "t".into(),
        backend: "wasmi".into(),
        metering: "native".into(),
        max_module: 65536,
        max_ruleset: 0,
        slots: 1,
    };
    let filter = Installed {
        name: "waf".into(),
        version: "1".into(),
        phases: PhaseSet::EMPTY.with(picket_abi::Phase::RequestHead).with(picket_abi::Phase::RequestBody),
        body_window: 0,
        module: Sha256([0xab; 32]),
        ruleset: None,
        settings: None,
    };
    let version = Version { major: 1, minor: 0 };
    pinned_answer(
        "welcome",
        Answer::Welcome(Welcome { version, device, max_message: 2030, filter: Some(filter) }),
    );
    pinned_answer("clean", Answer::Judged(clean()));
    pinned_answer("finished", Answer::Finished(Finished { last: Judged::default(), total: clean().spent }));

    let tags = encoded(&Octets(b"attack"));
    let matches = encoded(&Match {
        rule_id: 942100,
        severity: Severity::Critical,
        score: 5,
        category: "sqli".into(),
        message: "SQL".into(),
        location: "ARGS:q".into(),
        matched: "1 or".into(),
        tags: Seq::from_encoded(&tags),
        ..Match::default()
    });
    let findings = encoded(&Finding {
        filter: "waf".into(),
        score: 5,
        matches: Seq::from_encoded(&matches),
        tags: Seq::EMPTY,
        truncated: false,
    });
    pinned_answer(
        "blocked",
        Answer::Judged(Judged {
            decision: Decision::Respond { status: 403, headers: Seq::EMPTY, body: Octets(b"no") },
            answered_by: Some(AnsweredBy { filter: "waf".into(), cause: Cause::Verdict }),
            score: 5,
            findings: Seq::from_encoded(&findings),
            ..clean()
        }),
    );
    let failures = encoded(&Failure {
        filter: "waf".into(),
        phase: "request_head".into(),
        kind: "fuel".into(),
        culprit: "limit".into(),
        limit: Some(1000),
        value: None,
        message: Octets(b""),
    });
    pinned_answer(
        "failed",
        Answer::Judged(Judged {
            decision: Decision::Respond { status: 503, headers: Seq::EMPTY, body: Octets(b"") },
            answered_by: Some(AnsweredBy { filter: "waf".into(), cause: Cause::Failure }),
            failures: Seq::from_encoded(&failures),
            ..Judged::default()
        }),
    );
    let headers = encoded(&Header { name: "a".into(), value: "b".into() });
    let modify = Decision::Modify { headers: Some(Seq::from_encoded(&headers)), body: None };
    pinned_answer("modified", Answer::Judged(Judged { decision: modify, ..Judged::default() }));
    let redirect = Decision::Redirect { status: 302, location: "/".into() };
    pinned_answer("redirected", Answer::Judged(Judged { decision: redirect, ..Judged::default() }));
    pinned_answer("received", Answer::Received { length: 300 });
    let refused = Refused { culprit: "guest".into(), message: "no".into() };
    pinned_answer("refused", Answer::Refused(refused));
    pinned_answer("installed", Answer::Installed(Installed { ruleset: Some(Sha256([1; 32])), ..filter }));
    let vitals = Vitals { heap_peak: Some(77_000), ..Vitals::default() };
    let counts = Counts { sessions: 1, transactions: 2, requests: 3, faults: 4, garbled: 5 };
    pinned_answer("status-answer", Answer::Status(Status { vitals, counts }));
}

fn clean() -> Judged<'static> {
    let spent = Spent { fuel: 41_230, calls: 1, micros: 180, cycles: None };
    Judged { spent, memory_peak: 65_536, ..Judged::default() }
}

/// The numbers of the faults: their names may change, these must not.
#[test]
fn fault_numbers() {
    let (artifact, sha256) = (Artifact::Module, Sha256::default());
    let faults = [
        Fault::Garbled,
        Fault::FrameTooLong { limit: 0, value: 0 },
        Fault::Malformed { request: 0, offset: 0 },
        Fault::UnknownRequest { request: 0 },
        Fault::HelloFirst,
        Fault::Version { device: Version::CURRENT, client: Version::CURRENT },
        Fault::Duplicate { sequence: 0 },
        Fault::NoSlot { limit: 0, value: 0 },
        Fault::NoTransaction { slot: 0 },
        Fault::OutOfOrder { expected: 0, actual: 0 },
        Fault::NoFilter,
        Fault::TooLong { artifact, limit: 0, value: 0 },
        Fault::NoTransfer,
        Fault::Incomplete { expected: 0, actual: 0 },
        Fault::DigestDiffers { expected: sha256, actual: sha256 },
        Fault::Unsupported { artifact },
        Fault::AnswerTooLong { limit: 0, value: 0 },
    ];
    for (number, fault) in faults.iter().enumerate() {
        assert_eq!(usize::from(encoded(fault)[0]), number, "{fault:?}");
        let line = format!("| {number} | `{}`", format!("{fault:?}").split(' ').next().unwrap());
        assert!(SPEC.contains(&line), "SPEC.md has no `{line}`");
        // Each says something, and something to do or to look at.
        assert!(fault.to_string().len() > 20, "{fault:?}");
    }
}
