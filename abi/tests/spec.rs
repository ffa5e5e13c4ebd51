//! The examples of `SPEC.md`, byte by byte, against the implementation. The document is the
//! authority: it is read, not repeated here.

use picket_abi::*;
use serde::{Deserialize, Serialize};

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

/// Asserts that `message` has the bytes of the example called `name`, and returns them.
#[track_caller]
fn pinned<M: Serialize>(name: &str, message: &M) -> Vec<u8> {
    let mut buffer = [0; 256];
    let len = encode(message, &mut buffer).unwrap();
    assert_eq!(encoded_len(message), len);
    let golden = golden(name);
    assert_eq!(hex(&buffer[..len]), hex(&golden), "{name}");
    golden
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect()
}

/// The encoded elements of a list.
fn list<M: Serialize>(elements: &[M]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for element in elements {
        let mut buffer = [0; 256];
        let len = encode(element, &mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..len]);
    }
    bytes
}

fn header<'a>(name: &'a str, value: &'a [u8]) -> Header<'a> {
    Header { name: name.into(), value: Octets(value) }
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
fn primitives() {
    assert_eq!(encoded_len(&300_u16), 2);
    pinned("varint-300", &300_u16);
    pinned("varint-300", &300_u32);
    pinned("varint-300", &300_u64);
    pinned("zigzag-minus-300", &-300_i64);
}

#[test]
fn manifest() {
    let manifest = Manifest {
        name: "demo".into(),
        version: "1.2.3".into(),
        kind: "auth".into(),
        phases: PhaseSet::EMPTY.with(Phase::Configure).with(Phase::RequestHead).with(Phase::RequestBody),
        capabilities: CapabilitySet::EMPTY
            .with(Capability::Panic)
            .with(Capability::Log)
            .with(Capability::HttpFetch),
        body_window: 4096,
    };
    let bytes = pinned("manifest", &manifest);
    assert_eq!(Manifest::decode(&bytes), Ok(manifest));
}

#[test]
fn packed_slice() {
    let bytes: [u8; 8] = golden("packed-slice").try_into().unwrap();
    let slice = PackedSlice { ptr: 20_000, len: 259 };
    assert_eq!(slice.pack(), u64::from_be_bytes(bytes));
    assert_eq!(PackedSlice::unpack(u64::from_be_bytes(bytes)), slice);
    assert_eq!(PackedSlice::unpack(0), PackedSlice::NOTHING);
}

#[test]
fn configure() {
    let settings = [
        Setting { key: "mode".into(), value: Value::Text("block".into()) },
        Setting { key: "limit".into(), value: Value::Int(5) },
        Setting { key: "on".into(), value: Value::Bool(true) },
        Setting { key: "f".into(), value: Value::Float(1.5) },
        Setting { key: "".into(), value: Value::Int(-1) },
    ];
    let encoded = list(&settings);
    let configure = Configure { settings: Seq::from_encoded(&encoded), data: Octets(&[0xca, 0xfe]) };
    let bytes = pinned("configure", &configure);
    let decoded = Configure::decode(&bytes).unwrap();
    assert_eq!(decoded, configure);
    assert!(decoded.settings.iter().eq(settings));
}

#[test]
fn request_head() {
    let headers = [header("Accept", b"*/*"), header("x", b""), header("x", b"")];
    let encoded = list(&headers);
    let head = RequestHead {
        request_id: "r-1".into(),
        route: "api".into(),
        client: Peer { addr: PeerAddr::V4([192, 0, 2, 7]), port: 64_400 },
        scheme: Scheme::Https,
        version: HttpVersion::Http2,
        method: "POST".into(),
        authority: "ex.org".into(),
        target: "/a?b=c".into(),
        headers: Seq::from_encoded(&encoded),
        end: false,
        protocol: Octets::default(),
    };
    let bytes = pinned("request-head", &head);
    let decoded = RequestHead::decode(&bytes).unwrap();
    assert_eq!(decoded, head);
    assert!(decoded.headers.iter().eq(headers));
    assert_eq!(decoded.path(), b"/a");
    assert_eq!(decoded.query(), Some(&b"b=c"[..]));
}

/// Only a host that takes any protocol writes one, behind everything else.
#[test]
fn request_head_of_another_protocol() {
    let plain = RequestHead { method: "GET".into(), target: "/".into(), ..RequestHead::default() };
    let other = RequestHead { protocol: "JUNK/1.0".into(), ..plain };
    let bytes = pinned("request-head-protocol", &other);
    assert_eq!(RequestHead::decode(&bytes), Ok(other));
    assert_eq!(other.protocol(), b"JUNK/1.0");
    assert_eq!(RequestHead::decode(&bytes[..bytes.len() - 9]), Ok(plain));
    assert_eq!(plain.protocol(), b"HTTP/1.1");
}

#[test]
fn peer_ipv6() {
    let address: core::net::IpAddr = "2001:db8::1".parse().unwrap();
    pinned("peer-ipv6", &Peer { addr: address.into(), port: 443 });
}

#[test]
fn body_chunk() {
    let chunk = BodyChunk { offset: 65_536, end: true, data: "hello".into() };
    assert_eq!(BodyChunk::decode(&pinned("body-chunk", &chunk)), Ok(chunk));
}

#[test]
fn response_head() {
    let encoded = list(&[header("Server", b"\xff\0x")]);
    let head = ResponseHead {
        status: 404,
        version: HttpVersion::Http11,
        headers: Seq::from_encoded(&encoded),
        end: true,
    };
    assert_eq!(ResponseHead::decode(&pinned("response-head", &head)), Ok(head));
}

#[test]
fn failure_report() {
    let report = FailureReport { source: FailureSource::Upstream, status: 502, message: "refused".into() };
    assert_eq!(FailureReport::decode(&pinned("failure-report", &report)), Ok(report));
}

#[test]
fn transaction_log() {
    let log = TransactionLog {
        status: 200,
        answered_by_filter: false,
        request_bytes: 0,
        response_bytes: 1 << 32,
        duration_us: 1000,
    };
    assert_eq!(TransactionLog::decode(&pinned("transaction-log", &log)), Ok(log));
}

#[test]
fn outcomes() {
    let silent = Outcome::default();
    assert_eq!(Outcome::decode(&pinned("outcome-continue", &silent)), Ok(silent));

    let changes = list(&[
        HeaderOp::Set(header("a", b"1")),
        HeaderOp::Append(header("b", b"23")),
        HeaderOp::Remove("cd".into()),
    ]);
    let modify = Outcome {
        action: Action::Modify { headers: Seq::from_encoded(&changes), body: Some("new".into()) },
        ..Outcome::default()
    };
    assert_eq!(Outcome::decode(&pinned("outcome-modify", &modify)), Ok(modify));

    let headers = list(&[header("a", b"1")]);
    let rule_tags = list(&[Octets(b"t1")]);
    let matches = list(&[Match {
        rule_id: 942_100,
        severity: Severity::Critical,
        score: 5,
        category: "sqli".into(),
        message: "union".into(),
        location: "ARGS:q".into(),
        matched: "union".into(),
        value: "UNION".into(),
        transformations: "lowercase".into(),
        tags: Seq::from_encoded(&rule_tags),
    }]);
    let tags = list(&[Octets(b"x"), Octets(b"yz")]);
    let respond = Outcome {
        action: Action::Respond { status: 403, headers: Seq::from_encoded(&headers), body: "no".into() },
        verdict: Verdict { score: 5, matches: Seq::from_encoded(&matches), tags: Seq::from_encoded(&tags) },
    };
    assert_eq!(Outcome::decode(&pinned("outcome-respond", &respond)), Ok(respond));

    let redirect =
        Outcome { action: Action::Redirect { status: 308, location: "/b".into() }, ..Outcome::default() };
    assert_eq!(Outcome::decode(&pinned("outcome-redirect", &redirect)), Ok(redirect));
}

#[test]
fn fetches() {
    let headers = list(&[header("a", b"1")]);
    let request = FetchRequest {
        method: "GET".into(),
        uri: "http://a/".into(),
        headers: Seq::from_encoded(&headers),
        body: Octets(b""),
        timeout_ms: 1000,
    };
    assert_eq!(FetchRequest::decode(&pinned("fetch-request", &request)), Ok(request));
    let response = FetchResponse { status: 200, headers: Seq::EMPTY, body: "ok".into() };
    assert_eq!(FetchResponse::decode(&pinned("fetch-response", &response)), Ok(response));
}

/// The cells of the tables whose first column is in `SPEC.md` as in the code.
fn row(first: &str) -> Vec<&'static str> {
    let begin = format!("| `{first}` |");
    let line = SPEC.lines().find(|line| line.starts_with(&begin));
    let line = line.unwrap_or_else(|| panic!("SPEC.md has no row that begins with `{first}`"));
    line.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn tables_name_every_export_capability_and_function() {
    for (number, phase) in Phase::ALL.into_iter().enumerate() {
        assert_eq!(row(phase.export())[2], format!("phase {number}"));
        assert_eq!(phase as usize, number);
    }
    for name in [EXPORT_MEMORY, EXPORT_ABI, EXPORT_INPUT] {
        row(name);
    }
    for capability in Capability::ALL {
        assert_eq!(row(capability.name())[1], (capability as u8).to_string());
    }
    for function in HostFn::ALL {
        let functions = row(function.capability().name())[2];
        assert!(functions.contains(&format!("`{}(", function.name())), "{}", function.name());
    }
    assert!(SPEC.contains(&format!("`{MANIFEST_SECTION}`")));
    assert!(SPEC.contains(&format!("All from the module `{IMPORT_MODULE}`")));
    assert!(SPEC.contains(&format!("at most {MAX_NAME_LEN} bytes of printable ASCII")));
    assert!(SPEC.starts_with(&format!("# The Picket ABI, version {}", AbiVersion::CURRENT)));
    assert_eq!(AbiVersion::CURRENT.pack(), 0x0001_0000);
}

#[test]
fn enum_numbers_are_those_of_the_tables() {
    fn number<M: Serialize>(value: M) -> u8 {
        let mut buffer = [0; 32];
        encode(&value, &mut buffer).unwrap();
        buffer[0]
    }
    let versions = [
        HttpVersion::Http09,
        HttpVersion::Http10,
        HttpVersion::Http11,
        HttpVersion::Http2,
        HttpVersion::Http3,
    ];
    assert_eq!(versions.map(number), [0, 1, 2, 3, 4]);
    assert_eq!([Scheme::Http, Scheme::Https].map(number), [0, 1]);
    assert_eq!([PeerAddr::Unknown, PeerAddr::V4([9; 4]), PeerAddr::V6([9; 16])].map(number), [0, 1, 2]);
    let sources = [FailureSource::Upstream, FailureSource::Client, FailureSource::Filter];
    assert_eq!(sources.map(number), [0, 1, 2]);
    let severities = [Severity::Notice, Severity::Warning, Severity::Error, Severity::Critical];
    assert_eq!(severities.map(number), [2, 3, 4, 5]);
    assert_eq!(severities.map(Severity::score), [2, 3, 4, 5]);
    let statuses = [
        HostStatus::NotFound,
        HostStatus::Denied,
        HostStatus::Quota,
        HostStatus::Timeout,
        HostStatus::Unavailable,
        HostStatus::Invalid,
    ];
    for (status, number) in statuses.into_iter().zip((-6..=-1).rev()) {
        assert_eq!(status as i64, number);
        assert_eq!(HostStatus::from_number(number), status);
    }
    assert_eq!(HostStatus::from_number(-77), HostStatus::Unavailable);
}

/// What a host of a later minor version sends to a guest of this one.
#[test]
fn a_guest_ignores_fields_it_does_not_know() {
    #[derive(Serialize, Deserialize)]
    struct Later<T> {
        known: T,
        added: u32,
    }
    let chunk = BodyChunk { offset: 7, end: false, data: "data".into() };
    let mut buffer = [0; 64];
    let len = encode(&Later { known: chunk, added: 42 }, &mut buffer).unwrap();
    assert_eq!(BodyChunk::decode(&buffer[..len]), Ok(chunk));
}

#[test]
fn a_varint_need_not_be_the_shortest() {
    let mut bytes = golden("outcome-redirect");
    // 308 as three bytes.
    bytes.splice(1..3, [0xb4, 0x82, 0x00]);
    let Action::Redirect { status, .. } = Outcome::decode(&bytes).unwrap().action else {
        panic!("still a redirect")
    };
    assert_eq!(status, 308);
}
