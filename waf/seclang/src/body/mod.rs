//! Reads a request's body: forms, JSON, multipart and XML become named values.
//!
//! Every parser sees the whole (bounded) body at once, makes a single pass over it, never recurses and reports
//! what it finds to a [`Sink`] as it goes: what came before a [`Fault`] is inspected all the same. Buffers live in
//! a [`Scratch`] that is reused, so that a value costs no allocation.
//!
//! Names and quirks are those of ModSecurity 3 (libmodsecurity 3.0.14), for which the Core Rule Set is written;
//! where this engine is stricter the parser's own documentation says so.

mod disposition;
mod json;
mod multipart;
mod swar;
mod xml;

use alloc::vec::Vec;
use core::fmt;

pub use self::json::json;
pub use self::multipart::{MultipartFlags, multipart};
pub(crate) use self::swar::{find, find_control, find_two, is_same_text};
pub use self::xml::xml;

/// Which parser reads a body: what `ctl:requestBodyProcessor` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Processor {
    /// `URLENCODED`: a form, `a=1&b=2`.
    UrlEncoded,
    /// `MULTIPART`: `multipart/form-data`.
    Multipart,
    /// `JSON`.
    Json,
    /// `XML`.
    Xml,
}

impl Processor {
    /// The processor of a `Content-Type` when no rule chooses one: forms only, as in ModSecurity.
    #[must_use]
    pub fn of_content_type(value: &[u8]) -> Option<Processor> {
        let starts =
            |prefix: &[u8]| value.get(..prefix.len()).is_some_and(|v| v.eq_ignore_ascii_case(prefix));
        if starts(b"multipart/form-data") {
            Some(Processor::Multipart)
        } else if starts(b"application/x-www-form-urlencoded") {
            Some(Processor::UrlEncoded)
        } else {
            None
        }
    }

    /// The processor called `name` (`REQBODY_PROCESSOR`, `ctl:requestBodyProcessor`), in any case.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Processor> {
        [Processor::UrlEncoded, Processor::Multipart, Processor::Json, Processor::Xml]
            .into_iter()
            .find(|processor| processor.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Its name, the value of `REQBODY_PROCESSOR`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Processor::UrlEncoded => "URLENCODED",
            Processor::Multipart => "MULTIPART",
            Processor::Json => "JSON",
            Processor::Xml => "XML",
        }
    }
}

/// What the parsers report to; the engine stores it in its collections.
///
/// Slices are only valid during the call. Every method but [`arg`](Sink::arg) may be left empty.
pub trait Sink {
    /// A decoded argument: `ARGS_POST` (form, multipart field) or `ARGS` (JSON).
    fn arg(&mut self, name: &[u8], value: &[u8]);

    /// A file of a multipart body: `FILES` (`field` → `filename`), `FILES_NAMES` (`field`), `FILES_SIZES` (the
    /// content's length), `FILES_COMBINED_SIZE`, `FILES_TMP_CONTENT`.
    fn file(&mut self, field: &[u8], filename: &[u8], content: &[u8]) {
        let _ = (field, filename, content);
    }

    /// A part of a multipart body whose head was read: `MULTIPART_NAME` and, unless empty, `MULTIPART_FILENAME`.
    fn part(&mut self, name: &[u8], filename: &[u8]) {
        let _ = (name, filename);
    }

    /// A header line of a multipart part, without its line ending: `MULTIPART_PART_HEADERS:part`.
    fn part_header(&mut self, part: &[u8], line: &[u8]) {
        let _ = (part, line);
    }

    /// The text of an XML document, all in one: `XML:/*`.
    fn xml_text(&mut self, text: &[u8]) {
        let _ = text;
    }

    /// The value of one attribute of an XML document: `XML://@*`.
    fn xml_attribute(&mut self, value: &[u8]) {
        let _ = value;
    }
}

/// How much a body may contain.
///
/// The size of the body itself (`SecRequestBodyLimit`, `SecRequestBodyNoFilesLimit`) is the caller's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Arguments reported at most: `SecArgumentsLimit` less those already there.
    pub arguments: usize,
    /// Levels of nesting in JSON (`SecRequestBodyJsonDepthLimit`) and XML.
    pub depth: usize,
    /// Parts of a multipart body, and elements and attributes of an XML document, each.
    pub parts: usize,
    /// Header lines of one multipart part.
    pub part_headers: usize,
    /// Bytes of names and values reported in all: deep JSON repeats its path in every name, so that a body could
    /// otherwise grow with the square of its size. XML text with its entities expanded counts as well.
    pub reported: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { arguments: 1000, depth: 10_000, parts: 4096, part_headers: 64, reported: 4 << 20 }
    }
}

/// Buffers of the parsers. Cleared by each of them; they keep their memory for the next body.
#[derive(Debug, Default)]
pub struct Scratch {
    /// An argument's or part's name.
    pub(crate) name: Vec<u8>,
    /// A value with its escapes decoded, or all the text of a document.
    pub(crate) value: Vec<u8>,
    /// A file's name, an attribute's value.
    pub(crate) other: Vec<u8>,
    /// Open containers: where the name grew from, and the index in an array.
    pub(crate) stack: Vec<(u32, u32)>,
}

impl Scratch {
    /// Empty buffers.
    #[must_use]
    pub const fn new() -> Scratch {
        Scratch { name: Vec::new(), value: Vec::new(), other: Vec::new(), stack: Vec::new() }
    }
}

/// Why a body could not be read: `REQBODY_ERROR` is 1, and [`Display`](fmt::Display) is `REQBODY_ERROR_MSG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whose rules were broken.
    pub processor: Processor,
    /// Where, in bytes from the start of the body (of the `Content-Type` if the reason speaks of `C-T`).
    pub offset: usize,
    /// What is wrong.
    pub reason: &'static str,
}

impl Fault {
    pub(crate) fn new(processor: Processor, offset: usize, reason: &'static str) -> Fault {
        Fault { processor, offset, reason }
    }

    /// Appends the text of `REQBODY_ERROR_MSG`, such as
    /// `Multipart parsing error: Multipart: Final boundary missing (byte 120).`, to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let name = match self.processor {
            Processor::UrlEncoded => "Form",
            Processor::Multipart => "Multipart",
            Processor::Json => "JSON",
            Processor::Xml => "XML",
        };
        for text in [name, " parsing error: ", name, ": ", self.reason, " (byte "] {
            out.extend_from_slice(text.as_bytes());
        }
        decimal(self.offset, out);
        out.extend_from_slice(b").");
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.write_to(&mut text);
        f.write_str(core::str::from_utf8(&text).unwrap_or(self.reason))
    }
}

impl core::error::Error for Fault {}

/// Appends `number` in decimal digits.
pub(crate) fn decimal(mut number: usize, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        // 20 digits hold any `u64`, so `start` never passes zero.
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 || start == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Counts what is reported, and says when no more may be.
pub(crate) struct Budget {
    arguments: usize,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Budget {
        Budget { arguments: limits.arguments, bytes: limits.reported }
    }

    /// Takes `bytes`; false when they exceed what is left.
    pub(crate) fn bytes(&mut self, bytes: usize) -> bool {
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                true
            }
            None => false,
        }
    }

    /// Reports an argument; fails when there have been enough, or their bytes exceed what is left.
    pub(crate) fn arg(&mut self, sink: &mut dyn Sink, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let left = self.arguments.checked_sub(1).ok_or(TOO_MANY_ARGUMENTS)?;
        if !self.bytes(name.len() + value.len()) {
            return Err(TOO_MUCH);
        }
        self.arguments = left;
        sink.arg(name, value);
        Ok(())
    }
}

const TOO_MANY_ARGUMENTS: &str = "More arguments than allowed";
pub(crate) const TOO_MUCH: &str = "Names and values are longer than allowed";

/// Reads a form. True if a `%` was not followed by two hexadecimal digits (`URLENCODED_ERROR`).
///
/// `separator` is `SecArgumentSeparator`, an ampersand by default.
///
/// # Errors
/// When a limit is exceeded; nothing else is wrong with any form. (ModSecurity leaves the rest of the arguments
/// out without a word.)
pub fn urlencoded(
    body: &[u8],
    separator: u8,
    limits: &Limits,
    scratch: &mut Scratch,
    sink: &mut dyn Sink,
) -> Result<bool, Fault> {
    let mut budget = Budget::new(limits);
    let mut fault = None;
    let mut reported = 0;
    let invalid = crate::request::arguments(body, separator, scratch, &mut |name, value| {
        if fault.is_none() {
            match budget.arg(sink, name, value) {
                Ok(()) => reported += name.len() + value.len(),
                Err(reason) => fault = Some(Fault::new(Processor::UrlEncoded, reported, reason)),
            }
        }
    });
    fault.map_or(Ok(invalid), Err)
}
