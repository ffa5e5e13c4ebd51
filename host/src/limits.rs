//! What a filter may use: declared here, enforced by the chain and by every backend alike.

use core::fmt;

use crate::error::Limit;
use crate::metering::Metering;

/// Fuel: about one for each operator that is executed. Under [`Metering::Canonical`] an amount is the
/// same on every backend; under [`Metering::Native`] engines charge differently, and amounts can be
/// compared between runs on one backend only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fuel(pub u64);

impl fmt::Display for Fuel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} fuel", self.0)
    }
}

/// A span of time in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Micros(pub u64);

impl Micros {
    /// A span of that many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Micros(millis.saturating_mul(1_000))
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} µs", self.0)
    }
}

/// What one call into a guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Budget {
    /// Fuel.
    pub fuel: Fuel,
    /// Time, from the moment the call begins.
    pub deadline: Micros,
    /// Calls of host functions.
    pub host_calls: u32,
    /// Bytes that the arguments of host functions may add up to.
    pub host_call_bytes: usize,
}

/// Everything that bounds a filter.
///
/// `call` and `setup` are per call into the guest, the other amounts per instance or per module.
/// Start from a tier and change what differs:
///
/// ```
/// use picket_host::{Limits, Micros};
/// let mut limits = Limits::WAF;
/// limits.call.deadline = Micros::from_millis(2);
/// assert_eq!(limits.memory_bytes, 10_000_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limits {
    /// Who counts.
    pub metering: Metering,
    /// For one phase.
    pub call: Budget,
    /// For bringing up one instance: its start function, then `picket_configure`.
    pub setup: Budget,
    /// Linear memory of one instance, in bytes. A module that declares no maximum is held to this.
    pub memory_bytes: usize,
    /// Elements of all tables of one instance together.
    pub table_elements: usize,
    /// Tables of a module.
    pub tables: u32,
    /// Nested calls. Under canonical metering those of functions that can recurse, on every backend
    /// alike. Under native metering wasmi counts them all; a JIT has no such count and is bounded by
    /// `stack_bytes`.
    pub call_depth: u32,
    /// Stack of the guest's calls, in bytes. Under canonical metering each call of a function that can
    /// recurse is charged [`FRAME_BYTES`](crate::meter::FRAME_BYTES), and eight for each of its
    /// parameters, locals and operands; engines have room for twice that. Otherwise it is what the
    /// engine's own frames take.
    pub stack_bytes: usize,
    /// Instances of the filter that are alive at the same time.
    pub instances: u32,
    /// Length of an outcome, in bytes.
    pub output_bytes: usize,
    /// Length of the module, in bytes.
    pub module_bytes: usize,
    /// Largest piece of a body that is handed to the guest at once, in bytes.
    pub chunk_bytes: usize,
}

impl Limits {
    /// The tier of a web application firewall: 10 ms and 10 MB.
    pub const WAF: Limits = Limits {
        metering: Metering::Canonical,
        call: Budget {
            fuel: Fuel(50_000_000),
            deadline: Micros::from_millis(10),
            host_calls: 1_000,
            host_call_bytes: 1 << 20,
        },
        setup: Budget {
            fuel: Fuel(500_000_000),
            deadline: Micros::from_millis(100),
            host_calls: 1_000,
            host_call_bytes: 1 << 20,
        },
        memory_bytes: 10_000_000,
        table_elements: 10_000,
        tables: 4,
        call_depth: 1_000,
        stack_bytes: 512 << 10,
        instances: 1_000,
        output_bytes: 1 << 20,
        module_bytes: 16 << 20,
        chunk_bytes: 16 << 10,
    };

    /// The tier of an edge function: 50 ms and 50 MB.
    pub const EDGE_FUNCTION: Limits = Limits {
        call: Budget {
            fuel: Fuel(250_000_000),
            deadline: Micros::from_millis(50),
            host_calls: 10_000,
            host_call_bytes: 8 << 20,
        },
        setup: Budget {
            fuel: Fuel(2_500_000_000),
            deadline: Micros::from_millis(500),
            host_calls: 10_000,
            host_call_bytes: 8 << 20,
        },
        memory_bytes: 50_000_000,
        output_bytes: 8 << 20,
        module_bytes: 32 << 20,
        chunk_bytes: 64 << 10,
        ..Limits::WAF
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::WAF
    }
}

/// Watches memory and tables of one instance grow. Backends ask it from inside their own limiter, so
/// that the rule is the same everywhere: growth beyond the limit is refused (the guest's `grow`
/// answers -1), and remembered as the cause should the guest then give up.
#[derive(Clone, Debug)]
pub struct GrowthMeter {
    memory_limit: usize,
    memory_peak: usize,
    table_limit: usize,
    table_elements: usize,
    refused: Option<Limit>,
}

impl GrowthMeter {
    pub(crate) fn new(limits: &Limits) -> Self {
        GrowthMeter {
            memory_limit: limits.memory_bytes,
            memory_peak: 0,
            table_limit: limits.table_elements,
            table_elements: 0,
            refused: None,
        }
    }

    /// Whether the linear memory may be `desired` bytes long.
    pub fn allow_memory(&mut self, desired: usize) -> bool {
        let allowed = desired <= self.memory_limit;
        if allowed {
            self.memory_peak = self.memory_peak.max(desired);
        } else {
            self.refused = Some(Limit::Memory { bytes: self.memory_limit, wanted: desired });
        }
        allowed
    }

    /// Whether a table of `current` elements may have `desired`.
    pub fn allow_table(&mut self, current: usize, desired: usize) -> bool {
        let wanted = self.table_elements.saturating_add(desired.saturating_sub(current));
        let allowed = wanted <= self.table_limit;
        if allowed {
            self.table_elements = wanted;
        } else {
            self.refused = Some(Limit::Table { elements: self.table_limit, wanted });
        }
        allowed
    }

    /// The largest size of the linear memory so far, in bytes.
    pub fn memory_peak(&self) -> usize {
        self.memory_peak
    }

    pub(crate) fn take_refused(&mut self) -> Option<Limit> {
        self.refused.take()
    }
}
