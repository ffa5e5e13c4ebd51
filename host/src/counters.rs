//! What a filter has done since it was loaded.

use core::sync::atomic::Ordering::Relaxed;

use picket_abi::Action;
use portable_atomic::AtomicU64;

use crate::error::FailureKind;
use crate::limits::{Fuel, Micros};

/// Counted by the chain, read at any time. Each number is exact; together they are no snapshot of one
/// moment.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    calls: AtomicU64,
    instances: AtomicU64,
    continued: AtomicU64,
    modified: AtomicU64,
    responded: AtomicU64,
    redirected: AtomicU64,
    failures: [AtomicU64; FailureKind::ALL.len()],
    fuel: AtomicU64,
    micros: AtomicU64,
    peak_memory: AtomicU64,
}

impl Counters {
    pub(crate) fn count_call(&self, fuel: Fuel, time: Micros, memory: usize) {
        self.calls.fetch_add(1, Relaxed);
        self.fuel.fetch_add(fuel.0, Relaxed);
        self.micros.fetch_add(time.0, Relaxed);
        // A read is cheaper than a write, and the peak seldom moves.
        if self.peak_memory.load(Relaxed) < memory as u64 {
            self.peak_memory.fetch_max(memory as u64, Relaxed);
        }
    }

    pub(crate) fn count_instance(&self) {
        self.instances.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_action(&self, action: &Action<'_>) {
        let counter = match action {
            Action::Continue => &self.continued,
            Action::Modify { .. } => &self.modified,
            Action::Respond { .. } => &self.responded,
            Action::Redirect { .. } => &self.redirected,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_failure(&self, kind: FailureKind) {
        if let Some(counter) = self.failures.get(kind as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> CountersSnapshot {
        let mut failures = [0; FailureKind::ALL.len()];
        for (copy, counter) in failures.iter_mut().zip(&self.failures) {
            *copy = counter.load(Relaxed);
        }
        CountersSnapshot {
            calls: self.calls.load(Relaxed),
            instances: self.instances.load(Relaxed),
            continued: self.continued.load(Relaxed),
            modified: self.modified.load(Relaxed),
            responded: self.responded.load(Relaxed),
            redirected: self.redirected.load(Relaxed),
            failures,
            fuel: Fuel(self.fuel.load(Relaxed)),
            time: Micros(self.micros.load(Relaxed)),
            peak_memory_bytes: self.peak_memory.load(Relaxed),
        }
    }
}

/// The counters of a filter, read once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CountersSnapshot {
    /// Calls into the guest.
    pub calls: u64,
    /// Instances that were brought up.
    pub instances: u64,
    /// Outcomes that let the transaction go on unchanged.
    pub continued: u64,
    /// Outcomes that changed it.
    pub modified: u64,
    /// Outcomes that answered it.
    pub responded: u64,
    /// Outcomes that redirected it.
    pub redirected: u64,
    failures: [u64; FailureKind::ALL.len()],
    /// Fuel of all calls.
    pub fuel: Fuel,
    /// Time of all calls.
    pub time: Micros,
    /// Largest linear memory of any instance, in bytes.
    pub peak_memory_bytes: u64,
}

impl CountersSnapshot {
    /// Failures of that kind.
    pub fn failures_of(&self, kind: FailureKind) -> u64 {
        self.failures.get(kind as usize).copied().unwrap_or(0)
    }

    /// Failures by kind, in the order of [`FailureKind::ALL`].
    pub fn failures(&self) -> impl Iterator<Item = (FailureKind, u64)> {
        FailureKind::ALL.into_iter().zip(self.failures)
    }
}
