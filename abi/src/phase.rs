//! The phases of a transaction, their exports, and what a phase returns.

use crate::codec::DecodeError;

/// Name of the export that is the guest's linear memory.
pub const EXPORT_MEMORY: &str = "memory";
/// Name of the export `() -> u32` that returns the packed [`AbiVersion`](crate::AbiVersion).
pub const EXPORT_ABI: &str = "picket_abi";
/// Name of the export `(len: u32) -> u32` that returns the address of the input buffer, 0 to refuse.
pub const EXPORT_INPUT: &str = "picket_input";

/// A call into the guest. Each has an export `(len: u32) -> u64` of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Phase {
    /// [`Configure`](crate::Configure): before the first transaction of an instance.
    Configure = 0,
    /// [`RequestHead`](crate::RequestHead): begins a transaction.
    RequestHead = 1,
    /// [`BodyChunk`](crate::BodyChunk) of the request; the last one has its end flag set.
    RequestBody = 2,
    /// [`ResponseHead`](crate::ResponseHead).
    ResponseHead = 3,
    /// [`BodyChunk`](crate::BodyChunk) of the response.
    ResponseBody = 4,
    /// [`FailureReport`](crate::FailureReport): the transaction failed outside this filter.
    Error = 5,
    /// [`TransactionLog`](crate::TransactionLog): the transaction is over; the outcome's action is ignored.
    Log = 6,
}

impl Phase {
    /// All phases, in the order of a transaction.
    pub const ALL: [Phase; 7] = [
        Phase::Configure,
        Phase::RequestHead,
        Phase::RequestBody,
        Phase::ResponseHead,
        Phase::ResponseBody,
        Phase::Error,
        Phase::Log,
    ];

    /// The name of the guest's export.
    pub const fn export(self) -> &'static str {
        match self {
            Phase::Configure => "picket_configure",
            Phase::RequestHead => "picket_request_head",
            Phase::RequestBody => "picket_request_body",
            Phase::ResponseHead => "picket_response_head",
            Phase::ResponseBody => "picket_response_body",
            Phase::Error => "picket_error",
            Phase::Log => "picket_log",
        }
    }

    /// The name in manifests, configuration and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Configure => "configure",
            Phase::RequestHead => "request_head",
            Phase::RequestBody => "request_body",
            Phase::ResponseHead => "response_head",
            Phase::ResponseBody => "response_body",
            Phase::Error => "error",
            Phase::Log => "log",
        }
    }
}

/// A set of phases. On the wire: one byte, bit `n` for the phase with number `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PhaseSet(u8);

impl PhaseSet {
    /// No phase.
    pub const EMPTY: PhaseSet = PhaseSet(0);

    /// This set and `phase`.
    #[must_use]
    pub const fn with(self, phase: Phase) -> Self {
        PhaseSet(self.0 | 1 << phase as u8)
    }

    /// Whether `phase` is in the set.
    pub const fn contains(self, phase: Phase) -> bool {
        self.0 & 1 << phase as u8 != 0
    }

    /// Whether no phase is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn check(self) -> Result<(), DecodeError> {
        if self.0 >> Phase::ALL.len() == 0 {
            Ok(())
        } else {
            Err(DecodeError::OutOfRange { what: "phase set", value: self.0 as u32 })
        }
    }

    /// The phases in the set, in the order of a transaction.
    pub fn iter(self) -> impl Iterator<Item = Phase> {
        Phase::ALL.into_iter().filter(move |&phase| self.contains(phase))
    }
}

/// What a phase returns: where the guest put its [`Outcome`](crate::Outcome), `ptr << 32 | len`.
///
/// Only an allegation: the host checks it against the memory before it looks. The value 0 is
/// "continue, nothing to say".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PackedSlice {
    /// Address of the first byte in linear memory.
    pub ptr: u32,
    /// Length in bytes.
    pub len: u32,
}

impl PackedSlice {
    /// "Continue, nothing to say".
    pub const NOTHING: PackedSlice = PackedSlice { ptr: 0, len: 0 };

    /// The two halves of a phase's return value.
    pub const fn unpack(packed: u64) -> Self {
        PackedSlice { ptr: (packed >> 32) as u32, len: packed as u32 }
    }

    /// The return value of a phase.
    pub const fn pack(self) -> u64 {
        (self.ptr as u64) << 32 | self.len as u64
    }
}
