//! Where a match is, and its groups: threads in order of preference, each with its own positions.

use alloc::vec::Vec;
use core::ops::Range;

use crate::begin::Begin;
use crate::format::*;
use crate::nfa::{Flags, Nfa};

const NONE: u32 = u32::MAX;
/// Positions that a thread carries: the start of the match, start and end of each group.
const MAX_SLOTS: usize = 2 * MAX_GROUPS - 1;

type Slots = [u32; MAX_SLOTS];

/// Threads that wait for the same byte, most preferred first.
#[derive(Debug, Default)]
struct List {
    ids: Vec<u16>,
    /// The positions of each thread, one after the other.
    slots: Vec<u32>,
}

impl List {
    fn clear(&mut self) {
        self.ids.clear();
        self.slots.clear();
    }
}

/// What remains to be done when the states reached without a byte are listed.
#[derive(Debug)]
enum Frame {
    Explore(u16),
    Add(u16),
    Restore(u8, u32),
}

/// Memory of a search.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    current: List,
    next: List,
    stack: Vec<Frame>,
    marks: Vec<u32>,
    generation: u32,
}

impl Threads {
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
}

struct Search<'s, 'a> {
    nfa: &'s Nfa<'a>,
    map: &'s [u8; 256],
    haystack: &'s [u8],
    /// Positions a thread carries in this search.
    width: usize,
}

impl Search<'_, '_> {
    fn class(&self, at: usize) -> Option<u8> {
        self.haystack.get(at).map(|&byte| self.map[usize::from(byte)])
    }

    fn holds(&self, kind: u32, at: usize) -> bool {
        let behind = match at.checked_sub(1).and_then(|before| self.class(before)) {
            Some(class) => self.nfa.behind(class),
            None => Flags::AT_START,
        };
        self.nfa.look(kind, behind, Some(self.class(at))) == Some(true)
    }

    /// Lists in `threads.next` what is reached from `id` without a byte. `slots` are as they were thereafter.
    fn close(&self, threads: &mut Threads, mut id: u16, slots: &mut Slots, at: usize) {
        let Threads { next: list, stack, marks, generation, .. } = threads;
        let carried = self.width;
        let add = |list: &mut List, id: u16, slots: &Slots| {
            list.ids.push(id);
            match carried {
                1 => list.slots.push(slots[0]),
                _ => list.slots.extend(slots.iter().take(carried)),
            }
        };
        stack.clear();
        loop {
            if let Some(mark) = marks.get_mut(usize::from(id))
                && *mark != *generation
            {
                *mark = *generation;
                let state = self.nfa.state(id);
                // What is left for later goes to the stack; what comes next does not.
                let next = match state.op {
                    OP_MATCH | OP_BYTE => {
                        add(list, id, slots);
                        None
                    }
                    OP_OPTION | OP_STAR => {
                        add(list, id, slots);
                        Some(state.next)
                    }
                    OP_OPTION_LAZY | OP_STAR_LAZY => {
                        stack.push(Frame::Add(id));
                        Some(state.next)
                    }
                    OP_UNION => self.nfa.list(state).split_first().map(|(first, others)| {
                        let others = others.iter().rev();
                        stack.extend(others.map(|target| Frame::Explore(u16::from_le_bytes(*target))));
                        u16::from_le_bytes(*first)
                    }),
                    OP_CAPTURE => {
                        // Slots 0 and 1 of the pattern are the whole match, of which only the start is carried.
                        let number = (state.argument as usize).wrapping_sub(1);
                        if number < carried
                            && let Some(slot) = slots.get_mut(number)
                        {
                            stack.push(Frame::Restore(number as u8, *slot));
                            *slot = at as u32;
                        }
                        Some(state.next)
                    }
                    OP_LOOK if self.holds(state.argument, at) => Some(state.next),
                    _ => None,
                };
                if let Some(next) = next {
                    id = next;
                    continue;
                }
            }
            id = loop {
                match stack.pop() {
                    None => return,
                    Some(Frame::Explore(id)) => break id,
                    Some(Frame::Add(id)) => add(list, id, slots),
                    Some(Frame::Restore(slot, position)) => {
                        if let Some(slot) = slots.get_mut(usize::from(slot)) {
                            *slot = position;
                        }
                    }
                }
            };
        }
    }
}

/// The byte classes that a match can begin with, one bit each; `None` if it can be empty.
fn first_classes(nfa: &Nfa<'_>, threads: &mut Threads) -> Option<[u8; 32]> {
    let mut first = [0; 32];
    let width = nfa.classes.div_ceil(8);
    let Threads { stack, marks, generation, .. } = threads;
    stack.clear();
    stack.push(Frame::Explore(nfa.start));
    while let Some(Frame::Explore(id)) = stack.pop() {
        match marks.get_mut(usize::from(id)) {
            Some(mark) if *mark != *generation => *mark = *generation,
            _ => continue,
        }
        let state = nfa.state(id);
        let takes = matches!(state.op, OP_BYTE | OP_OPTION | OP_OPTION_LAZY | OP_STAR | OP_STAR_LAZY);
        if takes {
            let set = nfa.sets.get(state.argument as usize * width..).unwrap_or(&[]);
            first.iter_mut().zip(set).take(width).for_each(|(first, bits)| *first |= bits);
        }
        match state.op {
            OP_MATCH => return None,
            OP_OPTION | OP_OPTION_LAZY | OP_STAR | OP_STAR_LAZY | OP_CAPTURE => {
                stack.push(Frame::Explore(state.next));
            }
            // It may hold.
            OP_LOOK => stack.push(Frame::Explore(state.next)),
            OP_UNION => {
                let targets = nfa.list(state).iter();
                stack.extend(targets.map(|target| Frame::Explore(u16::from_le_bytes(*target))));
            }
            _ => {}
        }
    }
    Some(first)
}

/// The leftmost match, of those the one the pattern prefers. Fills as many groups as there are
/// `slots`; `false` leaves them untouched. The pattern has `groups`, the whole match included; `begin`
/// tells what is known of where the match begins.
#[inline(never)]
pub(crate) fn captures(
    nfa: &Nfa<'_>,
    begin: Begin,
    groups: usize,
    threads: &mut Threads,
    haystack: &[u8],
    slots: &mut [Option<Range<usize>>],
) -> bool {
    // What the pattern does not have is not carried.
    let groups = slots.len().min(groups).clamp(1, MAX_GROUPS);
    threads.stack.reserve(16);
    let search = Search { nfa, map: nfa.class_map(), haystack, width: 2 * groups - 1 };
    let mut found: Option<(Slots, usize)> = None;
    threads.next.clear();
    threads.begin(nfa.states.len());
    // Whether no other match than one from the first place counts.
    let (mut at, only) = match begin {
        Begin::At(place) => (place, true),
        Begin::From(place) => (place, nfa.anchored),
        Begin::Nowhere => return false,
    };
    let place = at;
    let first = if only { None } else { first_classes(nfa, threads) };
    threads.begin(nfa.states.len());
    let mut own = [NONE; MAX_SLOTS];
    loop {
        let class = search.class(at);
        let may_begin = match &first {
            Some(first) => class.is_some_and(|class| first[usize::from(class >> 3)] >> (class & 7) & 1 != 0),
            None => at == place || !only,
        };
        // A match that begins here is wanted only if none began before.
        if found.is_none() && may_begin {
            own = [NONE; MAX_SLOTS];
            own[0] = at as u32;
            search.close(threads, nfa.start, &mut own, at);
        }
        core::mem::swap(&mut threads.current, &mut threads.next);
        threads.next.clear();
        threads.begin(nfa.states.len());
        if threads.current.ids.is_empty() && (found.is_some() || only) {
            break;
        }
        let current = core::mem::take(&mut threads.current);
        for (&id, carried) in current.ids.iter().zip(current.slots.chunks_exact(search.width)) {
            let state = nfa.state(id);
            let next = match state.op {
                OP_MATCH => {
                    own.iter_mut().zip(carried).for_each(|(slot, &position)| *slot = position);
                    found = Some((own, at));
                    // Whatever follows is preferred less.
                    break;
                }
                OP_BYTE | OP_OPTION | OP_OPTION_LAZY => state.next,
                OP_STAR | OP_STAR_LAZY => id,
                _ => continue,
            };
            if class.is_some_and(|class| nfa.has(state.argument, class)) {
                own.iter_mut().zip(carried).for_each(|(slot, &position)| *slot = position);
                search.close(threads, next, &mut own, at + 1);
            }
        }
        threads.current = current;
        if at >= haystack.len() {
            break;
        }
        at += 1;
    }
    let Some((positions, end)) = found else { return false };
    let range = |from: u32, to: u32| {
        let range = from as usize..to as usize;
        (from != NONE && to != NONE && range.start <= range.end && range.end <= haystack.len())
            .then_some(range)
    };
    for (group, slot) in slots.iter_mut().enumerate() {
        *slot = match group {
            0 => range(positions[0], end as u32),
            _ => match (positions.get(2 * group - 1), positions.get(2 * group)) {
                (Some(&from), Some(&to)) => range(from, to),
                _ => None,
            },
        };
    }
    true
}
