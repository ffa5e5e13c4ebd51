//! Why a module is not metered.

use core::fmt;

use wasmparser::BinaryReaderError;

/// Why a module is not metered. Every variant tells where in the module.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MeterError {
    /// The bytes are no module.
    Malformed {
        /// Bytes from the start of the module.
        offset: usize,
        /// What is wrong there.
        message: &'static str,
    },
    /// The bytes are no module, in the parser's words.
    Parse(BinaryReaderError),
    /// WebAssembly that has no price.
    Unsupported {
        /// Bytes from the start of the module.
        offset: usize,
        /// What stands there.
        what: &'static str,
    },
    /// The module uses a name that is reserved for what the pass adds: it is metered already, or
    /// pretends to be.
    ReservedName {
        /// Bytes from the start of the module.
        offset: usize,
    },
    /// A function has so many locals that there is no room for those that count.
    TooManyLocals {
        /// Bytes from the start of the module.
        offset: usize,
        /// Locals that a function may have.
        limit: u32,
    },
    /// The metered module would become too long.
    TooLarge {
        /// Bytes of the module that had been read.
        offset: usize,
        /// Bytes that it may have.
        limit: usize,
    },
}

impl MeterError {
    /// Where in the module, in bytes from its start.
    pub fn offset(&self) -> usize {
        match self {
            MeterError::Parse(error) => error.offset(),
            MeterError::Malformed { offset, .. }
            | MeterError::Unsupported { offset, .. }
            | MeterError::ReservedName { offset }
            | MeterError::TooManyLocals { offset, .. }
            | MeterError::TooLarge { offset, .. } => *offset,
        }
    }
}

impl fmt::Display for MeterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MeterError::Malformed { message, .. } => write!(f, "no valid module: {message}")?,
            MeterError::Parse(error) => write!(f, "no valid module: {}", error.message())?,
            MeterError::Unsupported { what, .. } => write!(f, "{what} cannot be metered")?,
            MeterError::ReservedName { .. } => write!(
                f,
                "a name that starts with `{}` is reserved for metering: meter the module as it was before",
                crate::RESERVED_PREFIX
            )?,
            MeterError::TooManyLocals { limit, .. } => {
                write!(f, "a function has no room for the locals that count: it may have {limit}")?;
            }
            MeterError::TooLarge { limit, .. } => write!(f, "metered it has more than {limit} bytes")?,
        }
        write!(f, " (at byte {:#x})", self.offset())
    }
}

impl core::error::Error for MeterError {}

impl From<BinaryReaderError> for MeterError {
    fn from(error: BinaryReaderError) -> Self {
        MeterError::Parse(error)
    }
}

/// A module that is none.
pub(crate) fn malformed(offset: usize, message: &'static str) -> MeterError {
    MeterError::Malformed { offset, message }
}

/// WebAssembly that has no price.
pub(crate) fn unsupported(offset: usize, what: &'static str) -> MeterError {
    MeterError::Unsupported { offset, what }
}
