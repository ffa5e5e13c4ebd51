//! # Picket regular expressions
//!
//! ```text
//! bytes ─ view ─┬─ table ── no ─────────────▶ false
//!               │    ├───── match ──────────▶ true ── begin ── pike ─▶ spans
//!               │    └───── maybe ─┐
//!               └──────────────────┴─ lazy ─▶ exact answer
//! ```
//!
//! Patterns that were compiled ahead of time, run in place from their bytes: linear in the input,
//! no parser and no construction at start. A regex carries up to two machines: a dense *table*
//! (exact, or frozen at a size limit, with transitions that answer "maybe"), and the whole NFA, which
//! settles what the table leaves open and finds the spans of groups. Bytes are checked as they are
//! read: whatever they hold, nothing panics and every search ends.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod begin;
mod cache;
pub mod format;
mod lazy;
mod nfa;
mod pike;
mod regex;
mod table;

pub use cache::Cache;
pub use nfa::{Flags, Nfa, Outcome, Scratch};
pub use regex::Regex;
