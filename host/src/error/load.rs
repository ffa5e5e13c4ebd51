//! Why a module is not taken.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use picket_abi::{AbiVersion, Capability, DecodeError, HostFn, Incompatible, Phase};

use super::{Culprit, Error, words};
use crate::metadata::ModuleDigest;

/// A module is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LoadError {
    /// The module is longer than the policy allows.
    TooLong {
        /// Bytes it may have.
        limit: usize,
        /// Bytes it has.
        actual: usize,
    },
    /// The bytes are no module, or one that needs a WebAssembly feature that is off.
    Invalid {
        /// Bytes from the start of the module.
        offset: usize,
        /// What is wrong there.
        message: Box<str>,
    },
    /// The custom section `picket.manifest` holds no manifest.
    Manifest(DecodeError),
    /// An export that the ABI asks for is missing.
    MissingExport {
        /// Its name.
        name: &'static str,
    },
    /// An export of the ABI has another type.
    ExportType {
        /// Its name.
        name: &'static str,
        /// The type the ABI gives it.
        expected: &'static str,
        /// The type it has.
        found: String,
    },
    /// No phase is exported.
    NoPhase,
    /// The manifest names a phase that is not exported.
    PhaseNotExported {
        /// The phase.
        phase: Phase,
    },
    /// An import from another module than `picket`: WASI, for instance.
    ForeignImport {
        /// Name of the module.
        module: String,
        /// Name of the import.
        name: String,
    },
    /// An import from `picket` that no host function has the name of.
    UnknownImport {
        /// Its name.
        name: String,
    },
    /// A host function is imported with another type.
    ImportType {
        /// The function.
        function: HostFn,
        /// The type the ABI gives it.
        expected: String,
        /// The type it is imported with.
        found: String,
    },
    /// A host function is imported that the policy does not grant.
    ImportNotGranted {
        /// The function.
        function: HostFn,
        /// The capability that the policy would have to grant.
        capability: Capability,
    },
    /// The manifest asks for a capability that the policy does not grant.
    CapabilityNotGranted {
        /// The capability.
        capability: Capability,
    },
    /// The module starts with more memory than it may have.
    Memory {
        /// Bytes it may have.
        limit: usize,
        /// Bytes it starts with.
        initial: u64,
    },
    /// The module's tables start with more elements than they may have.
    Table {
        /// Elements they may have together.
        limit: usize,
        /// Elements they start with.
        initial: u64,
    },
    /// The module has more tables than it may have.
    Tables {
        /// Tables it may have.
        limit: u32,
        /// Tables it has.
        actual: u32,
    },
    /// The module was built for another version of the ABI.
    Abi {
        /// The version it was built for.
        guest: AbiVersion,
        /// Which side to upgrade.
        incompatible: Incompatible,
    },
    /// An import or export has a name that is reserved for metering: the module is metered already, or
    /// pretends to be, and its digest is not among those that are trusted.
    ReservedName {
        /// The name.
        name: String,
    },
    /// The module cannot be metered.
    Unmeterable {
        /// Bytes from the start of the module.
        offset: usize,
        /// Why.
        message: Box<str>,
    },
    /// This host cannot meter, and the module is none that is trusted to be metered.
    NotMetered {
        /// Its digest.
        digest: ModuleDigest,
    },
    /// The module counts for itself, and the policy wants the engine to count.
    MeteredForNative,
    /// The engine does not take the module.
    Engine {
        /// The engine's own words.
        message: Box<str>,
    },
    /// The first instance failed to come up: in its start function or in `picket_abi`.
    Start(Error),
    /// The first instance failed to configure itself, or refused.
    Configure(Error),
}

impl LoadError {
    /// An engine does not take the module.
    pub fn engine(message: impl fmt::Display) -> Self {
        LoadError::Engine { message: words(message) }
    }

    /// Who has to act.
    pub const fn culprit(&self) -> Culprit {
        match self {
            LoadError::Invalid { .. }
            | LoadError::Manifest(_)
            | LoadError::MissingExport { .. }
            | LoadError::ExportType { .. }
            | LoadError::NoPhase
            | LoadError::PhaseNotExported { .. }
            | LoadError::ForeignImport { .. }
            | LoadError::UnknownImport { .. }
            | LoadError::ReservedName { .. }
            | LoadError::Unmeterable { .. }
            | LoadError::ImportType { .. } => Culprit::Guest,
            LoadError::TooLong { .. }
            | LoadError::Memory { .. }
            | LoadError::Table { .. }
            | LoadError::Tables { .. } => Culprit::Limit,
            LoadError::ImportNotGranted { .. }
            | LoadError::CapabilityNotGranted { .. }
            | LoadError::NotMetered { .. }
            | LoadError::MeteredForNative => Culprit::Configuration,
            LoadError::Abi { incompatible, .. } => match incompatible {
                Incompatible::UpgradeGuest => Culprit::Guest,
                Incompatible::UpgradeHost => Culprit::Host,
            },
            LoadError::Engine { .. } => Culprit::Host,
            LoadError::Start(error) | LoadError::Configure(error) => error.culprit(),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::TooLong { limit, actual } => {
                write!(f, "the module has {actual} bytes, may have {limit}")
            }
            LoadError::Invalid { offset, message } => {
                write!(f, "no valid module: {message} (at byte {offset:#x})")
            }
            LoadError::Manifest(error) => {
                write!(f, "no manifest in the section `{}`: {error}", picket_abi::MANIFEST_SECTION)
            }
            LoadError::MissingExport { name } => write!(f, "the export `{name}` is missing"),
            LoadError::ExportType { name, expected, found } => {
                write!(f, "the export `{name}` is {found}, should be {expected}")
            }
            LoadError::NoPhase => f.write_str("no phase is exported: the filter would never be called"),
            LoadError::PhaseNotExported { phase } => write!(
                f,
                "the manifest names the phase {}, but there is no export `{}`",
                phase.name(),
                phase.export()
            ),
            LoadError::ForeignImport { module, name } => write!(
                f,
                "imports `{}` from `{}`: filters can import from `{}` only",
                name.escape_debug(),
                module.escape_debug(),
                picket_abi::IMPORT_MODULE
            ),
            LoadError::UnknownImport { name } => {
                write!(f, "imports `{}`, which is no host function", name.escape_debug())
            }
            LoadError::ImportType { function, expected, found } => {
                write!(f, "imports `{}` as {found}, it is {expected}", function.name())
            }
            LoadError::ImportNotGranted { function, capability } => write!(
                f,
                "imports `{}`: the policy does not grant the capability `{}`",
                function.name(),
                capability.name()
            ),
            LoadError::CapabilityNotGranted { capability } => write!(
                f,
                "the manifest asks for the capability `{}`, which the policy does not grant",
                capability.name()
            ),
            LoadError::Memory { limit, initial } => {
                write!(f, "starts with {initial} bytes of memory, may have {limit}")
            }
            LoadError::Table { limit, initial } => {
                write!(f, "starts with {initial} table elements, may have {limit}")
            }
            LoadError::Tables { limit, actual } => write!(f, "has {actual} tables, may have {limit}"),
            LoadError::Abi { guest, incompatible } => write!(
                f,
                "built for version {guest} of the ABI, this host speaks {}: {incompatible}",
                AbiVersion::CURRENT
            ),
            LoadError::ReservedName { name } => write!(
                f,
                "uses the name `{}`, which is reserved for metering: load the module as it was before, or \
                 trust this one by its digest",
                name.escape_debug()
            ),
            LoadError::Unmeterable { message, .. } => write!(f, "cannot be metered: {message}"),
            LoadError::NotMetered { digest } => write!(
                f,
                "this host cannot meter, and the module {digest} is none that it trusts to be metered: meter \
                 it with `picket module meter` and name the digest of the result in the build"
            ),
            LoadError::MeteredForNative => f.write_str(
                "the module is metered already: it needs canonical metering, or load it as it was before",
            ),
            LoadError::Engine { message } => write!(f, "the engine refuses the module: {message}"),
            LoadError::Start(error) => write!(f, "the first instance did not start: {error}"),
            LoadError::Configure(error) => write!(f, "the first instance was not configured: {error}"),
        }
    }
}

impl core::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            LoadError::Manifest(error) => Some(error),
            LoadError::Start(error) | LoadError::Configure(error) => Some(error),
            _ => None,
        }
    }
}
