//! HTTP/1 as a lenient server reads it.
//!
//! Requests of the tests are malformed on purpose, and the WAF is what is to say so. What no server
//! could pass on (a header line without a colon, a chunk size that is no number) is kept in the shape
//! that loses least.

use crate::message::{Request, find};

/// Parses a request as it stands on the wire.
pub(crate) fn parse(raw: &[u8]) -> Request {
    // Servers skip empty lines ahead of a request (RFC 9112, section 2.2).
    let start = raw.iter().position(|&b| b != b'\r' && b != b'\n').unwrap_or(raw.len());
    let mut rest = &raw[start..];
    let (method, target, version) = request_line(next_line(&mut rest));
    let mut request = Request { method, target, version, ..Request::default() };
    while !rest.is_empty() {
        let line = next_line(&mut rest);
        if line.is_empty() {
            break;
        }
        if line[0] == b' ' || line[0] == b'\t' {
            // A folded line continues the value before it.
            if let Some((_, value)) = request.headers.last_mut() {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
                continue;
            }
        }
        let colon = line.iter().position(|&b| b == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        request.headers.push((line[..colon].to_vec(), value.trim_ascii().to_vec()));
    }
    request.body = rest.to_vec();
    unframe(&mut request);
    request
}

/// Takes the framing off the body, as the server does before the WAF sees it. Without a framing header
/// there is no body, whatever follows the head. The headers stay as sent.
pub(crate) fn unframe(request: &mut Request) {
    if find(&request.headers, "transfer-encoding").is_some_and(ends_chunked) {
        request.body = join_chunks(&request.body);
        return;
    }
    let length = find(&request.headers, "content-length").map(length).unwrap_or(Some(0));
    // A length that is no number is the WAF's to complain about: the body stays for its rules to see.
    if let Some(length) = length {
        request.body.truncate(length);
    }
}

fn length(value: &[u8]) -> Option<usize> {
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}

fn ends_chunked(value: &[u8]) -> bool {
    let last = value.rsplit(|&b| b == b',').next().unwrap_or_default();
    last.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

fn join_chunks(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    while !body.is_empty() {
        let line = next_line(&mut body);
        let size = line.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(size).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        match size {
            None | Some(0) => break,
            Some(size) => {
                let (chunk, rest) = body.split_at(size.min(body.len()));
                out.extend_from_slice(chunk);
                body = rest;
                next_line(&mut body);
            }
        }
    }
    out
}

/// Method, target and version. A target may hold spaces: the version is what follows the last one, if it
/// looks like a version.
fn request_line(line: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let method_end = line.iter().position(|&b| b == b' ').unwrap_or(line.len());
    let rest = line.get(method_end + 1..).unwrap_or_default();
    let (target, version) = match rest.iter().rposition(|&b| b == b' ') {
        Some(at) if rest[at + 1..].get(..5).is_some_and(|v| v.eq_ignore_ascii_case(b"HTTP/")) => {
            (&rest[..at], &rest[at + 1..])
        }
        _ => (rest, &[][..]),
    };
    (line[..method_end].to_vec(), target.to_vec(), version.to_vec())
}

/// Takes a line off `rest`, without its LF or CRLF.
fn next_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
    let line = &rest[..end];
    *rest = rest.get(end + 1..).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
        (name.into(), value.into())
    }

    #[test]
    fn a_plain_request() {
        let request = parse(b"\r\nPOST /a?b=c d HTTP/1.0\r\nHost:  x \r\nContent-Length: 3\r\n\r\nabcdef");
        assert_eq!(request.line(), b"POST /a?b=c d HTTP/1.0");
        assert_eq!(request.headers, [header("Host", "x"), header("Content-Length", "3")]);
        assert_eq!(request.body, b"abc");
    }

    #[test]
    fn chunks_are_joined_and_need_no_end() {
        let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n".to_vec();
        let body = |chunks: &[u8]| parse(&[&head, chunks].concat()).body;
        assert_eq!(body(b"3\r\nHi \r\n3;x=y\r\nCRS\r\n0\r\n\r\n"), b"Hi CRS");
        assert_eq!(body(b"ff\r\ncut"), b"cut");
        assert_eq!(body(b"zz\r\nno size"), b"");
    }

    #[test]
    fn broken_heads_lose_nothing() {
        let request = parse(b"GET /\nA: 1\n 2\nno colon\nA:3\n\nrest");
        assert_eq!((&request.target[..], &request.version[..]), (&b"/"[..], &b""[..]));
        assert_eq!(request.headers, [header("A", "1 2"), header("no colon", ""), header("A", "3")]);
        assert_eq!(request.body, b"");
        assert_eq!(parse(b""), Request::default());
    }

    #[test]
    fn a_length_that_is_no_number_keeps_the_body() {
        assert_eq!(parse(b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\nabc").body, b"abc");
    }
}
