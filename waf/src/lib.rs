//! # Picket WAF engine
//!
//! ```text
//! request ─ parse (query, cookies, form, multipart, JSON) ─▶ values
//! values ─ one prefilter sweep ─▶ candidate patterns ─ transformations, automata ─▶ matches
//! matches ─ allow-list, scoring ─▶ verdict
//! ```
//!
//! 1. **Rules are data.** A [`RuleSet`] is a view of a blob that was compiled ahead of time; there
//!    is no parser for patterns here and no automaton is built; a table that runs often is unpacked.
//! 2. **Clean values cost one sweep.** The prefilter says which patterns could match and which
//!    transformations could change anything; nearly always the answer is none.
//! 3. **Every matcher is linear** in its input: tables, no backtracking.
//! 4. **Bodies stream.** Parsers keep bounded state, so that any length is inspected in the same
//!    memory.
//!
//! `no_std` + `alloc`, no native dependency.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod automata;
mod blob;
mod body;
mod config;
mod crc;
mod dfa;
mod inspect;
mod prefilter;
mod present;
mod request;
mod transform;
mod urlencoded;
mod variable;
mod waf;

pub use blob::{BlobError, RuleInfo, RuleSet, format};
pub use config::{Allow, Config, ConfigError, Mode};
pub use crc::crc32;
pub use transform::Transformation;
pub use variable::Variable;
pub use waf::Waf;
