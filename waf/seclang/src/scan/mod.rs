//! What a value could match, told before any operator runs.
//!
//! Every value passes here once, so this is the part that pays for each byte of a request. Two
//! questions are answered: which literals occur ([`Scanner::scan`]: one look at a 32 KiB bitmap a
//! byte, a table and an eight-byte comparison where a bit is set) and which byte sets have a byte
//! ([`Scanner::present`]). Neither misses anything; what they report in excess the operator
//! that runs next sorts out. [`PhraseSet`] is such an operator: `@pm` and `@pmFromFile`, exactly.
//!
//! All tables are read in place. Bytes that are no tables are refused or find nothing; no bytes make
//! anything here panic.

mod glance;
pub mod layout;
mod phrases;
mod scanner;

pub use glance::Glance;
pub use phrases::PhraseSet;
pub use scanner::Scanner;
