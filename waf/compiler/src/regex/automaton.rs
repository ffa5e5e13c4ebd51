//! Tables: the NFA's states taken together, as far as they fit.
//!
//! The step itself is [`picket_regex::Nfa`]'s, the one that also decides at run time what a table
//! leaves open. If the minimal automaton fits, it is the table. Otherwise the states that ordinary
//! values pass through come first, then those closest to the start, until the limit; transitions to
//! any other say "maybe".

use std::collections::HashMap;

use picket_regex::format::*;
use picket_regex::{Flags, Nfa, Outcome, Scratch};

use super::sample::Sample;

/// Transitions that lead to no state.
pub(super) const IS_MATCH: u32 = u32::MAX - MATCH as u32;
pub(super) const IS_NO: u32 = u32::MAX - NO as u32;
pub(super) const IS_MAYBE: u32 = u32::MAX - MAYBE as u32;
const UNKNOWN: u32 = u32::MAX - 3;
const FIRST_SPECIAL: u32 = UNKNOWN;

/// Visits of NFA states while looking for an exact table.
const EXACT_WORK: usize = 3 << 20;
/// Visits of NFA states while running the sample.
const SAMPLE_WORK: usize = 3 << 20;
/// States more than which no exact table is looked for.
const MAX_EXACT: usize = 3000;

/// A table before it is laid out.
#[derive(Debug)]
pub(super) struct Automaton {
    /// Transitions, row by row; the last column is the end of the haystack.
    pub(super) rows: Vec<u32>,
    pub(super) columns: usize,
    /// The column of every byte.
    pub(super) map: [u8; 256],
    pub(super) start: u32,
    pub(super) exact: bool,
}

impl Automaton {
    pub(super) fn states(&self) -> usize {
        self.rows.len() / self.columns
    }

    /// Whether the end of the haystack can decide anything.
    pub(super) fn has_end(&self) -> bool {
        self.rows.chunks_exact(self.columns).any(|row| row[self.columns - 1] != IS_NO)
    }

    /// Columns that are stored.
    pub(super) fn stored_columns(&self) -> usize {
        if self.has_end() { self.columns } else { self.columns - 1 }
    }

    pub(super) fn is_wide(&self) -> bool {
        self.states() > usize::from(u8::MAX) + 1 - SPECIAL
    }

    /// Whether the table decides about a value by itself.
    fn decides(&self, value: &[u8]) -> bool {
        let mut state = self.start;
        for &byte in value {
            if state >= FIRST_SPECIAL {
                break;
            }
            state = self.rows[state as usize * self.columns + usize::from(self.map[usize::from(byte)])];
        }
        if state < FIRST_SPECIAL {
            state = self.rows[state as usize * self.columns + self.columns - 1];
        }
        state != IS_MAYBE
    }

    /// Bytes that the table takes.
    pub(super) fn size(&self) -> usize {
        self.states() * self.stored_columns() * (1 + usize::from(self.is_wide()))
    }

    /// Whether entries have room for every row.
    fn fits(&self, limit: usize) -> bool {
        let entries = self.states() * self.stored_columns();
        self.size() <= limit && (!self.is_wide() || entries <= usize::from(u16::MAX) + 1 - SPECIAL)
    }
}

struct Explorer<'n> {
    nfa: Nfa<'n>,
    map: [u8; 256],
    columns: usize,
    scratch: Scratch,
    known: HashMap<(Vec<u16>, Flags), u32>,
    sets: Vec<(Vec<u16>, Flags)>,
    rows: Vec<u32>,
    visits: Vec<u32>,
    work: usize,
}

impl Explorer<'_> {
    fn entry(&mut self, outcome: Outcome) -> u32 {
        match outcome {
            Outcome::Match => IS_MATCH,
            Outcome::No => IS_NO,
            Outcome::Set(flags) => {
                let mut set = self.scratch.set.clone();
                set.sort_unstable();
                let next = self.sets.len() as u32;
                *self.known.entry((set, flags)).or_insert_with_key(|key| {
                    self.sets.push(key.clone());
                    self.rows.resize(self.rows.len() + self.columns, UNKNOWN);
                    self.visits.push(0);
                    next
                })
            }
        }
    }

    fn transition(&mut self, state: u32, column: usize) -> u32 {
        let at = state as usize * self.columns + column;
        if self.rows[at] != UNKNOWN {
            return self.rows[at];
        }
        let (set, flags) = &self.sets[state as usize];
        let class = (column + 1 < self.columns).then_some(column as u8);
        let outcome = self.nfa.step(&mut self.scratch, set, *flags, class);
        self.work += set.len() + self.scratch.set.len() + 8;
        let entry = self.entry(outcome);
        self.rows[at] = entry;
        entry
    }

    fn run(&mut self, start: u32, value: &[u8]) {
        let mut state = start;
        for &byte in value {
            if state >= FIRST_SPECIAL {
                return;
            }
            self.visits[state as usize] += 1;
            state = self.transition(state, usize::from(self.map[usize::from(byte)]));
        }
        if state < FIRST_SPECIAL {
            self.visits[state as usize] += 1;
            self.transition(state, self.columns - 1);
        }
    }
}

/// Makes the table of an NFA, of at most `limit` bytes; `None` if there is no room for any.
pub(super) fn tabulate(nfa: Nfa<'_>, limit: usize, sample: &Sample<'_>) -> Option<Automaton> {
    let columns = nfa.classes() + 1;
    let mut explorer = Explorer {
        nfa,
        map: *nfa.class_map(),
        columns,
        scratch: Scratch::default(),
        known: HashMap::new(),
        sets: Vec::new(),
        rows: Vec::new(),
        visits: Vec::new(),
        work: 0,
    };
    let outcome = nfa.start(&mut explorer.scratch);
    let start = explorer.entry(outcome);
    let map = explorer.map;
    if start >= FIRST_SPECIAL {
        return Some(Automaton { rows: Vec::new(), columns, map, start, exact: true });
    }

    let mut done = 0;
    while done < explorer.sets.len() && done < MAX_EXACT && explorer.work < EXACT_WORK {
        for column in 0..columns {
            explorer.transition(done as u32, column);
        }
        done += 1;
    }
    if done == explorer.sets.len() {
        let rows = explorer.rows.clone();
        let automaton = minimise(Automaton { rows, columns, map, start, exact: true });
        if automaton.fits(limit) {
            return Some(automaton);
        }
    }

    let stop = explorer.work + SAMPLE_WORK;
    for value in sample.values() {
        if explorer.work > stop {
            break;
        }
        explorer.run(start, value);
    }
    let mut order: Vec<u32> = (0..explorer.sets.len() as u32).collect();
    order.sort_by_key(|&state| (state != start, std::cmp::Reverse(explorer.visits[state as usize]), state));
    order.truncate(4 * limit);

    let mut best = None;
    for limit in [limit, 2 * limit, 4 * limit] {
        best = most_that_fit(&mut explorer, &order, start, limit);
        let decides = |table: &Automaton| {
            let open = sample.values().iter().filter(|value| !table.decides(value)).count();
            open * 100 <= sample.values().len()
        };
        if limit == 0 || best.as_ref().is_some_and(decides) {
            break;
        }
    }
    best
}

/// The largest table of states in `order` that takes at most `limit` bytes.
fn most_that_fit(explorer: &mut Explorer<'_>, order: &[u32], start: u32, limit: usize) -> Option<Automaton> {
    let columns = explorer.columns;
    // Merged states and columns leave room for more than the limit seems to have: a search.
    let (mut low, mut high) = (0, order.len());
    let mut best = None;
    let mut guess = (limit / columns).max(1);
    for _ in 0..7 {
        if low >= high {
            break;
        }
        let count = guess.clamp(low + 1, high);
        let automaton = minimise(freeze(explorer, &order[..count], start));
        if automaton.fits(limit) {
            low = count;
            best = Some(automaton);
            guess = (count * 2).min(count + (high - count).div_ceil(2));
        } else {
            high = count - 1;
            guess = low + (high - low).div_ceil(2);
        }
    }
    best
}

/// The automaton of the states in `chosen`, of which the first is the start.
fn freeze(explorer: &mut Explorer<'_>, chosen: &[u32], start: u32) -> Automaton {
    let columns = explorer.columns;
    let mut number = vec![IS_MAYBE; explorer.sets.len()];
    for (new, &old) in chosen.iter().enumerate() {
        number[old as usize] = new as u32;
    }
    let mut rows = Vec::with_capacity(chosen.len() * columns);
    for &old in chosen {
        for column in 0..columns {
            let entry = explorer.transition(old, column);
            rows.push(if entry >= FIRST_SPECIAL {
                entry
            } else {
                number.get(entry as usize).copied().unwrap_or(IS_MAYBE)
            });
        }
    }
    let start = number[start as usize];
    Automaton { rows, columns, map: explorer.map, start, exact: false }
}

/// Merges states that answer alike, then columns that lead alike.
fn minimise(automaton: Automaton) -> Automaton {
    let Automaton { rows, columns, map, start, exact } = automaton;
    let states = rows.len() / columns;
    // Moore's refinement: blocks of states, split by the blocks they lead to until nothing changes.
    let mut block = vec![0_u32; states];
    let mut blocks = usize::from(states > 0);
    loop {
        let mut numbers: HashMap<Vec<u32>, u32> = HashMap::with_capacity(blocks * 2);
        let next: Vec<u32> = (0..states)
            .map(|state| {
                let mut signature = Vec::with_capacity(columns + 1);
                signature.push(block[state]);
                signature.extend(
                    rows[state * columns..][..columns]
                        .iter()
                        .map(|&entry| if entry >= FIRST_SPECIAL { entry } else { block[entry as usize] }),
                );
                let fresh = numbers.len() as u32;
                *numbers.entry(signature).or_insert(fresh)
            })
            .collect();
        let count = numbers.len();
        block = next;
        if count == blocks {
            break;
        }
        blocks = count;
    }
    // States in order of their first member, so that the start keeps its place.
    let mut merged = Vec::with_capacity(blocks * columns);
    let mut seen = 0;
    for state in 0..states {
        if block[state] == seen {
            seen += 1;
            merged.extend(
                rows[state * columns..][..columns]
                    .iter()
                    .map(|&entry| if entry >= FIRST_SPECIAL { entry } else { block[entry as usize] }),
            );
        }
    }
    let start = if start >= FIRST_SPECIAL { start } else { block[start as usize] };

    // Columns.
    let classes = columns - 1;
    let mut kept: Vec<usize> = Vec::new();
    let mut numbers: HashMap<Vec<u32>, u8> = HashMap::new();
    let mut column_of = vec![0_u8; classes];
    for (column, of) in column_of.iter_mut().enumerate() {
        let signature: Vec<u32> = merged.iter().skip(column).step_by(columns).copied().collect();
        let fresh = kept.len() as u8;
        *of = *numbers.entry(signature).or_insert_with(|| {
            kept.push(column);
            fresh
        });
    }
    let mut rows = Vec::with_capacity(blocks * (kept.len() + 1));
    for row in merged.chunks_exact(columns) {
        rows.extend(kept.iter().map(|&column| row[column]));
        rows.push(row[classes]);
    }
    let map = std::array::from_fn(|byte| column_of[usize::from(map[byte])]);
    Automaton { rows, columns: kept.len() + 1, map, start, exact }
}
