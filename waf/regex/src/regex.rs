//! The view of a compiled regex.

use core::ops::Range;

use crate::cache::Cache;
use crate::format::*;
use crate::nfa::Nfa;
use crate::table::{Table, Verdict};
use crate::{begin, lazy, pike};

/// A compiled regex, read in place. Making one costs nothing; damaged bytes never match, or match
/// what they happen to say.
#[derive(Clone, Copy, Debug)]
pub struct Regex<'a> {
    bytes: &'a [u8],
}

impl<'a> Regex<'a> {
    /// A view of what the compiler wrote.
    pub fn new(bytes: &'a [u8]) -> Self {
        Regex { bytes }
    }

    fn u8(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.u8(at), self.u8(at + 1)])
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }

    fn flags(&self) -> u8 {
        if self.u8(0) == VERSION { self.u8(1) } else { 0 }
    }

    /// Length of the shortest match, in bytes; saturated at 65,535.
    pub fn min_len(&self) -> usize {
        usize::from(self.u16(8))
    }

    /// Number of groups, the whole match included; 0 if the regex was compiled without captures.
    pub fn groups(&self) -> usize {
        usize::from(self.u8(2))
    }

    /// The NFA, if the regex has one and its parts are all there.
    pub fn nfa(&self) -> Option<Nfa<'a>> {
        let flags = self.flags();
        if flags & NFA == 0 {
            return None;
        }
        let table = if flags & TABLE != 0 { (self.u32(12) as usize).saturating_add(256) } else { 0 };
        let mut rest = self.bytes.get(HEADER..)?.get(table..)?;
        let mut take = |len: usize| {
            let (part, after) = rest.split_at_checked(len)?;
            rest = after;
            Some(part)
        };
        let classes = usize::from(self.u8(26)) + 1;
        Some(Nfa {
            map: take(256)?.first_chunk()?,
            sets: take(usize::from(self.u16(24)) * classes.div_ceil(8))?,
            states: take(4 * usize::from(self.u16(20)))?.as_chunks().0,
            lists: take(2 * usize::from(self.u16(22)))?.as_chunks().0,
            cuts: take(4 * usize::from(self.u8(3)))?.as_chunks().0,
            classes,
            start: self.u16(18),
            anchored: flags & ANCHORED != 0,
        })
    }

    #[inline]
    fn table(&self) -> Option<Table<'a>> {
        // One check for the whole head.
        let (head, rest) = self.bytes.split_first_chunk::<HEADER>()?;
        let flags = if head[0] == VERSION { head[1] } else { 0 };
        if flags & TABLE == 0 {
            return None;
        }
        let (map, rest) = rest.split_first_chunk::<256>()?;
        Some(Table {
            map,
            bytes: rest.get(..u32::from_le_bytes([head[12], head[13], head[14], head[15]]) as usize)?,
            columns: usize::from(u16::from_le_bytes([head[10], head[11]])),
            start: u16::from_le_bytes([head[16], head[17]]),
            wide: flags & WIDE != 0,
            end_column: flags & END_COLUMN != 0,
        })
    }

    /// What identifies this regex in a cache: places move, contents do not.
    fn key(&self) -> u64 {
        u64::from(self.u32(4)) << 32 | self.bytes.len() as u64 & 0xffff_ffff
    }

    /// Whether the haystack holds a match. Linear in the haystack.
    pub fn is_match(&self, cache: &mut Cache, haystack: &[u8]) -> bool {
        match self.table().map_or(Verdict::Maybe, |table| table.run(haystack)) {
            Verdict::Match => true,
            Verdict::No => false,
            Verdict::Maybe => match self.nfa() {
                Some(nfa) => lazy::is_match(&nfa, self.key(), cache, haystack),
                None => false,
            },
        }
    }

    /// Whether the table leaves it to the NFA to decide about this haystack: a figure for
    /// measurements.
    pub fn is_undecided(&self, haystack: &[u8]) -> bool {
        self.table().is_none_or(|table| table.run(haystack) == Verdict::Maybe)
    }

    /// The leftmost match, of those at the same place the one that a backtracking engine would find
    /// first. `slots[0]` receives the whole match, `slots[n]` group `n`; groups past the ninth and
    /// groups without part in the match are `None`. `false` (slots untouched) without a match, and for a
    /// regex compiled without captures.
    pub fn captures(&self, cache: &mut Cache, haystack: &[u8], slots: &mut [Option<Range<usize>>]) -> bool {
        // What the table refuses, or the lazy automaton, need not be searched with positions.
        if !self.is_match(cache, haystack) {
            return false;
        }
        let Some(nfa) = self.nfa() else { return false };
        let begin = begin::leftmost(&nfa, self.key(), cache, haystack);
        pike::captures(&nfa, begin, self.groups(), &mut cache.threads, haystack, slots)
    }
}
