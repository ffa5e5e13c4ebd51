//! From a pattern's structure to an NFA.
//!
//! Built from the end, so that a state is known by what it does and where it leads: states that are
//! alike are made once, and branches share the ends they have in common. A loop over a single byte
//! set, the most frequent in rules, is one state.

use std::collections::HashMap;

use picket_regex::format::*;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use super::{ByteSet, Error};

/// Most steps of the construction: nested counts of nothing make no states, but take time.
const MAX_STEPS: usize = 4 << 20;

/// A state under construction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// One of the operations on a class set: operation, set, successor.
    Set(u32, u16, u16),
    Union(Vec<u16>),
    Capture(u16, u16),
    Look(u32, u16),
    Match,
    Fail,
}

/// An NFA.
pub(super) struct Machine {
    pub(super) states: Vec<State>,
    pub(super) sets: Vec<ByteSet>,
    pub(super) start: u16,
    pub(super) groups: usize,
}

struct Builder {
    states: Vec<State>,
    known: HashMap<State, u16>,
    sets: Vec<ByteSet>,
    known_sets: HashMap<ByteSet, u16>,
    captures: bool,
    groups: usize,
    entries: usize,
    steps: usize,
}

/// Builds the NFA of a pattern; with `captures`, it notes where groups are.
pub(super) fn build(hir: &Hir, captures: bool) -> Result<Machine, Error> {
    let mut builder = Builder {
        states: Vec::new(),
        known: HashMap::new(),
        sets: Vec::new(),
        known_sets: HashMap::new(),
        captures,
        groups: 0,
        entries: 0,
        steps: 0,
    };
    builder.set(ByteSet::word())?;
    builder.set(ByteSet::from_iter([b'\n']))?;
    let end = builder.add(State::Match)?;
    let start = builder.hir(hir, end)?;
    Ok(Machine { states: builder.states, sets: builder.sets, start, groups: builder.groups })
}

impl Builder {
    fn set(&mut self, set: ByteSet) -> Result<u16, Error> {
        if let Some(&known) = self.known_sets.get(&set) {
            return Ok(known);
        }
        if self.sets.len() >= MAX_ARGUMENT {
            return Err(Error::TooLarge { what: "byte sets", limit: MAX_ARGUMENT });
        }
        let number = self.sets.len() as u16;
        self.sets.push(set);
        self.known_sets.insert(set, number);
        Ok(number)
    }

    fn new_state(&mut self, state: State) -> Result<u16, Error> {
        if let State::Union(targets) = &state {
            self.entries += targets.len();
            if targets.len() > MAX_ARGUMENT {
                return Err(Error::TooLarge { what: "branches", limit: MAX_ARGUMENT });
            }
        }
        if self.states.len() >= MAX_STATES || self.entries > MAX_STATES {
            return Err(Error::TooLarge { what: "states", limit: MAX_STATES });
        }
        self.states.push(state);
        Ok((self.states.len() - 1) as u16)
    }

    fn add(&mut self, state: State) -> Result<u16, Error> {
        if let Some(&known) = self.known.get(&state) {
            return Ok(known);
        }
        let id = self.new_state(state.clone())?;
        self.known.insert(state, id);
        Ok(id)
    }

    fn op(&mut self, op: u32, set: ByteSet, next: u16) -> Result<u16, Error> {
        if set.is_empty() && op == OP_BYTE {
            return self.add(State::Fail);
        }
        if set.is_empty() {
            return Ok(next);
        }
        let set = self.set(set)?;
        self.add(State::Set(op, set, next))
    }

    fn union(&mut self, targets: Vec<u16>) -> Result<u16, Error> {
        let mut unique: Vec<u16> = Vec::with_capacity(targets.len());
        for target in targets {
            // A second way to the same place is never preferred.
            if self.states[usize::from(target)] != State::Fail && !unique.contains(&target) {
                unique.push(target);
            }
        }
        match unique[..] {
            [] => self.add(State::Fail),
            [only] => Ok(only),
            _ => self.add(State::Union(unique)),
        }
    }

    /// The state from which `hir` leads to `next`.
    fn hir(&mut self, hir: &Hir, next: u16) -> Result<u16, Error> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(Error::TooLarge { what: "steps of construction", limit: MAX_STEPS });
        }
        match hir.kind() {
            HirKind::Empty => Ok(next),
            HirKind::Literal(literal) => literal
                .0
                .iter()
                .rev()
                .try_fold(next, |next, &byte| self.op(OP_BYTE, ByteSet::from_iter([byte]), next)),
            HirKind::Class(class) => self.op(OP_BYTE, byte_set(class)?, next),
            HirKind::Look(look) => {
                let kind = match look {
                    Look::Start => LOOK_START,
                    Look::End => LOOK_END,
                    Look::StartLF => LOOK_START_LINE,
                    Look::EndLF => LOOK_END_LINE,
                    Look::WordAscii => LOOK_WORD,
                    Look::WordAsciiNegate => LOOK_NOT_WORD,
                    _ => return Err(Error::Unsupported { offset: 0, what: "an assertion" }),
                };
                self.add(State::Look(kind, next))
            }
            HirKind::Repetition(repetition) => self.repetition(repetition, next),
            HirKind::Capture(capture) => {
                self.groups = self.groups.max(capture.index as usize);
                if !self.captures || capture.index as usize >= MAX_GROUPS {
                    return self.hir(&capture.sub, next);
                }
                let slot = 2 * capture.index as u16;
                let end = self.add(State::Capture(slot + 1, next))?;
                let inner = self.hir(&capture.sub, end)?;
                self.add(State::Capture(slot, inner))
            }
            HirKind::Concat(parts) => parts.iter().rev().try_fold(next, |next, part| self.hir(part, next)),
            HirKind::Alternation(branches) => {
                let targets = branches
                    .iter()
                    .map(|branch| self.hir(branch, next))
                    .collect::<Result<Vec<u16>, Error>>()?;
                self.union(targets)
            }
        }
    }

    fn repetition(&mut self, repetition: &Repetition, next: u16) -> Result<u16, Error> {
        let Repetition { min, max, greedy, ref sub } = *repetition;
        let single = single(sub)?;
        let optional = |preferred: u16, other: u16| {
            if greedy { vec![preferred, other] } else { vec![other, preferred] }
        };
        let mut next = next;
        let mut copies = min;
        match (max, single) {
            (None, Some(set)) => {
                next = self.op(if greedy { OP_STAR } else { OP_STAR_LAZY }, set, next)?;
            }
            (None, None) => {
                // One turn or more; none at all is a way around.
                let body_is_empty = sub.properties().minimum_len() == Some(0);
                let turn = self.new_state(State::Union(vec![next, next]))?;
                let body = self.hir(sub, turn)?;
                self.states[usize::from(turn)] = State::Union(optional(body, next));
                if min == 0 {
                    next = if body_is_empty { self.union(optional(body, next))? } else { turn };
                } else {
                    next = body;
                    copies -= 1;
                }
            }
            (Some(max), Some(set)) => {
                let exit = next;
                for turn in min..max {
                    next = if turn == min {
                        self.op(if greedy { OP_OPTION } else { OP_OPTION_LAZY }, set, next)?
                    } else {
                        let one = self.op(OP_BYTE, set, next)?;
                        self.union(optional(one, exit))?
                    };
                }
            }
            (Some(max), None) => {
                let exit = next;
                for _ in min..max {
                    let one = self.hir(sub, next)?;
                    next = self.union(optional(one, exit))?;
                }
            }
        }
        for _ in 0..copies {
            next = self.hir(sub, next)?;
        }
        Ok(next)
    }
}

/// The byte set that `hir` is, if it is one.
fn single(hir: &Hir) -> Result<Option<ByteSet>, Error> {
    Ok(match hir.kind() {
        HirKind::Literal(literal) => match literal.0[..] {
            [byte] => Some(ByteSet::from_iter([byte])),
            _ => None,
        },
        HirKind::Class(class) => Some(byte_set(class)?),
        _ => None,
    })
}

/// A class as a byte set.
pub(super) fn byte_set(class: &Class) -> Result<ByteSet, Error> {
    match class {
        Class::Bytes(class) => {
            Ok(class.ranges().iter().flat_map(|range| range.start()..=range.end()).collect())
        }
        // Without Unicode mode the parser still makes one where it merges branches of ASCII characters.
        Class::Unicode(class) if class.is_ascii() => Ok(class
            .ranges()
            .iter()
            .flat_map(|range| range.start()..=range.end())
            .map(|char| char as u8)
            .collect()),
        Class::Unicode(_) => Err(Error::Unsupported { offset: 0, what: "a Unicode class" }),
    }
}
