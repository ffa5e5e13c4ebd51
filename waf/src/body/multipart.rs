//! `multipart/form-data` in chunks (RFC 7578 over RFC 2046).
//!
//! Fields are arguments; of a file the names are inspected and the content is skipped.

use alloc::vec::Vec;

use super::{Growing, Malformed, Sink};
use crate::variable::Variable;

/// Longest header block of a part, in bytes.
const MAX_PART_HEADERS: usize = 8 * 1024;
/// Longest boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// The `boundary` parameter of a content type.
pub(crate) fn boundary(parameters: &[u8]) -> Option<Vec<u8>> {
    let boundary = parameter(parameters, b"boundary")?;
    ((1..=MAX_BOUNDARY).contains(&boundary.len())
        && boundary.iter().all(|byte| matches!(byte, b' '..=b'~'))
        && boundary.last() != Some(&b' '))
    .then_some(boundary)
}

/// The value of a `; name=value` parameter, unquoted. A value given twice is read as the first.
fn parameter(parameters: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let mut rest = parameters;
    loop {
        let at = rest.iter().position(|&byte| byte == b';')?;
        rest = rest[at + 1..].trim_ascii_start();
        let key_len = rest.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(rest.len());
        let key = rest[..key_len].trim_ascii_end();
        let Some(value) = rest[key_len..].strip_prefix(b"=") else {
            rest = &rest[key_len..];
            continue;
        };
        let value = value.trim_ascii_start();
        let (text, tail) = match value.strip_prefix(b"\"") {
            Some(quoted) => unquote(quoted),
            None => {
                let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
                (value[..end].trim_ascii_end().to_vec(), &value[end..])
            }
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(text);
        }
        rest = tail;
    }
}

/// A quoted string, from behind its opening quote. Browsers escape a quote as `%22`, others with a
/// backslash; a backslash before anything else is a Windows path and stays.
fn unquote(quoted: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut text = Vec::new();
    let mut rest = quoted;
    loop {
        match rest {
            [] => return (text, rest),
            [b'"', tail @ ..] => return (text, tail),
            [b'\\', escaped @ (b'"' | b'\\'), tail @ ..] => {
                text.push(*escaped);
                rest = tail;
            }
            [byte, tail @ ..] => {
                text.push(*byte);
                rest = tail;
            }
        }
    }
}

#[derive(Debug)]
enum State {
    /// Before the first boundary.
    Preamble,
    /// Behind a boundary: the rest of its line, or `--`.
    AfterBoundary,
    Headers,
    Field {
        name: Vec<u8>,
    },
    File,
    Epilogue,
}

/// A multipart body, read as far as it has come.
#[derive(Debug)]
pub(crate) struct Multipart {
    /// `\n--boundary`: a bare line feed is accepted where RFC 2046 wants CR LF.
    delimiter: Vec<u8>,
    state: State,
    pending: Vec<u8>,
    value: Growing,
    /// The line feed that ends the empty line behind the headers has not been dropped yet. It stays
    /// until then, because the delimiter of an empty content begins with it.
    at_start: bool,
}

impl Multipart {
    pub(crate) fn new(boundary: Vec<u8>) -> Self {
        let mut delimiter = b"\n--".to_vec();
        delimiter.extend_from_slice(&boundary);
        // The first boundary needs no line before it.
        Multipart {
            delimiter,
            state: State::Preamble,
            pending: b"\n".to_vec(),
            value: Growing::default(),
            at_start: false,
        }
    }

    pub(crate) fn feed(&mut self, chunk: &[u8], end: bool, sink: &mut impl Sink) -> Result<(), Malformed> {
        self.pending.extend_from_slice(chunk);
        let mut pending = core::mem::take(&mut self.pending);
        let mut taken = 0;
        loop {
            let step = match self.step(&pending[taken..], sink) {
                Ok(step) => step,
                Err(malformed) => {
                    // What waited for more belongs to what is unfinished.
                    self.value.push(&pending[taken..], sink, Variable::RequestBody, b"");
                    return Err(malformed);
                }
            };
            taken += step.taken;
            if step.starved {
                break;
            }
        }
        pending.drain(..taken);
        self.pending = pending;
        match self.state {
            _ if !end => Ok(()),
            State::Epilogue => Ok(()),
            // No body at all is no malformed body.
            State::Preamble if self.pending == b"\n" => Ok(()),
            _ => {
                self.value.push(&self.pending, sink, Variable::RequestBody, b"");
                Err(Malformed)
            }
        }
    }

    /// The field that has not ended.
    pub(crate) fn unfinished(&self) -> &[u8] {
        self.value.bytes()
    }

    fn step(&mut self, rest: &[u8], sink: &mut impl Sink) -> Result<Step, Malformed> {
        match self.state {
            State::Epilogue => Ok(Step::starved(rest.len())),
            State::Preamble | State::File | State::Field { .. } => Ok(self.content(rest, sink)),
            State::AfterBoundary => match rest {
                [b'-', b'-', ..] => Ok(self.enter(State::Epilogue, 2)),
                [b'\n', ..] => Ok(self.enter(State::Headers, 1)),
                [b'\r', b'\n', ..] => Ok(self.enter(State::Headers, 2)),
                // Transport padding.
                [b' ' | b'\t', ..] => Ok(Step { taken: 1, starved: false }),
                [] | [b'-' | b'\r'] => Ok(Step::starved(0)),
                _ => Err(Malformed),
            },
            State::Headers => self.headers(rest, sink),
        }
    }

    fn enter(&mut self, state: State, taken: usize) -> Step {
        self.state = state;
        Step { taken, starved: false }
    }

    fn content(&mut self, rest: &[u8], sink: &mut impl Sink) -> Step {
        let found = find(rest, &self.delimiter);
        // What could be the beginning of a delimiter, and the CR before it, waits for more.
        let end = found.unwrap_or_else(|| rest.len().saturating_sub(self.delimiter.len()));
        let content = &rest[..end];
        let mut content = content.strip_suffix(b"\r").unwrap_or(content);
        let taken = content.len();
        if self.at_start && taken > 0 {
            content = &content[1..];
            self.at_start = false;
        }
        if let State::Field { name } = &self.state {
            self.value.push(content, sink, Variable::Args, name);
            if found.is_some() {
                sink.value(Variable::Args, name, self.value.bytes());
                self.value.clear();
            }
        }
        match found {
            Some(at) => self.enter(State::AfterBoundary, at + self.delimiter.len()),
            None => Step::starved(taken),
        }
    }

    fn headers(&mut self, rest: &[u8], sink: &mut impl Sink) -> Result<Step, Malformed> {
        let Some((headers, taken)) = header_block(rest) else {
            return if rest.len() > MAX_PART_HEADERS { Err(Malformed) } else { Ok(Step::starved(0)) };
        };
        let mut disposition = None;
        for line in headers.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Some(colon) = line.iter().position(|&byte| byte == b':') else {
                if line.is_empty() {
                    continue;
                }
                return Err(Malformed);
            };
            if line[..colon].eq_ignore_ascii_case(b"content-disposition") {
                // Two of them are read differently by different servers.
                if disposition.replace(&line[colon + 1..]).is_some() {
                    return Err(Malformed);
                }
            }
        }
        let disposition = disposition.ok_or(Malformed)?;
        let name = parameter(disposition, b"name").ok_or(Malformed)?;
        let files = [parameter(disposition, b"filename"), parameter(disposition, b"filename*")];
        let is_file = files.iter().any(Option::is_some);
        for file in files.into_iter().flatten() {
            sink.value(Variable::Files, &name, &file);
        }
        sink.value(if is_file { Variable::FilesNames } else { Variable::ArgsNames }, &name, &name);
        self.at_start = true;
        Ok(self.enter(if is_file { State::File } else { State::Field { name } }, taken))
    }
}

/// What a step took from the front of what is pending, and whether the next one needs more bytes.
struct Step {
    taken: usize,
    starved: bool,
}

impl Step {
    const fn starved(taken: usize) -> Self {
        Step { taken, starved: true }
    }
}

/// The header lines at the front of `rest`, and their length up to the line feed that ends the empty
/// line.
fn header_block(rest: &[u8]) -> Option<(&[u8], usize)> {
    let mut line = 0;
    while let Some(len) = rest[line..].iter().position(|&byte| byte == b'\n') {
        if matches!(&rest[line..line + len], b"" | b"\r") {
            return Some((&rest[..line], line + len));
        }
        line += len + 1;
    }
    None
}

/// The first occurrence of `needle`, which begins with a byte that is rare in it.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|&byte| byte == first) {
        if haystack[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}
