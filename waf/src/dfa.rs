//! Pattern automata: one table each, run over candidates only.
//!
//! Layout: `classes: u8, width: u8, starts: u16, states: u16, joint classes: u16`, then the class of
//! each joint class (a byte; with [`SPARSE`] two bits: 0 for class 0, 1 for the next class that has
//! not been seen, 2 for one of the bytes that follow), then the transitions to states of `width` bytes (its low bits, 1 or 2). Joint
//! classes are those of bytes that no automaton of the ruleset tells apart. The last class is the
//! end of the input. State 0 begins a search; the first `starts` states are those in which nothing
//! of a match has been seen.
//!
//! The transitions are a row of `classes` states for each state, or, with [`SPARSE`] in `width`, rows
//! as differences: `bases: u8`, that many full rows, for each [`GROUP`] of states the offset `u16` of
//! the first one's record, then the records: a byte of base (high bits) and count (low bits), and
//! `class: u8, next state` for each class where the state differs from its base; the count [`CHAIN`]
//! stands for one class that leads to the state with the next number. Lists of keywords take a
//! seventh of the space that way, and only suspicious values pay for it.

use alloc::vec::Vec;

use crate::blob::u16_at;

/// Length of the fixed part.
const HEADER_LEN: usize = 8;

/// In the width: rows are differences.
pub(crate) const SPARSE: u8 = 0x80;
/// Low bits of a record's first byte: how many differences follow.
const COUNT_BITS: u32 = 5;
/// The count that stands for one class alone.
const CHAIN: usize = 31;
/// States that share an entry in the index of records.
const GROUP: usize = 4;

/// A pattern's automaton.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dfa<'a> {
    joint: &'a [u8; 256],
    bytes: &'a [u8],
}

impl<'a> Dfa<'a> {
    /// An automaton, and the joint class of each byte.
    pub(crate) const fn new(joint: &'a [u8; 256], bytes: &'a [u8]) -> Self {
        Dfa { joint, bytes }
    }

    /// The first match to end in `value`, as `start..end`. The start is that of the attempt that
    /// succeeded or of an overlapping one before it.
    #[inline(never)]
    pub(crate) fn find(&self, value: &[u8]) -> Option<core::ops::Range<usize>> {
        let classes = usize::from(*self.bytes.first()?);
        let width = *self.bytes.get(1)?;
        let wide = width & !SPARSE == 2;
        let starts = usize::from(u16_at(self.bytes, 2));
        let joint_classes = usize::from(u16_at(self.bytes, 6));
        let states = usize::from(u16_at(self.bytes, 4));
        let rest = self.bytes.get(HEADER_LEN..)?;
        let of = |map: &[u8], byte: u8| {
            map.get(usize::from(self.joint[usize::from(byte)])).map_or(0, |&c| c.into())
        };
        if width & SPARSE == 0 {
            let (map, bytes) = rest.split_at_checked(joint_classes)?;
            let transitions = Transitions { bytes, classes, states, wide };
            transitions.search(value, starts, |byte| of(map, byte), Transitions::dense)
        } else {
            let mut map = [0; 256];
            let bytes = unpack_map(rest, map.get_mut(..joint_classes)?)?;
            let transitions = Transitions { bytes, classes, states, wide };
            transitions.search(value, starts, |byte| of(&map, byte), Transitions::sparse)
        }
    }
}

impl Dfa<'_> {
    /// Bytes of the same automaton as full rows.
    pub(crate) fn expanded_size(&self) -> usize {
        let classes = self.bytes.first().map_or(0, |&classes| usize::from(classes));
        size_of::<Expanded>() + classes * usize::from(u16_at(self.bytes, 4))
    }

    /// The same automaton as full rows; `None` if its states need two bytes.
    pub(crate) fn expand(&self) -> Option<Expanded> {
        let classes = usize::from(*self.bytes.first()?);
        let width = *self.bytes.get(1)?;
        let states = usize::from(u16_at(self.bytes, 4));
        let rest = self.bytes.get(HEADER_LEN..)?;
        let mut joint_map = [0; 256];
        let joint_map = joint_map.get_mut(..usize::from(u16_at(self.bytes, 6)))?;
        let bytes = match width & SPARSE {
            0 => {
                let (map, bytes) = rest.split_at_checked(joint_map.len())?;
                joint_map.copy_from_slice(map);
                bytes
            }
            _ => unpack_map(rest, joint_map)?,
        };
        if width & !SPARSE == 2 || classes == 0 {
            return None;
        }
        let transitions = Transitions { bytes, classes, states, wide: false };
        let mut rows = Vec::with_capacity(states * classes);
        if width & SPARSE == 0 {
            rows.extend_from_slice(bytes.get(..states * classes)?);
        } else {
            // The records stand one behind the other.
            let mut records = bytes.get(transitions.record(0)..)?;
            for state in 0..states {
                records = transitions.sparse_row(state, records, &mut rows)?;
            }
        }
        let mut map = [0; 256];
        for (class, &joint) in map.iter_mut().zip(self.joint) {
            *class = joint_map.get(usize::from(joint)).copied()?;
        }
        Some(Expanded { classes, starts: usize::from(u16_at(self.bytes, 2)), map, rows })
    }
}

/// An automaton as full rows: for patterns that run more than once.
pub(crate) struct Expanded {
    classes: usize,
    starts: usize,
    map: [u8; 256],
    rows: Vec<u8>,
}

impl Expanded {
    /// Bytes it takes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.rows.capacity()
    }

    /// See [`Dfa::find`].
    #[inline(never)]
    pub(crate) fn find(&self, value: &[u8]) -> Option<core::ops::Range<usize>> {
        const ACCEPT: usize = 0xff;
        const DEAD: usize = 0xfe;
        let mut state = 0;
        let mut start = 0;
        for (at, &byte) in value.iter().enumerate() {
            if state < self.starts {
                start = at;
            }
            let at_entry = state * self.classes + usize::from(self.map[usize::from(byte)]);
            state = usize::from(*self.rows.get(at_entry)?);
            if state >= DEAD {
                return (state == ACCEPT).then_some(start..at);
            }
        }
        let end = self.rows.get((state + 1) * self.classes - 1)?;
        (usize::from(*end) == ACCEPT).then_some(start..value.len())
    }
}

/// Fills `map` from its packed form and returns what lies behind that.
fn unpack_map<'a>(packed: &'a [u8], map: &mut [u8]) -> Option<&'a [u8]> {
    let (codes, mut explicit) = packed.split_at_checked(map.len().div_ceil(4))?;
    let mut fresh = 1;
    for (four, &codes) in map.chunks_mut(4).zip(codes) {
        // Most classes are 0.
        let mut codes = codes;
        for class in four {
            if codes == 0 {
                break;
            }
            match codes & 3 {
                0 => {}
                1 => {
                    *class = fresh;
                    fresh = fresh.wrapping_add(1);
                }
                _ => (*class, explicit) = explicit.split_first().map(|(&first, rest)| (first, rest))?,
            }
            codes >>= 2;
        }
    }
    Some(explicit)
}

/// The count of a record's first byte.
const fn count(head: usize) -> usize {
    head & ((1 << COUNT_BITS) - 1)
}

/// The part of the table behind the classes.
struct Transitions<'a> {
    bytes: &'a [u8],
    classes: usize,
    states: usize,
    wide: bool,
}

impl Transitions<'_> {
    fn search(
        &self,
        value: &[u8],
        starts: usize,
        class: impl Fn(u8) -> usize,
        step: impl Fn(&Self, usize, usize) -> usize,
    ) -> Option<core::ops::Range<usize>> {
        let (accept, dead) = (self.special(0), self.special(1));
        let mut state = 0;
        let mut start = 0;
        for (at, &byte) in value.iter().enumerate() {
            if state < starts {
                start = at;
            }
            state = step(self, state, class(byte));
            // A match shows one byte late: the automaton looks ahead for word boundaries.
            if state == accept {
                return Some(start..at);
            }
            if state == dead {
                return None;
            }
        }
        (step(self, state, self.classes.saturating_sub(1)) == accept).then_some(start..value.len())
    }

    /// The state of acceptance (0) or of no return (1).
    const fn special(&self, which: usize) -> usize {
        (if self.wide { 0xffff } else { 0xff }) - which
    }

    /// The state at entry `at` of the part of the table that begins at `from`; no return outside.
    fn state_at(&self, from: usize, at: usize) -> usize {
        if self.wide {
            let at = from + at * 2;
            if at + 1 < self.bytes.len() { usize::from(u16_at(self.bytes, at)) } else { self.special(1) }
        } else {
            self.bytes.get(from + at).map_or(self.special(1), |&next| usize::from(next))
        }
    }

    fn dense(&self, state: usize, class: usize) -> usize {
        self.state_at(0, state * self.classes + class)
    }

    /// Where the record of a state stands.
    fn record(&self, state: usize) -> usize {
        let width = 1 + usize::from(self.wide);
        let byte = |at: usize| self.bytes.get(at).map_or(0, |&byte| usize::from(byte));
        let index = 1 + byte(0) * self.classes * width;
        let records = index + self.states.div_ceil(GROUP) * 2;
        let group = index + state / GROUP * 2;
        let mut at = records + (byte(group) | byte(group + 1) << 8);
        for _ in 0..state % GROUP {
            at += match count(byte(at)) {
                CHAIN => 2,
                count => 1 + count * (1 + width),
            };
        }
        at
    }

    /// Appends the full row of a state of one byte, whose record stands at the front of `records`.
    /// Returns what lies behind that.
    fn sparse_row<'r>(&self, state: usize, records: &'r [u8], rows: &mut Vec<u8>) -> Option<&'r [u8]> {
        let (&head, rest) = records.split_first()?;
        let base = 1 + (usize::from(head) >> COUNT_BITS) * self.classes;
        let start = rows.len();
        rows.extend_from_slice(self.bytes.get(base..base + self.classes)?);
        let row = rows.get_mut(start..)?;
        match count(head.into()) {
            CHAIN => {
                let (&class, rest) = rest.split_first()?;
                *row.get_mut(usize::from(class))? = u8::try_from(state + 1).ok()?;
                Some(rest)
            }
            count => {
                let (entries, rest) = rest.split_at_checked(count * 2)?;
                for entry in entries.as_chunks::<2>().0 {
                    *row.get_mut(usize::from(entry[0]))? = entry[1];
                }
                Some(rest)
            }
        }
    }

    fn sparse(&self, state: usize, class: usize) -> usize {
        let width = 1 + usize::from(self.wide);
        let byte = |at: usize| self.bytes.get(at).map_or(0, |&byte| usize::from(byte));
        let at = self.record(state);
        let head = byte(at);
        match count(head) {
            CHAIN if byte(at + 1) == class => return state + 1,
            CHAIN => {}
            count => {
                for entry in (at + 1..).step_by(1 + width).take(count) {
                    if byte(entry) == class {
                        return self.state_at(entry + 1, 0);
                    }
                }
            }
        }
        self.state_at(1, (head >> COUNT_BITS) * self.classes + class)
    }
}
