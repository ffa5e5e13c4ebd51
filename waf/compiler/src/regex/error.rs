//! What can be wrong with a pattern.

use std::fmt;

/// A pattern that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The pattern uses what a linear engine cannot do.
    Unsupported {
        /// Where, in bytes from the start of the pattern.
        offset: usize,
        /// What.
        what: &'static str,
    },
    /// The pattern is no regular expression.
    Syntax {
        /// Where, in bytes from the start of the pattern.
        offset: usize,
        /// What is wrong.
        message: String,
    },
    /// The pattern has too many states or class sets.
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unsupported { offset, what } => {
                write!(f, "{what} at offset {offset} of the pattern is not supported")
            }
            Error::Syntax { offset, message } => write!(f, "{message} at offset {offset} of the pattern"),
            Error::TooLarge { what, limit } => write!(f, "the pattern has more than {limit} {what}"),
        }
    }
}

impl std::error::Error for Error {}
