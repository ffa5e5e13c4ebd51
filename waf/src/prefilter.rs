//! The one sweep over every value: an Aho–Corasick automaton of the patterns' required literals and
//! of what could make a transformation change something.
//!
//! The states where clean text stays are dense rows; the others are short lists over a dense row.
//! Dense states without output come first, so that the hot loop asks one question a byte. It is
//! written for interpreters: as few instructions a byte as can be.

use crate::blob::{format, u16_at};

/// Set by a sweep that found a literal of any pattern.
pub(crate) const ANY_LITERAL: u32 = 1 << 31;

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
    sparse_index: &'a [[u8; 2]],
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
        sparse_index: &'a [u8],
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
            sparse_index: sparse_index.as_chunks().0,
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
        let (hot, dense) = (self.hot, self.dense);
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
                if next == ESCAPE {
                    next = match if URL { take_hex(&mut rest) } else { None } {
                        Some(b'%') | None => {
                            self.output(ESCAPE, &mut flags, hits);
                            0
                        }
                        Some(byte) => self.step(from, class_of(self.values, byte)),
                    };
                }
                if next < hot {
                    state = next;
                    continue 'hot;
                }
                if next < self.dense_len || next >= self.loud {
                    self.output(next, &mut flags, hits);
                }
                let Some(&byte) = rest.next() else { return flags };
                from = next;
                next = self.step(from, class_of(map, byte));
            }
        }
        flags
    }

    #[inline]
    fn step(&self, state: usize, class: usize) -> usize {
        if state < self.dense_len {
            return self.row(state, class);
        }
        let list = self.sparse_index.get(state - self.dense_len).map_or(0, |&at| pair(at));
        let Some([count, base, list @ ..]) = self.sparse.get(list..) else { return 0 };
        for entry in list.as_chunks::<3>().0.iter().take(usize::from(*count)) {
            if usize::from(entry[0]) == class {
                return pair([entry[1], entry[2]]);
            }
        }
        self.row(usize::from(*base) * self.classes, class)
    }

    fn row(&self, state: usize, class: usize) -> usize {
        self.dense.get(state + class).map_or(0, |&next| pair(next))
    }

    #[inline(never)]
    fn output(&self, state: usize, flags: &mut u32, hits: &mut [u32]) {
        let index = if state < self.dense_len {
            state.saturating_sub(self.hot) / self.classes
        } else if state == ESCAPE {
            self.output_index.len().saturating_sub(1)
        } else {
            self.dense_len.saturating_sub(self.hot) / self.classes + state - self.loud
        };
        let at = self.output_index.get(index).map_or(0, |&at| pair(at));
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
