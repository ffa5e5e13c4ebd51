//! What rules see of a request's head: the parts of its target, arguments, cookies, and a few headers' values.
//!
//! Pure functions over bytes; the engine owns the storage. Semantics are ModSecurity 3's (libmodsecurity 3.0.14):
//! the query is cut off *before* the path is decoded (earlier versions could be evaded with `%3F`).

use alloc::vec::Vec;

use crate::body::{Scratch, find};

/// The parts of a request line.
///
/// `REQUEST_LINE` is [`write_line`](RequestParts::write_line), `REQUEST_METHOD` is `method`, `REQUEST_URI_RAW` is
/// `target`, `QUERY_STRING` is `query`, and the rest is decoded by [`write_filename`](RequestParts::write_filename)
/// and [`write_uri`](RequestParts::write_uri).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestParts<'a> {
    /// The method as it came.
    pub method: &'a [u8],
    /// The whole target as it came, with scheme, host and fragment if it has them.
    pub target: &'a [u8],
    /// `REQUEST_PROTOCOL`, such as `HTTP/1.1`.
    pub protocol: &'a [u8],
    /// The target up to the query or fragment, not decoded.
    pub path: &'a [u8],
    /// The query without its `?` and not decoded; empty if there is none.
    pub query: &'a [u8],
    /// Path and query (the target without a fragment), not decoded.
    uri: &'a [u8],
}

impl<'a> RequestParts<'a> {
    /// Splits `target`. `protocol` is the whole word, `HTTP/1.1`.
    #[must_use]
    pub fn of(method: &'a [u8], target: &'a [u8], protocol: &'a [u8]) -> RequestParts<'a> {
        let uri = split(target, b'#').0;
        let (path, query) = split(uri, b'?');
        RequestParts { method, target, protocol, path, query, uri }
    }

    /// Appends `REQUEST_LINE`.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        for part in [self.method, b" ", self.target, b" ", self.protocol] {
            out.extend_from_slice(part);
        }
    }

    /// Appends `REQUEST_FILENAME` (also `PATH_INFO`): the path with `%XX` decoded.
    pub fn write_filename(&self, out: &mut Vec<u8>) {
        uri_decode(self.path, out);
    }

    /// Appends `REQUEST_URI`: path and query with `%XX` decoded, without scheme and host.
    pub fn write_uri(&self, out: &mut Vec<u8>) {
        let start = out.len();
        uri_decode(self.uri, out);
        let decoded = out.get(start..).unwrap_or_default();
        let skip = authority_len(decoded);
        out.drain(start..start + skip);
    }
}

/// Splits at the first `at`; the second half is empty if there is none.
fn split(bytes: &[u8], at: u8) -> (&[u8], &[u8]) {
    match find(bytes, 0, at) {
        Some(i) => (bytes.get(..i).unwrap_or_default(), bytes.get(i + 1..).unwrap_or_default()),
        None => (bytes, &[]),
    }
}

/// How many bytes of `scheme://host` precede the path; 0 for anything else.
fn authority_len(uri: &[u8]) -> usize {
    if uri.first().is_none_or(|b| *b == b'/') {
        return 0;
    }
    let host = match uri.iter().position(|b| *b == b':') {
        Some(colon) => colon + 1,
        None => 0,
    };
    if uri.get(host..host + 2) != Some(b"//") {
        return 0;
    }
    let host = host + 2;
    uri.iter().skip(host).position(|b| *b == b'/').map_or(0, |path| host + path)
}

/// `REQUEST_BASENAME`: what follows the last slash (of either kind) of a decoded path; `None` if nothing does.
#[must_use]
pub fn basename(path: &[u8]) -> Option<&[u8]> {
    let slash = path.iter().rposition(|b| matches!(b, b'/' | b'\\'))?;
    path.get(slash + 1..).filter(|name| !name.is_empty())
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The byte that `%XX` at the start of `bytes` stands for.
fn escape(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b'%', high, low, ..] => Some(hex(*high)? << 4 | hex(*low)?),
        _ => None,
    }
}

/// Appends `input` with every valid `%XX` decoded; others stay, and so does `+`.
pub fn uri_decode(input: &[u8], out: &mut Vec<u8>) {
    decode(input, b'%', out);
}

/// Decodes `%XX`, and turns `plus` into a space; true if a `%` was invalid.
fn decode(mut input: &[u8], plus: u8, out: &mut Vec<u8>) -> bool {
    let mut invalid = false;
    while let Some(at) = input.iter().position(|b| *b == b'%' || *b == plus) {
        let (plain, rest) = input.split_at(at);
        out.extend_from_slice(plain);
        let taken = if let Some(byte) = escape(rest) {
            out.push(byte);
            3
        } else {
            let percent = rest.first() == Some(&b'%');
            invalid |= percent;
            out.push(if percent { b'%' } else { b' ' });
            1
        };
        input = rest.get(taken..).unwrap_or_default();
    }
    out.extend_from_slice(input);
    invalid
}

/// Splits a query or a form into arguments, decoded. True if a `%` was invalid (`URLENCODED_ERROR`).
///
/// Arguments are separated by `separator` (`SecArgumentSeparator`, an ampersand by default), names end at the first
/// `=`, `+` is a space, and an invalid `%` stands for itself. An empty name or value is reported as such; nothing
/// follows a separator at the very end.
pub fn arguments(
    query: &[u8],
    separator: u8,
    scratch: &mut Scratch,
    each: &mut dyn FnMut(&[u8], &[u8]),
) -> bool {
    let mut invalid = false;
    let mut rest = query;
    while !rest.is_empty() {
        let (pair, next) = split(rest, separator);
        rest = next;
        let (name, value) = split(pair, b'=');
        let name = part(name, &mut scratch.name, &mut invalid);
        let value = part(value, &mut scratch.value, &mut invalid);
        each(name, value);
    }
    invalid
}

/// Decodes one half of an argument into `buffer`, or returns it as it is if there is nothing to decode.
fn part<'a>(raw: &'a [u8], buffer: &'a mut Vec<u8>, invalid: &mut bool) -> &'a [u8] {
    if find(raw, 0, b'%').is_none() && find(raw, 0, b'+').is_none() {
        return raw;
    }
    buffer.clear();
    *invalid |= decode(raw, b'+', buffer);
    buffer
}

/// Is `byte` white space in C's sense?
pub(crate) fn space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Splits a `Cookie` header: `REQUEST_COOKIES` and `REQUEST_COOKIES_NAMES`.
///
/// Cookies are separated by `;`. White space before a name and at the end of the header is dropped, nothing is
/// decoded, a cookie without `=` has an empty value, and one without a name is left out.
pub fn cookies(header: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    let end = header.iter().rposition(|b| !space(*b)).map_or(0, |last| last + 1);
    let mut rest = header.get(..end).unwrap_or_default();
    while !rest.is_empty() {
        let (cookie, next) = split(rest, b';');
        rest = next;
        let (name, value) = split(cookie, b'=');
        let start = name.iter().position(|b| !space(*b)).unwrap_or(name.len());
        if let Some(name @ [_, ..]) = name.get(start..) {
            each(name, value);
        }
    }
}

/// `SERVER_NAME`: a `Host` header without its port. The brackets of an IPv6 address stay.
#[must_use]
pub fn server_name(host: &[u8]) -> &[u8] {
    match (host.first(), find(host, 0, b']')) {
        (Some(b'['), Some(end)) => host.get(..=end).unwrap_or_default(),
        _ => split(host, b':').0,
    }
}

/// `AUTH_TYPE`: the scheme of an `Authorization` header.
#[must_use]
pub fn auth_type(authorization: &[u8]) -> &[u8] {
    split(authorization, b' ').0
}

/// `REMOTE_USER`: appends the user of an `Authorization` header of the scheme `Basic`; false if there is none.
pub fn remote_user(authorization: &[u8], out: &mut Vec<u8>) -> bool {
    let (scheme, credentials) = split(authorization, b' ');
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return false;
    }
    let start = out.len();
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in credentials.iter().skip_while(|b| **b == b' ') {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            match (bits >> held) as u8 {
                b':' => return true,
                byte => out.push(byte),
            }
        }
    }
    out.truncate(start);
    false
}

/// The value of a `Content-Length` header: digits only.
#[must_use]
pub fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}
