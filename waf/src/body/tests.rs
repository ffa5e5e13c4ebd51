use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use super::{BodyParser, Sink, VALUE_MAX};
use crate::urlencoded;
use crate::variable::Variable;

#[derive(Default)]
struct Found(Vec<String>);

impl Sink for Found {
    fn value(&mut self, variable: Variable, name: &[u8], value: &[u8]) {
        self.0.push(format!("{}:{}={}", variable.name(), name.escape_ascii(), value.escape_ascii()));
    }

    fn urlencoded(&mut self, raw: &[u8]) {
        for (name, value) in urlencoded::pairs(raw) {
            self.value(Variable::Args, name, value);
        }
    }
}

fn parse(content_type: &str, body: &[u8], chunk: usize) -> Vec<String> {
    let mut found = Found::default();
    let mut parser = BodyParser::for_headers(Some(content_type.as_bytes()), false);
    let chunks: Vec<_> = if body.is_empty() { vec![&b""[..]] } else { body.chunks(chunk).collect() };
    for (index, piece) in chunks.iter().enumerate() {
        parser.feed(piece, index + 1 == chunks.len(), &mut found);
    }
    found.0
}

/// Parses `body` whole and in chunks of every size: the values are the same.
fn parse_any_way(content_type: &str, body: &[u8]) -> Vec<String> {
    let whole = parse(content_type, body, body.len().max(1));
    for chunk in 1..body.len() {
        assert_eq!(parse(content_type, body, chunk), whole, "in chunks of {chunk}");
    }
    whole
}

#[test]
fn json_leaves_have_dotted_names() {
    let found = parse_any_way(
        "application/json",
        br#" {"a":[{"b":"x\"\u00e9\ud83d\ude00"},-1.5e3],"c":{},"d":null}"#,
    );
    assert_eq!(
        found,
        [
            "ARGS_NAMES:a=a",
            "ARGS_NAMES:b=b",
            r#"ARGS:json.a.0.b=x\"\xc3\xa9\xf0\x9f\x98\x80"#,
            "ARGS:json.a.1=-1.5e3",
            "ARGS_NAMES:c=c",
            "ARGS_NAMES:d=d",
            "ARGS:json.d=null",
        ]
    );
}

#[test]
fn json_that_is_none_is_said_so_and_read_raw() {
    for body in [
        &br#"{"a":1"#[..],
        br#"{"a" 1}"#,
        b"[1,]",
        b"{} x",
        br#""\q""#,
        b"tru",
        b"01",
        b"[1}",
        b"{\"a\":\"\x01\"}",
    ] {
        let found = parse("application/json", body, body.len());
        assert!(found.iter().any(|value| value == "REQBODY_ERROR:=json"), "{body:?}: {found:?}");
        assert!(found.iter().any(|value| value.starts_with("REQUEST_BODY:")), "{body:?}: {found:?}");
    }
    assert_eq!(parse("application/json", b"", 1), [""; 0]);
}

#[test]
fn json_nesting_is_bounded() {
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    assert!(parse("application/json", &deep, 4096).contains(&"REQBODY_ERROR:=json".into()));
}

const MULTIPART: &str = "multipart/form-data; boundary=\"x-y\"";

#[test]
fn multipart_fields_and_files() {
    let body = b"preamble\r\n--x-y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\ntwo\r\n\
        --x-y\r\ncontent-disposition: form-data; name=f; filename=\"c:\\dir\\\"q\\\".txt\"\r\nContent-Type: text/plain\r\n\r\nskipped\r\n\
        --x-y\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--x-y--\r\nepilogue";
    assert_eq!(
        parse_any_way(MULTIPART, body),
        [
            "ARGS_NAMES:a=a",
            r"ARGS:a=one\r\ntwo",
            r#"FILES:f=c:\\dir\"q\".txt"#,
            "FILES_NAMES:f=f",
            "ARGS_NAMES:empty=empty",
            "ARGS:empty=",
        ]
    );
}

#[test]
fn multipart_without_its_end_is_malformed() {
    let found =
        parse(MULTIPART, b"--x-y\r\nContent-Disposition: form-data; name=a\r\n\r\nunion select", usize::MAX);
    assert!(found.contains(&"REQBODY_ERROR:=multipart".into()), "{found:?}");
    assert!(parse("multipart/form-data", b"a", 1).contains(&"REQBODY_ERROR:=multipart".into()));
}

#[test]
fn form_pairs_cross_chunks() {
    assert_eq!(
        parse("application/x-www-form-urlencoded; charset=utf-8", b"a=1&bb=22&c", 3),
        ["ARGS:a=1", "ARGS:bb=22", "ARGS:c="]
    );
}

#[test]
fn long_values_are_inspected_to_their_end() {
    let long = "y".repeat(3 * VALUE_MAX);
    for (content_type, body) in [
        ("application/x-www-form-urlencoded", format!("name={long}ATTACK")),
        ("application/json", format!("[\"{long}ATTACK\"]")),
        (
            MULTIPART,
            format!("--x-y\r\nContent-Disposition: form-data; name=a\r\n\r\n{long}ATTACK\r\n--x-y--"),
        ),
        ("text/plain", format!("{long}ATTACK")),
    ] {
        let found = parse(content_type, body.as_bytes(), 5000);
        assert!(found.iter().any(|value| value.contains("yATTACK")), "{content_type}");
        assert!(found.iter().all(|value| value.len() < 2 * VALUE_MAX + 100), "{content_type}");
    }
}

#[test]
fn what_a_malformed_body_left_unfinished_is_inspected() {
    for (content_type, body) in [
        ("application/json", &b"{\"a\":\"one ATTACK\x01"[..]),
        ("application/json", b"{\"a\":\"one ATTACK"),
        (MULTIPART, b"--x-y\r\nContent-Disposition: form-data; name=a\r\n\r\none ATTACK"),
        (MULTIPART, b"--x-y\r\nno colon one ATTACK\r\n\r\n"),
    ] {
        for chunk in 1..=body.len() {
            let found = parse(content_type, body, chunk);
            let seen = |value: &String| value.starts_with("REQUEST_BODY:") && value.contains("one ATTACK");
            assert!(found.iter().any(seen), "{content_type} in chunks of {chunk}: {found:?}");
        }
    }
}

#[test]
fn binary_bodies_are_left_alone_and_text_under_their_name_is_not() {
    for content_type in ["image/png", "application/octet-stream", "application/pdf", "video/mp4"] {
        assert_eq!(parse(content_type, b"\x89PNG\r\n\x1a\n\0\0ATTACK", 100), [""; 0], "{content_type}");
        assert_eq!(parse(content_type, b"ATTACK", 100), ["REQUEST_BODY:=ATTACK"], "{content_type}");
    }
    let encoded = |body: &[u8]| {
        let mut found = Found::default();
        BodyParser::for_headers(Some(b"application/x-www-form-urlencoded"), true)
            .feed(body, true, &mut found);
        found.0
    };
    assert_eq!(encoded(b"\x1f\x8b\x08\0a=1&b=2"), [""; 0]);
    assert_eq!(encoded(b"a=ATTACK"), ["ARGS:a=ATTACK"]);
}
