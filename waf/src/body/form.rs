//! `application/x-www-form-urlencoded` in chunks: whole pairs are inspected as soon as they are there.

use alloc::vec::Vec;

use super::{Sink, VALUE_MAX, VALUE_OVERLAP};

/// A form whose last pair may still be growing.
#[derive(Debug, Default)]
pub(crate) struct Form {
    pending: Vec<u8>,
}

impl Form {
    pub(crate) fn feed(&mut self, chunk: &[u8], end: bool, sink: &mut impl Sink) {
        if end && self.pending.is_empty() {
            return sink.urlencoded(chunk);
        }
        for piece in chunk.chunks(VALUE_MAX) {
            self.pending.extend_from_slice(piece);
            self.take(sink);
        }
        if end {
            sink.urlencoded(&self.pending);
            self.pending.clear();
        }
    }

    /// Inspects the pairs that are complete; of a pair that is too long, what is there.
    fn take(&mut self, sink: &mut impl Sink) {
        if let Some(last) = self.pending.iter().rposition(|&byte| byte == b'&') {
            sink.urlencoded(&self.pending[..last]);
            self.pending.drain(..=last);
        }
        if self.pending.len() > VALUE_MAX {
            sink.urlencoded(&self.pending);
            let name = self.pending.iter().position(|&byte| byte == b'=').filter(|&at| at < VALUE_OVERLAP);
            // The name stays, so that what follows is still a value of it.
            let keep = name.map_or(0, |at| at + 1);
            self.pending.drain(keep..self.pending.len() - VALUE_OVERLAP);
        }
    }
}
