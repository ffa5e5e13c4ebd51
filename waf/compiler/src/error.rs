//! Why a ruleset was not compiled.

use std::fmt;

/// Why a ruleset was not compiled, and where the fault is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The source is no TOML of the expected shape; the message has line and column.
    Syntax(toml::de::Error),
    /// A rule says something that cannot be compiled.
    Rule {
        /// Number of the rule.
        id: u32,
        /// The pattern, target or pipeline at fault.
        item: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// The ruleset as a whole exceeds what the layout can hold.
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much the layout holds.
        limit: usize,
    },
}

impl Error {
    pub(crate) fn rule(id: u32, item: impl Into<String>, problem: impl Into<String>) -> Self {
        Error::Rule { id, item: item.into(), problem: problem.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Syntax(error) => write!(f, "ruleset: {error}"),
            Error::Rule { id, item, problem } => write!(f, "rule {id}: {item}: {problem}"),
            Error::TooLarge { what, found, limit } => {
                write!(f, "{found} {what}, the blob holds at most {limit}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Syntax(error) => Some(error),
            _ => None,
        }
    }
}

/// Proves that a number fits the field it is written to.
pub(crate) fn fit<T: TryFrom<usize>>(what: &'static str, found: usize, limit: usize) -> Result<T, Error> {
    T::try_from(found).ok().filter(|_| found <= limit).ok_or(Error::TooLarge { what, found, limit })
}
