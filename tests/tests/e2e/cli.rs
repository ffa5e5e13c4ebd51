//! `picket check`, `bench` and `inspect`, run as a user runs them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use picket_tests::{Folder, binary, guest_module};
use serde_json::{Value, json};

use crate::{ATTACK, ATTACK_FORM, CLEAN};

fn picket(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(args).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
    command
}

fn waf() -> String {
    guest_module("picket_waf_guest").display().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The exit code; what was printed goes into the panic if it is another.
fn assert_exit(output: &Output, code: i32) {
    let shown = || format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{}", shown());
}

fn write_requests(folder: &Path) {
    let requests = folder.join("requests");
    std::fs::create_dir_all(requests.join("nested")).unwrap();
    let browser = "Host: a.example\nUser-Agent: Mozilla/5.0\n";
    std::fs::write(requests.join("clean.http"), format!("GET {CLEAN} HTTP/1.1\n{browser}\n")).unwrap();
    std::fs::write(requests.join("nested/attack.http"), format!("GET {ATTACK} HTTP/1.1\n{browser}\n"))
        .unwrap();
}

#[test]
fn check_tells_clean_from_blocked_by_its_exit_code() {
    let folder = Folder::new();
    write_requests(folder.path());
    let requests = folder.path().join("requests");
    let clean = requests.join("clean.http").display().to_string();
    let all = requests.display().to_string();
    for backend in ["wasmi", "wasmtime", "native"] {
        let module = waf();
        let base = match backend {
            "native" => vec!["check", "--backend", "native"],
            _ => vec!["check", "--backend", backend, "--module", &module],
        };
        let run = |more: &[&str]| picket(&[&base, more].concat()).output().unwrap();
        assert_exit(&run(&[&clean]), 0);
        let output = run(&[&all]);
        assert_exit(&output, 1);
        let table = text(&output.stdout);
        assert!(table.contains("clean.http") && table.contains("attack.http"), "{table}");
        assert!(table.contains("blocked 403") && table.contains("942100"), "{table}");
        assert!(!table.contains('\x1b'), "no colours in a file");
        // Nothing is blocked where nothing is to be blocked.
        assert_exit(&run(&["--detect", &all]), 0);
        assert_exit(&run(&["--threshold", "1000", &all]), 0);
        assert_exit(&run(&["/nowhere/to/be/found"]), 2);
    }
}

#[test]
fn check_explains_a_match() {
    let folder = Folder::new();
    let file = folder.path().join("attack.http");
    let target = "/?q=1%2520uNiOn%2520sElEcT%2520password%2520from%2520users";
    std::fs::write(&file, format!("GET {target} HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\n\r\n"))
        .unwrap();
    let file = file.display().to_string();
    let output =
        picket(&["check", "--backend", "wasmtime", "--module", &waf(), "--explain", &file]).output().unwrap();
    assert_exit(&output, 1);
    let shown = text(&output.stdout);
    for part in ["ARGS:q", "942100", "critical", "+5", "uNiOn%20sElEcT", "urlDecode", "matched"] {
        assert!(shown.contains(part), "no {part} in\n{shown}");
    }

    let output =
        picket(&["check", "--backend", "wasmi", "--module", &waf(), "--json", &file]).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["backend"], "wasmi");
    assert_eq!(json["requests"][0]["status"], 403);
    assert!(json["requests"][0]["matches"][0]["location"].is_string());
}

#[test]
fn check_takes_the_settings_of_a_filter() {
    let folder = Folder::new();
    let config = folder.path().join("waf.toml");
    std::fs::write(&config, "block_status = 406\nallow = [{ path = \"/item*\" }]\n").unwrap();
    let requests = folder.path().join("attack.http");
    std::fs::write(&requests, format!("GET {ATTACK} HTTP/1.1\nHost: a\nUser-Agent: Mozilla/5.0\n\n"))
        .unwrap();
    let (config, requests) = (config.display().to_string(), requests.display().to_string());
    let base = ["check", "--backend", "wasmi", "--module", &waf(), "--config", &config];
    assert_exit(&picket(&[&base[..], &[&requests]].concat()).output().unwrap(), 0);

    std::fs::write(folder.path().join("waf.toml"), "treshold = 3\n").unwrap();
    let output = picket(&[&base[..], &[&requests]].concat()).output().unwrap();
    assert_exit(&output, 2);
    assert!(text(&output.stderr).contains("treshold"), "{}", text(&output.stderr));
}

#[test]
fn check_answers_each_json_line_at_once() {
    for backend in ["wasmi", "wasmtime", "native"] {
        let module = waf();
        let mut args = vec!["check", "--jsonl", "--backend", backend];
        if backend != "native" {
            args.extend(["--module", &module]);
        }
        let mut child = picket(&args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut ask = |line: String| -> Value {
            // The next line is only written once the last has been answered: an answer that waits in
            // a buffer would hang the test.
            writeln!(input, "{line}").unwrap();
            let mut answer = String::new();
            output.read_line(&mut answer).unwrap();
            serde_json::from_str(&answer).unwrap()
        };
        let headers = json!([["Host", "a.example"], ["User-Agent", "Mozilla/5.0"]]);
        let answer = ask(json!({"id": "a", "method": "GET", "uri": CLEAN, "version": "HTTP/1.1", "headers": headers, "body_base64": ""}).to_string());
        assert_eq!(answer["id"], "a");
        assert_eq!(
            (&answer["rule_ids"], &answer["blocked"], &answer["score"]),
            (&json!([]), &json!(false), &json!(0))
        );
        assert!(answer["fuel"].is_u64() && answer["micros"].is_u64());
        assert_eq!(answer["fuel"] == 0, backend == "native");

        let form = json!([
            ["Host", "a"],
            ["User-Agent", "Mozilla/5.0"],
            ["Content-Type", "application/x-www-form-urlencoded"]
        ]);
        let answer = ask(json!({"id": 2, "method": "POST", "uri": "/", "headers": form, "body_base64": STANDARD.encode(ATTACK_FORM)}).to_string());
        assert_eq!((&answer["id"], &answer["blocked"]), (&json!(2), &json!(true)), "{backend}: {answer}");
        assert!(answer["rule_ids"].as_array().unwrap().contains(&json!(942_100)), "{answer}");

        for (line, id) in [
            ("nonsense", json!(null)),
            (r#"{"id":3,"headers":"x"}"#, json!(3)),
            (r#"{"id":4,"body_base64":"*"}"#, json!(4)),
        ] {
            let answer = ask(line.to_owned());
            assert_eq!(answer["id"], id);
            assert!(answer["error"].is_string(), "{answer}");
        }

        // And it goes on, whatever bytes come.
        let answer = ask(json!({"id": 5, "uri": "/\u{0}\u{7f}\u{ff}?a=%00%ff", "method": "M\n", "headers": [["", ""], ["A\r\nB", "\u{0}"]]}).to_string());
        assert_eq!(answer["id"], 5, "{answer}");
        assert!(answer.get("error").is_none(), "{answer}");
        let big = STANDARD.encode(vec![b'a'; 8 << 20]);
        let answer =
            ask(json!({"id": 6, "method": "POST", "uri": "/", "headers": form, "body_base64": big})
                .to_string());
        assert_eq!((&answer["id"], &answer["blocked"]), (&json!(6), &json!(false)), "{backend}: {answer}");
        drop(input);
        assert_eq!(child.wait().unwrap().code(), Some(2), "lines were bad");
    }
}

#[test]
fn thousands_of_json_lines_are_answered_in_order() {
    const LINES: usize = 5_000;
    let mut child = picket(&["check", "--jsonl", "--backend", "wasmtime", "--module", &waf()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for id in 0..LINES {
            let target = if id % 2 == 0 { CLEAN } else { ATTACK };
            let headers = json!([["Host", "a"], ["User-Agent", "Mozilla/5.0"]]);
            writeln!(input, "{}", json!({"id": id, "method": "GET", "uri": target, "headers": headers}))
                .unwrap();
        }
    });
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut count = 0;
    for (id, line) in output.lines().enumerate() {
        let answer: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(answer["id"], id);
        assert_eq!(answer["blocked"], id % 2 == 1);
        count += 1;
    }
    writer.join().unwrap();
    assert_eq!(count, LINES);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn bench_measures_every_backend() {
    let output = picket(&["bench", "--module", &waf(), "--rounds", "2", "--json"]).output().unwrap();
    assert_exit(&output, 0);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["rounds"], &json["metering"]), (&json!(2), &json!("canonical")));
    let lanes = json["lanes"].as_array().unwrap();
    let names: Vec<_> = lanes
        .iter()
        .map(|lane| format!("{} {}", lane["backend"], lane["instances"]).replace('"', ""))
        .collect();
    for name in ["wasmi fresh", "wasmi pooled", "wasmtime fresh", "wasmtime pooled"] {
        assert!(names.iter().any(|known| known == name), "no {name} in {names:?}");
    }
    for lane in lanes {
        assert!(lane["median_ns"].as_u64().unwrap() > 0);
        assert!(lane["p99_ns"].as_u64() >= lane["median_ns"].as_u64());
        assert!(lane["load_ns"].as_u64().unwrap() > 0);
        assert!(lane["instance_bytes"].as_u64().unwrap() >= 65_536);
        for request in lane["requests"].as_array().unwrap() {
            assert!(request["fuel"].as_u64().unwrap() > 0);
            let attack = request["request"].as_str().unwrap().starts_with("attack");
            assert_eq!(request["blocked"], attack, "{request}");
        }
    }
    // Canonical fuel is the same on every backend.
    for instances in ["fresh", "pooled"] {
        let fuel = |backend: &str| -> Vec<u64> {
            let lane = lanes.iter().find(|lane| lane["backend"] == backend && lane["instances"] == instances);
            let requests = lane.unwrap()["requests"].as_array().unwrap();
            requests.iter().map(|request| request["fuel"].as_u64().unwrap()).collect()
        };
        assert_eq!(fuel("wasmi"), fuel("wasmtime"), "{instances}");
    }
    let native = ["bench", "--module", &waf(), "--rounds", "1", "--json", "--metering", "native"];
    let output = picket(&native).output().unwrap();
    assert_exit(&output, 0);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["metering"], "native");
    // With the built-in WAF beside, and as a table.
    let output = picket(&["bench", "--backend", "native", "--rounds", "1"]).output().unwrap();
    assert_exit(&output, 0);
    assert!(text(&output.stdout).contains("requests/s"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("lanes"), "progress is shown");
}

#[test]
fn module_meter_writes_what_a_host_makes_at_load() {
    let folder = Folder::new();
    let metered = folder.path().join("metered.wasm");
    let metered = metered.to_str().unwrap();
    let output = picket(&["module", "meter", &waf(), "-o", metered, "--json"]).output().unwrap();
    assert_exit(&output, 0);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let written = std::fs::read(metered).unwrap();
    let source = std::fs::read(waf()).unwrap();
    let expected =
        picket_host::prepare(&source, &picket_host::Limits::WAF, &picket_host::Trusted::NONE).unwrap();
    assert!(written == *expected, "the file is what a host runs");
    assert_eq!(json["sha256"], picket_host::ModuleDigest::of(&written).to_string());
    assert_eq!((&json["bytes"], &json["source_bytes"]), (&json!(written.len()), &json!(source.len())));
    assert!(json["functions"].as_u64() > json["counted_frames"].as_u64());

    // Nobody takes it for metered because it looks so, and nothing meters it twice.
    let output = picket(&["inspect", metered]).output().unwrap();
    assert_exit(&output, 1);
    assert!(text(&output.stdout).contains("reserved for metering"), "{}", text(&output.stdout));
    let again = picket(&["module", "meter", metered, "-o", metered]).output().unwrap();
    assert_exit(&again, 2);
    assert!(text(&again.stderr).contains("reserved"), "{}", text(&again.stderr));
    assert!(std::fs::read(metered).unwrap() == written, "a refused module writes nothing");
}

#[test]
fn inspect_shows_a_module_and_whether_it_would_load() {
    let output = picket(&["inspect", "--json", &waf()]).output().unwrap();
    assert_exit(&output, 0);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let module = std::fs::read(waf()).unwrap();
    assert_eq!(json["would_load"], true);
    assert_eq!(json["abi"], "1.0");
    assert_eq!(json["bytes"], module.len());
    assert_eq!(json["sha256"], picket_host::ModuleDigest::of(&module).to_string());
    assert_eq!(json["manifest"]["kind"], "waf");
    assert!(json["exports"].as_array().unwrap().iter().any(|export| export["name"] == "picket_request_head"));

    // The puppet wants to log, as whoever the gateway loads may.
    let puppet = guest_module("test_puppet").display().to_string();
    assert_exit(&picket(&["inspect", &puppet]).output().unwrap(), 0);

    // The time is nothing that a filter gets without being granted it.
    let folder = Folder::new();
    let clock = folder.path().join("clock.wasm");
    let module = wat::parse_str(
        r#"(module (import "picket" "now" (func (result i64))) (memory (export "memory") 1)
            (func (export "picket_abi") (result i32) i32.const 0x10000)
            (func (export "picket_input") (param i32) (result i32) i32.const 1024)
            (func (export "picket_request_head") (param i32) (result i64) i64.const 0))"#,
    );
    std::fs::write(&clock, module.unwrap()).unwrap();
    let clock = clock.display().to_string();
    let output = picket(&["inspect", &clock]).output().unwrap();
    assert_exit(&output, 1);
    let shown = text(&output.stdout);
    assert!(shown.contains("would not load") && shown.contains("now"), "{shown}");
    assert_exit(&picket(&["inspect", "--grant", "now", &clock]).output().unwrap(), 0);

    let wasi = folder.path().join("wasi.wasm");
    let module = wat::parse_str(
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32))) (memory (export "memory") 1))"#,
    );
    std::fs::write(&wasi, module.unwrap()).unwrap();
    let output = picket(&["inspect", &wasi.display().to_string()]).output().unwrap();
    assert_exit(&output, 1);
    assert!(text(&output.stdout).contains("wasi_snapshot_preview1"), "{}", text(&output.stdout));
    assert_exit(&picket(&["inspect", "/nowhere/to/be/found"]).output().unwrap(), 2);
}
