//! The automata that this instance has run, as full rows.
//!
//! Packed tables are small and slow. A pattern that is a candidate once will be one again: prose has
//! its words, and whoever sends them chooses how often. So the first run unpacks the table, and the
//! price of a byte is the same for every pattern.

use alloc::vec::Vec;

use crate::blob::RuleSet;
use crate::dfa::Expanded;

/// Most memory that unpacked tables take, in bytes. What does not fit runs packed.
const MAX_BYTES: usize = 192 * 1024;

/// Unpacked automata, by pattern.
#[derive(Default)]
pub(crate) struct Automata {
    tables: Vec<(usize, Expanded)>,
    bytes: usize,
}

impl Automata {
    /// The first match of a pattern to end in `value`.
    pub(crate) fn find(
        &mut self,
        rules: &RuleSet<'_>,
        pattern: usize,
        value: &[u8],
    ) -> Option<core::ops::Range<usize>> {
        if let Some((_, table)) = self.tables.iter().find(|(known, _)| *known == pattern) {
            return table.find(value);
        }
        let packed = rules.pattern(pattern).1;
        if self.bytes < MAX_BYTES
            && let Some(table) = packed.expand()
        {
            self.bytes += table.size();
            let found = table.find(value);
            self.tables.push((pattern, table));
            return found;
        }
        packed.find(value)
    }
}
