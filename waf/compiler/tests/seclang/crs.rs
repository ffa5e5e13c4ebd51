//! The Core Rule Set, where it is at hand (`CRS_DIR`).

use std::path::PathBuf;

use picket_waf_compiler::seclang::syntax::{Configuration, FileSystem, Level, parse_files};

use super::run::exchange;
use crate::{BASE, Options, compile};

/// The rule set behind the base directives, at a paranoia level.
pub fn configuration(level: u8) -> Option<Configuration> {
    let fallback = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs");
    let crs = std::env::var_os("CRS_DIR").map_or_else(fallback, PathBuf::from);
    if !crs.join("rules").is_dir() {
        println!("skipped: no Core Rule Set (CRS_DIR)");
        return None;
    }
    let setup = std::env::temp_dir().join(format!("picket-setup-{}-{level}.conf", std::process::id()));
    let text = format!(
        "{BASE}\nSecAction \"id:900000,phase:1,pass,t:none,nolog,tag:'OWASP_CRS',\
         setvar:tx.blocking_paranoia_level={level}\"\n"
    );
    std::fs::write(&setup, text).unwrap();
    let files = [setup.clone(), crs.join("crs-setup.conf.example"), crs.join("rules/*.conf")];
    let configuration = parse_files(&files, &FileSystem);
    std::fs::remove_file(&setup).unwrap();
    Some(configuration.unwrap())
}

/// Method, target, headers, body, and the response's body.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);

const REQUESTS: [Case; 12] = [
    ("GET", "/", &[], "", "fine"),
    ("GET", "/?q=plain&page=2", &[("Referer", "http://example.test/")], "", "fine"),
    ("GET", "/?id=1'+union+select+password+from+users--+", &[], "", "fine"),
    ("GET", "/?x=<script>alert(1)</script>", &[], "", "fine"),
    ("GET", "/?file=../../../../etc/passwd", &[("Cookie", "a=1; b=%27or%201=1--")], "", "fine"),
    ("GET", "/?cmd=;cat%20/etc/shadow", &[("User-Agent", "sqlmap/1.0")], "", "fine"),
    ("PROPFIND", "/", &[("Content-Type", "application/x-none")], "x=1", "fine"),
    (
        "POST",
        "/f",
        &[("Content-Type", "application/x-www-form-urlencoded")],
        "a=1&b=${jndi:ldap://x}",
        "fine",
    ),
    (
        "POST",
        "/f",
        &[("Content-Type", "application/json")],
        "{\"a\":{\"b\":\"<?php eval($_GET[1]);\"}}",
        "fine",
    ),
    ("POST", "/f", &[("Content-Type", "application/json")], "{broken", "fine"),
    (
        "GET",
        "/",
        &[("Range", "bytes=1-2,3-4,5-6,7-8,9-10,11-12")],
        "",
        "You have an error in your SQL syntax",
    ),
    (
        "GET",
        "/?a=%ff%u0041%zz&b[]=1&b[]=2",
        &[("Host", "127.0.0.1")],
        "",
        "<title>Index of /</title><h1>Index of",
    ),
];

fn same_with_and_without_folding(level: u8) {
    let Some(configuration) = configuration(level) else { return };
    let folded = compile(configuration.clone(), &Options::default()).unwrap();
    let plain = compile(configuration, &Options { fold: false, ..Options::default() }).unwrap();
    for diagnostic in &folded.diagnostics {
        assert!(diagnostic.level < Level::Error, "{diagnostic}");
    }
    println!("{}", folded.summary);
    assert!(folded.blob.len() < 3_000_000, "{} bytes", folded.blob.len());
    // What configures and what is switched off is gone, gates and all.
    let summary = &folded.summary;
    assert!(summary.always < 100 && summary.rules + 200 < plain.summary.rules, "{summary}");
    for (method, target, headers, body, answer) in REQUESTS {
        let of = |blob: &[u8]| exchange(blob, method, target, headers, body.as_bytes(), answer.as_bytes());
        let (folded, plain) = (of(&folded.blob), of(&plain.blob));
        assert_eq!(folded, plain, "{method} {target}");
        println!("{method} {target}: {:?} {:?}", folded.logged(), folded.scores);
    }
}

#[test]
fn level_1() {
    same_with_and_without_folding(1);
}

#[test]
fn level_4() {
    same_with_and_without_folding(4);
}
