//! What goes wrong, whose fault it is, and what follows from it.
//!
//! ```text
//! engine error ─▶ Trap ─┐
//! host function ─▶ …    ├─▶ Error ── with OnFailure ──▶ Consequence
//! answer checked ─▶ …  ─┘
//! bytes of a module ─▶ LoadError
//! ```

mod load;

use alloc::boxed::Box;
use core::fmt;

use picket_abi::{DecodeError, HostFn, HostStatus, PackedSlice, Phase};

use crate::limits::{Fuel, Micros};
use crate::policy::OnFailure;

pub use load::LoadError;

/// Who has to act when something fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

/// What an engine says, where there is room for what puts it into words.
pub(crate) fn words(message: impl fmt::Display) -> Box<str> {
    #[cfg(feature = "text")]
    return alloc::format!("{message}").into_boxed_str();
    #[cfg(not(feature = "text"))]
    {
        let _unsaid = message;
        Box::default()
    }
}

/// A filter failed while it was running.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
        Error::Host(HostFault::Engine { message: words(message) })
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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
