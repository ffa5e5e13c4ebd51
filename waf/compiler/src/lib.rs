//! # Picket WAF compiler
//!
//! ```text
//! rules (TOML) ─ source ─▶ checks ─ literals ─▶ prefilter ─┐
//!                             └──── automaton ─▶ tables ───┴─ emit ─▶ blob
//! ```
//!
//! Everything that can be decided before a request arrives is decided here, on a workstation; what
//! is left for the guest are tables. The layout of the blob is [`picket_waf::format`].
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod automaton;
mod emit;
mod error;
mod literals;
mod needs;
mod prefilter;
pub mod regex;
pub mod seclang;
mod source;
mod summary;

pub use error::Error;
pub use summary::{PatternSummary, Summary};

/// A compiled ruleset.
#[derive(Debug)]
pub struct Compiled {
    /// The blob, for [`RuleSet::load`](picket_waf::RuleSet::load).
    pub blob: Vec<u8>,
    /// What it consists of.
    pub summary: Summary,
}

/// Compiles a ruleset from its TOML source.
///
/// # Errors
/// [`Error`] names the rule and the pattern at fault.
///
/// ```
/// let source = r#"
/// [[pipeline]]
/// name = "url"
/// transformations = ["urlDecodeDeep"]
///
/// [[rule]]
/// id = 1
/// message = "a word"
/// severity = "critical"
/// category = "test"
/// [[rule.detect]]
/// targets = ["ARGS"]
/// pipeline = "url"
/// patterns = ['''\bpicket\b''']
/// "#;
/// let compiled = picket_waf_compiler::compile(source).unwrap();
/// assert!(picket_waf::RuleSet::load(&compiled.blob).is_ok());
/// ```
pub fn compile(source: &str) -> Result<Compiled, Error> {
    emit::emit(source::Source::parse(source)?, DENSE_ROWS)
}

/// The same rules in less room: the same verdicts, and a longer way to them where a value looks like
/// the beginning of something.
///
/// # Errors
/// See [`Error`].
pub fn compile_compact(source: &str) -> Result<Compiled, Error> {
    emit::emit(source::Source::parse(source)?, COMPACT_DENSE_ROWS)
}

/// States of the sweep that are full rows: those in which clean traffic spends nearly all of its time.
const DENSE_ROWS: usize = 184;
/// The same where memory is scarce.
const COMPACT_DENSE_ROWS: usize = 96;
