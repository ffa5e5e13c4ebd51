//! Rules in SecLang before a real upstream: verdicts, limits, responses, reloads, logs, commands.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use picket_tests::client::{RawConnection, get, raw};
use picket_tests::{Folder, Gateway, GatewayOptions, Upstream, binary, guest_module, workspace};
use serde_json::Value;

use crate::{BACKENDS, Config};

/// What most tests here run with.
const OWN: &str = r#"
SecRule ARGS|REQUEST_COOKIES "@rx (?i)union\s+select" \
    "id:100,phase:2,deny,status:403,t:none,t:urlDecodeUni,t:compressWhitespace,log,auditlog,\
    msg:'SQL in %{MATCHED_VAR_NAME}',logdata:'found %{MATCHED_VAR}',severity:CRITICAL,\
    ver:'own/1',rev:'2',tag:'attack-sqli',tag:'own',maturity:3,accuracy:8"
SecRule RESPONSE_BODY "@contains error in your SQL syntax" \
    "id:200,phase:4,deny,status:403,log,msg:'The database speaks'"
"#;

const ATTACK: &str = "/item?id=1%27%20union%20%20select%20password";

/// A configuration with rules as its only filter.
fn config(upstream: &Upstream, backend: &str, lines: &str) -> Config {
    Config::before(upstream).filter("rules", "picket_seclang_guest", backend, lines)
}

/// A gateway with these rules, and further lines of the filter's section.
fn start(upstream: &Upstream, backend: &str, rules: &str, lines: &str) -> Gateway {
    let folder = Folder::new();
    std::fs::write(folder.path().join("own.conf"), rules).unwrap();
    let config = config(upstream, backend, &format!("rules = [\"own.conf\"]\n{lines}")).text();
    Gateway::start_in(folder, GatewayOptions { config, ..Default::default() })
}

fn post(target: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {target} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

fn upload(length: usize, field: &str) -> Vec<u8> {
    let mut body = format!(
        "--Xa83kfl2\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\n{field}\r\n--Xa83kfl2\r\nContent-Disposition: form-data; name=\"file\"; filename=\"picture.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n"
    )
    .into_bytes();
    let mut state = 1_u32;
    body.extend((0..length).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    }));
    body.extend_from_slice(b"\r\n--Xa83kfl2--\r\n");
    body
}

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=Xa83kfl2";

/// What people do on a site, on connections that are kept.
async fn browse(gateway: &Gateway, upstream: &Upstream, what: &str) {
    let address = gateway.address();
    let mut client = RawConnection::open(address).await;
    let browser = "Host: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: text/html,*/*;q=0.8\r\nAccept-Language: en\r\n";
    for (media_type, body) in [
        ("text/html; charset=utf-8", "<!doctype html><p>Shoes &amp; socks</p>".repeat(500)),
        ("text/css", "a { color: #fff }".repeat(100)),
        ("application/json", "{\"items\": [1, 2, 3]}".repeat(10)),
    ] {
        upstream.reply(media_type, body.clone());
        client.send(format!("GET /reply HTTP/1.1\r\n{browser}\r\n")).await.unwrap();
        let response = client.response().await.unwrap();
        assert_eq!((response.status, response.text()), (200, body), "{what}: {media_type}");
    }
    for (request, status) in [
        (format!("HEAD /page HTTP/1.1\r\n{browser}Connection: keep-alive\r\n\r\n"), 200),
        (format!("GET /status/304 HTTP/1.1\r\n{browser}If-None-Match: \"a1\"\r\n\r\n"), 304),
        (format!("GET /status/302 HTTP/1.1\r\n{browser}\r\n"), 302),
        (format!("GET /status/404?q=garden+hose HTTP/1.1\r\n{browser}\r\n"), 404),
    ] {
        client.send(&request).await.unwrap();
        let (got, headers) = client.head().await.unwrap();
        assert_eq!(got, status, "{what}: {request}");
        if status == 302 {
            assert!(headers.iter().any(|(_, value)| value == "/elsewhere"), "{what}: {headers:?}");
        }
        if !request.starts_with("HEAD") && status != 304 {
            // What is left of it.
            let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            client.exactly(length.expect("a length").1.parse().unwrap()).await.unwrap();
        }
    }
    let picture = upload(1 << 20, "Holiday 2026");
    for (target, kind, body) in [
        ("/account", FORM, &b"name=Anna+Miller&city=London&note=see+you+at+5"[..]),
        ("/api", "application/json", br#"{"name": "Anna", "items": [{"id": 5, "n": 2}]}"#),
        ("/upload", MULTIPART, &picture),
    ] {
        client.send(post(target, kind, body)).await.unwrap();
        let response = client.response().await.unwrap();
        assert_eq!(response.status, 200, "{what}: {kind}: {}", response.text());
    }
    let received = upstream.received();
    assert_eq!(received.last().unwrap().body_bytes, picture.len() as u64, "{what}");
    assert!(received.iter().all(|request| request.complete), "{what}");

    // Events are passed on one by one: the next is only sent once the last has come through.
    let mut events = RawConnection::open(address).await;
    events.send(format!("GET /sse HTTP/1.1\r\n{browser}\r\n")).await.unwrap();
    assert_eq!(events.head().await.unwrap().0, 200, "{what}");
    for event in ["data: one\n\n", "data: two\n\n"] {
        upstream.send_event(event);
        assert_eq!(events.chunk().await.unwrap().unwrap(), event.as_bytes(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attacks_are_blocked_and_browsing_is_not_disturbed() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = start(&upstream, backend, OWN, "");
        browse(&gateway, &upstream, backend).await;
        let before = upstream.received().len();
        let sql = "1' union select password";
        let json = serde_json::json!({ "order": [{ "id": sql }] }).to_string();
        for (what, request) in [
            ("query", format!("GET {ATTACK} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()),
            ("cookie", format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; id={sql}\r\n\r\n").into_bytes()),
            ("form", post("/", FORM, b"a=b&id=1'+union+select+password")),
            ("JSON", post("/", "application/json", json.as_bytes())),
            ("multipart", post("/", MULTIPART, &upload(100_000, sql))),
        ] {
            let response = raw(gateway.address(), request).await;
            assert_eq!(response.status, 403, "{backend}, {what}: {}", response.text());
            assert!(!response.text().contains("100"), "{backend}, {what}: {}", response.text());
        }
        assert_eq!(upstream.received().len(), before, "{backend}: an attack has reached the upstream");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_core_rule_set_lets_people_browse() {
    let Some(crs) = picket_ftw::crs_dir(&workspace().join("../shared/crs")) else {
        return println!("no Core Rule Set (CRS_DIR, or ../shared/crs): nothing is tested here");
    };
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let lines = format!(
            "rules = [{:?}, {:?}]",
            crs.join("crs-setup.conf.example").display().to_string(),
            crs.join("rules/*.conf").display().to_string()
        );
        let gateway = config(&upstream, backend, &lines).start();
        browse(&gateway, &upstream, backend).await;
        let before = upstream.received().len();
        for target in [
            ATTACK,
            "/?q=%3Cscript%3Ealert(1)%3C/script%3E",
            "/?f=../../../../etc/passwd",
            "/?c=;cat+/etc/passwd",
        ] {
            assert_eq!(get(gateway.address(), target, &[]).await.status, 403, "{backend}: {target}");
        }
        assert_eq!(upstream.received().len(), before, "{backend}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_beyond_the_limit_are_refused_or_read_in_part() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let limits = "SecRequestBodyLimit 1000\nSecRequestBodyNoFilesLimit 1000\n";
        let long = post("/", FORM, format!("text={}", "a".repeat(5_000)).as_bytes());
        let fits = post("/", FORM, format!("text={}", "a".repeat(900)).as_bytes());
        let gateway = start(&upstream, backend, &format!("{limits}{OWN}"), "");
        assert_eq!(raw(gateway.address(), &fits).await.status, 200, "{backend}");
        assert_eq!(raw(gateway.address(), &long).await.status, 413, "{backend}");
        assert_eq!(upstream.received().len(), 1, "{backend}: the long one has reached the upstream");

        let partial = format!("{limits}SecRequestBodyLimitAction ProcessPartial\n{OWN}");
        let gateway = start(&upstream, backend, &partial, "");
        assert_eq!(raw(gateway.address(), &long).await.status, 200, "{backend}");
        let late = format!("text={}&id=1'+union+select", "a".repeat(5_000));
        let early = format!("id=1'+union+select&text={}", "a".repeat(5_000));
        assert_eq!(raw(gateway.address(), post("/", FORM, early.as_bytes())).await.status, 403, "{backend}");
        assert_eq!(raw(gateway.address(), post("/", FORM, late.as_bytes())).await.status, 200, "{backend}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_inspected_by_their_type() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = start(&upstream, backend, OWN, "");
        let leak = format!("{}You have an error in your SQL syntax near ''", "<p>Shoes</p>".repeat(5_000));
        upstream.reply("text/html; charset=utf-8", leak.clone());
        let response = get(gateway.address(), "/reply", &[]).await;
        assert_eq!(response.status, 403, "{backend}");
        assert!(!response.text().contains("SQL"), "{backend}: {}", response.text());
        upstream.reply("application/octet-stream", leak.clone());
        let response = get(gateway.address(), "/reply", &[]).await;
        assert_eq!((response.status, response.body.len()), (200, leak.len()), "{backend}");
        upstream.reply("text/html", "<p>Shoes</p>".repeat(5_000));
        assert_eq!(get(gateway.address(), "/reply", &[]).await.body.len(), 60_000, "{backend}");
        // More than is looked at flows on behind it.
        upstream.reply("text/html", vec![b'a'; 600_000]);
        assert_eq!(get(gateway.address(), "/reply", &[]).await.body.len(), 600_000, "{backend}");
    }
}

/// The lines of the audit log, when there are `count` of them.
fn audit(gateway: &mut Gateway, count: usize) -> Vec<Value> {
    let file = gateway.folder().join("audit.jsonl");
    let mut lines = Vec::new();
    gateway.wait_until("audit lines", |_| {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let whole = text.ends_with('\n');
        lines = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        whole && lines.len() >= count
    });
    assert_eq!(lines.len(), count, "{lines:?}");
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_detected_passes_and_is_reported() {
    let directive = format!("{OWN}\nSecRuleEngine DetectionOnly\n");
    for (rules, lines) in [(OWN, "config = { mode = \"detect\" }"), (&directive, "")] {
        let upstream = Upstream::start().await;
        let mut gateway = start(&upstream, "wasmi", rules, lines);
        assert_eq!(get(gateway.address(), ATTACK, &[]).await.status, 200, "{lines}");
        let line = audit(&mut gateway, 1).remove(0);
        assert_eq!(line["action"], "detected");
        assert_eq!(line["matches"][0]["id"], 100);
        assert_eq!(line["status"], 200);
    }
}

fn replace(path: &Path, content: impl AsRef<[u8]>) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, content).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_change_while_requests_are_served() {
    let other = OWN.replace("status:403,t:none", "status:406,t:none");
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let mut gateway = start(&upstream, backend, OWN, "");
        let address = gateway.address();
        let stop = Arc::new(AtomicBool::new(false));
        let served = Arc::new(AtomicUsize::new(0));
        let (stopped, count) = (stop.clone(), served.clone());
        let client = tokio::spawn(async move {
            let mut client = RawConnection::open(address).await;
            while !stopped.load(Ordering::Relaxed) {
                for (target, wanted) in [("/search?q=hose", [200, 200]), (ATTACK, [403, 406])] {
                    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await.unwrap();
                    let status = client.response().await.unwrap().status;
                    assert!(wanted.contains(&status), "{target}: {status}");
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let file = gateway.folder().join("own.conf");
        let handle = tokio::runtime::Handle::current();
        for (rules, status) in [(other.as_str(), 406), (OWN, 403), (&other, 406)] {
            let before = served.load(Ordering::Relaxed);
            // Nobody tells it: the file is watched.
            replace(&file, rules);
            tokio::task::block_in_place(|| {
                gateway.wait_until("the new verdict", |_| {
                    handle.block_on(get(address, ATTACK, &[])).status == status
                });
                gateway.wait_until("requests go on", |_| served.load(Ordering::Relaxed) > before);
            });
        }

        // A file that cannot be read changes nothing.
        std::fs::rename(&file, file.with_extension("away")).unwrap();
        gateway.signal("HUP");
        let line = gateway.wait_for_line("the mistake", |line| {
            line.contains("everything stays") && line.contains("own.conf")
        });
        assert_eq!(get(address, ATTACK, &[]).await.status, 406, "{backend}: {line}");

        // Neither does a rule that cannot be used: there would be fewer rules than anybody thinks.
        replace(&file, format!("{OWN}\nSecRule ARGS \"@rx (\" \"id:300,phase:2,deny\"\n"));
        gateway.signal("HUP");
        let line = gateway
            .wait_for_line("the faulty rule", |line| line.contains("own.conf:9") && line.contains("300"));
        assert!(line.contains("everything stays") && !line.contains("left out"), "{line}");
        assert_eq!(get(address, ATTACK, &[]).await.status, 406, "{backend}: {line}");
        stop.store(true, Ordering::Relaxed);
        client.await.unwrap_or_else(|error| panic!("{backend}: a request has failed: {error}"));
    }
}

fn picket(folder: &Folder, args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.current_dir(folder.path()).args(args).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The exit code; what was printed goes into the panic if it is another. Returns what was printed.
fn assert_exit(output: &Output, code: i32) -> (String, String) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    (out, err)
}

#[tokio::test(flavor = "multi_thread")]
async fn compiled_rules_and_baked_modules_are_the_same_rules() {
    let module = guest_module("picket_seclang_guest").display().to_string();
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let folder = Folder::new();
        std::fs::write(folder.path().join("own.conf"), OWN).unwrap();
        assert_exit(&picket(&folder, &["rules", "compile", "own.conf", "-o", "own.picket"]), 0);
        assert_exit(&picket(&folder, &["rules", "bake", &module, "own.picket", "-o", "own.wasm"]), 0);
        // Nothing of it is needed any more.
        std::fs::remove_file(folder.path().join("own.conf")).unwrap();

        let mut blob = std::fs::read(folder.path().join("own.picket")).unwrap();
        let text = config(&upstream, backend, "rules = [\"own.picket\"]").text();
        let gateway =
            Gateway::start_in(folder, GatewayOptions { config: text.clone(), ..Default::default() });
        assert_eq!(get(gateway.address(), ATTACK, &[]).await.status, 403, "{backend}");
        assert_eq!(get(gateway.address(), "/", &[]).await.status, 200, "{backend}");

        // The module that carries its rules needs no `rules`.
        let baked = gateway.folder().join("own.wasm").display().to_string();
        let mut alone = Config::before(&upstream);
        alone.filters = crate::filter("rules", &baked, backend, "capabilities = [\"kv\", \"now\"]");
        alone.names = vec!["\"rules\"".into()];
        let other = alone.start();
        assert_eq!(get(other.address(), ATTACK, &[]).await.status, 403, "{backend}");
        assert_eq!(get(other.address(), "/", &[]).await.status, 200, "{backend}");

        // A damaged ruleset is refused.
        let middle = blob.len() / 2;
        blob[middle] ^= 1;
        let damaged = Folder::new();
        std::fs::write(damaged.path().join("own.picket"), &blob).unwrap();
        std::fs::write(damaged.path().join("picket.toml"), &text).unwrap();
        let output = picket(&damaged, &["serve", "--config", "picket.toml"]);
        assert!(!output.status.success());
        let said = self::text(&output.stderr);
        assert!(said.contains("own.picket") && said.contains("checksum"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_can_look_like_modsecuritys() {
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let folder = Folder::new();
        std::fs::write(folder.path().join("own.conf"), OWN).unwrap();
        let config = config(&upstream, backend, "rules = [\"own.conf\"]").text();
        let config = config.replace("[audit]\n", "[audit]\nformat = \"modsecurity\"\n");
        let mut gateway = Gateway::start_in(folder, GatewayOptions { config, ..Default::default() });
        let response = get(gateway.address(), ATTACK, &["X-A: 1", "X-A: 2"]).await;
        assert_eq!(response.status, 403);
        let line = audit(&mut gateway, 1).remove(0);
        let transaction = &line["transaction"];
        assert_eq!(transaction["client_ip"], "127.0.0.1");
        assert!(transaction["client_port"].as_u64().unwrap() > 0);
        assert!(transaction["time_stamp"].is_string());
        assert_eq!(transaction["unique_id"], response.header("x-request-id").unwrap());
        let request = &transaction["request"];
        assert_eq!((&request["method"], &request["uri"]), (&"GET".into(), &ATTACK.into()));
        assert!((request["http_version"].as_f64().unwrap() - 1.1).abs() < 0.01, "{request}");
        assert_eq!(request["headers"]["host"], "test.example");
        assert_eq!(request["headers"]["x-a"], serde_json::json!(["1", "2"]));
        assert_eq!(transaction["response"]["http_code"], 403);
        assert!(transaction["response"]["headers"].is_object(), "{transaction}");
        let producer = &transaction["producer"];
        assert_eq!(producer["secrules_engine"], "Enabled");
        assert!(producer["connector"].as_str().unwrap().starts_with("picket"));
        assert!(producer["components"].is_array());
        let messages = transaction["messages"].as_array().unwrap();
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert_eq!(messages[0]["message"], "SQL in ARGS:id");
        let details = &messages[0]["details"];
        for (key, wanted) in [
            ("ruleId", "100"),
            ("lineNumber", "2"),
            ("data", "found 1' union select password"),
            ("severity", "2"),
            ("ver", "own/1"),
            ("rev", "2"),
            ("maturity", "3"),
            ("accuracy", "8"),
        ] {
            assert_eq!(details[key], wanted, "{key} in {details}");
        }
        assert!(details["file"].as_str().unwrap().ends_with("own.conf"), "{details}");
        assert!(details["match"].as_str().unwrap().contains("ARGS:id"), "{details}");
        assert_eq!(details["tags"], serde_json::json!(["attack-sqli", "own"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_and_the_metrics_name_the_rule() {
    let upstream = Upstream::start().await;
    let mut gateway = start(&upstream, "wasmtime", OWN, "");
    assert_eq!(get(gateway.address(), "/", &[]).await.status, 200);
    assert_eq!(get(gateway.address(), ATTACK, &[]).await.status, 403);
    let line = audit(&mut gateway, 1).remove(0);
    assert_eq!((&line["action"], &line["status"]), (&"blocked".into(), &403.into()));
    let found = &line["matches"][0];
    assert_eq!(found["id"], 100);
    assert_eq!(found["severity"], "critical");
    assert_eq!(found["message"], "SQL in ARGS:id");
    assert_eq!(found["location"], "ARGS:id");
    assert!(found["tags"].as_array().unwrap().contains(&"attack-sqli".into()), "{found}");
    let metrics = get(gateway.admin(), "/metrics", &[]).await.text();
    let sample = "picket_rule_hits_total{filter=\"rules\",rule=\"100\"} 1";
    assert!(metrics.contains(sample), "no {sample} in\n{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_can_count_the_requests_of_a_client() {
    let rules = "SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}\"\n\
        SecRule REQUEST_FILENAME \"@streq /login\" \"id:2,phase:1,pass,nolog,setvar:ip.n=+1,expirevar:ip.n=60\"\n\
        SecRule IP:n \"@gt 3\" \"id:3,phase:1,deny,status:429,log,msg:'Too many'\"\n";
    for backend in BACKENDS {
        let upstream = Upstream::start().await;
        let gateway = start(&upstream, backend, rules, "");
        let mut statuses = Vec::new();
        for target in ["/login", "/", "/login", "/login", "/login", "/"] {
            statuses.push(get(gateway.address(), target, &[]).await.status);
        }
        assert_eq!(statuses, [200, 200, 200, 200, 429, 429], "{backend}");
    }
}

#[test]
fn rules_are_compiled_explained_and_baked_on_the_command_line() {
    let folder = Folder::new();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("own.conf", OWN);
    let faulty = format!(
        "{OWN}\nSecRule ARGS \"@rx (\" \"id:300,phase:2,deny\"\nSecRule NOTHING \"a\" \"id:301,phase:2,deny\"\n"
    );
    put("faulty.conf", &faulty);

    let (out, _) = assert_exit(&picket(&folder, &["rules", "compile", "--strict", "own.conf"]), 0);
    assert!(out.contains("0 rules left out"), "{out}");
    let (out, err) = assert_exit(&picket(&folder, &["rules", "compile", "faulty.conf"]), 1);
    assert!(out.contains("2 rules left out"), "{out}");
    assert!(err.contains("faulty.conf:9") && err.contains("faulty.conf:10"), "{err}");
    assert!(err.contains("NOTHING"), "{err}");
    let output = picket(&folder, &["rules", "compile", "--strict", "faulty.conf", "-o", "faulty.picket"]);
    let (_, err) = assert_exit(&output, 2);
    assert!(err.contains("faulty.conf:9") && err.contains("faulty.conf:10"), "{err}");
    assert!(!folder.path().join("faulty.picket").exists(), "a ruleset was written all the same");
    let module = guest_module("picket_seclang_guest").display().to_string();
    let bake = ["rules", "bake", &module, "faulty.conf", "-o", "faulty.wasm"];
    let (_, err) = assert_exit(&picket(&folder, &bake), 2);
    assert!(err.contains("faulty.conf:9") && err.contains("--lenient"), "{err}");
    assert!(!folder.path().join("faulty.wasm").exists(), "a module was written all the same");
    let (_, err) = assert_exit(&picket(&folder, &[&bake[..], &["--lenient"]].concat()), 0);
    assert!(err.contains("faulty.conf:9"), "{err}");
    let (out, _) = assert_exit(&picket(&folder, &["rules", "compile", "--json", "faulty.conf"]), 1);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["left_out"], 2);
    assert!(json["bytes"].as_u64().unwrap() > 0);
    let (_, err) = assert_exit(&picket(&folder, &["rules", "compile", "none.conf"]), 2);
    assert!(err.contains("none.conf"), "{err}");

    assert_exit(&picket(&folder, &["rules", "compile", "own.conf", "-o", "own.picket"]), 0);
    for file in ["own.conf", "own.picket"] {
        let (out, _) = assert_exit(&picket(&folder, &["rules", "explain", file, "100"]), 0);
        for part in ["100", "ARGS", "REQUEST_COOKIES", "urlDecodeUni", "own.conf"] {
            assert!(out.contains(part), "no {part} in\n{out}");
        }
    }
    let (out, _) = assert_exit(&picket(&folder, &["rules", "explain", "--json", "own.picket", "100"]), 0);
    assert!(serde_json::from_str::<Value>(&out).unwrap().is_object(), "{out}");
    let (_, err) = assert_exit(&picket(&folder, &["rules", "explain", "own.picket", "999"]), 2);
    assert!(err.contains("999"), "{err}");

    let module = guest_module("picket_seclang_guest").display().to_string();
    let (out, _) =
        assert_exit(&picket(&folder, &["rules", "bake", &module, "own.picket", "-o", "own.wasm"]), 0);
    let baked = std::fs::read(folder.path().join("own.wasm")).unwrap();
    assert!(out.contains(&picket_host::ModuleDigest::of(&baked).to_string()), "{out}");
    // A module has room for one ruleset.
    let (_, err) =
        assert_exit(&picket(&folder, &["rules", "bake", "own.wasm", "own.picket", "-o", "b.wasm"]), 2);
    assert!(err.contains("does not take the rules"), "{err}");
    let waf = guest_module("picket_waf_guest").display().to_string();
    assert_exit(&picket(&folder, &["rules", "bake", &waf, "own.picket", "-o", "b.wasm"]), 2);
}

#[test]
fn regression_tests_run_on_the_command_line() {
    let folder = Folder::new();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("rules/own.conf", OWN);
    let test = |id: u32, uri: &str, log: &str| {
        format!(
            "  - test_id: {id}\n    stages:\n      - input: {{ uri: \"{uri}\", headers: {{ Host: localhost }} }}\n        output: {{ log: {{ {log} }} }}\n"
        )
    };
    let tests = format!(
        "---\nrule_id: 100\ntests:\n{}{}",
        test(1, ATTACK, "expect_ids: [100]"),
        test(2, "/", "no_expect_ids: [100]")
    );
    put("tests/OWN/100.yaml", &tests);
    // The built-in module is looked for in the working directory.
    std::fs::create_dir_all(folder.path().join("target/guests")).unwrap();
    let module = guest_module("picket_seclang_guest");
    std::fs::copy(module, folder.path().join("target/guests/picket_seclang_guest.wasm")).unwrap();

    let base = ["rules", "test", "--rules", "rules", "--tests", "tests", "--json"];
    let (out, _) = assert_exit(&picket(&folder, &base), 0);
    let json: Value = serde_json::from_str(&out).unwrap();
    let engines = json["engines"].as_array().unwrap();
    assert_eq!(engines.len(), 3, "{out}");
    for engine in engines {
        assert_eq!(engine["report"]["table"]["total"]["pass"], 2, "{out}");
    }
    assert_eq!(json["different"], serde_json::json!([]));
    let (out, _) = assert_exit(&picket(&folder, &[&base[..], &["--only", "100-1"]].concat()), 0);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["engines"][0]["report"]["table"]["total"]["pass"], 1, "{out}");
    let (_, err) = assert_exit(&picket(&folder, &[&base[..], &["--only", "7"]].concat()), 2);
    assert!(err.contains("no test fits"), "{err}");

    put("tests/OWN/100.yaml", &tests.replace("no_expect_ids", "expect_ids"));
    let (out, _) = assert_exit(&picket(&folder, &base), 1);
    assert!(out.contains("100-2"), "{out}");
}
