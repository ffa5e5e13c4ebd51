//! The layout of [`Section::Glance`](super::Section::Glance): the answers to many questions at once, each of which is a
//! conjunction of byte sets that the value must have, or must not have, a byte of.
//!
//! | part | bytes | content |
//! |---|---|---|
//! | header | 4 | `u16` words of nodes, `u16` words of silent matchers |
//! | tables | words × 8 × 256 × 8 | for each word eight tables of `u64`, one for each byte of the value's byte sets |
//! | silent | words × 64 × 2 | the number of each silent matcher, `NONE16` behind the last |
//! | slots | slots × words × 8 | for each slot the silent matchers that look at its values |
//!
//! A word's answers are the conjunction of the eight entries. Word 0 has a bit for each pipeline: the
//! value comes out of it unchanged. Then come the words of nodes: the first transformation on its
//! path that may change the value, which has what all below it must have. Then those of silent
//! matchers: the value has all byte sets that they need.

/// Bytes of the header.
pub const HEADER: usize = 4;
/// Tables of a word.
pub const TABLES: usize = 8;
