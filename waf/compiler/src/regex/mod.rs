//! Regular expressions as WAF rules write them, compiled to what [`picket_regex`] runs.
//!
//! ```text
//! pattern ─ pcre ─▶ syntax ─┬─ build ─▶ NFA ─ automaton ─▶ table ─┬─ encode ─▶ bytes
//!                           │            └─────────────────────────┘
//!                           └─ literals, needs ─▶ requirements
//! ```
//!
//! Patterns are PCRE's, as far as a linear engine can have them: no look-around, no back-references.
//! They run over bytes, with ASCII classes; the dot matches every byte.

mod automaton;
mod build;
mod encode;
mod error;
mod literals;
mod needs;
mod pcre;
mod sample;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, Look};

pub use error::Error;
pub use needs::ByteSet;
pub(crate) use needs::beyond;
pub use sample::benign;

/// How a pattern is compiled.
#[derive(Clone, Copy, Debug)]
pub struct Options<'s> {
    /// Letters match in both cases from the start of the pattern.
    pub case_insensitive: bool,
    /// `^` and `$` match at line feeds too.
    pub multi_line: bool,
    /// Positions of the match and its groups can be asked for: the NFA is kept whatever the table says.
    pub captures: bool,
    /// Bytes that the table may take, its class map aside; four times as many if it would leave more
    /// than one in a hundred of the sample undecided.
    pub table_limit: usize,
    /// Values of ordinary traffic, which the table should decide by itself; empty: [`benign`].
    pub sample: &'s [&'s [u8]],
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            case_insensitive: false,
            multi_line: false,
            captures: false,
            table_limit: 8 * 1024,
            sample: &[],
        }
    }
}

/// What became of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Representation {
    /// The table decides every haystack.
    Exact {
        /// Rows of the table.
        states: usize,
    },
    /// The table decides most; the NFA the rest.
    Frozen {
        /// Rows of the table.
        states: usize,
    },
    /// There is no table: the limit has no room for one.
    NfaOnly,
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// For [`picket_regex::Regex::new`].
    pub bytes: Vec<u8>,
    /// What the bytes hold.
    pub representation: Representation,
    /// Bytes of the table, its class map included.
    pub table_bytes: usize,
    /// Bytes of the NFA.
    pub nfa_bytes: usize,
    /// States of the NFA.
    pub nfa_states: usize,
    /// Groups of the pattern, the whole match not counted.
    pub groups: usize,
    /// Length of the shortest match, in bytes.
    pub min_len: usize,
}

/// What every match has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Lower-cased literals of which at least one occurs (ASCII case-insensitively) in every match;
    /// `None`: nothing must occur. Each has two bytes or more.
    pub literals: Option<Vec<Vec<u8>>>,
    /// Bytes that a match may have instead of a literal.
    pub signs: ByteSet,
    /// Byte sets of which each has a byte in every match, the most telling first.
    pub needs: Vec<ByteSet>,
    /// Length of the shortest match, in bytes.
    pub min_len: usize,
    /// Length of the longest, if there is one.
    pub max_len: Option<usize>,
}

/// Compiles a pattern.
///
/// # Errors
/// [`Error`] says what is wrong with the pattern and where.
///
/// ```
/// use picket_regex::{Cache, Regex};
/// use picket_waf_compiler::regex::{Options, compile};
///
/// let compiled = compile(r"union\s+select", &Options { case_insensitive: true, ..Options::default() }).unwrap();
/// let regex = Regex::new(&compiled.bytes);
/// assert!(regex.is_match(&mut Cache::default(), b"1 UNION  SELECT 2"));
/// ```
pub fn compile(pattern: &str, options: &Options<'_>) -> Result<Compiled, Error> {
    let hir = parse(pattern, options)?;
    let machine = build::build(&hir, options.captures)?;
    Ok(encode::encode(&hir, &machine, options))
}

/// What every match of a pattern has.
///
/// # Errors
/// [`Error`] says what is wrong with the pattern and where.
pub fn requirements(pattern: &str, options: &Options<'_>) -> Result<Requirements, Error> {
    let hir = parse(pattern, options)?;
    let sample = sample::Sample::of(options.sample);
    let needs = needs::required(&hir, &sample);
    let min_len = hir.properties().minimum_len().unwrap_or(0);
    let (literals, signs) = literals::required(&hir, &needs, min_len, &sample).unzip();
    Ok(Requirements {
        literals,
        signs: signs.unwrap_or_default(),
        needs,
        min_len,
        max_len: whole_length(&hir),
    })
}

/// Length of the longest value that matches: of a pattern that matches whole values alone.
fn whole_length(hir: &Hir) -> Option<usize> {
    let properties = hir.properties();
    let whole = properties.look_set_prefix().contains(Look::Start)
        && properties.look_set_suffix().contains(Look::End);
    properties.maximum_len().filter(|_| whole)
}

fn parse(pattern: &str, options: &Options<'_>) -> Result<Hir, Error> {
    let rewritten = pcre::rewrite(pattern)?;
    ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .case_insensitive(options.case_insensitive)
        .multi_line(options.multi_line)
        .build()
        .parse(&rewritten.text)
        .map_err(|error| rewritten.error(&error))
}
