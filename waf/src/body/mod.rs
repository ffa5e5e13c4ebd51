//! Bodies: which parser reads one, and what the parsers have in common.
//!
//! A parser takes chunks of any size, keeps bounded state, never fails: what is malformed is
//! reported once and inspected as raw bytes from there on.

mod form;
mod json;
mod multipart;
mod raw;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::variable::Variable;

/// Longest value that is inspected in one piece, in bytes. Of a longer one the last
/// [`VALUE_OVERLAP`] bytes of each piece are inspected again with the next.
pub(crate) const VALUE_MAX: usize = 32 * 1024;
/// What two pieces of a long value share, in bytes.
pub(crate) const VALUE_OVERLAP: usize = 1024;

/// How much of a body decides whether it is text, in bytes.
const SNIFFED: usize = 512;

/// Takes what a parser finds.
pub(crate) trait Sink {
    /// A value, decoded as its format says.
    fn value(&mut self, variable: Variable, name: &[u8], value: &[u8]);

    /// A whole raw urlencoded string: inspects the pairs in it.
    fn urlencoded(&mut self, raw: &[u8]);
}

/// The parser of a body.
#[derive(Debug, Default)]
pub(crate) enum BodyParser {
    /// The body is not inspected.
    #[default]
    Opaque,
    /// `application/x-www-form-urlencoded`.
    Form(form::Form),
    /// `multipart/form-data`.
    Multipart(multipart::Multipart),
    /// JSON.
    Json(json::Json),
    /// Everything else that could be text.
    Raw(raw::Raw),
    /// Most likely binary: the first bytes decide. What looks like text goes to the parser inside,
    /// since it is the client who names the type.
    Unsure(Box<BodyParser>),
}

impl BodyParser {
    /// The parser for a body. Compressed bytes are not unpacked, and as text they would match short
    /// patterns by chance.
    pub(crate) fn for_headers(content_type: Option<&[u8]>, encoded: bool) -> Self {
        let parser = Self::for_content_type(content_type);
        if encoded { BodyParser::Unsure(Box::new(parser)) } else { parser }
    }

    /// The parser for a `Content-Type`. Without one a server will most likely read a form.
    fn for_content_type(content_type: Option<&[u8]>) -> Self {
        let Some(content_type) = content_type else { return BodyParser::Form(form::Form::default()) };
        let end = content_type
            .iter()
            .position(|byte| matches!(byte, b';' | b',' | b' ' | b'\t'))
            .unwrap_or(content_type.len());
        let (media, parameters) = content_type.split_at(end);
        let media = media.to_ascii_lowercase();
        let (kind, subtype) = match media.iter().position(|&byte| byte == b'/') {
            Some(slash) => (&media[..slash], &media[slash + 1..]),
            None => (&media[..], &b""[..]),
        };
        match (kind, subtype) {
            (b"application", b"x-www-form-urlencoded") => BodyParser::Form(form::Form::default()),
            (b"multipart", _) => match multipart::boundary(parameters) {
                Some(boundary) => BodyParser::Multipart(multipart::Multipart::new(boundary)),
                None => BodyParser::Raw(raw::Raw::malformed("multipart")),
            },
            (_, b"json" | b"x-json" | b"csp-report") => BodyParser::Json(json::Json::default()),
            (_, subtype) if subtype.ends_with(b"+json") => BodyParser::Json(json::Json::default()),
            (b"image", subtype) if !subtype.starts_with(b"svg") => Self::unsure(),
            (b"audio" | b"video" | b"font", _) => Self::unsure(),
            // Random bytes match short patterns by chance.
            (
                b"application",
                b"octet-stream" | b"zip" | b"gzip" | b"x-gzip" | b"pdf" | b"wasm" | b"x-tar",
            ) => Self::unsure(),
            (b"application", subtype) if subtype.starts_with(b"grpc") || subtype.ends_with(b"protobuf") => {
                Self::unsure()
            }
            _ => BodyParser::Raw(raw::Raw::default()),
        }
    }

    fn unsure() -> Self {
        BodyParser::Unsure(Box::new(BodyParser::Raw(raw::Raw::default())))
    }

    /// Takes the next chunk; `end` with the last one.
    pub(crate) fn feed(&mut self, chunk: &[u8], end: bool, sink: &mut impl Sink) {
        if let BodyParser::Unsure(inside) = self {
            if chunk.is_empty() {
                return;
            }
            *self = if is_binary(chunk) { BodyParser::Opaque } else { core::mem::take(inside) };
        }
        let format = match self {
            BodyParser::Opaque | BodyParser::Unsure(_) => return,
            BodyParser::Form(form) => return form.feed(chunk, end, sink),
            BodyParser::Raw(raw) => return raw.feed(chunk, sink),
            BodyParser::Json(json) => match json.feed(chunk, end, sink) {
                Ok(()) => return,
                Err(Malformed) => "json",
            },
            BodyParser::Multipart(multipart) => match multipart.feed(chunk, end, sink) {
                Ok(()) => return,
                Err(Malformed) => "multipart",
            },
        };
        // A server's parser may be more forgiving than this one: look at the bytes themselves, and
        // at what had not been inspected yet.
        let mut raw = raw::Raw::malformed(format);
        match self {
            BodyParser::Json(json) => raw.feed(json.unfinished(), sink),
            BodyParser::Multipart(multipart) => raw.feed(multipart.unfinished(), sink),
            _ => {}
        }
        raw.feed(chunk, sink);
        *self = BodyParser::Raw(raw);
    }
}

/// Whether a body that begins like this is no text: it has control characters that text has not.
fn is_binary(start: &[u8]) -> bool {
    start.iter().take(SNIFFED).any(|byte| matches!(byte, 0..=8 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f))
}

/// The body is not what its `Content-Type` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A value that grows chunk by chunk, and is inspected in pieces when it grows too long.
#[derive(Debug, Default)]
pub(crate) struct Growing {
    bytes: Vec<u8>,
}

impl Growing {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(crate) fn push(&mut self, bytes: &[u8], sink: &mut impl Sink, variable: Variable, name: &[u8]) {
        let mut rest = bytes;
        while self.bytes.len() + rest.len() > VALUE_MAX {
            let (now, later) = rest.split_at(VALUE_MAX.saturating_sub(self.bytes.len()).min(rest.len()));
            self.bytes.extend_from_slice(now);
            sink.value(variable, name, &self.bytes);
            self.bytes.drain(..self.bytes.len() - VALUE_OVERLAP);
            rest = later;
        }
        self.bytes.extend_from_slice(rest);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests;
