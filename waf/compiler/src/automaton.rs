//! A pattern to a minimised table.
//!
//! `regex-automata` determinises; its automaton is then cut at the first match, since a search asks
//! only whether and where one ends, and minimised again, which the cut makes worthwhile.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, nfa::thompson};

const ACCEPT: usize = usize::MAX;
const DEAD: usize = usize::MAX - 1;
/// Largest automaton before the cut, in bytes. Whatever is larger has a pattern at fault.
const DETERMINIZE_LIMIT: usize = 64 << 20;

/// A pattern's table.
pub(crate) struct Table {
    pub bytes: Vec<u8>,
    pub states: usize,
    pub classes: usize,
}

/// How the transitions are laid down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    /// As small as can be.
    Compact,
    /// As full rows, for patterns that run on every request.
    Ready,
}

/// Bytes that no automaton of a ruleset tells apart. Each automaton maps these to its own classes,
/// which takes less room than a map of all bytes and no time to set up.
pub(crate) struct JointClasses {
    /// The class of each byte.
    pub of: Vec<u8>,
    /// A byte of each class.
    representatives: Vec<usize>,
}

impl JointClasses {
    /// The coarsest classes that are fine enough for all automata; `None` if there are too many.
    pub(crate) fn of<'a>(automata: impl Iterator<Item = &'a Automaton>) -> Option<Self> {
        let partitions: Vec<Vec<usize>> = automata.map(|automaton| automaton.0.classes().0).collect();
        let mut known: HashMap<Vec<usize>, u8> = HashMap::new();
        let mut representatives = Vec::new();
        let mut of = Vec::new();
        for byte in 0..256 {
            let column: Vec<usize> = partitions.iter().map(|partition| partition[byte]).collect();
            let fresh = u8::try_from(known.len()).ok()?;
            of.push(*known.entry(column).or_insert_with(|| {
                representatives.push(byte);
                fresh
            }));
        }
        Some(JointClasses { of, representatives })
    }
}

/// A pattern's automaton, not yet laid down.
pub(crate) struct Automaton(Machine);

impl Automaton {
    /// Its table.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn table(&self, layout: Layout, joint: &JointClasses) -> Result<Table, String> {
        self.0.encode(layout, joint)
    }
}

impl Automaton {
    /// Whether it matches in `text`.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let mut state = 0;
        for column in text.iter().map(|&byte| usize::from(byte)).chain([256]) {
            match self.0.rows[state][column] {
                ACCEPT => return true,
                DEAD => return false,
                next => state = next,
            }
        }
        false
    }

    /// Bytes of which every text matches that has no others and is not empty.
    pub(crate) fn calm_bytes(&self) -> [bool; 256] {
        let mut calm = [true; 256];
        // Takes out what leads to a state in which a text must not end, until nothing does.
        loop {
            let mut reached = vec![false; self.0.rows.len()];
            let mut queue = vec![0];
            let mut offending = None;
            while let (Some(state), None) = (queue.pop(), offending) {
                for byte in (0..256).filter(|&byte| calm[byte]) {
                    match self.0.rows[state][byte] {
                        ACCEPT => {}
                        DEAD => offending = Some(byte),
                        next if self.0.rows[next][256] != ACCEPT => offending = Some(byte),
                        next if !reached[next] => {
                            reached[next] = true;
                            queue.push(next);
                        }
                        _ => {}
                    }
                }
            }
            match offending {
                Some(byte) => calm[byte] = false,
                None => return calm,
            }
        }
    }
}

/// Compiles a pattern, case-insensitively, over bytes.
///
/// # Errors
/// Why it cannot be compiled.
pub(crate) fn compile(pattern: &str) -> Result<Automaton, String> {
    let dfa = dense::Builder::new()
        .configure(
            dense::Config::new()
                .start_kind(StartKind::Unanchored)
                .dfa_size_limit(Some(DETERMINIZE_LIMIT))
                .determinize_size_limit(Some(DETERMINIZE_LIMIT)),
        )
        .syntax(
            syntax::Config::new()
                .unicode(false)
                .utf8(false)
                .case_insensitive(true)
                .dot_matches_new_line(true),
        )
        .thompson(thompson::Config::new().utf8(false))
        .build(pattern)
        .map_err(|error| {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(inner) = source {
                text = format!("{text}: {inner}");
                source = inner.source();
            }
            text
        })?;
    Ok(Automaton(minimise(&explore(&dfa)?).depth_first()))
}

/// Transitions by byte, the 257th at the end of the input.
struct Machine {
    rows: Vec<Vec<usize>>,
    /// The first so many states are those a search can begin in.
    starts: usize,
}

/// Every state that a search can reach before it matches.
fn explore(dfa: &dense::DFA<Vec<u32>>) -> Result<Machine, String> {
    let mut ids: HashMap<StateID, usize> = HashMap::new();
    let mut queue = Vec::new();
    // How a search begins depends on the byte before it: the first one is that at the very start.
    for behind in std::iter::once(None).chain((0..=255).map(Some)) {
        let start = dfa
            .start_state(&start::Config::new().anchored(Anchored::No).look_behind(behind))
            .map_err(|error| error.to_string())?;
        if dfa.is_match_state(start) || dfa.is_match_state(dfa.next_eoi_state(start)) {
            return Err("it matches the empty string".into());
        }
        if let Entry::Vacant(fresh) = ids.entry(start) {
            fresh.insert(queue.len());
            queue.push(start);
        }
    }
    let starts = queue.len();
    let mut rows = Vec::new();
    while let Some(&state) = queue.get(rows.len()) {
        let mut row = Vec::with_capacity(257);
        let mut target = |next: StateID| {
            if dfa.is_match_state(next) {
                ACCEPT
            } else if dfa.is_dead_state(next) {
                DEAD
            } else {
                *ids.entry(next).or_insert_with(|| {
                    queue.push(next);
                    queue.len() - 1
                })
            }
        };
        for byte in 0..=255 {
            row.push(target(dfa.next_state(state, byte)));
        }
        row.push(if dfa.is_match_state(dfa.next_eoi_state(state)) { ACCEPT } else { DEAD });
        rows.push(row);
    }
    Ok(Machine { rows, starts })
}

/// Moore's partition refinement.
fn minimise(machine: &Machine) -> Machine {
    let count = machine.rows.len();
    let mut block = vec![0; count];
    let mut blocks = 1;
    loop {
        let mut signatures: HashMap<Vec<usize>, usize> = HashMap::new();
        let mut refined = vec![0; count];
        for (state, row) in machine.rows.iter().enumerate() {
            let mut signature = vec![block[state]];
            signature.extend(row.iter().map(|&next| if next >= DEAD { next } else { block[next] }));
            let fresh = signatures.len();
            refined[state] = *signatures.entry(signature).or_insert(fresh);
        }
        let refined_blocks = signatures.len();
        block = refined;
        if refined_blocks == blocks {
            break;
        }
        blocks = refined_blocks;
    }
    // Blocks are numbered by their first state, so the starts stay in front.
    let starts = machine.rows[..machine.starts].iter().enumerate().map(|(state, _)| block[state] + 1).max();
    let mut rows = vec![Vec::new(); blocks];
    for (state, row) in machine.rows.iter().enumerate() {
        if rows[block[state]].is_empty() {
            rows[block[state]] =
                row.iter().map(|&next| if next >= DEAD { next } else { block[next] }).collect();
        }
    }
    Machine { rows, starts: starts.unwrap_or(1) }
}

impl Machine {
    /// Byte classes: bytes that no state tells apart. Returns the class of each byte and a byte of
    /// each class.
    fn classes(&self) -> (Vec<usize>, Vec<usize>) {
        let mut columns: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
        let mut representatives = Vec::new();
        let classes = (0..256)
            .map(|byte| {
                let column: Vec<usize> = self.rows.iter().map(|row| row[byte]).collect();
                *columns.entry(column).or_insert_with(|| {
                    representatives.push(byte);
                    representatives.len() - 1
                })
            })
            .collect();
        (classes, representatives)
    }

    /// The same with states numbered along their paths, so that a keyword's states follow each
    /// other: their records are shorter then. The starts stay in front.
    fn depth_first(&self) -> Self {
        let mut order: Vec<usize> = (0..self.starts).collect();
        let mut number = vec![usize::MAX; self.rows.len()];
        for &start in &order {
            number[start] = start;
        }
        let fresh = |state: usize, number: &[usize]| -> Vec<usize> {
            self.rows[state]
                .iter()
                .rev()
                .copied()
                .filter(|&next| next < DEAD && number[next] == usize::MAX)
                .collect()
        };
        let mut stack: Vec<usize> = (0..self.starts).rev().flat_map(|start| fresh(start, &number)).collect();
        while let Some(state) = stack.pop() {
            if number[state] == usize::MAX {
                number[state] = order.len();
                order.push(state);
                stack.extend(fresh(state, &number));
            }
        }
        let renumber = |next: usize| if next >= DEAD { next } else { number[next] };
        let rows = order.iter().map(|&state| self.rows[state].iter().map(|&next| renumber(next)).collect());
        Machine { rows: rows.collect(), starts: self.starts }
    }

    /// The layout that `picket_waf`'s `dfa` module reads.
    fn encode(&self, layout: Layout, joint: &JointClasses) -> Result<Table, String> {
        let states = self.rows.len();
        if states > 0xfffd {
            return Err(format!("{states} states are too many"));
        }
        let (classes, representatives) = self.classes();
        let wide = states > 0xfd;
        let width = representatives.len() + 1;
        let class_count = u8::try_from(width).map_err(|_| format!("{width} byte classes are too many"))?;
        let (map, representatives) = joint.number(&classes, &representatives);
        let rows: Vec<Vec<u16>> = self
            .rows
            .iter()
            .map(|row| {
                let entry = |&byte: &usize| match row[byte] {
                    ACCEPT => 0xffff,
                    DEAD => 0xfffe,
                    next => next as u16,
                };
                representatives.iter().chain(&[256]).map(entry).collect()
            })
            .collect();
        let dense =
            rows.concat().into_iter().flat_map(|next| Next { next, wide }.bytes()).collect::<Vec<_>>();
        // What runs on every request is to be quick, what runs on suspicion small.
        let sparse = (layout == Layout::Compact).then(|| sparse_rows(&rows, wide)).flatten();
        let joint_classes = map.len();
        let (flag, map, transitions) = match sparse {
            Some(sparse) if sparse.len() < dense.len() => (SPARSE, pack_map(&map), sparse),
            _ => (0, map, dense),
        };
        let mut bytes = vec![class_count, if wide { 2 } else { 1 } | flag];
        for number in [self.starts, states, joint_classes] {
            bytes.extend((number as u16).to_le_bytes());
        }
        bytes.extend(map);
        bytes.extend(transitions);
        Ok(Table { bytes, states, classes: width })
    }
}

/// A state as tables hold it.
struct Next {
    next: u16,
    wide: bool,
}

impl Next {
    fn bytes(&self) -> impl Iterator<Item = u8> + use<> {
        self.next.to_le_bytes().into_iter().take(1 + usize::from(self.wide))
    }
}

impl JointClasses {
    /// Numbers an automaton's classes: 0 that of most joint classes, the others as they come. Returns
    /// the number for each joint class, and a byte for each number.
    fn number(&self, classes: &[usize], representatives: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let of: Vec<usize> = self.representatives.iter().map(|&byte| classes[byte]).collect();
        let frequency = |class: usize| of.iter().filter(|&&other| other == class).count();
        let mut order: Vec<usize> =
            (0..representatives.len()).max_by_key(|&class| frequency(class)).into_iter().collect();
        for &class in &of {
            if !order.contains(&class) {
                order.push(class);
            }
        }
        let number = |class: &usize| order.iter().position(|other| other == class).unwrap_or(0) as u8;
        (of.iter().map(number).collect(), order.iter().map(|&class| representatives[class]).collect())
    }
}

/// The class of each joint class in two bits: 0 is class 0, 1 the next class that has not been seen,
/// 2 one of the bytes that follow.
fn pack_map(map: &[u8]) -> Vec<u8> {
    let mut packed = vec![0; map.len().div_ceil(4)];
    let mut explicit = Vec::new();
    let mut fresh = 1;
    for (at, &class) in map.iter().enumerate() {
        let code = if class == 0 {
            0
        } else if class == fresh {
            fresh += 1;
            1
        } else {
            explicit.push(class);
            2
        };
        packed[at / 4] |= code << (at % 4 * 2);
    }
    packed.extend(explicit);
    packed
}

/// In a table's width: rows are differences.
const SPARSE: u8 = 0x80;
/// Most rows that others differ from, and most differences: they share a byte.
const MAX_BASES: usize = 8;
const MAX_DIFFERENCES: usize = 30;
/// A count that stands for one difference, to the state with the next number.
const CHAIN: u8 = 31;
/// States that share an entry in the index of records.
const GROUP: usize = 4;

/// Rows as differences from a few of them; `None` if that cannot be had.
fn sparse_rows(rows: &[Vec<u16>], wide: bool) -> Option<Vec<u8>> {
    let width = 1 + usize::from(wide);
    let differences = |row: &[u16], base: &[u16]| -> Vec<(u8, u16)> {
        row.iter()
            .zip(base)
            .enumerate()
            .filter(|(_, (a, b))| a != b)
            .map(|(c, (a, _))| (c as u8, *a))
            .collect()
    };
    let counts: Vec<Vec<usize>> = rows
        .iter()
        .map(|row| rows.iter().map(|base| row.iter().zip(base).filter(|(a, b)| a != b).count()).collect())
        .collect();
    // A row that no base is near to costs as much as a base of its own.
    let far = rows.first()?.len() * width * 2;
    let cost = |state: usize, base: usize| match counts[state][base] {
        count if count > MAX_DIFFERENCES => far,
        count => (1 + width) * count,
    };
    // Greedily the row that saves most, until none does.
    let mut bases: Vec<usize> = Vec::new();
    let mut best = vec![far; rows.len()];
    while bases.len() < MAX_BASES {
        let saved = |base: usize| -> usize {
            (0..rows.len()).map(|state| best[state].saturating_sub(cost(state, base))).sum()
        };
        let (base, saved) =
            (0..rows.len()).map(|base| (base, saved(base))).max_by_key(|&(_, saved)| saved)?;
        if saved <= rows[base].len() * width {
            break;
        }
        bases.push(base);
        for (state, best) in best.iter_mut().enumerate() {
            *best = (*best).min(cost(state, base));
        }
    }
    let mut index = Vec::new();
    let mut records = Vec::new();
    for (state, row) in rows.iter().enumerate() {
        if state % GROUP == 0 {
            index.extend(u16::try_from(records.len()).ok()?.to_le_bytes());
        }
        let (number, base) = bases.iter().enumerate().min_by_key(|&(_, &base)| counts[state][base])?;
        let differences = differences(row, &rows[*base]);
        if differences.len() > MAX_DIFFERENCES {
            return None;
        }
        match differences[..] {
            [(class, next)] if usize::from(next) == state + 1 => {
                records.extend([(number as u8) << 5 | CHAIN, class]);
            }
            _ => {
                records.push((number << 5 | differences.len()) as u8);
                for (class, next) in differences {
                    records.push(class);
                    records.extend(Next { next, wide }.bytes());
                }
            }
        }
    }
    let full = bases.iter().flat_map(|&base| rows[base].clone());
    let full = full.flat_map(|next| Next { next, wide }.bytes());
    Some(std::iter::once(bases.len() as u8).chain(full).chain(index).chain(records).collect())
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn calm_bytes_make_matches_only() {
        let calm = |pattern: &str| -> Vec<u8> {
            let calm = compile(pattern).unwrap().calm_bytes();
            (0..=255).filter(|&byte| calm[usize::from(byte)]).collect()
        };
        assert_eq!(calm("^[0-9]+$"), b"0123456789");
        assert_eq!(calm(r"^(?:\[[0-9]+\]|[x-z.]+)(?::[0-9]+)?$"), b".XYZxyz");
        assert_eq!(calm("^(?:get|post)$"), b"");
        assert_eq!(calm("a").len(), 2, "{:?}", calm("a"));
    }

    #[test]
    fn matches_as_the_engine_does() {
        let automaton = compile(r"^(?:[2-9]|[1-9][0-9]+)$").unwrap();
        for (text, expected) in [("0", false), ("1", false), ("2", true), ("10", true), ("", false)] {
            assert_eq!(automaton.matches(text.as_bytes()), expected, "{text}");
        }
    }
}
