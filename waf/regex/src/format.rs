//! The layout of a compiled regex: what the compiler writes and the view reads.
//!
//! All integers are little-endian; nothing is aligned.
//!
//! | at | size | field |
//! |---|---|---|
//! | 0 | 1 | [`VERSION`] |
//! | 1 | 1 | flags: [`TABLE`], [`WIDE`], [`END_COLUMN`], [`NFA`], [`ANCHORED`] |
//! | 2 | 1 | groups, the whole match included |
//! | 3 | 1 | cuts of the NFA |
//! | 4 | 4 | identity: a hash of all that follows byte 8 |
//! | 8 | 2 | shortest match, in bytes (saturated) |
//! | 10 | 2 | columns of a table row |
//! | 12 | 4 | length of the table, in bytes |
//! | 16 | 2 | start of the table: an entry |
//! | 18 | 2 | start state of the NFA |
//! | 20 | 2 | states of the NFA |
//! | 22 | 2 | entries of the NFA's lists |
//! | 24 | 2 | class sets of the NFA |
//! | 26 | 1 | classes of the NFA, less one |
//! | 27 | 1 | 0 |
//! | 28 | … | with [`TABLE`]: class map of the table (256 bytes), the table |
//! | | … | with [`NFA`]: class map (256 bytes), class sets, states, lists, cuts |
//!
//! *Table*: rows of entries, a byte each ([`WIDE`]: two). A row has a column a class, and one more
//! for the end of the haystack with [`END_COLUMN`]. A narrow entry is the number of a row, a wide one
//! the offset of a row in entries; the three highest values are [`MATCH`], [`NO`] and [`MAYBE`].
//!
//! *Class sets*: bit sets of whole bytes, bit
//! `c` for class `c`; the first two are the classes of word bytes and of the line feed. *States*: 32
//! bits: the successor in the low 16, an argument in the next 12, the operation in the high 4.
//! *Lists*: successors in order of preference. *Cuts*: pairs of 16 bits `(s, e)`: while `s` is
//! active, states above `s` up to `e` are of no consequence for whether there is a match.

/// Version of the layout.
pub const VERSION: u8 = 2;
/// Length of the header, in bytes.
pub const HEADER: usize = 28;

/// Flag: there is a table.
pub const TABLE: u8 = 1;
/// Flag: table entries take two bytes.
pub const WIDE: u8 = 2;
/// Flag: rows have a column for the end of the haystack.
pub const END_COLUMN: u8 = 4;
/// Flag: there is an NFA.
pub const NFA: u8 = 8;
/// Flag: matches begin at the start of the haystack only.
pub const ANCHORED: u8 = 16;

/// Table entry, counted down from the highest value of its width: a match.
pub const MATCH: u16 = 0;
/// Table entry, counted down: no match, whatever follows.
pub const NO: u16 = 1;
/// Table entry, counted down: the NFA has to decide.
pub const MAYBE: u16 = 2;
/// Number of table entries that are no row.
pub const SPECIAL: usize = 3;

/// Operation: match.
pub const OP_MATCH: u32 = 0;
/// Operation: a byte of class set `argument`, then the successor.
pub const OP_BYTE: u32 = 1;
/// Operation: optionally a byte of a class set, preferably one.
pub const OP_OPTION: u32 = 2;
/// Operation: optionally a byte of a class set, preferably none.
pub const OP_OPTION_LAZY: u32 = 3;
/// Operation: any number of bytes of a class set, preferably many.
pub const OP_STAR: u32 = 4;
/// Operation: any number of bytes of a class set, preferably few.
pub const OP_STAR_LAZY: u32 = 5;
/// Operation: `argument` successors, in the lists from `successor` on.
pub const OP_UNION: u32 = 6;
/// Operation: note the position in slot `argument`.
pub const OP_CAPTURE: u32 = 7;
/// Operation: go on if assertion `argument` holds.
pub const OP_LOOK: u32 = 8;
/// Operation: nothing matches.
pub const OP_FAIL: u32 = 9;

/// Assertion: start of the haystack.
pub const LOOK_START: u32 = 0;
/// Assertion: end of the haystack.
pub const LOOK_END: u32 = 1;
/// Assertion: start of a line.
pub const LOOK_START_LINE: u32 = 2;
/// Assertion: end of a line.
pub const LOOK_END_LINE: u32 = 3;
/// Assertion: ASCII word boundary.
pub const LOOK_WORD: u32 = 4;
/// Assertion: no ASCII word boundary.
pub const LOOK_NOT_WORD: u32 = 5;

/// Class set: word bytes.
pub const SET_WORD: u32 = 0;
/// Class set: the line feed.
pub const SET_LINE: u32 = 1;

/// Largest number of states of an NFA, and of entries in its lists.
pub const MAX_STATES: usize = 0xffff;
/// Largest argument of a state.
pub const MAX_ARGUMENT: usize = 0xfff;
/// Largest number of groups, the whole match included.
pub const MAX_GROUPS: usize = 10;
