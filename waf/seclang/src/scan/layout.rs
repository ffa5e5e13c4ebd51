//! The layout of the tables. All numbers are little-endian, nothing is aligned.
//!
//! # Scanner
//! | part | bytes | content |
//! |---|---|---|
//! | header | 16 | `u32` each: keys, groups, trigrams, list entries |
//! | present | 256 × 8 | for each byte, the byte sets it is in |
//! | classes | 256 | for each byte, its class, below [`CLASSES`] |
//! | rows | 4096 × 8 | for each pair of classes, the third classes that complete a trigram in use |
//! | bases | 64 × 4 | for each first class, the trigrams in use in the rows before it |
//! | ranks | 4096 × 2 | for each row, the trigrams in use in the rows of its first class before it |
//! | keys | keys × 8 | literals, folded, first byte lowest, zero above |
//! | groups | groups × 4 | `u16` first key, `u8` keys, `u8` shape |
//! | index | trigrams × 2 | the first group of each trigram in use, in their order |
//! | outputs | keys × 2 | a matcher; with [`LIST`], [`LIST_UNIT`] entries a step into the lists |
//! | lists | entries × 2 | a count, so many matchers |
//!
//! A shape has the length of the keys less one in its lowest three bits ([`Shape`]), above it three
//! bits that tell how far the trigram's last byte is from the first of the literal, and [`LAST`] in the
//! last group of a trigram. The keys of a group ascend.
//!
//! # Phrases
//! | part | bytes | content |
//! |---|---|---|
//! | header | 8 | `u32` phrases, `u8` log2 of the filter's bits, `u8` lengths below [`PREFIX`], `u8` bytes an offset, 0 |
//! | filter | bits / 8 | a bit for [`prefix_slot`] of each phrase |
//! | offsets | (phrases + 1) × 2 or 4 | where each phrase begins in the text, and where the last ends |
//! | text | | the phrases, folded, ascending, none the beginning of another |

/// Number of classes.
pub const CLASSES: usize = 64;
/// The class that stands before a value's first byte.
pub const START: u8 = 0;
/// Bytes of the scanner's header.
pub const HEADER: usize = 16;
/// Longest literal that is compared.
pub const KEY: usize = 8;
/// Marks an output that is a list.
pub const LIST: u16 = 1 << 15;
/// List entries a step of an output.
pub const LIST_UNIT: usize = 2;
/// Marks the last group of a trigram.
pub const LAST: u8 = 1 << 6;

/// Where a group's literals lie around the trigram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// From the literal's first byte to the trigram's last: 1 to 7 bytes.
    pub back: u8,
    /// Length of the literals, 2 to 8 bytes.
    pub len: u8,
}

impl Shape {
    /// As it is stored, without [`LAST`].
    #[must_use]
    pub const fn encode(self) -> u8 {
        (self.back & 7) << 3 | (self.len.wrapping_sub(1) & 7)
    }

    /// Any byte is a shape.
    #[must_use]
    pub const fn decode(byte: u8) -> Self {
        Shape { back: byte >> 3 & 7, len: (byte & 7) + 1 }
    }
}

/// Bytes of a phrase set's header.
pub const PHRASES_HEADER: usize = 8;
/// Most bytes of a phrase that the filter looks at.
pub const PREFIX: usize = 3;

/// The slot of a phrase's first bytes (at most three, folded, the last lowest) in a filter of
/// `1 << bits` bits; the length keeps short phrases apart from the beginnings of longer ones.
#[inline]
#[must_use]
pub const fn prefix_slot(prefix: u32, len: usize, bits: u32) -> u32 {
    (prefix | (len as u32) << 24).wrapping_mul(0x9e37_79b1) >> (32 - bits)
}
