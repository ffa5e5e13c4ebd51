//! The bytes of a compiled pattern, as [`picket_regex::format`] describes them.

use std::collections::HashMap;

use picket_regex::Regex;
use picket_regex::format::*;
use regex_syntax::hir::Hir;

use super::automaton::{Automaton, tabulate};
use super::build::{Machine, State};
use super::sample::Sample;
use super::{ByteSet, Compiled, Options, Representation};

/// The parts of an NFA.
struct Parts {
    /// The class of each byte.
    map: [u8; 256],
    classes: usize,
    sets: Vec<u8>,
    set_count: usize,
    states: Vec<u8>,
    lists: Vec<u8>,
    cuts: Vec<(u16, u16)>,
    start: u16,
    anchored: bool,
}

impl Parts {
    fn len(&self) -> usize {
        self.map.len() + self.sets.len() + self.states.len() + self.lists.len() + 4 * self.cuts.len()
    }
}

/// Encodes a pattern.
pub(super) fn encode(hir: &Hir, machine: &Machine, options: &Options<'_>) -> Compiled {
    let min_len = hir.properties().minimum_len().unwrap_or(0);
    let groups = if options.captures { machine.groups.min(MAX_GROUPS - 1) + 1 } else { 0 };
    let parts = parts(machine);
    let bare = lay_out(Some(&parts), None, groups, min_len);
    let sample = Sample::of(options.sample);
    // Invariant: what was just laid out has an NFA.
    let table = Regex::new(&bare).nfa().and_then(|nfa| tabulate(nfa, options.table_limit, &sample));
    let representation = match &table {
        Some(table) if table.exact => Representation::Exact { states: table.states() },
        Some(table) => Representation::Frozen { states: table.states() },
        None => Representation::NfaOnly,
    };
    let keep_nfa = options.captures || !matches!(representation, Representation::Exact { .. });
    Compiled {
        bytes: match &table {
            Some(table) => lay_out(keep_nfa.then_some(&parts), Some(table), groups, min_len),
            None => bare,
        },
        representation,
        table_bytes: table.as_ref().map_or(0, |table| table.size() + 256),
        nfa_bytes: if keep_nfa { parts.len() } else { 0 },
        nfa_states: machine.states.len(),
        groups: machine.groups,
        min_len,
    }
}

fn lay_out(parts: Option<&Parts>, table: Option<&Automaton>, groups: usize, min_len: usize) -> Vec<u8> {
    let mut flags = 0;
    let mut body = Vec::new();
    let (mut columns, mut table_len, mut table_start) = (0, 0, 0);
    if let Some(table) = table {
        flags |= TABLE;
        columns = table.stored_columns();
        if table.has_end() {
            flags |= END_COLUMN;
        }
        if table.is_wide() {
            flags |= WIDE;
        }
        let (highest, step) =
            if table.is_wide() { (u16::MAX, columns as u16) } else { (u16::from(u8::MAX), 1) };
        let entry = |entry: u32| match u16::try_from(u32::MAX - entry) {
            Ok(special) => highest - special,
            Err(_) => entry as u16 * step,
        };
        table_start = entry(table.start);
        body.extend_from_slice(&table.map);
        for row in table.rows.chunks_exact(table.columns) {
            for &to in &row[..columns] {
                let bytes = entry(to).to_le_bytes();
                body.extend_from_slice(if table.is_wide() { &bytes } else { &bytes[..1] });
            }
        }
        table_len = body.len() - 256;
    }
    if let Some(parts) = parts {
        flags |= NFA;
        if parts.anchored {
            flags |= ANCHORED;
        }
        body.extend_from_slice(&parts.map);
        body.extend_from_slice(&parts.sets);
        body.extend_from_slice(&parts.states);
        body.extend_from_slice(&parts.lists);
        for (from, to) in &parts.cuts {
            body.extend_from_slice(&from.to_le_bytes());
            body.extend_from_slice(&to.to_le_bytes());
        }
    }
    let mut fields = Vec::with_capacity(HEADER - 8);
    let mut field = |value: usize| fields.extend_from_slice(&(value as u16).to_le_bytes());
    field(min_len.min(usize::from(u16::MAX)));
    field(columns);
    field(table_len);
    field(table_len >> 16);
    field(usize::from(table_start));
    field(parts.map_or(0, |parts| usize::from(parts.start)));
    field(parts.map_or(0, |parts| parts.states.len() / 4));
    field(parts.map_or(0, |parts| parts.lists.len() / 2));
    field(parts.map_or(0, |parts| parts.set_count));
    fields.push(parts.map_or(0, |parts| (parts.classes - 1) as u8));
    fields.push(0);

    let mut bytes = vec![VERSION, flags, groups as u8, parts.map_or(0, |parts| parts.cuts.len() as u8)];
    let mut identity = 0x811c_9dc5_u32;
    for &byte in bytes.iter().chain(&fields).chain(&body) {
        identity = (identity ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    bytes.extend_from_slice(&identity.to_le_bytes());
    bytes.extend_from_slice(&fields);
    bytes.extend_from_slice(&body);
    bytes
}

fn parts(machine: &Machine) -> Parts {
    let uses = |wanted: &dyn Fn(u32) -> bool| {
        machine.states.iter().any(|state| matches!(state, State::Look(kind, _) if wanted(*kind)))
    };
    // Bytes are alike if no set of the pattern tells them apart.
    let word = uses(&|kind| kind >= LOOK_WORD);
    let line = uses(&|kind| kind == LOOK_START_LINE || kind == LOOK_END_LINE);
    let mut used = vec![false; machine.sets.len()];
    for state in &machine.states {
        if let State::Set(_, set, _) = state {
            used[usize::from(*set)] = true;
        }
    }
    used[SET_WORD as usize] |= word;
    used[SET_LINE as usize] |= line;
    let mut numbers: HashMap<Vec<u64>, u8> = HashMap::new();
    let mut map = [0_u8; 256];
    for byte in 0..=255_u8 {
        let mut signature = vec![0_u64; machine.sets.len().div_ceil(64)];
        for (number, set) in machine.sets.iter().enumerate() {
            if used[number] && set.contains(byte) {
                signature[number / 64] |= 1 << (number % 64);
            }
        }
        let fresh = numbers.len() as u8;
        map[usize::from(byte)] = *numbers.entry(signature).or_insert(fresh);
    }
    let classes = numbers.len();
    let width = classes.div_ceil(8);
    let mut sets = vec![0_u8; machine.sets.len() * width];
    for (number, set) in machine.sets.iter().enumerate() {
        for byte in set.iter().filter(|_| used[number]) {
            let class = map[usize::from(byte)];
            sets[number * width + usize::from(class >> 3)] |= 1 << (class & 7);
        }
    }

    let mut states = Vec::with_capacity(machine.states.len() * 4);
    let mut lists: Vec<u8> = Vec::new();
    for state in &machine.states {
        let (op, argument, next) = match state {
            State::Set(op, set, next) => (*op, u32::from(*set), u32::from(*next)),
            State::Union(targets) => {
                let at = lists.len() as u32 / 2;
                for target in targets {
                    lists.extend_from_slice(&target.to_le_bytes());
                }
                (OP_UNION, targets.len() as u32, at)
            }
            State::Capture(slot, next) => (OP_CAPTURE, u32::from(*slot), u32::from(*next)),
            State::Look(kind, next) => (OP_LOOK, *kind, u32::from(*next)),
            State::Match => (OP_MATCH, 0, 0),
            State::Fail => (OP_FAIL, 0, 0),
        };
        states.extend_from_slice(&(op << 28 | argument << 16 | next).to_le_bytes());
    }
    Parts {
        map,
        classes,
        sets,
        set_count: machine.sets.len(),
        states,
        lists,
        cuts: cuts(machine),
        start: machine.start,
        anchored: is_anchored(machine),
    }
}

/// Successors of a state.
fn successors(state: &State) -> &[u16] {
    match state {
        State::Set(_, _, next) | State::Capture(_, next) | State::Look(_, next) => std::slice::from_ref(next),
        State::Union(targets) => targets,
        State::Match | State::Fail => &[],
    }
}

/// Whether no match begins past the start of the haystack.
fn is_anchored(machine: &Machine) -> bool {
    let mut seen = vec![false; machine.states.len()];
    let mut stack = vec![machine.start];
    while let Some(id) = stack.pop() {
        if std::mem::replace(&mut seen[usize::from(id)], true) {
            continue;
        }
        match &machine.states[usize::from(id)] {
            State::Look(LOOK_START, _) => {}
            State::Set(..) | State::Match => return false,
            other => stack.extend_from_slice(successors(other)),
        }
    }
    true
}

/// Most cuts that a pattern can have.
const MAX_CUTS: usize = 255;

/// A loop over any byte, once reached, stays active for ever; what can only match by passing it again
/// is of no more consequence. States are made from the end, so most of these stand right above.
fn cuts(machine: &Machine) -> Vec<(u16, u16)> {
    let mut before: Vec<Vec<u16>> = vec![Vec::new(); machine.states.len()];
    for (id, state) in machine.states.iter().enumerate() {
        for &next in successors(state) {
            before[usize::from(next)].push(id as u16);
        }
    }
    let mut cuts = Vec::new();
    for (id, state) in machine.states.iter().enumerate() {
        let State::Set(OP_STAR | OP_STAR_LAZY, set, _) = state else { continue };
        if machine.sets[usize::from(*set)] != ByteSet::ALL || cuts.len() > 4 * MAX_CUTS {
            continue;
        }
        // States from which a match can be reached without passing the loop.
        let mut free = vec![false; machine.states.len()];
        let mut stack: Vec<u16> = (0..machine.states.len())
            .filter(|&at| machine.states[at] == State::Match)
            .map(|at| at as u16)
            .collect();
        while let Some(at) = stack.pop() {
            if usize::from(at) != id && !std::mem::replace(&mut free[usize::from(at)], true) {
                stack.extend_from_slice(&before[usize::from(at)]);
            }
        }
        let end = (id + 1..free.len()).find(|&at| free[at]).unwrap_or(free.len()) - 1;
        if end > id {
            cuts.push((id as u16, end as u16));
        }
    }
    cuts.sort_by_key(|&(from, to)| (std::cmp::Reverse(to - from), from));
    cuts.truncate(MAX_CUTS);
    cuts
}
