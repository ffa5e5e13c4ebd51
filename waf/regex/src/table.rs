//! The dense table: three loads and a comparison a byte.

use crate::format::{MATCH, MAYBE, NO, SPECIAL};

/// What a table says of a haystack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Match,
    No,
    Maybe,
}

/// A view of a table.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    pub(crate) map: &'a [u8; 256],
    pub(crate) bytes: &'a [u8],
    pub(crate) columns: usize,
    pub(crate) start: u16,
    pub(crate) wide: bool,
    pub(crate) end_column: bool,
}

fn verdict(entry: usize, highest: usize) -> Verdict {
    const IS_MATCH: usize = MATCH as usize;
    const IS_NO: usize = NO as usize;
    const _: () = assert!(MAYBE as usize + 1 == SPECIAL);
    match highest - entry {
        IS_MATCH => Verdict::Match,
        IS_NO => Verdict::No,
        _ => Verdict::Maybe,
    }
}

impl Table<'_> {
    pub(crate) fn run(&self, haystack: &[u8]) -> Verdict {
        if self.wide { self.run_wide(haystack) } else { self.run_narrow(haystack) }
    }

    // An entry out of the table (damaged bytes) ends the search: no match.
    fn run_narrow(&self, haystack: &[u8]) -> Verdict {
        const HIGHEST: usize = u8::MAX as usize;
        const FIRST: usize = HIGHEST + 1 - SPECIAL;
        let (map, table, columns) = (self.map, self.bytes, self.columns);
        let mut state = usize::from(self.start);
        if state >= FIRST {
            return verdict(state.min(HIGHEST), HIGHEST);
        }
        for &byte in haystack {
            let Some(&entry) = table.get(state * columns + usize::from(map[usize::from(byte)])) else {
                return Verdict::No;
            };
            state = usize::from(entry);
            if state >= FIRST {
                return verdict(state, HIGHEST);
            }
        }
        match table.get(state * columns + columns.wrapping_sub(1)) {
            Some(&entry) if self.end_column && usize::from(entry) >= FIRST => {
                verdict(usize::from(entry), HIGHEST)
            }
            _ => Verdict::No,
        }
    }

    fn run_wide(&self, haystack: &[u8]) -> Verdict {
        const HIGHEST: usize = u16::MAX as usize;
        const FIRST: usize = HIGHEST + 1 - SPECIAL;
        let (map, table) = (self.map, self.bytes.as_chunks::<2>().0);
        let mut state = usize::from(self.start);
        if state >= FIRST {
            return verdict(state, HIGHEST);
        }
        for &byte in haystack {
            let Some(&entry) = table.get(state + usize::from(map[usize::from(byte)])) else {
                return Verdict::No;
            };
            state = usize::from(u16::from_le_bytes(entry));
            if state >= FIRST {
                return verdict(state, HIGHEST);
            }
        }
        match table
            .get(state + self.columns.wrapping_sub(1))
            .map(|&entry| usize::from(u16::from_le_bytes(entry)))
        {
            Some(entry) if self.end_column && entry >= FIRST => verdict(entry, HIGHEST),
            _ => Verdict::No,
        }
    }
}
