//! What is wrong with a configuration, and where.

use std::path::PathBuf;
use std::{fmt, io};

/// One thing that is wrong, where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Dotted key, `upstream.app.urls.0`; empty where no key is to blame.
    pub key: String,
    /// What is wrong with it, for people.
    pub message: String,
}

/// A configuration that cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file was read, and says what cannot be. Every problem is listed, not the first alone.
    Invalid {
        /// The file, or whatever stands for it.
        file: PathBuf,
        /// At least one, in the order of the file.
        problems: Vec<Problem>,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Unreadable { file, .. } => write!(f, "{} cannot be read", file.display()),
            ConfigError::Invalid { file, problems } => {
                for (n, Problem { line, column, key, message }) in problems.iter().enumerate() {
                    if n > 0 {
                        f.write_str("\n")?;
                    }
                    write!(f, "{}:{line}:{column}: ", file.display())?;
                    if !key.is_empty() {
                        write!(f, "{key}: ")?;
                    }
                    f.write_str(message)?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConfigError::Unreadable { source, .. } => Some(source),
            ConfigError::Invalid { .. } => None,
        }
    }
}
