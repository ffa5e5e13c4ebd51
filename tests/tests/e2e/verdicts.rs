//! Allow, block, modify, redirect, respond.

use picket_tests::client::{RawResponse, get, raw};
use picket_tests::{Gateway, Upstream};

use crate::{ATTACK, ATTACK_FORM, BACKENDS, CLEAN, Config};

fn post(kind: &str, body: &str) -> String {
    format!(
        "POST /order HTTP/1.1\r\nHost: test.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn assert_blocked(response: &RawResponse, what: &str) {
    assert_eq!(response.status, 403, "{what}: {}", response.text());
    // Whoever is blocked by mistake needs something to quote, and learns nothing else.
    assert!(response.header("x-request-id").is_some(), "{what}: no request id");
    assert!(!response.text().contains("942100"), "{what}: {}", response.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_request_passes_and_an_attack_does_not() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = Config::before(&upstream).waf(backend).start();
        let response = get(gateway.address(), CLEAN, &["X-Twice: 1", "X-Twice: 2"]).await;
        assert_eq!(response.status, 200, "{backend}: {}", response.text());
        assert_eq!(response.text(), format!("upstream: GET {CLEAN}"));
        let received = upstream.received();
        assert_eq!(received[0].target, CLEAN);
        assert_eq!(received[0].all("x-twice"), ["1", "2"], "duplicates and their order");

        assert_blocked(&get(gateway.address(), ATTACK, &[]).await, backend);
        assert_eq!(upstream.received().len(), 1, "{backend}: the attack has reached the upstream");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attack_is_blocked_wherever_it_stands() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = Config::before(&upstream).waf(backend).start();
        let sql = "1' UNION SELECT login,password FROM users-- -";
        let json = serde_json::json!({ "order": [{ "id": sql }] }).to_string();
        let multipart =
            format!("--b\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n{sql}\r\n--b--\r\n");
        for (what, request) in [
            ("form", post("application/x-www-form-urlencoded", ATTACK_FORM)),
            ("json", post("application/json", &json)),
            ("multipart", post("multipart/form-data; boundary=b", &multipart)),
            (
                "cookie",
                format!(
                    "GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: Mozilla/5.0\r\nCookie: id={sql}\r\n\r\n"
                ),
            ),
        ] {
            assert_blocked(&raw(gateway.address(), request).await, &format!("{backend}, {what}"));
        }
        // A small body is held back until it has been inspected: not even the head has gone out.
        assert_eq!(upstream.received().len(), 0, "{backend}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_detect_mode_an_attack_passes_and_is_reported() {
    let upstream = Upstream::start().await;
    let config = Config::before(&upstream).filter(
        "waf",
        "picket_waf_guest",
        "wasmi",
        "config = { mode = \"detect\" }",
    );
    let mut gateway = config.start();
    assert_eq!(get(gateway.address(), ATTACK, &[]).await.status, 200);
    let audit = gateway.folder().join("audit.jsonl");
    gateway.wait_until("the attack is in the audit log", |_| {
        std::fs::read_to_string(&audit)
            .is_ok_and(|text| text.contains("\"942100\"") || text.contains(":942100"))
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_rewritten_on_both_ways() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway =
            Config::before(&upstream).filter("rewrite", "example_header_rewrite", backend, "").start();
        let response = get(gateway.address(), "/fields", &["Proxy: http://evil.example"]).await;
        let received = upstream.received();
        assert_eq!(received[0].all("x-picket"), ["header-rewrite"]);
        assert!(received[0].all("proxy").is_empty());
        assert_eq!(response.text(), "fields");
        assert_eq!(response.all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(response.header("x-powered-by"), None);
        assert_ne!(response.header("server"), Some("upstream/1.0"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_can_answer_and_redirect() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let keys = "config = { keys = { alice = \"k-3d5cf5a6b1\" } }";
        let gateway = Config::before(&upstream)
            .filter("key", "example_api_key", backend, keys)
            .puppet(backend, "")
            .start();
        let response = get(gateway.address(), "/", &[]).await;
        assert_eq!(response.status, 401, "{backend}");
        assert!(response.header("www-authenticate").is_some());

        let known = "X-Api-Key: k-3d5cf5a6b1";
        let response =
            get(gateway.address(), "/", &[known, "X-Puppet: request redirect 307 https://b.example/x?y"])
                .await;
        assert_eq!((response.status, response.header("location")), (307, Some("https://b.example/x?y")));
        assert_eq!(upstream.received().len(), 0);

        let response = get(gateway.address(), "/", &[known, "X-Api-Client: forged"]).await;
        assert_eq!(response.status, 200, "{backend}");
        let received = upstream.received();
        assert_eq!(received[0].all("x-api-client"), ["alice"]);
        assert!(received[0].all("x-api-key").is_empty(), "the upstream has seen the key");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_rewritten_and_framed_anew() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = Config::before(&upstream).puppet(backend, "").start();
        let request = "POST /echo HTTP/1.1\r\nHost: a\r\nX-Puppet: request-body replace longer than before\r\nContent-Length: 3\r\n\r\nabc";
        let response = raw(gateway.address(), request).await;
        assert_eq!(response.text(), "longer than before", "{backend}");

        let request = "POST /echo HTTP/1.1\r\nHost: a\r\nX-Puppet: request body all new\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let response = raw(gateway.address(), request).await;
        assert_eq!(response.text(), "all new", "{backend}");

        let response = get(gateway.address(), "/x", &["X-Puppet: response-body upper"]).await;
        assert_eq!(response.text(), "UPSTREAM: GET /X", "{backend}");
        let response = get(gateway.address(), "/x", &["X-Puppet: response body short"]).await;
        assert_eq!(response.text(), "short", "{backend}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_inspected_before_it_is_sent() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = Config::before(&upstream).puppet(backend, "").start();
        let response = get(gateway.address(), "/secret", &["X-Puppet: response-body find secret"]).await;
        assert_eq!((response.status, response.text().as_str()), (403, "found"), "{backend}");
        let response = get(gateway.address(), "/public", &["X-Puppet: response-body find secret"]).await;
        assert_eq!(response.status, 200, "{backend}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_configuration_the_waf_stands_before_the_demo() {
    let module = picket_tests::guest_module("picket_waf_guest");
    let gateway = Gateway::start_with(picket_tests::GatewayOptions {
        args: ["--listen", "127.0.0.1:0", "--module"]
            .map(str::to_owned)
            .into_iter()
            .chain([module.display().to_string()])
            .collect(),
        ..Default::default()
    });
    assert_eq!(get(gateway.address(), CLEAN, &[]).await.status, 200);
    assert_blocked(&get(gateway.address(), ATTACK, &[]).await, "demo");
}
