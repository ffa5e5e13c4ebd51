//! The test backend: what albedo answers.
//!
//! Every request is answered with an empty 200, except `POST /reflect`: its JSON body says which
//! response to give.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::{Request, Response};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reflection {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
    #[serde(rename = "encodedBody")]
    encoded_body: String,
}

/// The response of the backend to `request`.
pub fn respond(request: &Request) -> Response {
    let path = request.target.split(|&b| b == b'?').next().unwrap_or_default();
    if request.method == b"POST" && (path == b"/reflect" || path.starts_with(b"/reflect/")) {
        reflect(&request.body)
    } else {
        Response { status: 200, headers: vec![(b"Content-Length".to_vec(), b"0".to_vec())], body: Vec::new() }
    }
}

fn reflect(body: &[u8]) -> Response {
    let Ok(asked) = serde_json::from_slice::<Reflection>(body) else {
        return finish(400, Vec::new(), b"Invalid JSON in request body".to_vec());
    };
    let status = match asked.status {
        0 => 200,
        status @ 100..600 => status,
        other => return finish(400, Vec::new(), format!("Invalid status code: {other}").into_bytes()),
    };
    let body = if asked.body.is_empty() {
        match STANDARD.decode(&asked.encoded_body) {
            Ok(body) => body,
            Err(_) => b"invalid base64 encoding of response body".to_vec(),
        }
    } else {
        asked.body.into_bytes()
    };
    let headers = asked.headers.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes()));
    finish(status, headers.collect(), body)
}

/// Adds what the backend's HTTP library adds.
fn finish(status: u16, headers: Vec<(Vec<u8>, Vec<u8>)>, body: Vec<u8>) -> Response {
    let mut response = Response { status, headers, body };
    if response.header("content-type").is_none() && !response.body.is_empty() {
        let kind = sniff(&response.body);
        response.headers.push((b"Content-Type".to_vec(), kind.into()));
    }
    if response.header("content-length").is_none() {
        let length = response.body.len().to_string();
        response.headers.push((b"Content-Length".to_vec(), length.into_bytes()));
    }
    response
}

/// The media type that Go's `http.DetectContentType` finds for a text, after the WHATWG's MIME sniffing
/// standard. Of its binary signatures only gzip's: the rest end as `application/octet-stream`, which no
/// configuration here inspects either.
fn sniff(body: &[u8]) -> &'static str {
    const TAGS: [&str; 17] = [
        "<!DOCTYPE HTML",
        "<HTML",
        "<HEAD",
        "<SCRIPT",
        "<IFRAME",
        "<H1",
        "<DIV",
        "<FONT",
        "<TABLE",
        "<A",
        "<STYLE",
        "<TITLE",
        "<B",
        "<BODY",
        "<BR",
        "<P",
        "<!--",
    ];
    let head = &body[..body.len().min(512)];
    let text = head.trim_ascii_start();
    let is_tag = |tag: &str| {
        text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
            && (tag == "<!--" || matches!(text.get(tag.len()), Some(b' ' | b'>')))
    };
    if TAGS.iter().any(|tag| is_tag(tag)) {
        "text/html; charset=utf-8"
    } else if text.starts_with(b"<?xml") {
        "text/xml; charset=utf-8"
    } else if head.starts_with(b"\x1f\x8b\x08") {
        "application/x-gzip"
    } else if head.iter().any(|&b| matches!(b, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f)) {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(target: &str, body: &str) -> Response {
        respond(&Request {
            method: b"POST".to_vec(),
            target: target.into(),
            body: body.into(),
            ..Request::default()
        })
    }

    #[test]
    fn reflects_what_is_asked() {
        let response = post("/reflect?x", r#"{"status": 503, "headers": {"X-A": "b"}, "body": "hi"}"#);
        assert_eq!((response.status, &response.body[..]), (503, &b"hi"[..]));
        assert_eq!(response.header("x-a"), Some(&b"b"[..]));
        assert_eq!(response.header("content-type"), Some(&b"text/plain; charset=utf-8"[..]));
        assert_eq!(post("/reflect", r#"{"encodedBody": "AP8="}"#).body, [0, 0xff]);
        let typed = post("/reflect", r#"{"headers": {"content-type": "a/b"}, "body": "<html>"}"#);
        assert_eq!(typed.header("content-type"), Some(&b"a/b"[..]));
    }

    #[test]
    fn refuses_and_ignores() {
        assert_eq!(post("/reflect", "no json").status, 400);
        assert_eq!(post("/reflect", r#"{"status": 42}"#).status, 400);
        assert_eq!(post("/other", r#"{"status": 503}"#).status, 200);
        assert!(post("/reflected", "{}").body.is_empty());
    }

    #[test]
    fn types_are_found_by_content() {
        assert_eq!(sniff(b" <html>"), "text/html; charset=utf-8");
        assert_eq!(sniff(b"<!-- x"), "text/html; charset=utf-8");
        assert_eq!(sniff(b"<bold>"), "text/plain; charset=utf-8");
        assert_eq!(sniff(b"<?php echo 1"), "text/plain; charset=utf-8");
        assert_eq!(sniff(b"a\0b"), "application/octet-stream");
    }
}
