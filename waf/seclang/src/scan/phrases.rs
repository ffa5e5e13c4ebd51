//! Phrase sets: `@pm` and `@pmFromFile`.

use core::ops::Range;

use super::layout::{PHRASES_HEADER, PREFIX, prefix_slot};

/// A set of phrases, in place; see [`layout`](super::layout).
///
/// Case does not count for ASCII letters. Damaged bytes are a set that finds less, or nothing.
#[derive(Clone, Copy, Debug)]
pub struct PhraseSet<'a> {
    /// 1 << `bits` bits.
    filter: &'a [u8],
    bits: u32,
    /// Bit 1: there are phrases of one byte, bit 2: of two bytes.
    short: u8,
    offsets: &'a [u8],
    wide: bool,
    text: &'a [u8],
    phrases: usize,
}

const NOTHING: PhraseSet<'static> =
    PhraseSet { filter: &[], bits: 3, short: 0, offsets: &[], wide: false, text: &[], phrases: 0 };

impl<'a> PhraseSet<'a> {
    /// The set that `bytes` are.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::checked(bytes).unwrap_or(NOTHING)
    }

    fn checked(bytes: &'a [u8]) -> Option<Self> {
        let (&[a, b, c, d, bits, short, width, _], rest) = bytes.split_first_chunk::<PHRASES_HEADER>()?;
        let phrases = u32::from_le_bytes([a, b, c, d]) as usize;
        if !(3..=24).contains(&bits) || !matches!(width, 2 | 4) {
            return None;
        }
        let (filter, rest) = rest.split_at_checked(1 << (bits - 3))?;
        let offsets = phrases.checked_add(1)?.checked_mul(usize::from(width))?;
        let (offsets, text) = rest.split_at_checked(offsets)?;
        Some(PhraseSet { filter, bits: u32::from(bits), short, offsets, wide: width == 4, text, phrases })
    }

    /// Finds the phrase that ends first, of those that end there the longest, as a walk through an
    /// Aho–Corasick automaton that stops at its first match does.
    ///
    /// For each position of `value` that the filter lets pass, this compares with some log2 of the
    /// phrases, and bytes that are known to agree are not compared again.
    #[inline(never)]
    #[must_use]
    pub fn find(&self, value: &[u8]) -> Option<Range<usize>> {
        let mut best: Option<Range<usize>> = None;
        let mut end = value.len();
        let mut start = 0;
        // The next three bytes; past the end they are zero.
        let mut ahead = (0..PREFIX - 1).fold(0, |ahead, at| push(ahead, value.get(at)));
        while start < end {
            ahead = push(ahead, value.get(start + PREFIX - 1));
            if self.may_begin(ahead & 0x00ff_ffff, value.len() - start)
                && let Some(len) = self.at(value.get(start..end).unwrap_or(&[]))
            {
                // Whatever begins later must end before this does.
                best = Some(start..start + len);
                end = start + len - 1;
            }
            start += 1;
        }
        best
    }

    /// Whether the filter has a phrase that begins like `ahead`, three bytes; `left` of them are in
    /// the value.
    #[inline]
    fn may_begin(&self, ahead: u32, left: usize) -> bool {
        (left >= PREFIX && self.has(ahead, PREFIX))
            || self.short != 0
                && ((self.short & 2 != 0 && self.has(ahead >> 16, 1))
                    || (self.short & 4 != 0 && left >= 2 && self.has(ahead >> 8, 2)))
    }

    #[inline]
    fn has(&self, prefix: u32, len: usize) -> bool {
        let slot = prefix_slot(prefix, len, self.bits);
        self.filter.get((slot >> 3) as usize).is_some_and(|byte| byte >> (slot & 7) & 1 != 0)
    }

    /// The length of the phrase that `value` begins with: there is at most one, since none is the
    /// beginning of another.
    #[inline(never)]
    fn at(&self, value: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.phrases);
        // How many bytes of the value the phrases before `low` and from `high` on have in common
        // with it: what lies between has at least the lesser of both.
        let (mut low_agrees, mut high_agrees) = (0, 0);
        while low < high {
            let middle = low + (high - low) / 2;
            let phrase = self.phrase(middle);
            let mut agrees: usize = low_agrees.min(high_agrees);
            let below = loop {
                let Some(&theirs) = phrase.get(agrees) else {
                    return (!phrase.is_empty()).then_some(phrase.len());
                };
                let Some(ours) = value.get(agrees) else { break false };
                let ours = ours.to_ascii_lowercase();
                if theirs != ours {
                    break theirs < ours;
                }
                agrees += 1;
            };
            if below {
                (low, low_agrees) = (middle + 1, agrees);
            } else {
                (high, high_agrees) = (middle, agrees);
            }
        }
        None
    }

    fn phrase(&self, number: usize) -> &'a [u8] {
        self.text.get(self.offset(number)..self.offset(number + 1)).unwrap_or(&[])
    }

    fn offset(&self, number: usize) -> usize {
        let offset = if self.wide {
            self.offsets.as_chunks().0.get(number).map(|&offset| u32::from_le_bytes(offset) as usize)
        } else {
            self.offsets.as_chunks().0.get(number).map(|&offset| usize::from(u16::from_le_bytes(offset)))
        };
        offset.unwrap_or(0)
    }
}

#[inline]
fn push(ahead: u32, byte: Option<&u8>) -> u32 {
    ahead << 8 | byte.map_or(0, |byte| u32::from(byte.to_ascii_lowercase()))
}
