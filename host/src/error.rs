//! What goes wrong, whose fault it is, and what follows from it.
//!
//! ```text
//! engine error ─▶ Trap ─┐
//! host function ─▶ …    ├─▶ Error ── with OnFailure ──▶ Consequence
//! answer checked ─▶ …  ─┘
//! bytes of a module ─▶ LoadError
//! ```

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use picket_abi::{AbiVersion, Capability, DecodeError, HostFn, HostStatus, Incompatible, PackedSlice, Phase};

use crate::limits::{Fuel, Micros};
use crate::metadata::ModuleDigest;
use crate::policy::OnFailure;

/// Who has to act when something fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Culprit {
    /// The filter is faulty or hostile: its author.
    Guest,
    /// The filter wanted more than it may have: its author, or whoever set the limit.
    Limit,
    /// The configuration or the policy does not go with the filter: the operator.
    Configuration,
    /// The host or its environment: us, or the machine.
    Host,
}

impl Culprit {
    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Culprit::Guest => "guest",
            Culprit::Limit => "limit",
            Culprit::Configuration => "configuration",
            Culprit::Host => "host",
        }
    }
}

/// A declared limit that a filter ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// The fuel of the call is used up.
    Fuel {
        /// What there was.
        limit: Fuel,
    },
    /// The time of the call is over.
    Deadline {
        /// What there was.
        limit: Micros,
    },
    /// The guest gave up after its memory was not allowed to grow.
    Memory {
        /// Bytes it may have.
        bytes: usize,
        /// Bytes it wanted.
        wanted: usize,
    },
    /// The guest gave up after its tables were not allowed to grow.
    Table {
        /// Elements it may have.
        elements: usize,
        /// Elements it wanted.
        wanted: usize,
    },
    /// Calls nested too deep.
    Stack,
    /// Host functions were called too often.
    HostCalls {
        /// Calls it may make.
        calls: u32,
    },
    /// The arguments of host functions add up to too much.
    HostCallBytes {
        /// Bytes they may have.
        bytes: usize,
    },
    /// The outcome is too long.
    Output {
        /// Bytes it may have.
        bytes: usize,
        /// Bytes the guest says it has.
        actual: u32,
    },
    /// Too many instances are alive.
    Instances {
        /// Instances there may be.
        instances: u32,
    },
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Fuel { limit } => write!(f, "used up its {limit}"),
            Limit::Deadline { limit } => write!(f, "ran longer than its {limit}"),
            Limit::Memory { bytes, wanted } => {
                write!(f, "wanted {wanted} bytes of memory, may have {bytes}")
            }
            Limit::Table { elements, wanted } => {
                write!(f, "wanted {wanted} table elements, may have {elements}")
            }
            Limit::Stack => f.write_str("nested its calls too deep"),
            Limit::HostCalls { calls } => write!(f, "made more than {calls} host calls"),
            Limit::HostCallBytes { bytes } => write!(f, "handed more than {bytes} bytes to host calls"),
            Limit::Output { bytes, actual } => {
                write!(f, "answered with {actual} bytes, may answer with {bytes}")
            }
            Limit::Instances { instances } => write!(f, "has {instances} instances alive already"),
        }
    }
}

impl core::error::Error for Limit {}

/// The guest's execution ended early, by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trap {
    /// It executed `unreachable` without reporting a panic.
    Unreachable,
    /// It panicked and said so.
    Panic {
        /// The panic's text, usually with file and line; cut to 4 KiB.
        message: Box<str>,
    },
    /// It accessed memory outside its memory.
    MemoryOutOfBounds,
    /// It accessed a table outside its elements.
    TableOutOfBounds,
    /// It called through a table element that is empty or of another type.
    IndirectCall,
    /// It divided by zero.
    DivisionByZero,
    /// An integer operation overflowed.
    IntegerOverflow,
    /// It converted a float that is no integer.
    BadConversion,
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trap::Unreachable => f.write_str("executed `unreachable`"),
            Trap::Panic { message } => write!(f, "panicked: {message}"),
            Trap::MemoryOutOfBounds => f.write_str("accessed memory out of bounds"),
            Trap::TableOutOfBounds => f.write_str("accessed a table out of bounds"),
            Trap::IndirectCall => f.write_str("called an empty or mistyped table element"),
            Trap::DivisionByZero => f.write_str("divided by zero"),
            Trap::IntegerOverflow => f.write_str("overflowed an integer"),
            Trap::BadConversion => f.write_str("converted a float that is no integer"),
        }
    }
}

impl core::error::Error for Trap {}

/// What a guest handed out is not what it is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestFault {
    /// The outcome does not lie in the guest's memory.
    OutcomeOutOfBounds {
        /// Where the guest says it lies.
        slice: PackedSlice,
        /// Bytes of memory there are.
        memory: usize,
    },
    /// The outcome is none.
    OutcomeMalformed(DecodeError),
    /// The input buffer does not lie in the guest's memory.
    InputOutOfBounds {
        /// Address and length of the buffer.
        slice: PackedSlice,
        /// Bytes of memory there are.
        memory: usize,
    },
    /// The guest has no room for a message.
    InputRefused {
        /// Bytes of the message.
        len: u32,
    },
    /// A header field that would be no HTTP, or that would break out of its line.
    InvalidHeader {
        /// Which part: `"name"`, `"value"`, `"location"`.
        part: &'static str,
        /// Bytes from the start of that part.
        offset: usize,
        /// The byte there; `None` if the part is empty and must not be.
        byte: Option<u8>,
    },
    /// A header field that frames the message: only the host writes it.
    ReservedHeader {
        /// The field.
        name: &'static str,
    },
    /// Header operations in a body phase, when the head is gone.
    LateHeaders {
        /// The phase.
        phase: Phase,
    },
    /// An argument of a host function does not lie in the guest's memory.
    HostArgument {
        /// The function.
        function: HostFn,
        /// The argument.
        slice: PackedSlice,
        /// Bytes of memory there are.
        memory: usize,
    },
    /// It refused its configuration.
    ConfigurationRefused {
        /// Why, in the guest's words; cut to 4 KiB.
        message: Box<str>,
    },
}

impl fmt::Display for GuestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GuestFault::OutcomeOutOfBounds { slice, memory } => write!(
                f,
                "answered with {} bytes at {:#x}, outside its {memory} bytes of memory",
                slice.len, slice.ptr
            ),
            GuestFault::OutcomeMalformed(error) => write!(f, "answered with no outcome: {error}"),
            GuestFault::InputOutOfBounds { slice, memory } => write!(
                f,
                "offered an input buffer of {} bytes at {:#x}, outside its {memory} bytes of memory",
                slice.len, slice.ptr
            ),
            GuestFault::InputRefused { len } => write!(f, "has no room for a message of {len} bytes"),
            GuestFault::InvalidHeader { part, offset, byte: Some(byte) } => {
                write!(f, "wrote a header whose {part} has the byte {byte:#04x} at {offset}")
            }
            GuestFault::InvalidHeader { part, byte: None, .. } => {
                write!(f, "wrote a header whose {part} is empty")
            }
            GuestFault::ReservedHeader { name } => {
                write!(f, "changed the header `{name}`, which is the host's")
            }
            GuestFault::LateHeaders { phase } => {
                write!(f, "changed headers in {}, when they had been sent on", phase.name())
            }
            GuestFault::HostArgument { function, slice, memory } => write!(
                f,
                "called `{}` with {} bytes at {:#x}, outside its {memory} bytes of memory",
                function.name(),
                slice.len,
                slice.ptr
            ),
            GuestFault::ConfigurationRefused { message } => {
                write!(f, "refused its configuration: {message}")
            }
        }
    }
}

impl core::error::Error for GuestFault {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            GuestFault::OutcomeMalformed(error) => Some(error),
            _ => None,
        }
    }
}

/// The host could not do its part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostFault {
    /// The engine failed in a way that a guest alone cannot bring about.
    Engine {
        /// The engine's own words.
        message: Box<str>,
    },
    /// The device that runs the filter does not answer.
    Device {
        /// How that shows.
        message: Box<str>,
    },
    /// A service that has no way to refuse did so.
    Service {
        /// The host function.
        function: HostFn,
        /// What the service said.
        status: HostStatus,
    },
}

impl fmt::Display for HostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostFault::Engine { message } => write!(f, "the engine failed: {message}"),
            HostFault::Device { message } => f.write_str(message),
            HostFault::Service { function, status } => {
                write!(f, "the service behind `{}` failed: {status}", function.name())
            }
        }
    }
}

impl core::error::Error for HostFault {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            HostFault::Engine { .. } | HostFault::Device { .. } => None,
            HostFault::Service { status, .. } => Some(status),
        }
    }
}

/// A filter failed at another place: another host ran it, and says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFault {
    /// Who has to act, in the other host's judgement.
    pub culprit: Culprit,
    /// The kind it is counted under.
    pub kind: FailureKind,
    /// How, in the other host's words.
    pub message: Box<str>,
}

impl fmt::Display for RemoteFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on its device: {}", self.message)
    }
}

impl core::error::Error for RemoteFault {}

/// A filter failed while it was running.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It ran into a limit.
    Limit(Limit),
    /// It trapped.
    Trap(Trap),
    /// What it handed out is not what it is said to be.
    Guest(GuestFault),
    /// It is not its fault.
    Host(HostFault),
    /// It failed where it ran, which was not here.
    Remote(RemoteFault),
}

impl Error {
    /// An error of the engine that no guest can bring about.
    pub fn engine(message: impl fmt::Display) -> Self {
        Error::Host(HostFault::Engine { message: alloc::format!("{message}").into_boxed_str() })
    }

    /// Who has to act.
    pub const fn culprit(&self) -> Culprit {
        match self {
            Error::Limit(_) => Culprit::Limit,
            Error::Guest(GuestFault::ConfigurationRefused { .. }) => Culprit::Configuration,
            Error::Trap(_) | Error::Guest(_) => Culprit::Guest,
            Error::Host(_) => Culprit::Host,
            Error::Remote(fault) => fault.culprit,
        }
    }

    /// The kind it is counted under.
    pub const fn kind(&self) -> FailureKind {
        match self {
            Error::Limit(limit) => match limit {
                Limit::Fuel { .. } => FailureKind::Fuel,
                Limit::Deadline { .. } => FailureKind::Deadline,
                Limit::Memory { .. } => FailureKind::Memory,
                Limit::Table { .. } => FailureKind::Table,
                Limit::Stack => FailureKind::Stack,
                Limit::HostCalls { .. } | Limit::HostCallBytes { .. } => FailureKind::HostCalls,
                Limit::Output { .. } => FailureKind::Output,
                Limit::Instances { .. } => FailureKind::Instances,
            },
            Error::Trap(Trap::Panic { .. }) => FailureKind::Panic,
            Error::Trap(_) => FailureKind::Trap,
            Error::Guest(fault) => match fault {
                GuestFault::OutcomeOutOfBounds { .. }
                | GuestFault::OutcomeMalformed(_)
                | GuestFault::LateHeaders { .. } => FailureKind::Outcome,
                GuestFault::InputOutOfBounds { .. } | GuestFault::InputRefused { .. } => FailureKind::Input,
                GuestFault::InvalidHeader { .. } | GuestFault::ReservedHeader { .. } => FailureKind::Header,
                GuestFault::HostArgument { .. } => FailureKind::HostArgument,
                GuestFault::ConfigurationRefused { .. } => FailureKind::Configuration,
            },
            Error::Host(_) => FailureKind::Host,
            Error::Remote(fault) => fault.kind,
        }
    }

    /// What follows for the transaction: the one place that decides.
    pub const fn consequence(&self, on_failure: OnFailure) -> Consequence {
        match (self, on_failure) {
            // The policy speaks about the filter. Whether it is its own fault or ours, the request
            // has not been inspected, and that is what the policy is about.
            (
                Error::Limit(_) | Error::Trap(_) | Error::Guest(_) | Error::Host(_) | Error::Remote(_),
                OnFailure::FailClosed { status },
            ) => Consequence::Answer { status },
            (
                Error::Limit(_) | Error::Trap(_) | Error::Guest(_) | Error::Host(_) | Error::Remote(_),
                OnFailure::FailOpen,
            ) => Consequence::GoOnWithout,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Limit(limit) => write!(f, "the filter {limit}"),
            Error::Trap(trap) => write!(f, "the filter {trap}"),
            Error::Guest(fault) => write!(f, "the filter {fault}"),
            Error::Host(fault) => fmt::Display::fmt(fault, f),
            Error::Remote(fault) => write!(f, "the filter failed {fault}"),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Error::Limit(limit) => Some(limit),
            Error::Trap(trap) => Some(trap),
            Error::Guest(fault) => Some(fault),
            Error::Host(fault) => Some(fault),
            Error::Remote(fault) => Some(fault),
        }
    }
}

impl From<Limit> for Error {
    fn from(limit: Limit) -> Self {
        Error::Limit(limit)
    }
}

impl From<Trap> for Error {
    fn from(trap: Trap) -> Self {
        Error::Trap(trap)
    }
}

impl From<GuestFault> for Error {
    fn from(fault: GuestFault) -> Self {
        Error::Guest(fault)
    }
}

impl From<RemoteFault> for Error {
    fn from(fault: RemoteFault) -> Self {
        Error::Remote(fault)
    }
}

impl From<HostFault> for Error {
    fn from(fault: HostFault) -> Self {
        Error::Host(fault)
    }
}

/// What a filter's failure means for its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// The client is answered with this status.
    Answer {
        /// Status code.
        status: u16,
    },
    /// The transaction goes on; the filter takes no further part in it.
    GoOnWithout,
}

/// The kinds of failure that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FailureKind {
    /// [`Limit::Fuel`]
    Fuel,
    /// [`Limit::Deadline`]
    Deadline,
    /// [`Limit::Memory`]
    Memory,
    /// [`Limit::Table`]
    Table,
    /// [`Limit::Stack`]
    Stack,
    /// [`Limit::HostCalls`] and [`Limit::HostCallBytes`]
    HostCalls,
    /// [`Limit::Output`]
    Output,
    /// [`Limit::Instances`]
    Instances,
    /// Any [`Trap`] but a panic.
    Trap,
    /// [`Trap::Panic`]
    Panic,
    /// An outcome out of bounds, malformed, or out of place.
    Outcome,
    /// An input buffer out of bounds, or none.
    Input,
    /// An invalid or reserved header field.
    Header,
    /// [`GuestFault::HostArgument`]
    HostArgument,
    /// [`GuestFault::ConfigurationRefused`]
    Configuration,
    /// [`HostFault`]
    Host,
}

impl FailureKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [FailureKind; 16] = [
        FailureKind::Fuel,
        FailureKind::Deadline,
        FailureKind::Memory,
        FailureKind::Table,
        FailureKind::Stack,
        FailureKind::HostCalls,
        FailureKind::Output,
        FailureKind::Instances,
        FailureKind::Trap,
        FailureKind::Panic,
        FailureKind::Outcome,
        FailureKind::Input,
        FailureKind::Header,
        FailureKind::HostArgument,
        FailureKind::Configuration,
        FailureKind::Host,
    ];

    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            FailureKind::Fuel => "fuel",
            FailureKind::Deadline => "deadline",
            FailureKind::Memory => "memory",
            FailureKind::Table => "table",
            FailureKind::Stack => "stack",
            FailureKind::HostCalls => "host_calls",
            FailureKind::Output => "output",
            FailureKind::Instances => "instances",
            FailureKind::Trap => "trap",
            FailureKind::Panic => "panic",
            FailureKind::Outcome => "outcome",
            FailureKind::Input => "input",
            FailureKind::Header => "header",
            FailureKind::HostArgument => "host_argument",
            FailureKind::Configuration => "configuration",
            FailureKind::Host => "host",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A module is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        LoadError::Engine { message: alloc::format!("{message}").into_boxed_str() }
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
