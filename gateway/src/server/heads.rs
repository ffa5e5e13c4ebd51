//! What request lines say that hyper does not pass on.
//!
//! hyper cuts the fragment off a target. A target must not have one (RFC 9112, section 3.2), and whoever
//! reads the same request elsewhere may take it for part of the path, so such a request is refused. To
//! see it, the requests of an HTTP/1 connection are followed from head to head while hyper reads them.
//! hyper is the stricter reader: where the two would lose step, it has refused the connection.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Of a field's line, as much as tells a length and a transfer coding.
const LINE: usize = 80;

/// A request line beyond this is none: hyper refuses it, or the connection speaks something else by now.
const LONGEST: u64 = 1 << 20;

/// The fragments of one connection.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    /// Numbers of requests whose targets have one.
    found: Mutex<Vec<u64>>,
    served: AtomicU64,
}

impl Fragments {
    /// Whether the target of the next request that is served has one.
    pub(super) fn next_has_one(&self) -> bool {
        let number = self.served.fetch_add(1, Relaxed);
        self.found.lock().unwrap_or_else(PoisonError::into_inner).contains(&number)
    }

    fn note(&self, number: u64) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        // Each is refused and its connection closed, so that more than a few are of no interest.
        if found.len() < 16 {
            found.push(number);
        }
    }
}

/// Follows the requests of a connection.
pub(super) struct Heads {
    fragments: Arc<Fragments>,
    state: State,
    number: u64,
    line: Vec<u8>,
    /// Bytes of the line, all of them.
    length: u64,
    fragment: bool,
    body: u64,
    chunked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    RequestLine,
    Field,
    Body,
    ChunkSize,
    /// Its data and the line end behind.
    Chunk,
    Trailer,
    /// No HTTP/1, or not any more.
    Other,
}

impl Heads {
    pub(super) fn new(fragments: Arc<Fragments>) -> Self {
        Heads {
            fragments,
            state: State::RequestLine,
            number: 0,
            line: Vec::new(),
            length: 0,
            fragment: false,
            body: 0,
            chunked: false,
        }
    }

    /// Takes note of what has been read.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.state != State::Other {
            if matches!(self.state, State::Body | State::Chunk) {
                let skipped = bytes.len().min(usize::try_from(self.body).unwrap_or(usize::MAX));
                bytes = &bytes[skipped..];
                self.body -= skipped as u64;
                if self.body == 0 {
                    self.state =
                        if self.state == State::Chunk { State::ChunkSize } else { State::RequestLine };
                }
                continue;
            }
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let (piece, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
            bytes = rest;
            self.fragment |= self.state == State::RequestLine && piece.contains(&b'#');
            self.length += piece.len() as u64;
            let room = LINE.saturating_sub(self.line.len()).min(piece.len());
            self.line.extend_from_slice(&piece[..room]);
            if self.length > LONGEST {
                self.state = State::Other;
            } else if end.is_some() {
                self.end_of_line();
                self.line.clear();
                self.length = 0;
            }
        }
    }

    fn end_of_line(&mut self) {
        let line = self.line.trim_ascii();
        self.state = match (self.state, line.is_empty()) {
            // Empty lines ahead of a request are passed over.
            (State::RequestLine, true) => State::RequestLine,
            (State::RequestLine, false) if line.starts_with(b"PRI * HTTP/2") => State::Other,
            (State::RequestLine, false) => {
                if std::mem::take(&mut self.fragment) {
                    self.fragments.note(self.number);
                }
                self.number += 1;
                (self.body, self.chunked) = (0, false);
                State::Field
            }
            (State::Field, false) => {
                self.field();
                State::Field
            }
            (State::Field, true) if self.chunked => State::ChunkSize,
            (State::Field, true) if self.body > 0 => State::Body,
            (State::ChunkSize, _) => self.chunk_size(),
            (State::Trailer, false) => State::Trailer,
            (State::Field | State::Trailer, true) => State::RequestLine,
            (State::Body | State::Chunk | State::Other, _) => State::Other,
        };
    }

    fn field(&mut self) {
        let line = self.line.trim_ascii();
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            self.body = number(value, 10).unwrap_or(0);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        }
    }

    fn chunk_size(&mut self) -> State {
        let size = self.line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        match number(size, 16) {
            Some(0) => State::Trailer,
            Some(size) => {
                self.body = size.saturating_add(2);
                State::Chunk
            }
            None => State::Other,
        }
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the requests have a fragment, read in pieces of `size` bytes.
    fn found(text: &str, requests: usize, size: usize) -> Vec<bool> {
        let fragments = Arc::new(Fragments::default());
        let mut heads = Heads::new(Arc::clone(&fragments));
        text.as_bytes().chunks(size).for_each(|piece| heads.read(piece));
        (0..requests).map(|_| fragments.next_has_one()).collect()
    }

    #[test]
    fn a_fragment_is_told_wherever_its_request_stands() {
        let text = "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n\
            \r\nPOST /b HTTP/1.1\r\nA: #\r\nContent-Length: 19\r\n\r\nGET /#x HTTP/1.1\r\n\n\
            POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7;x=#\r\nGET /#\n\r\n0\r\nT: #\r\n\r\n\
            GET /d?e#f HTTP/1.1\r\n\r\nGET /g HTTP/1.1\r\n\r\n";
        for size in [1, 2, 3, 7, 50, 1000] {
            assert_eq!(found(text, 5, size), [true, false, false, true, false], "pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_http_1_is_left_alone() {
        let text = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /#a HTTP/1.1\r\n\r\n";
        assert_eq!(found(text, 2, 9), [false, false]);
        let text = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nGET /#a HTTP/1.1\r\n\r\n";
        assert_eq!(found(text, 2, 9), [false, false]);
        assert_eq!(found(&"#".repeat(2 << 20), 1, 4096), [false]);
    }
}
