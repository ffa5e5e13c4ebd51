//! The sweep's automaton: Aho–Corasick over the literals of all patterns, case folded.

use std::collections::{BTreeMap, VecDeque};

use picket_waf::format;

use crate::error::{Error, fit};

/// What clean traffic looks like. The states in which it spends its time are dense rows, the others
/// lists: the choice changes nothing but speed and size.
pub(crate) const CLEAN: &str = include_str!("clean.txt");

/// The sections of the sweep.
pub(crate) struct Sections {
    pub classes: u16,
    pub hot: u16,
    pub dense_len: u16,
    /// The first sparse state with outputs.
    pub loud: u16,
    pub map: Vec<u8>,
    pub dense: Vec<u8>,
    pub sparse: Vec<u8>,
    pub output_index: Vec<u8>,
    pub outputs: Vec<u8>,
    pub states: usize,
    pub literals: usize,
}

#[derive(Default)]
struct State {
    goto: BTreeMap<u8, usize>,
    fail: usize,
    depth: usize,
    outputs: Vec<u16>,
    harmless: Vec<u16>,
}

/// What literals give: outputs, or that some of them are taken back.
pub(crate) type Outputs = BTreeMap<Vec<u8>, Vec<u16>>;

/// Builds the automaton of `literals` (in lower case), each with the outputs that finding it gives. Where
/// one of `harmless` ends, those outputs of what it ends in are not given.
pub(crate) fn build(literals: &Outputs, harmless: &Outputs, dense_rows: usize) -> Result<Sections, Error> {
    let classes = Classes::new(literals)?;
    let mut literals = literals.clone();
    // A `%` never reaches the automaton: what waits for one hangs on the escape.
    let escaped = literals.remove(&b"%"[..]).unwrap_or_default();
    let states = automaton(&literals, harmless, &classes);

    let is_dense = dense_states(&states, &classes, dense_rows);
    // Dense states without outputs, dense states with outputs, sparse states without and with.
    let rank = |state: usize| match (is_dense[state], states[state].outputs.is_empty()) {
        (true, true) => 0,
        (true, false) => 1,
        (false, true) => 2,
        (false, false) => 3,
    };
    let mut order: Vec<usize> = (0..states.len()).collect();
    order.sort_by_key(|&state| (rank(state), state));
    let stride = classes.count;
    let plain = order.iter().filter(|&&state| rank(state) == 0).count();
    let dense = order.iter().filter(|&&state| rank(state) < 2).count();
    let silent = order.iter().filter(|&&state| rank(state) < 3).count();
    let hot = fit("prefilter entries", plain * stride, usize::from(format::ESCAPE) - 1)?;
    let dense_len: u16 = fit("prefilter entries", dense * stride, usize::from(format::ESCAPE) - 1)?;
    // `None` stands for the escape.
    let next = |state: usize, class: u8| -> Option<usize> {
        (class != classes.percent).then(|| step(&states, state, class))
    };
    // The longest proper suffix that is a dense state knows nearly all of a sparse row.
    let base = |state: usize| -> usize {
        let mut base = states[state].fail;
        while !is_dense[base] {
            base = states[base].fail;
        }
        base
    };
    let differing = |state: usize| -> Vec<u8> {
        let base = base(state);
        (0..stride as u8).filter(|&class| next(state, class) != next(base, class)).collect()
    };
    // The number of a sparse state is where its list stands.
    let mut ids = vec![0u16; states.len()];
    let mut at = usize::from(dense_len);
    let mut loud = at;
    for (position, &state) in order.iter().enumerate() {
        if position < dense {
            ids[state] = (position * stride) as u16;
            continue;
        }
        // Its outputs stand in front of it.
        at += 2 * usize::from(position >= silent);
        ids[state] = fit("bytes of sparse prefilter states", at, usize::from(format::ESCAPE) - 1)?;
        at += 2 + 3 * differing(state).len();
        if position < silent {
            loud = at;
        }
    }
    let loud = fit("bytes of sparse prefilter states", loud, usize::from(format::ESCAPE) - 1)?;
    let number = |next: Option<usize>| next.map_or(format::ESCAPE, |state| ids[state]);
    let mut sections = Sections {
        classes: stride as u16,
        hot,
        dense_len,
        loud,
        map: classes.map(),
        dense: Vec::new(),
        sparse: Vec::new(),
        output_index: Vec::new(),
        outputs: Vec::new(),
        states: states.len(),
        literals: literals.len(),
    };
    // Where the outputs of a state begin.
    let put = |outputs: &[u16], bytes: &mut Vec<u8>| -> Result<[u8; 2], Error> {
        let at: u16 = fit("bytes of prefilter outputs", bytes.len(), usize::from(u16::MAX))?;
        bytes.extend((outputs.len() as u16).to_le_bytes());
        bytes.extend(outputs.iter().flat_map(|output| output.to_le_bytes()));
        Ok(at.to_le_bytes())
    };
    for (position, &state) in order.iter().enumerate() {
        let outputs = &states[state].outputs;
        if position < dense {
            for class in 0..stride {
                sections.dense.extend(number(next(state, class as u8)).to_le_bytes());
            }
            if position >= plain {
                sections.output_index.extend(put(outputs, &mut sections.outputs)?);
            }
            continue;
        }
        if position >= silent {
            sections.sparse.extend(put(outputs, &mut sections.outputs)?);
        }
        let differing = differing(state);
        sections.sparse.push(fit("ways out of a prefilter state", differing.len(), 255)?);
        sections.sparse.push(fit("dense prefilter rows", usize::from(ids[base(state)]) / stride, 255)?);
        for class in differing {
            sections.sparse.push(class);
            sections.sparse.extend(number(next(state, class)).to_le_bytes());
        }
    }
    // A list without ways out is read as if it had one.
    sections.sparse.extend([0; 3]);
    sections.output_index.extend(put(&escaped, &mut sections.outputs)?);
    Ok(sections)
}

fn step(states: &[State], mut state: usize, class: u8) -> usize {
    loop {
        if let Some(&target) = states[state].goto.get(&class) {
            return target;
        }
        if state == 0 {
            return 0;
        }
        state = states[state].fail;
    }
}

/// Which states are dense: the root, and where clean traffic comes by most often.
fn dense_states(states: &[State], classes: &Classes, dense_rows: usize) -> Vec<bool> {
    let mut visits = vec![0usize; states.len()];
    let mut state = 0;
    for &byte in CLEAN.as_bytes() {
        state = step(states, state, classes.of[usize::from(byte)]);
        visits[state] += 1;
    }
    visits[0] = usize::MAX;
    let mut order: Vec<usize> = (0..states.len()).filter(|&state| visits[state] > 0).collect();
    order.sort_by_key(|&state| (std::cmp::Reverse(visits[state]), state));
    let mut dense = vec![false; states.len()];
    for state in order.into_iter().take(dense_rows) {
        dense[state] = true;
    }
    dense
}

fn automaton(literals: &Outputs, harmless: &Outputs, classes: &Classes) -> Vec<State> {
    let mut states = vec![State::default()];
    let harmless = harmless.iter().map(|(literal, outputs)| (literal, outputs, true));
    let literals = literals.iter().map(|(literal, outputs)| (literal, outputs, false));
    for (literal, outputs, is_harmless) in literals.chain(harmless) {
        let mut state = 0;
        for &byte in literal {
            let class = classes.of[usize::from(byte)];
            state = match states[state].goto.get(&class) {
                Some(&next) => next,
                None => {
                    let depth = states[state].depth + 1;
                    states.push(State { depth, ..State::default() });
                    let next = states.len() - 1;
                    states[state].goto.insert(class, next);
                    next
                }
            };
        }
        let state = &mut states[state];
        if is_harmless { &mut state.harmless } else { &mut state.outputs }.extend(outputs);
    }
    let mut queue: VecDeque<usize> = states[0].goto.values().copied().collect();
    while let Some(state) = queue.pop_front() {
        for (class, child) in states[state].goto.clone() {
            let mut fail = states[state].fail;
            let target = loop {
                if let Some(&target) = states[fail].goto.get(&class) {
                    break target;
                }
                if fail == 0 {
                    break 0;
                }
                fail = states[fail].fail;
            };
            states[child].fail = target;
            let inherited = states[target].outputs.clone();
            states[child].outputs.extend(inherited);
            let harmless = std::mem::take(&mut states[child].harmless);
            states[child].outputs.retain(|output| !harmless.contains(output));
            queue.push_back(child);
        }
    }
    for state in &mut states {
        state.outputs.sort_unstable();
        state.outputs.dedup();
    }
    states
}

/// Bytes that no literal tells apart.
struct Classes {
    of: [u8; 256],
    count: usize,
    percent: u8,
}

impl Classes {
    fn new(literals: &Outputs) -> Result<Self, Error> {
        // Class 0: every byte that is in no literal.
        let mut of = [0u8; 256];
        let mut count = 1usize;
        // Bytes that stand for the same on their own, and in no other literal, share a class.
        let mut alone: BTreeMap<&[u16], u8> = BTreeMap::new();
        for byte in literals.keys().flatten().copied().chain([b'%']) {
            if of[usize::from(byte)] != 0 {
                continue;
            }
            let class: u8 = fit("byte classes", count, 255)?;
            let elsewhere = literals.keys().any(|literal| literal.len() > 1 && literal.contains(&byte));
            of[usize::from(byte)] = match literals.get(&[byte][..]) {
                Some(outputs) if !elsewhere && byte != b'%' => *alone.entry(outputs).or_insert(class),
                _ => class,
            };
            count += usize::from(of[usize::from(byte)] == class);
        }
        for byte in b'a'..=b'z' {
            of[usize::from(byte.to_ascii_uppercase())] = of[usize::from(byte)];
        }
        Ok(Classes { of, count, percent: of[usize::from(b'%')] })
    }

    /// The classes in values, and those in raw urlencoded strings, where a `+` is a blank.
    fn map(&self) -> Vec<u8> {
        let mut raw = self.of;
        raw[usize::from(b'+')] = raw[usize::from(b' ')];
        [self.of, raw].concat()
    }
}
