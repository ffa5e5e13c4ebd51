//! The exact answer: an automaton whose states are made when they are first needed.
//!
//! When the memory for states is used up they are all dropped; a search that sees this happen twice
//! goes on without keeping states at all. Either way a byte costs at most a visit of every NFA state.

use alloc::vec::Vec;

use crate::cache::Cache;
use crate::nfa::{Flags, Nfa, Outcome, Scratch};

/// Entries of a row.
pub(crate) const UNKNOWN: u16 = 0;
pub(crate) const IS_MATCH: u16 = 1;
pub(crate) const IS_NO: u16 = 2;
pub(crate) const FIRST: u16 = 3;
const MAX_STATES: usize = 0xff00;

/// How often a search may see its states dropped before it keeps none.
const MAX_DROPS: u32 = 2;

#[derive(Debug, Clone, Copy)]
pub(crate) struct State {
    key: u64,
    hash: u32,
    pub(crate) row: u32,
    set: u32,
    len: u16,
    pub(crate) flags: Flags,
    start: bool,
}

/// States of all regexes.
#[derive(Debug)]
pub(crate) struct Lazy {
    limit: usize,
    states: Vec<State>,
    pub(crate) rows: Vec<u16>,
    sets: Vec<u16>,
    /// Open addressing over `states`, as entries (`UNKNOWN`: free).
    index: Vec<u16>,
}

impl Lazy {
    pub(crate) fn new(limit: usize) -> Self {
        Lazy { limit, states: Vec::new(), rows: Vec::new(), sets: Vec::new(), index: Vec::new() }
    }

    fn clear(&mut self) {
        self.states.clear();
        self.rows.clear();
        self.sets.clear();
        self.index.fill(UNKNOWN);
    }

    pub(crate) fn state(&self, entry: u16) -> Option<&State> {
        self.states.get(usize::from(entry.wrapping_sub(FIRST)))
    }

    pub(crate) fn set(&self, state: &State) -> &[u16] {
        let from = state.set as usize;
        self.sets.get(from..from + usize::from(state.len)).unwrap_or(&[])
    }

    /// The entry of the start state of a regex.
    pub(crate) fn find_start(&self, key: u64) -> Option<u16> {
        let mut at = hash_start(key) as usize;
        let mask = self.index.len().checked_sub(1)?;
        loop {
            let entry = *self.index.get(at & mask)?;
            let state = self.state(entry)?;
            if state.start && state.key == key {
                return Some(entry);
            }
            at += 1;
        }
    }

    /// The entry of the set in `scratch`; `None` if there is no room for it.
    pub(crate) fn intern(
        &mut self,
        key: u64,
        columns: usize,
        scratch: &Scratch,
        flags: Flags,
        start: bool,
    ) -> Option<u16> {
        let hash = if start { hash_start(key) } else { hash_set(key, &scratch.set, flags) };
        if self.index.is_empty() {
            self.index.resize(64, UNKNOWN);
        }
        let mut mask = self.index.len() - 1;
        let mut at = hash as usize;
        while let Some(state) = self.index.get(at & mask).and_then(|&entry| self.state(entry)) {
            if state.hash == hash
                && state.key == key
                && state.flags == flags
                && state.start == start
                && usize::from(state.len) == scratch.set.len()
                && self.set(state).iter().all(|&id| scratch.holds(id))
            {
                return self.index.get(at & mask).copied();
            }
            at += 1;
        }
        let size = (self.rows.len() + columns + self.sets.len() + scratch.set.len() + self.index.len()) * 2
            + (self.states.len() + 1) * size_of::<State>();
        if size > self.limit || self.states.len() >= MAX_STATES {
            return None;
        }
        if self.states.len() * 2 >= self.index.len() {
            let len = self.index.len() * 2;
            mask = len - 1;
            self.index.clear();
            self.index.resize(len, UNKNOWN);
            for (number, state) in self.states.iter().enumerate() {
                let mut at = state.hash as usize;
                while self.index.get(at & mask).is_some_and(|&entry| entry != UNKNOWN) {
                    at += 1;
                }
                if let Some(slot) = self.index.get_mut(at & mask) {
                    *slot = number as u16 + FIRST;
                }
            }
            at = hash as usize;
            while self.index.get(at & mask).is_some_and(|&entry| entry != UNKNOWN) {
                at += 1;
            }
        }
        let entry = self.states.len() as u16 + FIRST;
        self.states.push(State {
            key,
            hash,
            row: self.rows.len() as u32,
            set: self.sets.len() as u32,
            len: scratch.set.len() as u16,
            flags,
            start,
        });
        self.rows.resize(self.rows.len() + columns, UNKNOWN);
        self.sets.extend_from_slice(&scratch.set);
        if let Some(slot) = self.index.get_mut(at & mask) {
            *slot = entry;
        }
        Some(entry)
    }
}

fn hash_start(key: u64) -> u32 {
    (key ^ key >> 32) as u32 | 1
}

/// A hash that does not depend on the order of a set.
fn hash_set(key: u64, set: &[u16], flags: Flags) -> u32 {
    let mut sum = (key ^ key >> 32) as u32 ^ u32::from(flags.bits()) << 24;
    for &id in set {
        let mixed = (u32::from(id) + 1).wrapping_mul(0x9e37_79b1);
        sum = sum.wrapping_add(mixed ^ mixed >> 15);
    }
    sum ^ sum >> 16
}

/// Whether the NFA has a match. `key` identifies it in the cache.
#[inline(never)]
pub(crate) fn is_match(nfa: &Nfa<'_>, key: u64, cache: &mut Cache, haystack: &[u8]) -> bool {
    let map = nfa.class_map();
    let end = nfa.classes;
    let columns = nfa.classes + 1;
    let mut drops = 0;
    let Cache { lazy, scratch, current, .. } = cache;

    let mut entry = match lazy.find_start(key) {
        Some(entry) => entry,
        None => match nfa.start(scratch) {
            Outcome::Match => return true,
            Outcome::No => return false,
            Outcome::Set(flags) => {
                let entry = lazy.intern(key, columns, scratch, flags, true).or_else(|| {
                    lazy.clear();
                    lazy.intern(key, columns, scratch, flags, true)
                });
                match entry {
                    Some(entry) => entry,
                    None => return simulate(nfa, scratch, current, flags, map, haystack),
                }
            }
        },
    };

    let mut at = 0;
    loop {
        let class = haystack.get(at).map(|&byte| map[usize::from(byte)]);
        let column = class.map_or(end, usize::from);
        let Some(state) = lazy.state(entry) else { return false };
        let slot = state.row as usize + column;
        let known = lazy.rows.get(slot).copied().unwrap_or(IS_NO);
        match known {
            IS_MATCH => return true,
            IS_NO => return false,
            UNKNOWN => match nfa.step(scratch, lazy.set(state), state.flags, class) {
                outcome @ (Outcome::Match | Outcome::No) => {
                    let is_match = outcome == Outcome::Match;
                    if let Some(slot) = lazy.rows.get_mut(slot) {
                        *slot = if is_match { IS_MATCH } else { IS_NO };
                    }
                    return is_match;
                }
                Outcome::Set(flags) => {
                    let next = match lazy.intern(key, columns, scratch, flags, false) {
                        Some(next) => {
                            if let Some(slot) = lazy.rows.get_mut(slot) {
                                *slot = next;
                            }
                            Some(next)
                        }
                        None => {
                            lazy.clear();
                            drops += 1;
                            if drops < MAX_DROPS {
                                lazy.intern(key, columns, scratch, flags, false)
                            } else {
                                None
                            }
                        }
                    };
                    match next {
                        Some(next) => entry = next,
                        None => {
                            let rest = haystack.get(at + 1..).unwrap_or(&[]);
                            return simulate(nfa, scratch, current, flags, map, rest);
                        }
                    }
                }
            },
            next => entry = next,
        }
        // Only damaged bytes lead anywhere from the end.
        if class.is_none() {
            return false;
        }
        at += 1;
    }
}

/// Goes on from the set in `scratch` without keeping states.
fn simulate(
    nfa: &Nfa<'_>,
    scratch: &mut Scratch,
    current: &mut Vec<u16>,
    mut flags: Flags,
    map: &[u8; 256],
    haystack: &[u8],
) -> bool {
    for &byte in haystack {
        core::mem::swap(&mut scratch.set, current);
        match nfa.step(scratch, current, flags, Some(map[usize::from(byte)])) {
            Outcome::Match => return true,
            Outcome::No => return false,
            Outcome::Set(next) => flags = next,
        }
    }
    core::mem::swap(&mut scratch.set, current);
    nfa.step(scratch, current, flags, None) == Outcome::Match
}
