//! What operators see: metrics, audit lines, health, and an orderly end.

use picket_tests::Upstream;
use picket_tests::client::{RawConnection, get};
use serde_json::{Value, json};

use crate::{ATTACK, CLEAN, Config};

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happened() {
    let upstream = Upstream::start().await;
    let gateway = Config::before(&upstream).waf("wasmi").start();
    for target in [CLEAN, CLEAN, ATTACK] {
        get(gateway.address(), target, &[]).await;
    }
    let response = get(gateway.admin(), "/metrics", &[]).await;
    assert!(response.header("content-type").unwrap().starts_with("text/plain"));
    let metrics = response.text();
    for sample in [
        "picket_rule_hits_total{filter=\"waf\",rule=\"942100\"} 1",
        "picket_answered_by_filter_total{route=\"all\"} 1",
        "picket_filter_outcomes_total{filter=\"waf\",outcome=\"respond\"} 1",
    ] {
        assert!(metrics.contains(sample), "no {sample} in\n{metrics}");
    }
    let served: f64 = metrics
        .lines()
        .filter(|line| line.starts_with("picket_requests_total{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert_eq!(served, 3.0, "{metrics}");
    for line in metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok(), "no sample of Prometheus: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_says_how_it_is_and_serves_nothing_else() {
    let upstream = Upstream::start().await;
    let gateway = Config::before(&upstream).waf("wasmi").start();
    assert_eq!(get(gateway.admin(), "/healthz", &[]).await.status, 200);
    assert_eq!(get(gateway.admin(), "/readyz", &[]).await.status, 200);
    assert_eq!(get(gateway.admin(), CLEAN, &[]).await.status, 404);
    // Clients of the service see nothing of it.
    assert_eq!(get(gateway.address(), "/metrics", &[]).await.text(), "upstream: GET /metrics");

    let filters: Value = serde_json::from_str(&get(gateway.admin(), "/filters", &[]).await.text()).unwrap();
    assert_eq!(filters[0]["id"], "waf");
    assert_eq!(filters[0]["backend"], "wasmi");
    let module = std::fs::read(picket_tests::guest_module("picket_waf_guest")).unwrap();
    assert_eq!(filters[0]["sha256"], picket_host::ModuleDigest::of(&module).to_string());
    assert_eq!(filters[0]["module_bytes"], module.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_request_has_an_audit_line_with_its_matches() {
    let upstream = Upstream::start().await;
    let mut gateway = Config::before(&upstream).waf("wasmtime").start();
    assert_eq!(get(gateway.address(), CLEAN, &[]).await.status, 200);
    let response = get(gateway.address(), ATTACK, &[]).await;
    let audit = gateway.folder().join("audit.jsonl");
    let mut lines = Vec::new();
    gateway.wait_until("an audit line", |_| {
        let text = std::fs::read_to_string(&audit).unwrap_or_default();
        lines = text.lines().map(str::to_owned).collect();
        text.ends_with('\n')
    });
    assert_eq!(lines.len(), 1, "a clean request has none: {lines:?}");
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["status"], 403);
    assert_eq!(line["method"], "GET");
    assert_eq!(line["target"], ATTACK);
    assert_eq!(line["host"], "test.example");
    assert_eq!(line["client"], "127.0.0.1");
    assert_eq!(line["route"], "all");
    assert_eq!(line["request_id"], json!(response.header("x-request-id")));
    assert!(line["score"].as_u64().unwrap() >= 5);
    assert!(line["fuel"].as_u64().unwrap() > 0);
    let matches = line["matches"].as_array().unwrap();
    let found = matches.iter().find(|found| found["id"] == 942_100).expect("the rule is named");
    assert_eq!(found["severity"], "critical");
    assert_eq!(found["category"], "sqli");
    assert_eq!(found["location"], "ARGS:id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_line_cannot_be_forged() {
    let upstream = Upstream::start().await;
    let mut gateway = Config::before(&upstream).waf("wasmi").start();
    let target = format!("{ATTACK}%0a%7b%22forged%22:1%7d%1b%5b2Jforged");
    assert_eq!(get(gateway.address(), &target, &["X-A: %0aforged"]).await.status, 403);
    let audit = gateway.folder().join("audit.jsonl");
    let mut text = String::new();
    gateway.wait_until("an audit line", |_| {
        text = std::fs::read_to_string(&audit).unwrap_or_default();
        text.ends_with('\n')
    });
    assert_eq!(text.lines().count(), 1);
    assert!(text.trim_end().chars().all(|c| !c.is_control()));
    assert!(gateway.log().iter().all(|line| !line.contains("\u{1b}[2J")), "{:?}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_finished_before_the_end() {
    let upstream = Upstream::start().await;
    let mut gateway = Config::before(&upstream).waf("wasmi").start();
    let mut client = RawConnection::open(gateway.address()).await;
    client.send("GET /sse HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\n\r\n").await.unwrap();
    assert_eq!(client.head().await.unwrap().0, 200);
    upstream.send_event("one");
    assert_eq!(client.chunk().await.unwrap().unwrap(), b"one");

    gateway.signal("TERM");
    // New connections are refused once it is stopping; the old one goes on.
    let address = gateway.address();
    gateway.wait_until("the listener is closed", |_| std::net::TcpStream::connect(address).is_err());
    upstream.send_event("two");
    assert_eq!(client.chunk().await.unwrap().unwrap(), b"two");
    upstream.end_events();
    assert_eq!(client.chunk().await.unwrap(), None);
    let mut status = None;
    gateway.wait_until("it ends", |gateway| {
        status = gateway.exited();
        status.is_some()
    });
    assert!(status.unwrap().success(), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_idle_connections() {
    let upstream = Upstream::start().await;
    let mut gateway = Config::before(&upstream).waf("wasmi").start();
    let mut idle = RawConnection::open(gateway.address()).await;
    idle.send("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\n\r\n").await.unwrap();
    assert_eq!(idle.response().await.unwrap().status, 200);
    gateway.signal("TERM");
    gateway.wait_until("it ends", |gateway| gateway.exited().is_some());
    assert!(idle.ends().await.unwrap());
}
