//! Devices: `picket device` as the other end of `picket check --device` and of a filter of the gateway.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use picket_tests::client::{RawConnection, get};
use picket_tests::{Case, DeviceProcess, Upstream, binary, guest_module, load_cases, workspace};
use serde_json::{Value, json};

use crate::{ATTACK, ATTACK_FORM, BACKENDS, CLEAN, Config};

fn module(name: &str) -> String {
    guest_module(name).display().to_string()
}

/// `picket check --jsonl` over these requests.
fn check(cases: &[Case], args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(["check", "--jsonl"]).args(args).env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = String::new();
    for case in cases {
        let headers: Vec<_> = case
            .request
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
            .collect();
        let line = json!({
            "id": case.name,
            "method": case.request.method,
            "uri": String::from_utf8_lossy(&case.request.target),
            "headers": headers,
            "body_base64": STANDARD.encode(&case.request.body),
        });
        lines.push_str(&format!("{line}\n"));
    }
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().ok();
    output
}

/// The answers, without what depends on the clock.
fn answers(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let answers = text.lines().map(|line| {
        let mut answer: Value = serde_json::from_str(line).unwrap();
        answer.as_object_mut().unwrap().remove("micros");
        answer
    });
    answers.collect()
}

fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn every_case_is_judged_on_a_device_as_it_is_here() {
    let cases = load_cases(&workspace().join("tests/cases")).unwrap();
    let waf = module("picket_waf_guest");
    for backend in BACKENDS {
        let device = DeviceProcess::start(&["--empty", "--backend", backend]);
        for settings in [&[][..], &["--detect", "--explain"]] {
            let named = ["--module", &waf];
            let here = check(&cases, &[&["--backend", backend][..], &named, settings].concat());
            let there = check(&cases, &[&["--device", device.address()][..], &named, settings].concat());
            assert_eq!(here.status.code(), there.status.code(), "{}", shown(&there));
            let (here, there) = (answers(&here), answers(&there));
            assert_eq!(here.len(), cases.len());
            for (here, there) in here.iter().zip(&there) {
                assert_eq!(here, there, "{backend}");
                assert!(here["fuel"].as_u64().unwrap() > 0, "{here}");
            }
            assert_eq!(here.len(), there.len());
        }
    }
}

#[test]
fn a_device_is_given_what_it_does_not_have() {
    let device = DeviceProcess::start(&["--empty"]);
    let address = ["--device", device.address()];
    let run = |args: &[&str]| check(&[], &[&address[..], args].concat());
    let attack = [attack()];
    let nothing = check(&attack, &address);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(shown(&nothing).contains("transfer a module (`--module FILE`)"), "{}", shown(&nothing));

    assert_eq!(run(&["--module", &module("picket_waf_guest")]).status.code(), Some(0));
    // From now on it has it, whoever asks.
    let blocked = check(&attack, &address);
    assert_eq!(blocked.status.code(), Some(1), "{}", shown(&blocked));
    // A module that is none, and settings that are none, change nothing.
    let bad = run(&["--module", &workspace().join("Cargo.toml").display().to_string()]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(shown(&bad).contains("at fault: guest"), "{}", shown(&bad));
    assert_eq!(run(&["--threshold", "0"]).status.code(), Some(2));
    assert_eq!(check(&attack, &address).status.code(), Some(1));

    // Rules in SecLang, compiled here and made part of the module there.
    let folder = picket_tests::Folder::new();
    let rules = folder.path().join("own.conf");
    std::fs::write(
        &rules,
        "SecRuleEngine On\nSecRule ARGS \"@contains hose\" \"id:7,phase:2,deny,status:406\"\n",
    )
    .unwrap();
    let clean = Case { request: request(CLEAN), ..attack[0].clone() };
    let (rules, engine) = (rules.display().to_string(), module("picket_seclang_guest"));
    let refused = check(&[clean], &[&address[..], &["--rules", &rules, "--module", &engine]].concat());
    assert_eq!(answers(&refused)[0]["rule_ids"], json!([7]), "{}", shown(&refused));
}

#[test]
fn a_device_that_is_fixed_takes_nothing() {
    let device = DeviceProcess::start(&["--fixed", "--module", &module("picket_waf_guest")]);
    // What it has already need not be transferred.
    let has = check(&[attack()], &["--device", device.address()]);
    assert_eq!(has.status.code(), Some(1), "{}", shown(&has));
    let other = module("test_puppet");
    let refused = check(&[attack()], &["--device", device.address(), "--module", &other]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(shown(&refused).contains("takes no module"), "{}", shown(&refused));
}

fn request(target: &str) -> picket_tests::Request {
    picket_tests::Request {
        method: "GET".into(),
        target: target.into(),
        headers: vec![("Host".into(), b"a".to_vec()), ("User-Agent".into(), b"Mozilla/5.0".to_vec())],
        body: Vec::new(),
    }
}

fn attack() -> Case {
    Case {
        family: "device".into(),
        name: "attack".into(),
        request: request(ATTACK),
        expect: picket_tests::Expectation::default(),
    }
}

async fn metric(gateway: &picket_tests::Gateway, name: &str) -> u64 {
    let metrics = get(gateway.admin(), "/metrics", &[]).await.text();
    let line = metrics.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_does_what_a_device_says() {
    for backend in BACKENDS {
        let waf = module("picket_waf_guest");
        let device = DeviceProcess::start(&["--backend", backend, "--module", &waf]);
        let upstream = Upstream::start().await;
        let gateway = Config::before(&upstream).device("box", device.address(), "").start();
        assert_eq!(get(gateway.address(), CLEAN, &[]).await.status, 200);
        assert_eq!(get(gateway.address(), ATTACK, &[]).await.status, 403);
        let mut client = RawConnection::open(gateway.address()).await;
        let form = format!(
            "POST /login HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{ATTACK_FORM}",
            ATTACK_FORM.len()
        );
        client.send(&form).await.unwrap();
        assert_eq!(client.response().await.unwrap().status, 403);
        assert_eq!(upstream.received().len(), 1, "only the clean one has passed");

        assert_eq!(metric(&gateway, "picket_device_up{filter=\"box\"").await, 1);
        assert_eq!(metric(&gateway, "picket_rule_hits_total{filter=\"box\",rule=\"942100\"}").await, 2);
        let blocked = "picket_filter_outcomes_total{filter=\"box\",outcome=\"respond\"}";
        assert_eq!(metric(&gateway, blocked).await, 2);
        assert!(metric(&gateway, "picket_filter_fuel_total{filter=\"box\"}").await > 0);
        let filters: Value =
            serde_json::from_str(&get(gateway.admin(), "/filters", &[]).await.text()).unwrap();
        assert_eq!(filters[0]["backend"], "device");
        assert_eq!(filters[0]["device"]["address"], device.address());
        assert_eq!(filters[0]["device"]["backend"], backend);
        let bytes = std::fs::read(waf).unwrap();
        assert_eq!(filters[0]["sha256"], picket_host::ModuleDigest::of(&bytes).to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_bodies_are_changed_by_a_device_as_by_a_filter_here() {
    let puppet = module("test_puppet");
    let device = DeviceProcess::start(&["--backend", "wasmi", "--module", &puppet]);
    let upstream = Upstream::start().await;
    // Two filters on one device, with a session each, and one here: the order is that of the chain.
    let there = Config::before(&upstream).device("there", device.address(), "").waf("wasmi").start();
    let here = Config::before(&upstream).puppet("wasmi", "").waf("wasmi").start();
    for commands in [
        &["X-Puppet: request set X-A 1", "X-A: 0", "X-A: 2", "X-B: kept"][..],
        &["X-Puppet: request append X-A 1", "X-A: 0"],
        &["X-Puppet: request remove X-A", "X-A: 0", "x-a: 2"],
        &["X-Puppet: request redirect 302 /elsewhere"],
        &["X-Puppet: request respond 418 teapot"],
        &["X-Puppet: response set X-Late 1"],
        &["X-Puppet: response respond 410 gone"],
        &["X-Puppet: request trap"],
        &["X-Puppet: response trap"],
    ] {
        let before = upstream.received().len();
        let mut outcomes = Vec::new();
        for gateway in [&there, &here] {
            let response = get(gateway.address(), CLEAN, commands).await;
            let headers: Vec<_> = response
                .headers
                .iter()
                .filter(|(name, _)| !matches!(&*name.to_ascii_lowercase(), "date" | "x-request-id"))
                .cloned()
                .collect();
            // A page that names the request is another one each time.
            let body = if response.status == 503 { String::new() } else { response.text() };
            outcomes.push((response.status, headers.len(), body));
        }
        assert_eq!(outcomes[0], outcomes[1], "{commands:?}");
        let received = upstream.received();
        if let [first, second] = &received[before..] {
            assert_eq!(first.all("x-a"), second.all("x-a"), "{commands:?}");
            assert_eq!(first.all("x-b"), second.all("x-b"), "{commands:?}");
        }
    }
    // What a device lets pass, the filters behind it see.
    assert_eq!(get(there.address(), ATTACK, &[]).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_dies_is_a_failure_and_one_that_comes_back_guards_again() {
    let waf = module("picket_waf_guest");
    let args = ["--module", &waf];
    let device = DeviceProcess::start(&args);
    let upstream = Upstream::start().await;
    let closed = Config::before(&upstream).device("box", device.address(), "failure_status = 599");
    let open = Config::before(&upstream).device("box", device.address(), "on_failure = \"fail-open\"");
    let (mut closed, mut open) = (closed.start(), open.start());
    for gateway in [&closed, &open] {
        assert_eq!(get(gateway.address(), ATTACK, &[]).await.status, 403);
    }

    let address = device.kill();
    for _ in 0..3 {
        assert_eq!(get(closed.address(), CLEAN, &[]).await.status, 599);
        assert_eq!(get(open.address(), ATTACK, &[]).await.status, 200);
    }
    assert_eq!(metric(&closed, "picket_device_up{filter=\"box\"").await, 0);
    let ready = get(closed.admin(), "/readyz", &[]).await;
    assert_eq!(ready.status, 503, "it answers nothing but failures");
    assert!(ready.text().contains("filter `box`"), "{}", ready.text());
    assert_eq!(get(open.admin(), "/readyz", &[]).await.status, 200, "it serves, unguarded");
    assert!(metric(&open, "picket_filter_failures_total{filter=\"box\",kind=\"host\"}").await >= 3);
    closed.wait_for_line("a warning", |line| line.contains("WARN") && line.contains("cannot be reached"));

    let device = DeviceProcess::start_at(&address, &args);
    let runtime = tokio::runtime::Handle::current();
    for (gateway, missing) in [(&mut closed, 599), (&mut open, 200)] {
        gateway.wait_until("the device guards again", |gateway| {
            let asked = get(gateway.address(), ATTACK, &[]);
            let status = tokio::task::block_in_place(|| runtime.block_on(asked)).status;
            assert!(status == 403 || status == missing, "{status}");
            status == 403
        });
        assert_eq!(get(gateway.address(), CLEAN, &[]).await.status, 200);
        assert_eq!(get(gateway.admin(), "/readyz", &[]).await.status, 200);
    }
    assert_eq!(device.address(), address);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_dies_in_the_middle_of_a_request_lets_none_of_it_pass() {
    let device = DeviceProcess::start(&["--module", &module("picket_waf_guest")]);
    let upstream = Upstream::start().await;
    let gateway = Config::before(&upstream).device("box", device.address(), "").start();
    let mut client = RawConnection::open(gateway.address()).await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\nContent-Length: 10\r\n\r\nq=abc")
        .await
        .unwrap();
    // The head and the first piece were judged when a question is counted for each.
    loop {
        if metric(&gateway, "picket_filter_calls_total{filter=\"box\"}").await >= 2 {
            break;
        }
        tokio::task::yield_now().await;
    }
    device.kill();
    client.send("defgh").await.unwrap();
    assert_eq!(client.response().await.unwrap().status, 503);
    assert!(upstream.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_before_its_device_and_installs_what_it_is_to_have() {
    // Nobody is there: the port is free a moment later.
    let address = DeviceProcess::start(&["--empty"]).kill();
    let upstream = Upstream::start().await;
    let lines = format!("module = {:?}\n[filter.box.config]\nblock_status = 406", module("picket_waf_guest"));
    let mut gateway = Config::before(&upstream).device("box", &address, &lines).start();
    assert_eq!(get(gateway.address(), CLEAN, &[]).await.status, 503);

    let device = DeviceProcess::start_at(&address, &["--empty"]);
    gateway.wait_for_line("it installs", |line| line.contains("installed on the device"));
    let runtime = tokio::runtime::Handle::current();
    gateway.wait_until("the device guards", |gateway| {
        let asked = get(gateway.address(), ATTACK, &[]);
        tokio::task::block_in_place(|| runtime.block_on(asked)).status == 406
    });
    assert_eq!(get(gateway.address(), CLEAN, &[]).await.status, 200);
    drop(device);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_take_turns_at_a_device_of_one_slot() {
    let device = DeviceProcess::start(&["--slots", "1", "--module", &module("picket_waf_guest")]);
    let upstream = Upstream::start().await;
    let gateway = Config::before(&upstream).device("box", device.address(), "").start();
    let address = gateway.address();
    let requests: Vec<_> = (0..40)
        .map(|n| {
            tokio::spawn(async move {
                (n, get(address, if n % 2 == 0 { CLEAN } else { ATTACK }, &[]).await.status)
            })
        })
        .collect();
    for request in requests {
        let (n, status) = request.await.unwrap();
        assert_eq!(status, if n % 2 == 0 { 200 } else { 403 });
    }
}

#[test]
fn a_device_that_does_not_go_with_its_configuration_is_an_error_at_start() {
    let device = DeviceProcess::start(&["--fixed", "--module", &module("picket_waf_guest")]);
    let folder = picket_tests::Folder::new();
    let config = folder.path().join("picket.toml");
    let text = format!(
        "[upstream.app]\nurls = [\"http://127.0.0.1:1\"]\n[filter.box]\ndevice = {:?}\nmodule = {:?}\n[chain.default]\nfilters = [\"box\"]\n[[listener]]\naddr = \"127.0.0.1:0\"\n[[route]]\nupstream = \"app\"\n",
        device.address(),
        module("test_puppet")
    );
    std::fs::write(&config, text).unwrap();
    let output = Command::new(binary()).args(["serve", "--config"]).arg(&config).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(shown(&output).contains("filter `box`: the device takes no module"), "{}", shown(&output));
}
