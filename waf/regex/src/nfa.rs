//! The NFA, and what it does with a byte: the one definition of a step, used by the lazy automaton
//! at run time and by the compiler when it fills tables.

use alloc::vec::Vec;

use crate::format::*;

/// What stands before a position, as far as assertions that wait for the next byte ask for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    const PENDING: u8 = 1;
    const START: u8 = 2;
    const WORD: u8 = 4;
    const LINE: u8 = 8;

    /// The start of a haystack.
    pub const AT_START: Flags = Flags(Self::START | Self::LINE);

    /// The bits, for hashing.
    pub fn bits(self) -> u8 {
        self.0
    }

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

/// What a step comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is a match.
    Match,
    /// There is none, whatever follows.
    No,
    /// The states in [`Scratch::set`] are active.
    Set(Flags),
}

/// Memory of a step.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The states after the step: each once, in no order.
    pub set: Vec<u16>,
    stack: Vec<u16>,
    resolved: Vec<u16>,
    marks: Vec<u32>,
    generation: u32,
}

impl Scratch {
    fn begin(&mut self, states: usize) {
        if self.marks.len() < states {
            self.marks.resize(states, 0);
        }
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.marks.fill(0);
            self.generation = 1;
        }
    }

    /// Whether a state is in the set of the last step.
    pub(crate) fn holds(&self, id: u16) -> bool {
        self.marks.get(usize::from(id)) == Some(&self.generation)
    }

    /// Marks a state; `false` if it was marked or is no state at all.
    fn mark(&mut self, id: u16) -> bool {
        match self.marks.get_mut(usize::from(id)) {
            Some(mark) if *mark != self.generation => {
                *mark = self.generation;
                true
            }
            _ => false,
        }
    }

    fn unmark(&mut self, id: u16) {
        if let Some(mark) = self.marks.get_mut(usize::from(id)) {
            *mark = 0;
        }
    }
}

/// A view of an NFA's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Nfa<'a> {
    pub(crate) map: &'a [u8; 256],
    pub(crate) sets: &'a [u8],
    pub(crate) states: &'a [[u8; 4]],
    pub(crate) lists: &'a [[u8; 2]],
    pub(crate) cuts: &'a [[u8; 4]],
    pub(crate) classes: usize,
    pub(crate) start: u16,
    pub(crate) anchored: bool,
}

/// A state, taken apart.
#[derive(Clone, Copy)]
pub(crate) struct State {
    pub(crate) op: u32,
    pub(crate) argument: u32,
    pub(crate) next: u16,
}

impl<'a> Nfa<'a> {
    /// Number of byte classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The class of every byte. What is damaged may name classes that there are not.
    pub fn class_map(&self) -> &'a [u8; 256] {
        self.map
    }

    pub(crate) fn state(&self, id: u16) -> State {
        let word = self.states.get(usize::from(id)).map_or(OP_FAIL << 28, |bytes| u32::from_le_bytes(*bytes));
        State { op: word >> 28, argument: word >> 16 & 0xfff, next: word as u16 }
    }

    pub(crate) fn list(&self, state: State) -> &'a [[u8; 2]] {
        let from = usize::from(state.next);
        self.lists.get(from..from + state.argument as usize).unwrap_or(&[])
    }

    pub(crate) fn has(&self, set: u32, class: u8) -> bool {
        let width = self.classes.div_ceil(8);
        let at = set as usize * width + usize::from(class >> 3);
        self.sets.get(at).is_some_and(|bits| bits >> (class & 7) & 1 != 0)
    }

    /// What stands before the position after a byte.
    pub(crate) fn behind(&self, class: u8) -> Flags {
        let mut flags = 0;
        if self.has(SET_WORD, class) {
            flags |= Flags::WORD;
        }
        if self.has(SET_LINE, class) {
            flags |= Flags::LINE;
        }
        Flags(flags)
    }

    /// Whether an assertion holds; `None` if that depends on what follows and this is not known.
    pub(crate) fn look(&self, kind: u32, behind: Flags, ahead: Option<Option<u8>>) -> Option<bool> {
        match kind {
            LOOK_START => return Some(behind.has(Flags::START)),
            LOOK_START_LINE => return Some(behind.has(Flags::LINE)),
            _ => {}
        }
        let ahead = ahead?;
        let word = || behind.has(Flags::WORD) != ahead.is_some_and(|class| self.has(SET_WORD, class));
        Some(match kind {
            LOOK_END => ahead.is_none(),
            LOOK_END_LINE => ahead.is_none_or(|class| self.has(SET_LINE, class)),
            LOOK_WORD => word(),
            LOOK_NOT_WORD => !word(),
            _ => false,
        })
    }

    /// Adds what is reached from `id` without a byte; `true` if that is a match.
    fn close(&self, scratch: &mut Scratch, id: u16, behind: Flags, ahead: Option<Option<u8>>) -> bool {
        scratch.stack.clear();
        scratch.stack.push(id);
        while let Some(id) = scratch.stack.pop() {
            if !scratch.mark(id) {
                continue;
            }
            let state = self.state(id);
            match state.op {
                OP_MATCH => return true,
                OP_BYTE => scratch.set.push(id),
                OP_OPTION | OP_OPTION_LAZY | OP_STAR | OP_STAR_LAZY => {
                    scratch.set.push(id);
                    scratch.stack.push(state.next);
                }
                OP_UNION => {
                    let targets = self.list(state).iter().map(|target| u16::from_le_bytes(*target));
                    scratch.stack.extend(targets);
                }
                OP_CAPTURE => scratch.stack.push(state.next),
                OP_LOOK => match self.look(state.argument, behind, ahead) {
                    Some(true) => scratch.stack.push(state.next),
                    Some(false) => {}
                    None => scratch.set.push(id),
                },
                _ => {}
            }
        }
        false
    }

    /// Completes a step: the start of a match that begins here, less what is of no consequence.
    fn finish(&self, scratch: &mut Scratch, behind: Flags, start: bool) -> Outcome {
        let cut = |scratch: &Scratch, id: u16| {
            self.cuts.iter().any(|&[a, b, c, d]| {
                let (from, to) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
                from < id && id <= to && scratch.holds(from)
            })
        };
        if start && !cut(scratch, self.start) && self.close(scratch, self.start, behind, None) {
            return Outcome::Match;
        }
        if !self.cuts.is_empty() {
            for &[a, b, c, d] in self.cuts {
                let (from, to) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
                if scratch.holds(from) {
                    let mut set = core::mem::take(&mut scratch.set);
                    set.retain(|&id| {
                        let keep = id <= from || id > to;
                        if !keep {
                            scratch.unmark(id);
                        }
                        keep
                    });
                    scratch.set = set;
                }
            }
        }
        if scratch.set.is_empty() && self.anchored {
            return Outcome::No;
        }
        let pending = scratch.set.iter().any(|&id| self.state(id).op == OP_LOOK);
        Outcome::Set(if pending { Flags(behind.0 | Flags::PENDING) } else { Flags::default() })
    }

    /// The states at the start of a haystack.
    pub fn start(&self, scratch: &mut Scratch) -> Outcome {
        self.start_behind(scratch, Flags::AT_START)
    }

    /// The states where a match begins behind what `behind` tells of.
    pub(crate) fn start_behind(&self, scratch: &mut Scratch, behind: Flags) -> Outcome {
        scratch.set.clear();
        scratch.begin(self.states.len());
        self.finish(scratch, behind, true)
    }

    /// The states after a byte of `class`, or at the end (`None`), where the outcome is
    /// [`Outcome::Match`] or [`Outcome::No`].
    pub fn step(&self, scratch: &mut Scratch, set: &[u16], flags: Flags, class: Option<u8>) -> Outcome {
        let mut resolved = core::mem::take(&mut scratch.resolved);
        let outcome = self.step_with(scratch, set, &mut resolved, flags, class);
        scratch.resolved = resolved;
        outcome
    }

    fn step_with(
        &self,
        scratch: &mut Scratch,
        set: &[u16],
        resolved: &mut Vec<u16>,
        flags: Flags,
        class: Option<u8>,
    ) -> Outcome {
        let mut set = set;
        if flags.has(Flags::PENDING) {
            // What waited for the next byte is decided now.
            scratch.set.clear();
            scratch.begin(self.states.len());
            for &id in set {
                scratch.mark(id);
            }
            for &id in set {
                let state = self.state(id);
                if state.op == OP_LOOK
                    && self.look(state.argument, flags, Some(class)) == Some(true)
                    && self.close(scratch, state.next, flags, Some(class))
                {
                    return Outcome::Match;
                }
            }
            resolved.clear();
            resolved.extend_from_slice(set);
            resolved.extend_from_slice(&scratch.set);
            set = resolved;
        }
        let Some(class) = class else { return Outcome::No };
        scratch.set.clear();
        scratch.begin(self.states.len());
        let behind = self.behind(class);
        for &id in set {
            let state = self.state(id);
            let next = match state.op {
                OP_BYTE | OP_OPTION | OP_OPTION_LAZY => state.next,
                OP_STAR | OP_STAR_LAZY => id,
                _ => continue,
            };
            if self.has(state.argument, class) && self.close(scratch, next, behind, None) {
                return Outcome::Match;
            }
        }
        self.finish(scratch, behind, !self.anchored)
    }
}
