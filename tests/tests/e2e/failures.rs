//! Guests that fail: what their policy says happens, and the next request is served.

use picket_tests::Upstream;
use picket_tests::client::{RawConnection, get, raw};

use crate::{ATTACK, BACKENDS, Config};

/// Ways for a guest to end its call, and the kinds they are counted under.
const FAILURES: [(&str, &str); 4] = [
    ("request trap", "trap"),
    ("request panic on purpose", "panic"),
    ("request loop", "fuel"),
    ("request flood", "host_calls"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_fails_closed_stops_its_request_and_no_other() {
    for backend in BACKENDS {
        for isolation in ["fresh", "pooled"] {
            let upstream = Upstream::start().await;
            let lines =
                format!("isolation = {isolation:?}\non_failure = \"fail-closed\"\nfailure_status = 599");
            let gateway = Config::before(&upstream).puppet(backend, &lines).start();
            for (command, kind) in FAILURES {
                let response = get(gateway.address(), "/", &[&format!("X-Puppet: {command}")]).await;
                assert_eq!(response.status, 599, "{backend}, {isolation}: {command}");
                assert!(!response.text().contains("purpose"), "the client is told what the guest said");
                let metrics = get(gateway.admin(), "/metrics", &[]).await.text();
                let sample = format!("picket_filter_failures_total{{filter=\"puppet\",kind=\"{kind}\"}} 1");
                assert!(metrics.contains(&sample), "{backend}: no {sample} in\n{metrics}");
                assert_eq!(get(gateway.address(), "/", &[]).await.status, 200, "{backend}: after {command}");
            }
            assert_eq!(upstream.received().len(), FAILURES.len(), "only the clean ones have passed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_fails_open_is_left_out_and_the_others_are_not() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway =
            Config::before(&upstream).puppet(backend, "on_failure = \"fail-open\"").waf(backend).start();
        for (command, _) in FAILURES {
            let line = format!("X-Puppet: {command}");
            assert_eq!(get(gateway.address(), "/", &[&line]).await.status, 200, "{backend}: {command}");
            assert_eq!(get(gateway.address(), ATTACK, &[&line]).await.status, 403, "{backend}: {command}");
        }
        // It is out for the whole transaction: its response phases are not called either.
        let lines = ["X-Puppet: request trap", "X-Puppet: response set X-Late 1"];
        let response = get(gateway.address(), "/", &lines).await;
        assert_eq!((response.status, response.header("x-late")), (200, None));
        let response = get(gateway.address(), "/", &lines[1..]).await;
        assert_eq!((response.status, response.header("x-late")), (200, Some("1")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_in_a_body_is_one_too() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = Config::before(&upstream).puppet(backend, "").start();
        let request =
            "POST /echo HTTP/1.1\r\nHost: a\r\nX-Puppet: request-body trap\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(raw(gateway.address(), request).await.status, 503, "{backend}");
        assert_eq!(upstream.received().len(), 0, "{backend}");
        let response = get(gateway.address(), "/", &["X-Puppet: response-body trap"]).await;
        assert_eq!(response.status, 503, "{backend}: {}", response.text());
        assert_eq!(get(gateway.address(), "/", &[]).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_told_to_the_operator() {
    let upstream = Upstream::start().await;
    let mut gateway = Config::before(&upstream).puppet("wasmtime", "").start();
    assert_eq!(get(gateway.address(), "/", &["X-Puppet: request panic on purpose"]).await.status, 503);
    let audit = gateway.folder().join("audit.jsonl");
    gateway.wait_until("the failure is in the audit log", |_| {
        std::fs::read_to_string(&audit).is_ok_and(|text| text.contains("on purpose"))
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let upstream = Upstream::start().await;
    let mut gateway = Config::before(&upstream).waf("wasmtime").start();
    for _ in 0..20 {
        let mut client = RawConnection::open(gateway.address()).await;
        client
            .send(
                "POST /x HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\nContent-Length: 1000\r\n\r\npart",
            )
            .await
            .unwrap();
    }
    let admin = gateway.admin();
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        gateway.wait_until("no instance is alive", |_| {
            let metrics = handle.block_on(get(admin, "/metrics", &[])).text();
            metrics.contains("picket_filter_live_instances{filter=\"waf\"} 0")
        });
    });
    assert_eq!(get(gateway.address(), "/", &[]).await.status, 200);
}
