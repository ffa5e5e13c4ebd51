//! Where a match is, and its groups: threads in order of preference, each with its own positions.

use alloc::vec::Vec;
use core::ops::Range;

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
    map: [u8; 256],
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

    /// Lists in `threads.next` what is reached from `id` without a byte.
    fn close(&self, threads: &mut Threads, id: u16, slots: &mut Slots, at: usize) {
        let Threads { next: list, stack, marks, generation, .. } = threads;
        let carried = self.width;
        let add = |list: &mut List, id: u16, slots: &Slots| {
            list.ids.push(id);
            list.slots.extend(slots.iter().take(carried));
        };
        stack.clear();
        stack.push(Frame::Explore(id));
        while let Some(frame) = stack.pop() {
            let id = match frame {
                Frame::Explore(id) => id,
                Frame::Add(id) => {
                    add(list, id, slots);
                    continue;
                }
                Frame::Restore(slot, position) => {
                    if let Some(slot) = slots.get_mut(usize::from(slot)) {
                        *slot = position;
                    }
                    continue;
                }
            };
            match marks.get_mut(usize::from(id)) {
                Some(mark) if *mark != *generation => *mark = *generation,
                _ => continue,
            }
            let state = self.nfa.state(id);
            match state.op {
                OP_MATCH | OP_BYTE => add(list, id, slots),
                OP_OPTION | OP_STAR => {
                    add(list, id, slots);
                    stack.push(Frame::Explore(state.next));
                }
                OP_OPTION_LAZY | OP_STAR_LAZY => {
                    stack.push(Frame::Add(id));
                    stack.push(Frame::Explore(state.next));
                }
                OP_UNION => {
                    let targets = self.nfa.list(state).iter().rev();
                    stack.extend(targets.map(|target| Frame::Explore(u16::from_le_bytes(*target))));
                }
                OP_CAPTURE => {
                    // Slots 0 and 1 of the pattern are the whole match, of which only the start is carried.
                    let number = (state.argument as usize).wrapping_sub(1);
                    if number < self.width
                        && let Some(slot) = slots.get_mut(number)
                    {
                        stack.push(Frame::Restore(number as u8, *slot));
                        *slot = at as u32;
                    }
                    stack.push(Frame::Explore(state.next));
                }
                OP_LOOK if self.holds(state.argument, at) => stack.push(Frame::Explore(state.next)),
                _ => {}
            }
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
/// `slots`; `false` leaves them untouched. The pattern has `groups`, the whole match included.
#[inline(never)]
pub(crate) fn captures(
    nfa: &Nfa<'_>,
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
    let first = if nfa.anchored { None } else { first_classes(nfa, threads) };
    threads.begin(nfa.states.len());
    let mut at = 0;
    loop {
        let class = search.class(at);
        let may_begin = match &first {
            Some(first) => class.is_some_and(|class| first[usize::from(class >> 3)] >> (class & 7) & 1 != 0),
            None => at == 0 || !nfa.anchored,
        };
        // A match that begins here is wanted only if none began before.
        if found.is_none() && may_begin {
            let mut fresh = [NONE; MAX_SLOTS];
            fresh[0] = at as u32;
            search.close(threads, nfa.start, &mut fresh, at);
        }
        core::mem::swap(&mut threads.current, &mut threads.next);
        threads.next.clear();
        threads.begin(nfa.states.len());
        if threads.current.ids.is_empty() && (found.is_some() || nfa.anchored) {
            break;
        }
        let current = core::mem::take(&mut threads.current);
        for (&id, carried) in current.ids.iter().zip(current.slots.chunks_exact(search.width)) {
            let state = nfa.state(id);
            let next = match state.op {
                OP_MATCH => {
                    let mut own = [NONE; MAX_SLOTS];
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
                let mut own = [NONE; MAX_SLOTS];
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
