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
    fn run<const URL: bool>(&self, bytes: &[u8], hits: &mut [u32]) -> u32 {
        let map = if URL { self.urlencoded } else { self.values };
        let (hot, dense, sparse) = (self.hot, self.dense, self.sparse);
        let (dense_len, loud) = (self.dense_len, self.loud);
        let mut flags = 0;
        let mut state = 0;
        let mut rest = bytes.iter();
        'hot: while let Some(&byte) = rest.next() {
            // Outside the table is only a damaged ruleset.
            let Some(&next) = dense.get(state + class_of(map, byte)) else { return flags };
            let mut next = pair(next);
            if next < hot {
                state = next;
                continue;
            }
            // Everything else: escapes, outputs, deep states.
            let mut from = state;
            loop {
                if next >= dense_len {
                    if next == ESCAPE {
                        next = match if URL { take_hex(&mut rest) } else { None } {
                            Some(b'%') | None => {
                                self.output(ESCAPE, &mut flags, hits);
                                0
                            }
                            Some(byte) => self.step(from, class_of(self.values, byte)),
                        };
                        flags |= ESCAPED;
                        // What was decoded may have outputs, and is no escape.
                        if next >= hot && (next < dense_len || next >= loud) {
                            self.output(next, &mut flags, hits);
                        }
                    } else if next >= loud {
                        self.output(next, &mut flags, hits);
                    }
                } else if next >= hot {
                    self.output(next, &mut flags, hits);
                }
                if next < hot {
                    state = next;
                    continue 'hot;
                }
                let Some(&byte) = rest.next() else { return flags };
                let class = class_of(map, byte);
                from = next;
                // As `step`, here: every call costs an interpreter as much as the look.
                let mut row = from;
                if from >= dense_len {
                    let mut at = from - dense_len;
                    let Some(&count) = sparse.get(at) else { return flags };
                    let Some(&base) = sparse.get(at + 1) else { return flags };
                    at += if from >= loud { 4 } else { 2 };
                    let end = at + usize::from(count) * 3;
                    let Some(list) = sparse.get(at..end) else { return flags };
                    let mut found = None;
                    for entry in list.as_chunks::<3>().0 {
                        if usize::from(entry[0]) == class {
                            found = Some(pair([entry[1], entry[2]]));
                            break;
                        }
                    }
                    if let Some(found) = found {
                        next = found;
                        continue;
                    }
                    row = usize::from(base) * self.classes;
                }
                let Some(&entry) = dense.get(row + class) else { return flags };
                next = pair(entry);
            }
        }
        flags
    }

    /// Where a state goes with a class.
    #[inline(never)]
    fn step(&self, state: usize, class: usize) -> usize {
        let mut row = state;
        if state >= self.dense_len {
            let at = state - self.dense_len;
            let Some([count, base, list @ ..]) = self.sparse.get(at..) else { return 0 };
            let list = list.get(if state >= self.loud { 2 } else { 0 }..).unwrap_or(&[]);
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
            usize::from(u16_at(self.sparse, state - self.dense_len + 2))
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

/// Takes two hexadecimal digits, if they stand here.
#[inline(never)]
fn take_hex(rest: &mut core::slice::Iter<'_, u8>) -> Option<u8> {
    let [high, low, tail @ ..] = rest.as_slice() else { return None };
    let byte = crate::transform::hex(*high)? << 4 | crate::transform::hex(*low)?;
    *rest = tail.iter();
    Some(byte)
}
