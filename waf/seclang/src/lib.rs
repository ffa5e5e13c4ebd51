//! # Picket SecLang engine
//!
//! Runs rules in ModSecurity's language that `picket-waf-compiler` has compiled to a blob.
//!
//! ```text
//! request ─ parse (query, cookies, form, multipart, JSON, XML) ─▶ collections
//! collections ─ transformations (shared prefixes) ─▶ variants ─ one scan each ─▶ candidates
//! rules, in order ─ candidates ─ operators ─▶ matches ─ actions, scores ─▶ interruption
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod body;
mod engine;
pub mod format;
pub mod operator;
pub mod request;
mod ruleset;
pub mod scan;
pub mod transform;
mod variable;

pub use engine::{Guard, Interruption, MAX_BODY, Matched, NoServices, Services, Settings, Transaction, Verb};
pub use ruleset::{BlobError, RuleSet, checksum};
pub use variable::Variable;
