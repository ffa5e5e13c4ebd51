//! The one sweep over every value: an Aho–Corasick automaton of the patterns' required literals and
//! of what could make a transformation change something.
//!
//! The states where clean text stays are dense rows; the others are short lists over a dense row.
//! Dense states without output come first, so that the hot loop asks one question a byte. It is
//! written for interpreters: as few instructions a byte as can be.

use crate::blob::{format, u16_at};

/// Set by a sweep that found a literal of any pattern.
pub(crate) const ANY_LITERAL: u32 = 1 << 31;
/// Set by the sweep of an urlencoded string that came by a `%`.
pub(crate) const ESCAPED: u32 = 1 << 30;

/// Classes by byte.
type Map = [u8; 256];

#[derive(Clone, Copy)]
pub(crate) struct Prefilter<'a> {
    hot: usize,
    dense_len: usize,
    classes: usize,
    /// The first sparse state with outputs.
    loud: usize,
    values: &'a Map,
    urlencoded: &'a Map,
    dense: &'a [[u8; 2]],
    sparse: &'a [u8],
    output_index: &'a [[u8; 2]],
    outputs: &'a [u8],
}

const fn pair(entry: [u8; 2]) -> usize {
    u16::from_le_bytes(entry) as usize
}

const ESCAPE: usize = format::ESCAPE as usize;
static NO_MAP: Map = [0; 256];

fn class_of(map: &Map, byte: u8) -> usize {
    usize::from(map[usize::from(byte)])
}

impl<'a> Prefilter<'a> {
    pub(crate) fn new(
        meta: &'a [u8],
        maps: &'a [u8],
        dense: &'a [u8],
        sparse: &'a [u8],
        output_index: &'a [u8],
        outputs: &'a [u8],
    ) -> Self {
        Prefilter {
            hot: usize::from(u16_at(meta, 2)),
            dense_len: usize::from(u16_at(meta, 4)),
            classes: usize::from(u16_at(meta, 0)).max(1),
            loud: usize::from(u16_at(meta, 8)),
            values: maps.first_chunk().unwrap_or(&NO_MAP),
            urlencoded: maps.last_chunk().unwrap_or(&NO_MAP),
            dense: dense.as_chunks().0,
            sparse,
            output_index: output_index.as_chunks().0,
            outputs,
        }
    }

    /// Sweeps a value: adds the patterns whose literals occur to `hits` and returns the flags.
    pub(crate) fn sweep(&self, value: &[u8], hits: &mut [u32]) -> u32 {
        self.run::<false>(value, hits)
    }

    /// Sweeps a raw urlencoded string as if it were decoded: `%41` counts as `A`, and only a `%`
    /// that is still there after decoding counts as `%`. What holds for the whole string holds for
    /// each name and value in it.
    pub(crate) fn sweep_urlencoded(&self, raw: &[u8], hits: &mut [u32]) -> u32 {
        self.run::<true>(raw, hits)
    }

    #[inline(never)]
    fn run<const URL: bool>(&self, mut rest: &[u8], hits: &mut [u32]) -> u32 {
        let map = if URL { self.urlencoded } else { self.values };
        let (hot, dense, sparse) = (self.hot, self.dense, self.sparse);
        let (dense_len, silent) = (self.dense_len, self.loud.wrapping_sub(self.dense_len));
        let mut flags = 0;
        let mut state = 0;
        // Outside the table is only a damaged ruleset.
        macro_rules! hop {
            ($from:expr, $class:expr) => {
                match dense.get($from + $class) {
                    Some(&next) => pair(next),
                    None => return flags,
                }
            };
        }
        loop {
            // An interpreter pays for each turn of a loop: four bytes share one.
            let mut next = 'calm: {
                while let [first, second, third, fourth, tail @ ..] = rest {
                    let one = hop!(state, class_of(map, *first));
                    if one >= hot {
                        rest = rest.get(1..).unwrap_or(&[]);
                        break 'calm one;
                    }
                    let two = hop!(one, class_of(map, *second));
                    if two >= hot {
                        rest = rest.get(2..).unwrap_or(&[]);
                        state = one;
                        break 'calm two;
                    }
                    let three = hop!(two, class_of(map, *third));
                    if three >= hot {
                        rest = rest.get(3..).unwrap_or(&[]);
                        state = two;
                        break 'calm three;
                    }
                    let four = hop!(three, class_of(map, *fourth));
                    rest = tail;
                    if four >= hot {
                        state = three;
                        break 'calm four;
                    }
                    state = four;
                }
                loop {
                    let Some((&byte, tail)) = rest.split_first() else { return flags };
                    let next = hop!(state, class_of(map, byte));
                    rest = tail;
                    if next >= hot {
                        break 'calm next;
                    }
                    state = next;
                }
            };
            // Everything else: escapes, outputs, deep states.
            while next >= hot {
                if next.wrapping_sub(dense_len) >= silent {
                    if next == ESCAPE {
                        next = match if URL { take_hex(rest) } else { None } {
                            Some((byte, tail)) if byte != b'%' => {
                                rest = tail;
                                self.step(state, class_of(self.values, byte))
                            }
                            escaped => {
                                if let Some((_, tail)) = escaped {
                                    rest = tail;
                                }
                                self.output(ESCAPE, &mut flags, hits);
                                0
                            }
                        };
                        flags |= ESCAPED;
                        // What was decoded may have outputs, and is no escape.
                        if next >= hot && (next < dense_len || next >= self.loud) {
                            self.output(next, &mut flags, hits);
                        }
                        if next < hot {
                            break;
                        }
                    } else {
                        self.output(next, &mut flags, hits);
                    }
                }
                let Some((&byte, tail)) = rest.split_first() else { return flags };
                rest = tail;
                let class = class_of(map, byte);
                state = next;
                // As `step`, here: every call costs an interpreter as much as the look.
                let mut row = state;
                let at = state.wrapping_sub(dense_len);
                // A dense state, whose number is less, is far outside.
                if let Some(&[count, base, first, low, high]) = sparse.get(at..).and_then(<[u8]>::first_chunk)
                {
                    // Most have one way out of their own.
                    if count != 0 {
                        if usize::from(first) == class {
                            next = pair([low, high]);
                            continue;
                        }
                        if count != 1
                            && let Some(found) = further(sparse, at, count, class)
                        {
                            next = found;
                            continue;
                        }
                    }
                    row = usize::from(base) * self.classes;
                }
                next = hop!(row, class);
            }
            state = next;
        }
    }

    /// Where a state goes with a class.
    #[inline(never)]
    fn step(&self, state: usize, class: usize) -> usize {
        let mut row = state;
        if state >= self.dense_len {
            let at = state - self.dense_len;
            let Some([count, base, list @ ..]) = self.sparse.get(at..) else { return 0 };
            for entry in list.as_chunks::<3>().0.iter().take(usize::from(*count)) {
                if usize::from(entry[0]) == class {
                    return pair([entry[1], entry[2]]);
                }
            }
            row = usize::from(*base) * self.classes;
        }
        self.dense.get(row + class).map_or(0, |&next| pair(next))
    }

    #[inline(never)]
    fn output(&self, state: usize, flags: &mut u32, hits: &mut [u32]) {
        let at = if state < self.dense_len {
            let index = state.saturating_sub(self.hot) / self.classes;
            self.output_index.get(index).map_or(0, |&at| pair(at))
        } else if state == ESCAPE {
            self.output_index.last().map_or(0, |&at| pair(at))
        } else {
            // In front of the list.
            usize::from(u16_at(self.sparse, (state - self.dense_len).saturating_sub(2)))
        };
        let list = self.outputs.get(at..).unwrap_or(&[]);
        let (count, list) = (usize::from(u16_at(list, 0)), list.get(2..).unwrap_or(&[]));
        for &output in list.as_chunks().0.iter().take(count) {
            let output = u16::from_le_bytes(output);
            if output & format::OUTPUT_FLAG != 0 {
                *flags |= 1 << (output & 31);
            } else if let Some(word) = hits.get_mut(usize::from(output / 32)) {
                *flags |= ANY_LITERAL;
                *word |= 1 << (output % 32);
            }
        }
    }
}

/// The ways out of a sparse state behind the first one.
fn further(sparse: &[u8], at: usize, count: u8, class: usize) -> Option<usize> {
    let list = sparse.get(at + 5..at + 2 + usize::from(count) * 3)?;
    list.as_chunks::<3>()
        .0
        .iter()
        .find(|entry| usize::from(entry[0]) == class)
        .map(|entry| pair([entry[1], entry[2]]))
}

/// Two hexadecimal digits, if they stand here, and what lies behind them.
#[inline(never)]
fn take_hex(rest: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, tail @ ..] = rest else { return None };
    let byte = crate::transform::hex(*high)? << 4 | crate::transform::hex(*low)?;
    Some((byte, tail))
}
