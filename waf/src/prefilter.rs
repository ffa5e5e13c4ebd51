//! The one sweep over every value: an Aho–Corasick automaton of the patterns' required literals,
//! and flags for the bytes that could make a transformation change something.
//!
//! Shallow states, where clean text stays, are dense rows; deep ones are short lists over the
//! root's row. Dense states without output come first, so that the hot loop asks one question a
//! byte.

use crate::blob::{format, u16_at};

/// Flags from the byte map stand in bits 8 to 15, those from literals above.
pub(crate) const FLAGS: u32 = !0xff;

#[derive(Clone, Copy)]
pub(crate) struct Prefilter<'a> {
    hot: u16,
    dense_len: u16,
    percent: u32,
    maps: &'a [[u8; 2]],
    dense: &'a [[u8; 2]],
    sparse_index: &'a [[u8; 2]],
    sparse: &'a [u8],
    output_index: &'a [u8],
    outputs: &'a [u8],
}

const fn pair(entry: [u8; 2]) -> u16 {
    u16::from_le_bytes(entry)
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
        let maps = maps.as_chunks().0;
        let percent = maps.get(usize::from(b'%')).map_or(0, |&entry| u32::from(pair(entry)) & FLAGS);
        Prefilter {
            hot: u16_at(meta, 2),
            dense_len: u16_at(meta, 4),
            percent,
            maps,
            dense: dense.as_chunks().0,
            sparse_index: sparse_index.as_chunks().0,
            sparse,
            output_index,
            outputs,
        }
    }

    /// Sweeps a value: adds the patterns whose literals occur to `hits` and returns the flags.
    pub(crate) fn sweep(&self, value: &[u8], hits: &mut [u32]) -> u32 {
        self.run::<false>(value, hits)
    }

    /// Sweeps a raw urlencoded string as if it were decoded: `%41` counts as `A`, and only a `%`
    /// that is still there after decoding sets the flag of `%`. What holds for the whole string
    /// holds for each name and value in it.
    pub(crate) fn sweep_urlencoded(&self, raw: &[u8], hits: &mut [u32]) -> u32 {
        self.run::<true>(raw, hits)
    }

    fn run<const URL: bool>(&self, bytes: &[u8], hits: &mut [u32]) -> u32 {
        let map: Option<&[[u8; 2]; 256]> =
            if URL { self.maps.get(256..) } else { Some(self.maps) }.and_then(<[_]>::first_chunk);
        let Some(map) = map else { return 0 };
        let hot = self.hot;
        let dense = self.dense;
        let mut state = 0u16;
        let mut seen = 0u32;
        let mut residual = false;
        let mut rest = bytes;
        'hot: loop {
            for (at, &byte) in rest.iter().enumerate() {
                let entry = pair(map[usize::from(byte)]);
                seen |= u32::from(entry);
                let next = match dense.get(usize::from(state) + usize::from(entry & 0xff)) {
                    Some(&next) => pair(next),
                    None => 0,
                };
                if next < hot {
                    state = next;
                    continue;
                }
                let mut cursor = Cursor { rest: &rest[at + 1..], seen, residual, map };
                state = self.cold::<URL>(state, next, &mut cursor, hits);
                (seen, residual, rest) = (cursor.seen, cursor.residual, cursor.rest);
                continue 'hot;
            }
            break;
        }
        if URL && !residual {
            seen &= !self.percent;
        }
        seen & FLAGS
    }

    /// Everything but plain dense states: outputs, escapes, deep states. Returns a hot state.
    #[inline(never)]
    fn cold<const URL: bool>(
        &self,
        mut from: u16,
        mut next: u16,
        cursor: &mut Cursor<'_, '_>,
        hits: &mut [u32],
    ) -> u16 {
        loop {
            if next == format::ESCAPE {
                next = match if URL { cursor.hex() } else { None } {
                    Some(b'%') | None => {
                        cursor.residual = true;
                        0
                    }
                    Some(byte) => {
                        // Flags as for a decoded value: the first map.
                        let entry = self.maps.get(usize::from(byte)).map_or(0, |&entry| pair(entry));
                        cursor.seen |= u32::from(entry);
                        self.step(from, entry & 0xff)
                    }
                };
            }
            if next < self.hot {
                return next;
            }
            self.output(next, &mut cursor.seen, hits);
            let Some((&byte, rest)) = cursor.rest.split_first() else { return 0 };
            cursor.rest = rest;
            let entry = pair(cursor.map[usize::from(byte)]);
            cursor.seen |= u32::from(entry);
            from = next;
            next = self.step(from, entry & 0xff);
        }
    }

    fn step(&self, state: u16, class: u16) -> u16 {
        if state < self.dense_len {
            return self.row(state, class);
        }
        let list = self.sparse_index.get(usize::from(state - self.dense_len)).map_or(0, |&at| pair(at));
        let list = self.sparse.get(usize::from(list)..).unwrap_or(&[]);
        let Some((&count, list)) = list.split_first() else { return 0 };
        for entry in list.as_chunks::<3>().0.iter().take(usize::from(count)) {
            if u16::from(entry[0]) == class {
                return pair([entry[1], entry[2]]);
            }
        }
        self.row(0, class)
    }

    fn row(&self, state: u16, class: u16) -> u16 {
        self.dense.get(usize::from(state) + usize::from(class)).map_or(0, |&next| pair(next))
    }

    fn output(&self, state: u16, seen: &mut u32, hits: &mut [u32]) {
        let index = self.output_index.as_chunks::<4>().0;
        let Ok(found) = index.binary_search_by_key(&state, |entry| pair([entry[0], entry[1]])) else {
            return;
        };
        let at = usize::from(pair([index[found][2], index[found][3]]));
        let list = self.outputs.get(at..).unwrap_or(&[]);
        let (count, list) = (usize::from(u16_at(list, 0)), list.get(2..).unwrap_or(&[]));
        for &output in list.as_chunks().0.iter().take(count) {
            let output = pair(output);
            if output & format::OUTPUT_FLAG != 0 {
                *seen |= 1 << (output & 31);
            } else if let Some(word) = hits.get_mut(usize::from(output / 32)) {
                *word |= 1 << (output % 32);
            }
        }
    }
}

struct Cursor<'b, 'm> {
    rest: &'b [u8],
    seen: u32,
    /// Whether a `%` was left after decoding.
    residual: bool,
    map: &'m [[u8; 2]; 256],
}

impl Cursor<'_, '_> {
    /// Takes two hexadecimal digits, if they stand here.
    fn hex(&mut self) -> Option<u8> {
        let (digits, rest) = self.rest.split_first_chunk::<2>()?;
        let byte = crate::transform::hex(digits[0])? << 4 | crate::transform::hex(digits[1])?;
        self.rest = rest;
        Some(byte)
    }
}
