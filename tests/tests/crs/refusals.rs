//! The tests that only a server can pass: `picket serve` with the rule set must refuse the request.

use picket_ftw::{Input, Outcome, judge};
use picket_tests::client::RawConnection;
use picket_tests::{Folder, Gateway, GatewayOptions, Upstream, guest_module};

use crate::{crs, regression, suite};

/// The request as the builder of the tests would write it. Nothing is escaped or repaired.
fn bytes(input: &Input) -> Vec<u8> {
    if input.encoded_request.is_some() {
        panic!("a raw request has no expectation of a status alone");
    }
    let text = |text: &Option<String>, default: &str| text.as_deref().unwrap_or(default).to_owned();
    let (method, target) = (text(&input.method, "GET"), text(&input.uri, "/"));
    let mut head = format!("{method} {target} {}\r\n", text(&input.version, "HTTP/1.1"));
    let mut fields: Vec<_> = input.headers.0.clone();
    fields.sort();
    let mut put = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
    input.ordered_headers.iter().chain(&fields).for_each(|(name, value)| put(name, value));
    if input.autocompletes() && !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
        put("Connection", "close");
    }
    let body = text(&input.data, "");
    if !body.is_empty() && !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        put("Content-Length", &body.len().to_string());
    }
    format!("{head}\r\n{body}").into_bytes()
}

/// What is answered; nothing where the connection is closed instead.
async fn answered(gateway: &Gateway, request: &[u8]) -> Option<u16> {
    let mut client = RawConnection::open(gateway.address()).await;
    // The gateway may refuse before it has read everything.
    client.send(request).await.ok();
    client.head().await.ok().map(|(status, _)| status)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_must_refuse_is_refused() {
    let Some(crs) = crs() else { return };
    let suite = suite(crs);
    let upstream = Upstream::start().await;
    let config = format!(
        r#"
[[listener]]
addr = "127.0.0.1:0"
[upstream.app]
urls = ["{}"]
[filter.crs]
module = {:?}
rules = [{:?}, {:?}]
limits = {{ time = "20s", setup_time = "20s" }}
[chain.default]
filters = ["crs"]
[[route]]
upstream = "app"
chain = "default"
"#,
        upstream.url(),
        guest_module("picket_seclang_guest").display().to_string(),
        crs.join("crs-setup.conf.example").display().to_string(),
        crs.join("rules/*.conf").display().to_string(),
    );
    let gateway = Gateway::start_in(Folder::new(), GatewayOptions { config, ..Default::default() });

    let mut wrong = Vec::new();
    let mut count = 0;
    for test in &suite.tests {
        for stage in &test.stages {
            if !matches!(judge(&stage.output, &Default::default()), Outcome::NotJudged(_)) {
                continue;
            }
            count += 1;
            let expected = stage.output.status.expect("these tests expect a status");
            let status = answered(&gateway, &bytes(&stage.input)).await;
            if status.is_some_and(|status| status != expected) {
                wrong.push(format!("{}: {status:?} instead of {expected}", test.id()));
            }
        }
    }
    println!("{count} requests that a server must refuse");
    assert!(count >= 21, "{count} tests");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(upstream.received().len(), 0, "a refused request has reached the upstream");

    // What the exceptions of the other suite are about.
    for known in regression::exceptions() {
        let (Some(expected), Some(test)) =
            (known.status, suite.tests.iter().find(|test| test.id() == known.id))
        else {
            continue;
        };
        let status = answered(&gateway, &bytes(&test.stages[0].input)).await;
        assert_eq!(status, Some(expected), "{}: {}", known.id, known.reason);
    }
}
