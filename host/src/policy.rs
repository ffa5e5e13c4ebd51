//! What the operator decides about a filter.

use picket_abi::{Capability, CapabilitySet};

use crate::limits::Limits;

/// How long an instance lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Isolation {
    /// A new instance for every transaction: nothing passes from one request to the next.
    #[default]
    Fresh,
    /// Instances are used again. One that failed never is.
    Pooled {
        /// Instances kept while none is needed.
        max_idle: usize,
    },
}

/// What happens to a transaction when the filter fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OnFailure {
    /// The client is answered with this status.
    FailClosed {
        /// Status code.
        status: u16,
    },
    /// The transaction goes on without the filter.
    FailOpen,
}

impl Default for OnFailure {
    fn default() -> Self {
        OnFailure::FailClosed { status: 503 }
    }
}

/// The rights, bounds and consequences of one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Policy {
    /// Bounds.
    pub limits: Limits,
    /// Host functions it may import.
    pub capabilities: CapabilitySet,
    /// How long an instance lives.
    pub isolation: Isolation,
    /// What its failure means for the transaction.
    pub on_failure: OnFailure,
}

impl Policy {
    /// A firewall: [`Limits::WAF`], fail closed with 503, fresh instances, no right but to report a panic.
    pub const WAF: Policy = Policy {
        limits: Limits::WAF,
        capabilities: CapabilitySet::EMPTY.with(Capability::Panic),
        isolation: Isolation::Fresh,
        on_failure: OnFailure::FailClosed { status: 503 },
    };

    /// An edge function: [`Limits::EDGE_FUNCTION`], otherwise as [`Policy::WAF`].
    pub const EDGE_FUNCTION: Policy = Policy { limits: Limits::EDGE_FUNCTION, ..Policy::WAF };
}

impl Default for Policy {
    fn default() -> Self {
        Policy::WAF
    }
}
