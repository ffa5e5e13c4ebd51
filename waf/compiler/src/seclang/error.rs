//! Why a configuration did not become a blob.

use std::fmt;

use super::syntax::Diagnostic;

/// Why a configuration did not become a blob.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// [`Options::strict`](super::Options::strict) is set, and something is not done as the files say.
    Strict(Vec<Diagnostic>),
    /// There is more of something than the layout can hold.
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much the layout holds.
        limit: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Strict(diagnostics) => {
                write!(f, "{} problems, none is allowed", diagnostics.len())?;
                diagnostics.iter().try_for_each(|diagnostic| write!(f, "\n  {diagnostic}"))
            }
            Error::TooLarge { what, found, limit } => {
                write!(f, "{found} {what}, the blob holds at most {limit}")
            }
        }
    }
}

impl std::error::Error for Error {}

/// Proves that a number fits the field it is written to.
pub(super) fn fit<T: TryFrom<usize>>(what: &'static str, found: usize, limit: usize) -> Result<T, Error> {
    T::try_from(found).ok().filter(|_| found <= limit).ok_or(Error::TooLarge { what, found, limit })
}
