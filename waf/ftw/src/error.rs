//! Why a test could not be read or its request not be built.

use std::{fmt, io, path::PathBuf};

/// Why tests could not be read, or a request not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is no YAML of the expected shape; the message has line and column.
    Yaml {
        /// The file.
        file: String,
        /// What the parser said.
        source: serde_yaml_ng::Error,
    },
    /// A field that holds base64 does not.
    Base64 {
        /// The field.
        field: &'static str,
        /// Where and how it goes wrong.
        source: base64::DecodeError,
    },
    /// A template says something beyond the functions implemented here.
    Template {
        /// The template, without its braces.
        template: String,
        /// What is not understood.
        problem: &'static str,
    },
    /// A regular expression of a test does not compile.
    Regex {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Error::Yaml { file, source } => write!(f, "{file}: {source}"),
            Error::Base64 { field, source } => write!(f, "{field} is not base64: {source}"),
            Error::Template { template, problem } => write!(f, "template `{template}`: {problem}"),
            Error::Regex { pattern, problem } => write!(f, "expression `{pattern}`: {problem}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Yaml { source, .. } => Some(source),
            Error::Base64 { source, .. } => Some(source),
            Error::Template { .. } | Error::Regex { .. } => None,
        }
    }
}
