//! Bodies that are inspected as they are, in windows that overlap.

use alloc::vec::Vec;

use super::{Sink, VALUE_MAX, VALUE_OVERLAP};
use crate::variable::Variable;

/// A body of no format that is parsed, or one that broke its format.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    tail: Vec<u8>,
    report: Option<&'static str>,
}

impl Raw {
    /// A body that is not the `format` it says it is; that is reported with its first bytes.
    pub(crate) fn malformed(format: &'static str) -> Self {
        Raw { tail: Vec::new(), report: Some(format) }
    }

    pub(crate) fn feed(&mut self, chunk: &[u8], sink: &mut impl Sink) {
        if let Some(format) = self.report.take() {
            sink.value(Variable::ReqbodyError, b"", format.as_bytes());
        }
        for piece in chunk.chunks(VALUE_MAX - VALUE_OVERLAP) {
            if self.tail.is_empty() {
                sink.value(Variable::RequestBody, b"", piece);
                self.tail.extend_from_slice(&piece[piece.len().saturating_sub(VALUE_OVERLAP)..]);
            } else {
                self.tail.extend_from_slice(piece);
                sink.value(Variable::RequestBody, b"", &self.tail);
                self.tail.drain(..self.tail.len().saturating_sub(VALUE_OVERLAP));
            }
        }
    }
}
