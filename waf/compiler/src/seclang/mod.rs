//! # From SecLang files to a ruleset
//!
//! ```text
//! files ─ syntax ─▶ rules ─ program (order, jumps) ─ fold (what no request decides) ─▶ rules left
//! operators ─ regex, phrases ─▶ tables ─┐
//! literals, byte sets ─ scan ─▶ tables ─┴─ emit ─▶ blob
//! ```
//!
//! Equal input gives equal blobs. What the engine reads is [`picket_seclang::format`].

mod emit;
mod error;
mod explain;
mod fold;
pub mod phrases;
mod program;
pub mod scan;
mod summary;
pub mod syntax;

pub use emit::blob::strip_sources;
pub use error::Error;
pub use explain::{ExplainError, ExplainedLink, ExplainedOperator, Explanation, explain};
pub use summary::{MatcherSummary, Regexes, Summary};

use fold::Folded;
use program::Program;
use syntax::{Configuration, Diagnostic, Level};

/// Directives to begin with, as ModSecurity's recommended file has them in function: bodies are read,
/// JSON and XML are parsed as such, and requests that cannot be parsed are refused.
pub const BASE: &str = include_str!("base.conf");

/// How a configuration is compiled.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Warnings and what is left out are errors.
    pub strict: bool,
    /// What no request decides is decided here.
    pub fold: bool,
    /// Bytes that the table of one regex may take.
    pub table_limit: usize,
    /// Arguments of operators are kept as written, for [`explain`].
    pub sources: bool,
    /// Called with operators done and operators to do.
    pub progress: Option<&'a dyn Fn(usize, usize)>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            strict: false,
            fold: true,
            table_limit: crate::regex::Options::default().table_limit,
            sources: true,
            progress: None,
        }
    }
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("strict", &self.strict)
            .field("fold", &self.fold)
            .field("table_limit", &self.table_limit)
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

/// A compiled ruleset.
#[derive(Debug)]
pub struct Compiled {
    /// The blob, for [`RuleSet::load`](picket_seclang::RuleSet::load).
    pub blob: Vec<u8>,
    /// What it consists of.
    pub summary: Summary,
    /// What is not done as the files say, the parser's words first.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles a configuration.
///
/// # Errors
/// [`Error::Strict`] with [`Options::strict`] where anything is not done as the files say;
/// [`Error::TooLarge`] where the layout ends.
pub fn compile(mut configuration: Configuration, options: &Options<'_>) -> Result<Compiled, Error> {
    let mut diagnostics = std::mem::take(&mut configuration.diagnostics);
    let mut program = Program::new(&mut configuration);
    for &at in &program.without_marker {
        let rule = &program.steps[at].rule;
        let name = rule.skip_after.as_deref().unwrap_or_default();
        diagnostics.push(Diagnostic {
            level: Level::Warning,
            place: rule.head().place.clone(),
            text: format!(
                "rule {}: skipAfter names {:?}, and no marker of that name follows: the rest of the phase is skipped",
                rule.id,
                String::from_utf8_lossy(name)
            ),
            rule_left_out: None,
        });
    }
    let folded = if options.fold { fold::fold(&mut program) } else { Folded::default() };
    let (blob, summary, problems) = emit::emit(&program, &configuration.directives, &folded, options)?;
    diagnostics.extend(problems);
    if options.strict {
        let serious: Vec<Diagnostic> =
            diagnostics.iter().filter(|diagnostic| diagnostic.level >= Level::Warning).cloned().collect();
        if !serious.is_empty() {
            return Err(Error::Strict(serious));
        }
    }
    Ok(Compiled { blob, summary, diagnostics })
}
