//! Fuel in slices, and growth.
//!
//! Slices are for native metering; under canonical metering `meter` does the same without the engine. An
//! interpreter has no epochs and no signals: time is bounded by handing out the fuel of a call
//! slice by slice. When a slice is used up the call is suspended, the host looks at the clock, and
//! the call goes on with the next slice or ends.

use picket_host::{CallContext, Fuel, Stop};
use wasmi::ResourceLimiter;
use wasmi_core::LimiterError;

/// Fuel handed out at once: some 0.5 ms of interpretation on a server, so that the look at the clock
/// costs nothing and a deadline is missed by no more than that.
const SLICE: u64 = 100_000;

/// What is left of a call's fuel outside the engine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FuelSlices {
    granted: u64,
    kept_back: u64,
}

impl FuelSlices {
    /// Begins a call; the first slice is to be set in the engine.
    pub(crate) fn begin(fuel: Fuel) -> (Self, u64) {
        let first = fuel.0.min(SLICE);
        (FuelSlices { granted: fuel.0, kept_back: fuel.0 - first }, first)
    }

    /// The engine has `left` and needs `required` to go on: what it is to have now.
    ///
    /// `required` can be more than a slice: wasmi charges bulk operations at once.
    pub(crate) fn next(&mut self, left: u64, required: u64, context: &mut CallContext) -> Result<u64, Stop> {
        let lacking = required.saturating_sub(left).max(1);
        if lacking > self.kept_back {
            return Err(Stop::Fuel);
        }
        if context.deadline_passed() {
            return Err(Stop::Deadline);
        }
        let slice = lacking.max(SLICE).min(self.kept_back);
        self.kept_back -= slice;
        Ok(left + slice)
    }

    /// Fuel used when the engine has `left`.
    pub(crate) fn used(&self, left: u64) -> Fuel {
        Fuel((self.granted - self.kept_back).saturating_sub(left))
    }
}

/// What wasmi keeps for an instance, and asks before something grows.
pub(crate) struct State(pub(crate) CallContext);

impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool, LimiterError> {
        Ok(self.0.growth_mut().allow_memory(desired))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool, LimiterError> {
        Ok(self.0.growth_mut().allow_table(current, desired))
    }

    // What a module may have of these was checked before it was compiled.
    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        usize::MAX
    }

    fn memories(&self) -> usize {
        1
    }
}
