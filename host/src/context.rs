//! What the host keeps beside an instance, in whatever the engine calls its store.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

use picket_meter::Gauge;

use crate::error::{Error, Limit, Trap, words};
use crate::hostcall::Halt;
use crate::limits::{Budget, Fuel, GrowthMeter, Limits, Micros};
use crate::services::Environment;

/// Canonical fuel handed out at once: some 0.5 ms of interpretation on a server and less of machine code,
/// so that the look at the clock costs nothing and a deadline is missed by no more than that.
const FUEL_SLICE: u64 = 100_000;

/// Longest text that is taken over from a guest, in bytes.
const MAX_TEXT: usize = 4 << 10;

/// Why an engine came back without a result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// The guest trapped.
    Trap(Trap),
    /// The fuel is used up.
    Fuel,
    /// The deadline has passed.
    Deadline,
    /// The stack is used up.
    Stack,
    /// A host function refused to go on; the context holds the reason.
    HostFunction,
    /// Anything else, in the engine's own words.
    Engine(Box<str>),
}

impl Stop {
    /// Anything else, in words where the feature `text` is on.
    pub fn engine(message: impl core::fmt::Display) -> Self {
        Stop::Engine(words(message))
    }
}

/// Where a thread stood when a call first looked at the clock.
#[derive(Clone, Copy)]
struct Processor {
    /// Time of the call until then.
    before: Micros,
    /// Processor time of the thread then.
    mark: u64,
}

/// The host's part of an instance: budget, clock, growth, services, and the reasons for a failure that
/// the engine cannot know.
pub struct CallContext {
    filter: Arc<str>,
    environment: Arc<Environment>,
    growth: GrowthMeter,
    budget: Budget,
    gauge: Gauge,
    stopped_at: Option<u64>,
    started_us: u64,
    deadline_us: u64,
    processor: Option<Processor>,
    waited: Micros,
    host_calls_left: u32,
    host_call_bytes_left: usize,
    panic: Option<Box<str>>,
    failure: Option<Error>,
}

impl CallContext {
    /// The context of a new instance of the filter with that id.
    pub fn new(filter: Arc<str>, limits: &Limits, environment: Arc<Environment>) -> Self {
        CallContext {
            filter,
            environment,
            growth: GrowthMeter::new(limits),
            budget: limits.call,
            gauge: Gauge::default(),
            stopped_at: None,
            started_us: 0,
            deadline_us: 0,
            processor: None,
            waited: Micros(0),
            host_calls_left: 0,
            host_call_bytes_left: 0,
            panic: None,
            failure: None,
        }
    }

    /// Begins a call: what the budget grants counts from now on. For [`Instance::arm`](crate::Instance::arm).
    pub fn arm(&mut self, budget: &Budget) {
        self.budget = *budget;
        self.started_us = self.environment.clock.monotonic_us();
        self.deadline_us = self.started_us.saturating_add(budget.deadline.0);
        self.processor = None;
        self.waited = Micros(0);
        self.host_calls_left = budget.host_calls;
        self.host_call_bytes_left = budget.host_call_bytes;
        self.panic = None;
        self.failure = None;
        // A refusal that the guest has lived with is no cause of what a later call does.
        self.growth.take_refused();
    }

    /// Begins to count canonical fuel, behind [`CallContext::arm`]: the counter that the module is to
    /// have.
    pub fn begin_fuel(&mut self) -> i64 {
        let (gauge, counter) = Gauge::begin(self.budget.fuel.0, FUEL_SLICE);
        self.gauge = gauge;
        self.stopped_at = None;
        counter
    }

    /// A metered module has used up what it was handed, and asks: its counter, and what is outstanding.
    /// The answer is the counter to go on with.
    ///
    /// # Errors
    /// [`Halt`] if there is no more fuel, or no more time.
    pub fn refuel(&mut self, counter: i64, outstanding: i64) -> Result<i64, Halt> {
        let consumed = counter.wrapping_add(outstanding);
        self.stopped_at = Some(self.gauge.used(consumed));
        let Ok(next) = self.gauge.refuel(consumed) else { return Err(self.halt(Stop::Fuel)) };
        if self.deadline_passed() {
            return Err(self.halt(Stop::Deadline));
        }
        self.stopped_at = None;
        Ok(next.wrapping_sub(outstanding))
    }

    /// A metered module has used up its stack.
    pub fn stack_exhausted(&mut self) -> Halt {
        self.halt(Stop::Stack)
    }

    /// Canonical fuel used since [`CallContext::begin_fuel`] by a module whose counter is `counter`.
    pub fn fuel_used(&self, counter: i64) -> Fuel {
        Fuel(self.stopped_at.unwrap_or_else(|| self.gauge.used(counter)))
    }

    fn halt(&mut self, stop: Stop) -> Halt {
        let error = self.resolve(stop);
        self.note_failure(error);
        Halt
    }

    /// Whether the call has had its time.
    ///
    /// On a busy machine a thread may lose the processor for longer than a whole deadline. Where the
    /// clock can tell, only time on the processor and time spent waiting in host functions counts: the
    /// first look at the clock notes where the thread stands, so that a call that ends before any
    /// look pays nothing for it.
    pub fn deadline_passed(&mut self) -> bool {
        let clock = &*self.environment.clock;
        let now = clock.monotonic_us();
        let past = now >= self.deadline_us;
        if past && let Some(Processor { before, mark }) = self.processor {
            let computed = clock.thread_us().unwrap_or(u64::MAX).saturating_sub(mark);
            return before.0.saturating_add(computed).saturating_add(self.waited.0) >= self.budget.deadline.0;
        }
        if self.processor.is_none()
            && let Some(mark) = clock.thread_us()
        {
            // How much of the time up to a first look that comes late was its own, nobody knows: it
            // is given the benefit of the doubt for half of its deadline.
            let before = now.saturating_sub(self.started_us).min(self.budget.deadline.0 / 2);
            self.processor = Some(Processor { before: Micros(before), mark });
            return false;
        }
        past
    }

    /// Time since the call began.
    pub fn elapsed(&self) -> Micros {
        Micros(self.environment.clock.monotonic_us().saturating_sub(self.started_us))
    }

    /// Asked before memory or a table grows.
    pub fn growth_mut(&mut self) -> &mut GrowthMeter {
        &mut self.growth
    }

    /// How memory and tables have grown.
    pub fn growth(&self) -> &GrowthMeter {
        &self.growth
    }

    /// The error behind an engine's stop. A reason that the host noted beats what the engine saw: a
    /// guest that was refused memory ends in `unreachable`.
    pub fn resolve(&mut self, stop: Stop) -> Error {
        if let Some(failure) = self.failure.take() {
            return failure;
        }
        match stop {
            Stop::Fuel => Limit::Fuel { limit: self.budget.fuel }.into(),
            Stop::Deadline => Limit::Deadline { limit: self.budget.deadline }.into(),
            Stop::Stack => Limit::Stack.into(),
            Stop::Trap(Trap::Unreachable) => match (self.growth.take_refused(), self.panic.take()) {
                (Some(refused), _) => refused.into(),
                (None, Some(message)) => Trap::Panic { message }.into(),
                (None, None) => Trap::Unreachable.into(),
            },
            Stop::Trap(trap) => trap.into(),
            Stop::HostFunction => Error::engine("a host function stopped the guest without a reason"),
            // Instantiation fails with the engine's own error when the limiter refuses.
            Stop::Engine(message) => match self.growth.take_refused() {
                Some(refused) => refused.into(),
                None => Error::engine(message),
            },
        }
    }

    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(crate) fn time_left(&self) -> Micros {
        Micros(self.deadline_us.saturating_sub(self.environment.clock.monotonic_us()))
    }

    /// Runs a service that may wait: the time counts against the deadline, on the processor or not.
    pub(crate) fn waiting<R>(&mut self, service: impl FnOnce(&CallContext) -> R) -> R {
        let start = self.environment.clock.monotonic_us();
        let result = service(self);
        let end = self.environment.clock.monotonic_us();
        self.waited = Micros(self.waited.0.saturating_add(end.saturating_sub(start)));
        result
    }

    /// Charges one host call. The clock is looked at too: a guest that spends its time in host calls
    /// uses little fuel of its own.
    pub(crate) fn charge_host_call(&mut self) -> Result<(), Error> {
        if self.deadline_passed() {
            return Err(Limit::Deadline { limit: self.budget.deadline }.into());
        }
        match self.host_calls_left.checked_sub(1) {
            Some(left) => {
                self.host_calls_left = left;
                Ok(())
            }
            None => Err(Limit::HostCalls { calls: self.budget.host_calls }.into()),
        }
    }

    /// Charges the length of a host call's argument.
    pub(crate) fn charge_host_bytes(&mut self, len: u32) -> Result<(), Error> {
        match self.host_call_bytes_left.checked_sub(len as usize) {
            Some(left) => {
                self.host_call_bytes_left = left;
                Ok(())
            }
            None => Err(Limit::HostCallBytes { bytes: self.budget.host_call_bytes }.into()),
        }
    }

    pub(crate) fn note_panic(&mut self, text: &[u8]) {
        self.panic = Some(guest_text(text));
    }

    pub(crate) fn note_failure(&mut self, error: Error) {
        self.failure = Some(error);
    }
}

impl core::fmt::Debug for CallContext {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CallContext").field("filter", &self.filter).finish_non_exhaustive()
    }
}

/// A guest's text for people: cut, and what is no UTF-8 replaced.
pub(crate) fn guest_text(text: &[u8]) -> Box<str> {
    String::from_utf8_lossy(text.get(..MAX_TEXT).unwrap_or(text)).into_owned().into_boxed_str()
}
