//! From a test's input to the request that a WAF sees.
//!
//! Follows [go-ftw]'s `ftwhttp/request.go` and `ftwhttp/header.go`: what is added, what is encoded and
//! in which order. The request is then read as a server would ([`crate::wire`]), because go-ftw writes
//! to a socket.
//!
//! [go-ftw]: https://github.com/coreruleset/go-ftw

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{Error, Exchange, Headers, Input, Request, backend, template, wire};

const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// The request that `input` describes.
///
/// # Errors
///
/// [`Error::Base64`] and [`Error::Template`].
pub fn build(input: &Input) -> Result<Request, Error> {
    if let Some(encoded) = input.encoded_request.as_deref().filter(|encoded| !encoded.is_empty()) {
        return Ok(wire::parse(&base64("encoded_request", encoded)?));
    }
    let or = |text: &Option<String>, default: &str| text.as_deref().unwrap_or(default).as_bytes().to_vec();
    let mut request = Request {
        method: or(&input.method, "GET"),
        target: or(&input.uri, "/"),
        version: or(&input.version, "HTTP/1.1"),
        headers: headers(input),
        body: body(input)?,
    };
    let autocompletes = input.autocompletes();
    if autocompletes && !request.body.is_empty() {
        if request.header("content-type").is_none() {
            request.headers.push((b"Content-Type".to_vec(), FORM.to_vec()));
        }
        let is_form = values(&request.headers, "content-type").any(|value| value.eq_ignore_ascii_case(FORM));
        if is_form && !is_escaped(&request.body) {
            request.body = escape_form(&request.body);
        }
    }
    let is_multipart = values(&request.headers, "content-type")
        .any(|value| contains(&value.to_ascii_lowercase(), b"multipart/form-data;"));
    if is_multipart {
        request.body = crlf(&request.body);
    }
    if autocompletes {
        add_standard_headers(&mut request);
    }
    for (_, value) in &mut request.headers {
        // No server passes on the white space around a value.
        *value = value.trim_ascii().to_vec();
    }
    wire::unframe(&mut request);
    Ok(request)
}

/// The request that `input` describes with the backend's response to it.
///
/// # Errors
///
/// As [`build`].
pub fn exchange(input: &Input) -> Result<Exchange, Error> {
    let request = build(input)?;
    let response = backend::respond(&request);
    Ok(Exchange::new(request, response))
}

/// The test's own headers: the ordered ones, then those of the mapping sorted by name.
fn headers(input: &Input) -> Headers {
    let mut sorted: Vec<_> = input.headers.0.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    let fields = input.ordered_headers.iter().chain(sorted);
    fields.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

fn body(input: &Input) -> Result<Vec<u8>, Error> {
    match (&input.data, &input.encoded_data) {
        (Some(data), _) => Ok(template::expand(data)?.into_bytes()),
        (None, Some(encoded)) => base64("encoded_data", encoded),
        (None, None) => Ok(Vec::new()),
    }
}

fn base64(field: &'static str, text: &str) -> Result<Vec<u8>, Error> {
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(text).map_err(|source| Error::Base64 { field, source })
}

fn add_standard_headers(request: &mut Request) {
    if request.header("connection").is_none() {
        request.headers.push((b"Connection".to_vec(), b"close".to_vec()));
    }
    if request.header("content-length").is_some() {
        return;
    }
    // The reference runner's test is the expression `^POST|PUT|PATCH|DELETE$`: its anchors hold for the
    // first and last alternative only.
    let method = &request.method[..];
    let may_have_body = method.starts_with(b"POST")
        || contains(method, b"PUT")
        || contains(method, b"PATCH")
        || method.ends_with(b"DELETE");
    if may_have_body || !request.body.is_empty() {
        let length = request.body.len().to_string().into_bytes();
        request.headers.push((b"Content-Length".to_vec(), length));
    }
}

/// Whether a form is taken for escaped already: unescaping it would change it, or would fail.
fn is_escaped(form: &[u8]) -> bool {
    form.iter().any(|&b| b == b'%' || b == b'+')
}

/// Escapes the keys and values of a form, leaving `=` and `&` between them.
fn escape_form(form: &[u8]) -> Vec<u8> {
    let mut tokens: Vec<&[u8]> = form.split(|&b| b == b'&').collect();
    // The reference runner stops at the end of its input: an ampersand there opens no further token.
    if tokens.last().is_some_and(|token| token.is_empty()) {
        tokens.pop();
    }
    let escape = |token: &[u8]| match token.iter().position(|&b| b == b'=') {
        Some(at) => [query_escape(&token[..at]), query_escape(&token[at + 1..])].join(&b'='),
        None => query_escape(token),
    };
    tokens.into_iter().map(escape).collect::<Vec<_>>().join(&b'&')
}

/// Go's `url.QueryEscape`: letters, digits and `-_.~` stay, a space becomes `+`.
fn query_escape(text: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
    out
}

/// Every LF as CR LF; a CR that is there already is doubled, as the reference runner does.
fn crlf(body: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = body.split(|&b| b == b'\n').collect();
    lines.join(&b"\r\n"[..])
}

fn values<'h>(headers: &'h Headers, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| &value[..])
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HeaderList;

    fn input(headers: &[(&str, &str)], data: &str) -> Input {
        let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Input {
            headers: HeaderList(headers.collect()),
            data: Some(data.to_owned()),
            method: Some("POST".to_owned()),
            ..Input::default()
        }
    }

    fn sent(request: &Request) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        request.headers.iter().map(|(name, value)| format!("{}: {}", text(name), text(value))).collect()
    }

    #[test]
    fn what_is_missing_is_added_and_names_are_sorted() {
        let request = build(&input(&[("User-Agent", "a"), ("Host", "h")], "x=a b&y=<")).unwrap();
        assert_eq!(request.body, b"x=a+b&y=%3C");
        let all = [
            "Host: h",
            "User-Agent: a",
            "Content-Type: application/x-www-form-urlencoded",
            "Connection: close",
            "Content-Length: 11",
        ];
        assert_eq!(sent(&request), all);
    }

    #[test]
    fn escaped_forms_and_other_types_stay() {
        assert_eq!(build(&input(&[], "x=%zz&y=<")).unwrap().body, b"x=%zz&y=<");
        assert_eq!(build(&input(&[], "x=a+b&y=<")).unwrap().body, b"x=a+b&y=<");
        let json = input(&[("content-type", "application/json")], "{\"a\": 1}");
        assert_eq!(build(&json).unwrap().body, b"{\"a\": 1}");
    }

    #[test]
    fn odd_forms_are_escaped_as_the_reference_runner_does() {
        for (form, escaped) in [("a&b", "a&b"), ("a&", "a"), ("&a", "&a"), ("a=b=c", "a=b%3Dc"), ("=", "=")] {
            assert_eq!(String::from_utf8(escape_form(form.as_bytes())).unwrap(), escaped, "{form}");
        }
    }

    #[test]
    fn multipart_lines_end_in_crlf() {
        let form = input(&[("Content-Type", "multipart/form-data; boundary=b")], "--b\n\nx\n--b--\n");
        let request = build(&form).unwrap();
        assert_eq!(request.body, b"--b\r\n\r\nx\r\n--b--\r\n");
        assert_eq!(request.header("content-length"), Some(&b"17"[..]));
    }

    #[test]
    fn nothing_is_added_on_request_and_then_nothing_frames_the_body() {
        let plain = Input { autocomplete_headers: Some(false), ..input(&[("Host", "h")], "x=<") };
        let request = build(&plain).unwrap();
        assert_eq!(sent(&request), ["Host: h"]);
        assert_eq!(request.body, b"");
        let framed = Input { stop_magic: Some(true), ..input(&[("Content-Length", "2")], "x=<") };
        assert_eq!(build(&framed).unwrap().body, b"x=");
    }

    #[test]
    fn encoded_fields() {
        let data = Input { encoded_data: Some("AP8=".to_owned()), ..Input::default() };
        // A form like any other to the reference runner, which escapes it.
        assert_eq!(build(&data).unwrap().body, b"%00%FF");
        let binary = HeaderList(vec![("Content-Type".to_owned(), "application/octet-stream".to_owned())]);
        let data = Input { headers: binary, ..data };
        assert_eq!(build(&data).unwrap().body, [0, 0xff]);
        let raw = Input { encoded_request: Some(STANDARD.encode("PUT /x\r\n\r\n")), ..Input::default() };
        assert_eq!(build(&raw).unwrap().line(), b"PUT /x ");
        let broken = Input { encoded_request: Some("!".to_owned()), ..Input::default() };
        assert!(matches!(build(&broken), Err(Error::Base64 { field: "encoded_request", .. })));
    }
}
