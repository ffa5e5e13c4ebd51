//! Filters in their order.

use alloc::sync::Arc;
use alloc::vec::Vec;

use picket_abi::PhaseSet;

use crate::filter::Filter;
use crate::transaction::Transaction;

/// An ordered list of filters. Requests pass it from first to last, responses from last to first.
///
/// Cheap to clone. A chain never changes: to replace a filter, build another chain; transactions that
/// have begun keep theirs.
#[derive(Clone, Debug)]
pub struct Chain {
    filters: Arc<[Arc<Filter>]>,
    phases: PhaseSet,
    body_window: u32,
}

impl Chain {
    /// A chain of these filters.
    pub fn new(filters: Vec<Arc<Filter>>) -> Self {
        let metadata = || filters.iter().map(|filter| filter.metadata());
        let phases = metadata().flat_map(|filter| filter.phases.iter()).fold(PhaseSet::EMPTY, PhaseSet::with);
        let body_window = metadata().map(|filter| filter.body_window).max().unwrap_or(0);
        Chain { filters: filters.into(), phases, body_window }
    }

    /// The filters, in order.
    pub fn filters(&self) -> &[Arc<Filter>] {
        &self.filters
    }

    /// Phases that at least one filter is called for. The others need not be fed to a transaction.
    pub fn phases(&self) -> PhaseSet {
        self.phases
    }

    /// Bytes of a body that are to be held back: the most that a filter asks for.
    pub fn body_window(&self) -> u32 {
        self.body_window
    }

    /// Begins a transaction. Instances come up when they are first needed.
    pub fn begin(&self) -> Transaction {
        Transaction::new(Arc::clone(&self.filters))
    }
}
