//! The ticker behind deadlines, and growth.
//!
//! The ticker is for native metering; under canonical metering the module itself asks for the time, see
//! `meter`. Compiled code looks at the engine's epoch at function entries and loop heads. A ticker moves the
//! epoch on every millisecond; a call that meets a new epoch looks at the clock, and goes on or ends.
//! So the clock decides, and a deadline is missed by a tick at most.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use picket_host::CallContext;
use wasmtime::{Engine, ResourceLimiter};

/// How often calls look at the clock.
const TICK: Duration = Duration::from_millis(1);

/// Moves the epoch of one engine until it is dropped.
pub(crate) struct Ticker {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// A ticker for `engine`.
    ///
    /// # Errors
    /// [`std::io::Error`] if there is no thread to be had.
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let engine = engine.weak();
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let signal = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("picket-ticker".into()).spawn(move || {
            let (stopped, wake) = &*signal;
            let mut guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
            while !*guard {
                guard = match wake.wait_timeout(guard, TICK) {
                    Ok((guard, _)) => guard,
                    Err(poisoned) => poisoned.into_inner().0,
                };
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
            }
        })?;
        Ok(Ticker { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // It can only have panicked, and then it has stopped as well.
            let _joined = thread.join();
        }
    }
}

/// What wasmtime keeps for an instance, and asks before something grows.
pub(crate) struct State(pub(crate) CallContext);

impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.0.growth_mut().allow_memory(desired))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
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
