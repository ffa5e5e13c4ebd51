//! The automata that this instance has run, as full rows.
//!
//! Packed tables are small and slow. A pattern that is a candidate twice will be one again: prose has
//! its words, and whoever sends them chooses how often. So the second run, or one over a long value,
//! unpacks the table, and the price of a byte is the same for every pattern.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::blob::RuleSet;
use crate::dfa::Expanded;

/// Most memory that unpacked tables take, in bytes. What does not fit runs packed.
const MAX_BYTES: usize = 192 * 1024;

/// Longest value over which a first run is cheaper packed than unpacked, in bytes.
const SHORT: usize = 64;

/// The automata that have run.
pub(crate) struct Automata {
    /// By pattern; `None` has run packed once.
    tables: Vec<(usize, Option<Box<Expanded>>)>,
    bytes: usize,
    limit: usize,
}

impl Default for Automata {
    fn default() -> Self {
        Automata { tables: Vec::new(), bytes: 0, limit: MAX_BYTES }
    }
}

impl Automata {
    /// Bounds the memory of what is unpacked from now on, in bytes.
    pub(crate) fn limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// The first match of a pattern to end in `value`.
    pub(crate) fn find(
        &mut self,
        rules: &RuleSet<'_>,
        pattern: usize,
        value: &[u8],
    ) -> Option<core::ops::Range<usize>> {
        let position = self.tables.iter().position(|(known, _)| *known == pattern);
        let known = position.and_then(|position| self.tables.get_mut(position));
        if let Some((_, Some(table))) = known {
            return table.find(value);
        }
        let packed = rules.pattern(pattern).1;
        let mut table = None;
        let room = self.limit.saturating_sub(self.bytes);
        if (known.is_some() || value.len() > SHORT) && packed.expanded_size() <= room {
            table = packed.expand().map(Box::new);
        }
        self.bytes += table.as_ref().map_or(0, |table| table.size());
        let found = match &table {
            Some(table) => table.find(value),
            None => packed.find(value),
        };
        match known {
            Some((_, slot)) => *slot = table,
            None => self.tables.push((pattern, table)),
        }
        found
    }
}
