//! Pattern automata: one dense table each, run over candidates only.
//!
//! Layout: `classes: u8, width: u8, starts: u16, states: u16, ranges: u16`, then the ranges
//! `last byte: u8, class: u8` (or, if there are 128 of them, the class of each byte), then a row of `classes` states for each state, `width` bytes each. The
//! last class is the end of the input. State 0 begins a search; the first `starts` states are those
//! in which nothing of a match has been seen.

use crate::blob::u16_at;

/// Length of the fixed part.
const HEADER_LEN: usize = 8;

/// A pattern's automaton.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dfa<'a> {
    bytes: &'a [u8],
}

impl<'a> Dfa<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Dfa { bytes }
    }

    /// The first match to end in `value`, as `start..end`. The start is that of the attempt that
    /// succeeded or of an overlapping one before it.
    pub(crate) fn find(&self, value: &[u8]) -> Option<core::ops::Range<usize>> {
        let classes = usize::from(*self.bytes.first()?);
        let wide = *self.bytes.get(1)? == 2;
        let starts = usize::from(u16_at(self.bytes, 2));
        let ranges = usize::from(u16_at(self.bytes, 6));
        let rows_at = HEADER_LEN + ranges * 2;
        let ranges = self.bytes.get(HEADER_LEN..rows_at)?;
        let expanded;
        let map = match ranges.as_array::<256>() {
            Some(map) => map,
            None => {
                expanded = class_map(ranges);
                &expanded
            }
        };
        let rows = self.bytes.get(rows_at..)?;
        let (accept, dead) = if wide { (0xffff, 0xfffe) } else { (0xff, 0xfe) };
        let step = |state: usize, class: usize| {
            let at = state * classes + class;
            if wide {
                usize::from(u16_at(rows, at * 2))
            } else {
                rows.get(at).map_or(dead, |&next| usize::from(next))
            }
        };
        let mut state = 0;
        let mut start = 0;
        for (at, &byte) in value.iter().enumerate() {
            if state < starts {
                start = at;
            }
            state = step(state, usize::from(map[usize::from(byte)]));
            // A match shows one byte late: the automaton looks ahead for word boundaries.
            if state == accept {
                return Some(start..at);
            }
            if state == dead {
                return None;
            }
        }
        (step(state, classes - 1) == accept).then_some(start..value.len())
    }
}

fn class_map(ranges: &[u8]) -> [u8; 256] {
    let mut map = [0; 256];
    let mut first = 0;
    for range in ranges.chunks_exact(2) {
        let end = usize::from(range[0]) + 1;
        if let Some(slots) = map.get_mut(first..end) {
            slots.fill(range[1]);
        }
        first = end;
    }
    map
}
