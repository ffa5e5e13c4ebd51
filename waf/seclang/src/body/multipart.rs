//! `multipart/form-data` (RFC 7578, RFC 2046), with every irregularity told.
//!
//! Bodies are split as ModSecurity does it, at lines that begin with the boundary. Data is searched for two hyphens,
//! eight bytes at a time; only there is looked closer.
//!
//! Stricter than ModSecurity: a header that occurs twice in a part and an empty boundary are faults. And a part whose
//! head cannot be read does not hide what follows: its data is reported under the name it has so far, and the parts
//! after it are read; the first fault is returned at the end.

use alloc::vec::Vec;

use super::disposition::{self, Disposition};
use super::swar::{find, find_pair};
use super::{Budget, Fault, Limits, Processor, Scratch, Sink, TOO_MUCH};
use crate::request::space;

/// Bytes of a header line in a part, with its continuations: the size of ModSecurity's buffer.
const HEADER_LINE: usize = 4096;

/// Bytes of a boundary (RFC 2046 allows 70): it is compared wherever it might begin.
const BOUNDARY: usize = 200;

/// Places that may be a boundary, or lines outside of data, that are looked at closely: a picture of 12 MiB has some
/// two hundred, and a body that is made of nothing else would cost more than anything it can hide.
const LOOKS: u32 = 1 << 19;

/// What a multipart body does that a strict reader, or another reader than this one, would not accept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MultipartFlags {
    /// `MULTIPART_BOUNDARY_QUOTED`: the boundary in `Content-Type` is in quotes.
    pub boundary_quoted: bool,
    /// `MULTIPART_BOUNDARY_WHITESPACE`: white space around its `=`.
    pub boundary_whitespace: bool,
    /// `MULTIPART_DATA_BEFORE`: data before the first boundary.
    pub data_before: bool,
    /// `MULTIPART_DATA_AFTER`: data after the last boundary.
    pub data_after: bool,
    /// `MULTIPART_HEADER_FOLDING`: a header of a part goes on in the next line.
    pub header_folding: bool,
    /// `MULTIPART_INVALID_HEADER_FOLDING`: and this line begins with other white space than a space or a tab.
    pub invalid_header_folding: bool,
    /// `MULTIPART_LF_LINE`: a line ends with LF alone.
    pub lf_line: bool,
    /// A line ends with CR LF; with `lf_line` this makes [`crlf_lf_lines`](MultipartFlags::crlf_lf_lines).
    pub crlf_line: bool,
    /// `MULTIPART_MISSING_SEMICOLON`: none before the boundary in `Content-Type`.
    pub missing_semicolon: bool,
    /// `MULTIPART_INVALID_QUOTING`: single quotes in `Content-Disposition`.
    pub invalid_quoting: bool,
    /// `MULTIPART_INVALID_PART`: a part without a name.
    pub invalid_part: bool,
    /// `MULTIPART_FILE_LIMIT_EXCEEDED`: more files than allowed.
    pub file_limit_exceeded: bool,
    /// `MULTIPART_UNMATCHED_BOUNDARY`: 1 after something that looks like a boundary and is none; a true boundary but
    /// the first makes it 2 (whatever it was: so does ModSecurity since 3.0.4, whose recommended rule wants 1).
    pub unmatched_boundary: u8,
    /// The body could not be read; part of [`strict_error`](MultipartFlags::strict_error).
    pub error: bool,
}

impl MultipartFlags {
    /// `MULTIPART_CRLF_LF_LINES`: both kinds of line endings.
    #[must_use]
    pub fn crlf_lf_lines(&self) -> bool {
        self.crlf_line && self.lf_line
    }

    /// `MULTIPART_STRICT_ERROR`: any of the others but unmatched boundaries and CR LF lines.
    #[must_use]
    pub fn strict_error(&self) -> bool {
        self.error
            || self.boundary_quoted
            || self.boundary_whitespace
            || self.data_before
            || self.data_after
            || self.header_folding
            || self.invalid_header_folding
            || self.lf_line
            || self.missing_semicolon
            || self.invalid_quoting
            || self.invalid_part
            || self.file_limit_exceeded
    }
}

/// Reads a multipart body whose `Content-Type` header is `content_type`.
///
/// `flags` tells what is irregular even if the body is fine otherwise, and as far as it could be read if not.
///
/// # Errors
/// When it is malformed, or a limit is exceeded. What could be read is reported.
pub fn multipart(
    content_type: &[u8],
    body: &[u8],
    limits: &Limits,
    scratch: &mut Scratch,
    flags: &mut MultipartFlags,
    sink: &mut dyn Sink,
) -> Result<(), Fault> {
    let result = match boundary(content_type, flags) {
        Ok(boundary) => {
            let dashes = boundary.iter().position(|b| *b != b'-').unwrap_or(boundary.len());
            let budget = Budget::new(limits);
            let mut reader = Reader {
                body,
                boundary,
                dashes,
                limits,
                budget,
                flags,
                fault: None,
                boundaries: 0,
                looks: 0,
            };
            let end = reader.read(scratch, sink);
            reader.fault.map_or(Ok(()), Err).and(end)
        }
        Err((offset, reason)) => Err(Fault::new(Processor::Multipart, offset, reason)),
    };
    flags.error |= result.is_err();
    result
}

/// How often `boundary` is named in `text`, in any case, with a `=` somewhere after it.
fn boundary_parameters(text: &[u8]) -> usize {
    let last = text.iter().rposition(|b| *b == b'=').unwrap_or(0);
    let named = |name: &&[u8]| name.eq_ignore_ascii_case(b"boundary");
    text.get(..last).unwrap_or_default().windows(8).filter(named).count()
}

/// Finds the boundary in `Content-Type`.
fn boundary<'a>(
    content_type: &'a [u8],
    flags: &mut MultipartFlags,
) -> Result<&'a [u8], (usize, &'static str)> {
    const TYPE: usize = "multipart/form-data".len();
    if content_type.is_empty() {
        return Err((0, "Content-Type header not available"));
    }
    if content_type.len() > 1024 {
        return Err((1024, "Invalid boundary in C-T (length)"));
    }
    if Processor::of_content_type(content_type) != Some(Processor::Multipart) {
        return Err((0, "Invalid MIME type"));
    }
    let parameters = boundary_parameters(content_type);
    if parameters > 1 {
        return Err((TYPE, "Multiple boundary parameters in C-T"));
    }
    let Some(start) = content_type.windows(8).position(|name| name == b"boundary") else {
        let reason = match parameters {
            0 => "Boundary not found in C-T",
            _ => "Invalid boundary in C-T (case sensitivity)",
        };
        return Err((TYPE, reason));
    };
    let mut semicolons = 0;
    for byte in content_type.get(TYPE..start).unwrap_or_default() {
        match byte {
            b';' if semicolons == 0 => semicolons = 1,
            byte if space(*byte) => {}
            _ => return Err((TYPE, "Invalid boundary in C-T (malformed)")),
        }
    }
    flags.missing_semicolon = semicolons == 0;

    let rest = content_type.get(start + 8..).unwrap_or_default();
    let Some(equals) = rest.iter().position(|b| *b == b'=') else {
        return Err((start, "Invalid boundary in C-T (malformed)"));
    };
    let (between, value) =
        (rest.get(..equals).unwrap_or_default(), rest.get(equals + 1..).unwrap_or_default());
    if !between.iter().all(|b| space(*b)) {
        return Err((start + 8, "Invalid boundary in C-T (parameter name)"));
    }
    let at = start + 8 + equals + 1;
    flags.boundary_whitespace = !between.is_empty() || value.first().is_some_and(|b| space(*b));

    let mut boundary = match value {
        [b'"', boundary @ .., b'"'] => {
            flags.boundary_quoted = true;
            boundary
        }
        [b'"', ..] | [_, .., b'"'] => return Err((at, "Invalid boundary in C-T (quote)")),
        boundary => boundary,
    };
    if boundary_parameters(boundary) != 0 {
        return Err((at, "Invalid boundary in C-T (content)"));
    }
    // Some clients add a charset after the boundary.
    if let Some(semicolon) = boundary.iter().position(|b| *b == b';') {
        boundary = boundary.get(..semicolon).unwrap_or_default();
    }
    let allowed = |b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(
                b,
                b' ' | b'\'' | b'(' | b')' | b'+' | b'_' | b',' | b'-' | b'.' | b'/' | b':' | b'=' | b'?'
            )
    };
    match boundary {
        [] => Err((at, "Invalid boundary in C-T (empty)")),
        _ if boundary.len() > BOUNDARY => Err((at, "Invalid boundary in C-T (length)")),
        [.., b' '] => Err((at, "Invalid boundary in C-T (characters)")),
        _ if !boundary.iter().all(allowed) => Err((at, "Invalid boundary in C-T (characters)")),
        _ => Ok(boundary),
    }
}

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// A boundary before a part.
    Open,
    /// The boundary after the last part.
    Last,
    /// Anything else.
    Other,
}

struct Reader<'a, 'f> {
    body: &'a [u8],
    boundary: &'a [u8],
    /// How many hyphens `boundary` begins with.
    dashes: usize,
    limits: &'a Limits,
    budget: Budget,
    flags: &'f mut MultipartFlags,
    /// The first fault in a part's head.
    fault: Option<Fault>,
    boundaries: usize,
    looks: u32,
}

impl<'a> Reader<'a, '_> {
    fn fault(&self, at: usize, reason: &'static str) -> Fault {
        Fault::new(Processor::Multipart, at, reason)
    }

    fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        self.body.get(from..to).unwrap_or_default()
    }

    /// Counts a closer look.
    fn look(&mut self, at: usize) -> Result<(), Fault> {
        self.looks += 1;
        if self.looks > LOOKS { Err(self.fault(at, "Too many lines like a boundary")) } else { Ok(()) }
    }

    /// The end of the line at `at`, past its LF. `None` for what follows the last LF.
    fn line_end(&self, at: usize) -> Option<usize> {
        find(self.body, at, b'\n').map(|end| end + 1)
    }

    /// Is this the last boundary, without the end of its line?
    fn is_last(&self, rest: &[u8]) -> bool {
        rest.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(self.boundary)) == Some(b"--")
    }

    /// Notes that the line before `at` ended in LF alone.
    fn check_line_before(&mut self, at: usize) {
        if let [before, b'\n'] = self.slice(at.saturating_sub(2), at) {
            self.flags.lf_line |= *before != b'\r';
        }
    }

    /// What the line `at..end`, which begins with two hyphens, is. `empty`: it follows a part's head at once, or is in
    /// it, where no boundary can be.
    fn classify(&mut self, at: usize, end: usize, empty: bool) -> Result<Line, Fault> {
        let line = self.slice(at, end);
        let rest = line.get(2..).unwrap_or_default();
        if let Some(mut rest) = rest.strip_prefix(self.boundary) {
            self.check_line_before(at);
            if empty && self.boundaries > 0 {
                self.flags.invalid_part = true;
                return Ok(Line::Other);
            }
            if self.boundaries > 0 {
                self.flags.unmatched_boundary = 2;
            }
            let mut kind = Line::Open;
            if let Some(last) = rest.strip_prefix(b"--") {
                (rest, kind) = (last, Line::Last);
            }
            match rest {
                b"\r\n" => self.flags.crlf_line = true,
                b"\n" => self.flags.lf_line = true,
                _ => return Err(self.fault(at, "Invalid boundary")),
            }
            self.boundaries += 1;
            return Ok(kind);
        }
        if line.len() <= 3 {
            return Ok(Line::Other);
        }
        if self.flags.boundary_quoted
            && rest.strip_prefix(b"\"").is_some_and(|r| r.starts_with(self.boundary))
        {
            return Err(self.fault(at, "Invalid boundary (quotes)"));
        }
        let blank = rest.iter().position(|b| !space(*b)).unwrap_or(0);
        if blank > 0 && rest.get(blank..).is_some_and(|rest| rest.starts_with(self.boundary)) {
            return Err(self.fault(at, "Invalid boundary (whitespace)"));
        }
        self.flags.unmatched_boundary = 1;
        Ok(Line::Other)
    }

    /// Looks for two hyphens and the boundary inside `at..end`, where the boundary means nothing.
    fn check_inside(&mut self, mut at: usize, end: usize) {
        let line = self.body.get(..end).unwrap_or_default();
        while let Some(dash) = find(line, at, b'-') {
            at = self.check_run(dash, end);
        }
    }

    /// Compares the boundary with what follows the run of hyphens at `dash`, and goes past it.
    fn check_run(&mut self, dash: usize, end: usize) -> usize {
        let rest = self.slice(dash, end);
        let run = rest.iter().position(|b| *b != b'-').unwrap_or(rest.len());
        // Only one place in a run can begin the boundary, since that has so many hyphens of its own.
        if run >= self.dashes + 2 {
            let tail = self.boundary.get(self.dashes..).unwrap_or_default();
            if rest.get(run..).unwrap_or_default().starts_with(tail) {
                self.flags.unmatched_boundary = 1;
            }
        }
        dash + run
    }

    fn read(&mut self, scratch: &mut Scratch, sink: &mut dyn Sink) -> Result<(), Fault> {
        let mut at = 0;
        // Before the first boundary.
        loop {
            self.look(at)?;
            let Some(end) = self.line_end(at) else {
                // What follows the last LF is not even looked at; only nothing at all is fine.
                return match self.body {
                    [] => Ok(()),
                    _ => Err(self.fault(at, "No boundaries found in payload")),
                };
            };
            let line = if self.slice(at, end).starts_with(b"--") {
                self.classify(at, end, false)?
            } else {
                self.check_inside(at, end);
                Line::Other
            };
            at = end;
            match line {
                Line::Open => break,
                Line::Last => {
                    self.flags.data_after |= at < self.body.len();
                    return Ok(());
                }
                Line::Other => self.flags.data_before = true,
            }
        }
        for _ in 0..self.limits.parts {
            let head = at;
            let blank = self.head(&mut at, scratch, sink)?;
            let data = at;
            // Without an empty line the head was cut short by a boundary, and there is no data.
            let (line, end) = if blank { self.data(&mut at)? } else { self.cut_short(&mut at)? };
            let data = self.slice(data, end);
            let data = data.strip_suffix(b"\n").map_or(data, |data| data.strip_suffix(b"\r").unwrap_or(data));
            self.finish(head, data, scratch, sink)?;
            match line {
                Some(Line::Last) => {
                    self.flags.data_after |= at < self.body.len();
                    return Ok(());
                }
                Some(_) => {}
                None => return Err(self.fault(at, "Final boundary missing")),
            }
        }
        Err(self.fault(at, "More parts than allowed"))
    }

    /// Reports a part. Its name and file name are in `scratch`.
    fn finish(
        &mut self,
        head: usize,
        data: &[u8],
        scratch: &Scratch,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        let (name, filename) = (&scratch.name, &scratch.other);
        if name.is_empty() {
            self.flags.invalid_part = true;
        }
        if filename.is_empty() {
            self.budget.arg(sink, name, data).map_err(|reason| self.fault(head, reason))
        } else {
            sink.file(name, filename, data);
            Ok(())
        }
    }

    /// Reads data up to the next boundary: what it is (`None`: there is none), and where the data ends. `at` goes
    /// past the boundary.
    fn data(&mut self, at: &mut usize) -> Result<(Option<Line>, usize), Fault> {
        let start = *at;
        let mut from = start;
        while let Some(dash) = find_pair(self.body, from, b'-') {
            self.look(dash)?;
            let begins = dash == start || self.body.get(dash.wrapping_sub(1)) == Some(&b'\n');
            if !begins {
                from = self.check_run(dash, self.body.len());
                continue;
            }
            match self.line_end(dash) {
                Some(end) => match self.classify(dash, end, dash == start)? {
                    Line::Other => from = end,
                    line => {
                        *at = end;
                        return Ok((Some(line), dash));
                    }
                },
                None if self.is_last(self.slice(dash, self.body.len())) => {
                    self.check_line_before(dash);
                    self.flags.invalid_part |= dash == start;
                    *at = self.body.len();
                    return Ok((Some(Line::Last), dash));
                }
                None => break,
            }
        }
        *at = self.body.len();
        Ok((None, self.body.len()))
    }

    /// Goes past the boundary that ended a head, or to the end of the body.
    fn cut_short(&mut self, at: &mut usize) -> Result<(Option<Line>, usize), Fault> {
        let start = *at;
        let Some(end) = self.line_end(start) else {
            let last = self.is_last(self.slice(start, self.body.len()));
            *at = self.body.len();
            return Ok((last.then_some(Line::Last), start));
        };
        let line = self.classify(start, end, false)?;
        *at = end;
        Ok((Some(line), start))
    }

    /// Remembers the first fault in a part's head.
    fn head_fault(&mut self, at: usize, reason: &'static str) {
        let fault = self.fault(at, reason);
        self.fault.get_or_insert(fault);
    }

    /// Reads a part's head: leaves its name and file name in `scratch` and reports its lines. False if a boundary (or
    /// the end of the body) comes before the empty line.
    fn head(&mut self, at: &mut usize, scratch: &mut Scratch, sink: &mut dyn Sink) -> Result<bool, Fault> {
        scratch.name.clear();
        scratch.other.clear();
        let Scratch { name, other: filename, value, stack } = scratch;
        stack.clear();
        let start = *at;
        let blank = loop {
            let begin = *at;
            self.look(begin)?;
            let Some(end) = self.line_end(begin) else {
                let last = self.is_last(self.slice(begin, self.body.len()));
                self.flags.invalid_part |= last;
                break false;
            };
            let line = self.slice(begin, end);
            if line.starts_with(b"--") {
                let invalid = core::mem::take(&mut self.flags.invalid_part);
                self.classify(begin, end, true)?;
                if core::mem::replace(&mut self.flags.invalid_part, invalid) {
                    self.flags.invalid_part = true;
                    self.head_fault(begin, "Invalid part header (a boundary)");
                    break false;
                }
            } else {
                self.check_inside(begin, end);
            }
            *at = end;
            if line.len() >= HEADER_LINE {
                self.head_fault(begin, "Part header line over 4096 bytes long");
            }
            if line.contains(&0) {
                self.head_fault(begin, "Nul byte in part headers");
            }
            let text = line.strip_suffix(b"\r\n");
            match text {
                Some(_) => self.flags.crlf_line = true,
                None => self.flags.lf_line = true,
            }
            let text = text.or(line.strip_suffix(b"\n")).unwrap_or(line);
            if text.is_empty() {
                break true;
            }
            if space(line.first().copied().unwrap_or(0)) {
                self.folding(begin, end, stack);
            } else {
                self.header(begin, text, stack);
                if stack.len() >= self.limits.part_headers {
                    return Err(self.fault(begin, "More part headers than allowed"));
                }
                stack.push((begin as u32, end as u32));
            }
        };
        let disposition = stack.iter().copied().find(|(begin, end)| {
            let line = self.slice(*begin as usize, *end as usize);
            header_name(line).is_some_and(|name| name.eq_ignore_ascii_case(b"content-disposition"))
        });
        if let Some((begin, end)) = disposition {
            unfold(self.slice(begin as usize, end as usize), value, false);
            let mut into = Disposition { name, filename, invalid_quoting: &mut self.flags.invalid_quoting };
            let result = disposition::parse(value, &mut into);
            if let Err(reason) = result {
                self.head_fault(begin as usize, reason);
            }
        } else if blank {
            self.head_fault(start, "Part missing Content-Disposition header");
        }
        if !self.budget.bytes((*at - start) + filename.len() + name.len() * (stack.len() + 1)) {
            return Err(self.fault(start, TOO_MUCH));
        }
        sink.part(name, filename);
        for (begin, end) in stack.iter() {
            let line = self.slice(*begin as usize, *end as usize);
            unfold(line, value, true);
            sink.part_header(name, value);
        }
        Ok(blank)
    }

    /// A line that continues the header before it.
    fn folding(&mut self, begin: usize, end: usize, headers: &mut [(u32, u32)]) {
        self.flags.header_folding = true;
        let line = self.slice(begin, end);
        let odd = |b: &&u8| !matches!(b, b' ' | b'\t');
        self.flags.invalid_header_folding |= line.iter().take_while(|b| space(**b)).any(|b| odd(&b));
        let Some(header) = headers.last_mut().filter(|header| header.1 as usize == begin) else {
            return self.head_fault(begin, "Invalid part header (folding error)");
        };
        header.1 = end as u32;
        if end - header.0 as usize > HEADER_LINE {
            self.head_fault(begin, "Part header too long");
        }
    }

    /// Checks a header's name.
    fn header(&mut self, begin: usize, text: &[u8], headers: &[(u32, u32)]) {
        let reason = match header_name(text) {
            None => "Invalid part header (colon missing)",
            Some([]) => "Invalid part header (header name missing)",
            Some(name) if !name.iter().all(u8::is_ascii_graphic) => {
                "Invalid part header (contains invalid character)"
            }
            Some(name) => {
                let same = |(begin, end): &(u32, u32)| {
                    header_name(self.slice(*begin as usize, *end as usize))
                        .is_some_and(|other| other.eq_ignore_ascii_case(name))
                };
                if !headers.iter().any(same) {
                    return;
                }
                "Duplicate part header"
            }
        };
        self.head_fault(begin, reason);
    }
}

/// What precedes the colon of a header line.
fn header_name(line: &[u8]) -> Option<&[u8]> {
    line.get(..line.iter().position(|b| *b == b':')?)
}

/// Joins a header's lines with single spaces into `out`: all of it, or its value. White space before the value and
/// each continuation goes, and so do line endings. A header in one line is otherwise left as it is.
fn unfold(header: &[u8], out: &mut Vec<u8>, whole: bool) {
    out.clear();
    let first = header.iter().position(|b| *b == b'\n').map_or(header.len(), |end| end + 1);
    let folded = first < header.len();
    let mut line = header.get(..first).unwrap_or_default();
    let mut rest = header.get(first..).unwrap_or_default();
    if folded || !whole {
        let name = header_name(line).unwrap_or_default();
        line = line.get(name.len() + 1..).unwrap_or_default();
        let skip = line.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(line.len());
        line = line.get(skip..).unwrap_or_default();
        if whole {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
        }
    }
    loop {
        let end = line.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
        out.extend_from_slice(line.get(..end).unwrap_or_default());
        if rest.is_empty() {
            return;
        }
        out.push(b' ');
        let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |end| end + 1);
        (line, rest) = (rest.get(..end).unwrap_or_default(), rest.get(end..).unwrap_or_default());
        let skip = line.iter().position(|b| !space(*b)).unwrap_or(line.len());
        line = line.get(skip..).unwrap_or_default();
    }
}
