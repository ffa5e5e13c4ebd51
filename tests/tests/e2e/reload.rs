//! Configuration and modules replaced while requests are served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use picket_tests::client::{RawConnection, get};
use picket_tests::{Gateway, Upstream, guest_module};

use crate::{ATTACK, BACKENDS, CLEAN, Config, filter};

/// Reloads while clients ask without a pause.
const RELOADS: usize = 5;
const CLIENTS: usize = 4;

fn replace(path: &std::path::Path, content: &[u8]) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, content).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

/// Waits, on this thread, until the admin listener's metrics hold `sample`.
fn wait_for_sample(gateway: &mut Gateway, sample: &str) {
    let admin = gateway.admin();
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        gateway.wait_until(sample, |_| handle.block_on(get(admin, "/metrics", &[])).text().contains(sample));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_the_configuration_changes() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let block = Config::before(&upstream).waf(backend).text();
        let detect = Config::before(&upstream)
            .filter("waf", "picket_waf_guest", backend, "config = { mode = \"detect\" }")
            .text();
        let mut gateway = Gateway::start(block.clone());
        let address = gateway.address();

        let stop = Arc::new(AtomicBool::new(false));
        let served = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (stop, served) = (stop.clone(), served.clone());
                tokio::spawn(async move {
                    let mut client = RawConnection::open(address).await;
                    while !stop.load(Ordering::Relaxed) {
                        let request = |target| {
                            format!("GET {target} HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\n\r\n")
                        };
                        client.send(request(CLEAN)).await.expect("the connection is kept");
                        assert_eq!(client.response().await.expect("a response").status, 200);
                        client.send(request(ATTACK)).await.expect("the connection is kept");
                        let status = client.response().await.expect("a response").status;
                        assert!(matches!(status, 200 | 403), "{status}");
                        served.fetch_add(2, Ordering::Relaxed);
                    }
                })
            })
            .collect();

        let config = gateway.folder().join("picket.toml");
        for turn in 1..=RELOADS {
            let text = if turn % 2 == 1 { &detect } else { &block };
            let before = served.load(Ordering::Relaxed);
            replace(&config, text.as_bytes());
            gateway.signal("HUP");
            // The new configuration is at work when its verdict is.
            let wanted = if turn % 2 == 1 { 200 } else { 403 };
            let handle = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| {
                gateway.wait_until("the new verdict", |_| {
                    handle.block_on(get(address, ATTACK, &[])).status == wanted
                });
                gateway.wait_until("requests go on", |_| served.load(Ordering::Relaxed) > before);
            });
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.unwrap_or_else(|error| panic!("{backend}: a request has failed: {error}"));
        }
        // What was replaced is gone: nothing holds an instance any more.
        wait_for_sample(&mut gateway, "picket_filter_live_instances{filter=\"waf\"} 0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_serves_while_it_is_compiled_and_nothing_shows_of_it() {
    let upstream = Upstream::start().await;
    let text = Config::before(&upstream).waf("wasmtime").text();
    assert!(text.contains("quick_start = false"));
    let mut gateway = Gateway::start(text.replace("quick_start = false", "quick_start = true"));
    let (address, admin) = (gateway.address(), gateway.admin());
    // Status and fuel of an attack and of a clean request: what was used, by the counter.
    let judged = async || {
        let mut seen = Vec::new();
        let fuel = async || {
            let metrics = get(admin, "/metrics", &[]).await.text();
            let sample = metrics.lines().find_map(|line| line.strip_prefix("picket_filter_fuel_total{"));
            sample.and_then(|sample| sample.split(' ').nth(1)?.parse::<u64>().ok()).expect("a counter")
        };
        for target in [ATTACK, CLEAN] {
            let before = fuel().await;
            seen.push((get(address, target, &[]).await.status, fuel().await - before));
        }
        seen
    };
    let early = judged().await;
    assert!(matches!(early[..], [(403, 1..), (200, 1..)]), "{early:?}");
    let line = tokio::task::block_in_place(|| {
        gateway.wait_for_line("the second engine", |line| line.contains("filter compiled"))
    });
    assert!(line.contains("wasmtime"), "{line}");
    assert_eq!(judged().await, early);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_file_that_changes_is_loaded() {
    let upstream = Upstream::start().await;
    let folder = picket_tests::Folder::new();
    let module = folder.path().join("filter.wasm");
    let rewrite = std::fs::read(guest_module("example_header_rewrite")).unwrap();
    let puppet = std::fs::read(guest_module("test_puppet")).unwrap();
    replace(&module, &rewrite);
    let mut config = Config::before(&upstream);
    config.filters = filter("it", "filter.wasm", "wasmtime", "capabilities = [\"log\"]");
    config.names = vec!["\"it\"".into()];
    let options = picket_tests::GatewayOptions { config: config.text(), ..Default::default() };
    let mut gateway = Gateway::start_in(folder, options);
    let address = gateway.address();
    assert_eq!(get(address, "/", &[]).await.header("x-content-type-options"), Some("nosniff"));

    replace(&module, &puppet);
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        gateway.wait_until("the new module answers", |_| {
            let commands = ["X-Puppet: request respond 418 puppet"];
            handle.block_on(get(address, "/", &commands)).status == 418
        });
    });

    // A file that is no module changes nothing, and is reported.
    replace(&module, b"no module");
    wait_for_sample(&mut gateway, "picket_failed_reloads_total 1");
    assert_eq!(get(address, "/", &["X-Puppet: request respond 418 puppet"]).await.status, 418);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_wrong_changes_nothing_and_says_where() {
    let upstream = Upstream::start().await;
    let mut gateway = Config::before(&upstream).waf("wasmi").start();
    let config = gateway.folder().join("picket.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    replace(&config, text.replace("backend = \"wasmi\"", "backnd = \"wasmi\"").as_bytes());
    gateway.signal("HUP");
    let line = gateway.wait_for_line("the mistake", |line| line.contains("backnd"));
    assert!(line.contains("picket.toml:") && line.contains("filter.waf"), "{line}");
    assert_eq!(get(gateway.address(), ATTACK, &[]).await.status, 403);

    // And a setting that the guest refuses.
    let refused =
        text.replace("backend = \"wasmi\"", "backend = \"wasmi\"\nconfig = { threshold = \"low\" }");
    replace(&config, refused.as_bytes());
    gateway.signal("HUP");
    gateway.wait_for_line("the refusal", |line| line.contains("threshold"));
    assert_eq!(get(gateway.address(), ATTACK, &[]).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_finishes_on_the_filter_it_began_on() {
    let upstream = Upstream::start().await;
    let mut gateway = Config::before(&upstream).puppet("wasmtime", "").start();
    let mut client = RawConnection::open(gateway.address()).await;
    client.send("GET /sse HTTP/1.1\r\nHost: a\r\nX-Puppet: response-body upper\r\n\r\n").await.unwrap();
    assert_eq!(client.head().await.unwrap().0, 200);
    upstream.send_event("before");
    assert_eq!(client.chunk().await.unwrap().unwrap(), b"BEFORE");

    // The puppet gives way to the WAF while its response is open.
    let config = gateway.folder().join("picket.toml");
    replace(&config, Config::before(&upstream).waf("wasmtime").text().as_bytes());
    gateway.signal("HUP");
    let (address, handle) = (gateway.address(), tokio::runtime::Handle::current());
    tokio::task::block_in_place(|| {
        gateway
            .wait_until("the WAF is at work", |_| handle.block_on(get(address, ATTACK, &[])).status == 403);
    });
    upstream.send_event("after");
    assert_eq!(client.chunk().await.unwrap().unwrap(), b"AFTER");
    upstream.end_events();
    assert_eq!(client.chunk().await.unwrap(), None);
}
