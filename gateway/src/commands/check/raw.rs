//! Raw HTTP/1.1 requests from files.
//!
//! More forgiving than a server's parser on purpose: the files hold what attackers send, so bytes
//! that a server would refuse (spaces in the target, control bytes in a value, a name that is no
//! token) are handed to the filter as they are. Only the framing has to make sense, because
//! otherwise nobody knows what the body is. A line may end in LF alone.

use std::fmt;

use super::exchange::{Exchange, Field, parse_version};

/// Why a file is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum RawError {
    /// There is no request line.
    Empty,
    /// The request line is not `METHOD TARGET [VERSION]`.
    RequestLine {
        /// The line.
        line: String,
    },
    /// The version is none of HTTP.
    Version {
        /// What stands there.
        version: String,
    },
    /// A header line without a colon.
    HeaderLine {
        /// Number of the line in the file, from 1.
        line: usize,
    },
    /// `Content-Length` is no number, or two of them differ.
    ContentLength {
        /// What stands there.
        value: String,
    },
    /// The file ends before the body does.
    Truncated {
        /// Bytes that are missing at least.
        missing: u64,
    },
    /// A chunk's size line is no hexadecimal number.
    ChunkSize {
        /// Bytes from the start of the body.
        offset: usize,
    },
    /// A chunk's bytes are not followed by a line end.
    ChunkEnd {
        /// Bytes from the start of the body.
        offset: usize,
    },
}

impl fmt::Display for RawError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RawError::Empty => f.write_str("no request line"),
            RawError::RequestLine { line } => {
                write!(f, "the request line is not METHOD TARGET VERSION: {line}")
            }
            RawError::Version { version } => write!(f, "unknown protocol version {version}"),
            RawError::HeaderLine { line } => write!(f, "line {line}: a header needs a colon"),
            RawError::ContentLength { value } => write!(f, "bad Content-Length: {value}"),
            RawError::Truncated { missing } => {
                write!(f, "the file ends {missing} bytes before the body does")
            }
            RawError::ChunkSize { offset } => {
                write!(f, "no chunk size at byte {offset} of the body")
            }
            RawError::ChunkEnd { offset } => {
                write!(f, "the chunk is not over at byte {offset} of the body, as its size says")
            }
        }
    }
}

impl std::error::Error for RawError {}

/// Reads one request.
///
/// The body is what `Transfer-Encoding: chunked` or `Content-Length` say. Without either it is the
/// rest of the file, less one line end (editors add one). Bytes behind a framed body are ignored.
///
/// # Errors
/// [`RawError`] when the bytes are not framed as a request.
pub(crate) fn parse(bytes: &[u8]) -> Result<Exchange, RawError> {
    let mut lines = Lines { rest: bytes, number: 0 };
    // RFC 9112 2.2: empty lines before the request line are ignored.
    let first = loop {
        match lines.next() {
            Some(b"") => {}
            Some(line) => break line,
            None => return Err(RawError::Empty),
        }
    };
    let (method, target, version) = request_line(first)?;
    let mut headers: Vec<Field> = Vec::new();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            break;
        }
        // Obsolete line folding: the line goes on with the value above.
        if matches!(line[0], b' ' | b'\t')
            && let Some((_, value)) = headers.last_mut()
        {
            value.push(b' ');
            value.extend_from_slice(trim(line));
            continue;
        }
        let colon =
            line.iter().position(|&b| b == b':').ok_or(RawError::HeaderLine { line: lines.number })?;
        headers.push((line[..colon].to_vec(), trim(&line[colon + 1..]).to_vec()));
    }
    let body = body(lines.rest, &headers)?;
    Ok(Exchange { method, target, version, headers, body, response: None })
}

type RequestLine = (Vec<u8>, Vec<u8>, picket_abi::HttpVersion);

fn request_line(line: &[u8]) -> Result<RequestLine, RawError> {
    let malformed = || RawError::RequestLine { line: Shown(line).to_string() };
    let method_end = line.iter().position(|&b| b == b' ').ok_or_else(malformed)?;
    let rest = trim(&line[method_end..]);
    if method_end == 0 || rest.is_empty() {
        return Err(malformed());
    }
    // The target may hold spaces (attackers do not encode): only a last word that looks like a
    // version is one.
    let last = rest.iter().rposition(|&b| b == b' ').map_or(0, |space| space + 1);
    let word = &rest[last..];
    let (target, version) = if last > 0 && word.len() >= 5 && word[..5].eq_ignore_ascii_case(b"HTTP/") {
        let version =
            parse_version(word).ok_or_else(|| RawError::Version { version: Shown(word).to_string() })?;
        (trim(&rest[..last]), version)
    } else {
        (rest, picket_abi::HttpVersion::Http09)
    };
    Ok((line[..method_end].to_vec(), target.to_vec(), version))
}

fn body(rest: &[u8], headers: &[Field]) -> Result<Vec<u8>, RawError> {
    let all = |name: &'static str| {
        headers
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    };
    let chunked = all("Transfer-Encoding").next_back().is_some_and(|codings| {
        codings.rsplit(|&b| b == b',').next().is_some_and(|last| trim(last).eq_ignore_ascii_case(b"chunked"))
    });
    if chunked {
        return dechunk(rest);
    }
    let mut length: Option<u64> = None;
    for value in all("Content-Length") {
        let bad = || RawError::ContentLength { value: Shown(value).to_string() };
        let number = decimal(value).ok_or_else(bad)?;
        if length.is_some_and(|earlier| earlier != number) {
            return Err(bad());
        }
        length = Some(number);
    }
    match length {
        Some(length) => match usize::try_from(length).ok().and_then(|length| rest.get(..length)) {
            Some(body) => Ok(body.to_vec()),
            None => Err(RawError::Truncated { missing: length - rest.len() as u64 }),
        },
        None => {
            let body = rest.strip_suffix(b"\n").unwrap_or(rest);
            Ok(body.strip_suffix(b"\r").unwrap_or(body).to_vec())
        }
    }
}

fn dechunk(body: &[u8]) -> Result<Vec<u8>, RawError> {
    let mut out = Vec::new();
    let mut lines = Lines { rest: body, number: 0 };
    loop {
        let offset = body.len() - lines.rest.len();
        let line = lines.next().ok_or(RawError::Truncated { missing: 1 })?;
        let digits = line.split(|&b| b == b';').next().map(trim).unwrap_or_default();
        let size = std::str::from_utf8(digits)
            .ok()
            .filter(|digits| !digits.starts_with('+'))
            .and_then(|digits| usize::from_str_radix(digits, 16).ok())
            .ok_or(RawError::ChunkSize { offset })?;
        if size == 0 {
            // Trailers are of no interest to a filter of ABI 1.
            return Ok(out);
        }
        let (data, rest) = lines
            .rest
            .split_at_checked(size)
            .ok_or_else(|| RawError::Truncated { missing: (size - lines.rest.len()) as u64 })?;
        out.extend_from_slice(data);
        lines.rest = rest
            .strip_prefix(b"\r\n")
            .or_else(|| rest.strip_prefix(b"\n"))
            .ok_or(RawError::ChunkEnd { offset: body.len() - rest.len() })?;
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok()?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !matches!(b, b' ' | b'\t')).map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// Lines that end in CR LF or LF, and the bytes behind the last one that was asked for.
struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let (line, rest) = match self.rest.iter().position(|&b| b == b'\n') {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &self.rest[self.rest.len()..]),
        };
        self.rest = rest;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// Bytes of a request, shown so that they cannot write to a terminal, and not at full length.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 120;
        write!(f, "{}", self.0[..self.0.len().min(LONGEST)].escape_ascii())?;
        if self.0.len() > LONGEST { f.write_str("…") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use picket_abi::HttpVersion;

    #[test]
    fn a_request_with_a_length_and_lf_line_ends_is_read() {
        let exchange = parse(b"POST /a?b=c HTTP/1.1\nHost: example.org\nContent-Length: 3\n\nx=1\n").unwrap();
        assert_eq!(exchange.method, b"POST");
        assert_eq!(exchange.target, b"/a?b=c");
        assert_eq!(exchange.version, HttpVersion::Http11);
        assert_eq!(exchange.header("host"), Some(&b"example.org"[..]));
        assert_eq!(exchange.body, b"x=1");
    }

    #[test]
    fn without_framing_the_rest_is_the_body() {
        let exchange = parse(b"POST / HTTP/1.0\r\nA: b\r\n\r\nline 1\r\nline 2\r\n").unwrap();
        assert_eq!(exchange.body, b"line 1\r\nline 2");
        assert_eq!(parse(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap().body, b"");
        assert_eq!(parse(b"GET / HTTP/1.1\nHost: x").unwrap().headers.len(), 1);
    }

    #[test]
    fn chunks_are_joined_and_extensions_and_trailers_dropped() {
        let exchange = parse(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n4;a=b\r\nab\r\n\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
        )
        .unwrap();
        assert_eq!(exchange.body, b"ab\r\n0123456789");
    }

    #[test]
    fn bytes_that_a_server_refuses_reach_the_filter() {
        let exchange =
            parse(b"GET /?q=a b\xff<x> HTTP/1.1\r\nX-A\x01b: \x00v\x7f \r\n folded\r\n\r\n").unwrap();
        assert_eq!(exchange.target, b"/?q=a b\xff<x>");
        assert_eq!(exchange.headers, [(b"X-A\x01b".to_vec(), b"\x00v\x7f folded".to_vec())]);
    }

    #[test]
    fn a_request_line_without_version_is_http_0_9() {
        let exchange = parse(b"GET /old\r\n").unwrap();
        assert_eq!((exchange.target.as_slice(), exchange.version), (&b"/old"[..], HttpVersion::Http09));
    }

    #[test]
    fn what_is_not_framed_is_refused_with_the_place() {
        for (bytes, error) in [
            (&b""[..], RawError::Empty),
            (b"\r\n\r\n", RawError::Empty),
            (b"GET\r\n", RawError::RequestLine { line: "GET".into() }),
            (b"GET / HTTP/7\r\n", RawError::Version { version: "HTTP/7".into() }),
            (b"GET / HTTP/1.1\r\nHost x\r\n", RawError::HeaderLine { line: 2 }),
            (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", RawError::ContentLength { value: "-1".into() }),
            (
                b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nabc",
                RawError::ContentLength { value: "2".into() },
            ),
            (b"GET / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", RawError::Truncated { missing: 6 }),
            (
                b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                RawError::ChunkSize { offset: 0 },
            ),
            (
                b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
                RawError::ChunkEnd { offset: 4 },
            ),
            (
                b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nab",
                RawError::Truncated { missing: 0xffff_ffff - 2 },
            ),
        ] {
            assert_eq!(parse(bytes), Err(error), "{}", bytes.escape_ascii());
        }
    }
}
