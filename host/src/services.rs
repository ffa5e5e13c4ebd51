//! What stands behind the host functions: the embedder's log, counters, store and network.

use alloc::sync::Arc;
use alloc::vec::Vec;

use picket_abi::{FetchRequest, Header, HostStatus, LogLevel, SeqBuf};

use crate::clock::Clock;
use crate::limits::Micros;
use crate::metering::Trusted;

/// The embedder's side of the host functions. Everything is denied or dropped unless implemented.
///
/// The calls are made from inside a guest's phase, on its thread: time spent here counts against the
/// filter's deadline. `filter` is the id of the filter that asks.
#[expect(unused_variables, reason = "the defaults deny without looking")]
pub trait HostServices: Send + Sync {
    /// A line for the log. `message` is whatever the guest wrote, at most the filter's
    /// `host_call_bytes` long: usually UTF-8, possibly control bytes.
    fn log(&self, filter: &str, level: LogLevel, message: &[u8]) {}

    /// Adds `value` to the counter `name` of that filter.
    fn emit(&self, filter: &str, name: &[u8], value: i64) {}

    /// The value of `key` in the filter's own namespace.
    ///
    /// # Errors
    /// The [`HostStatus`] that the guest is told.
    fn kv_get(&self, filter: &str, key: &[u8]) -> Result<Vec<u8>, HostStatus> {
        Err(HostStatus::Denied)
    }

    /// Sets `key` in the filter's own namespace; an empty value removes it. `ttl_ms` of 0 keeps it
    /// for ever.
    ///
    /// # Errors
    /// The [`HostStatus`] that the guest is told.
    fn kv_set(&self, filter: &str, key: &[u8], value: &[u8], ttl_ms: u64) -> Result<(), HostStatus> {
        Err(HostStatus::Denied)
    }

    /// Sends a request, if the embedder allows that filter its destination, and waits for at most
    /// `timeout`.
    ///
    /// # Errors
    /// The [`HostStatus`] that the guest is told.
    fn fetch(
        &self,
        filter: &str,
        request: &FetchRequest<'_>,
        timeout: Micros,
    ) -> Result<FetchReply, HostStatus> {
        Err(HostStatus::Denied)
    }

    /// Microseconds since 1970-01-01T00:00Z; 0 where there is no wall clock.
    fn now_us(&self) -> u64 {
        0
    }

    /// Fills `out` with random bytes.
    ///
    /// # Errors
    /// Any status ends the guest's call: predictable bytes must never pass for random ones.
    fn random(&self, filter: &str, out: &mut [u8]) -> Result<(), HostStatus> {
        Err(HostStatus::Unavailable)
    }
}

/// What [`HostServices::fetch`] brings back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchReply {
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: SeqBuf<Header<'static>>,
    /// Body.
    pub body: Vec<u8>,
}

/// Services that deny everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoServices;

impl HostServices for NoServices {}

/// The services and the clock that filters run with.
#[derive(Clone)]
pub struct Environment {
    /// Behind the host functions.
    pub services: Arc<dyn HostServices>,
    /// For deadlines and durations.
    pub clock: Arc<dyn Clock>,
    /// Modules that were metered before.
    pub trusted: Trusted,
}

impl Environment {
    /// An environment of these two, which trusts no module to be metered.
    pub fn new(services: Arc<dyn HostServices>, clock: Arc<dyn Clock>) -> Self {
        Environment { services, clock, trusted: Trusted::NONE }
    }

    /// The same, with modules that are trusted to be metered.
    #[must_use]
    pub fn trusting(self, trusted: Trusted) -> Self {
        Environment { trusted, ..self }
    }

    /// The operating system's clock, and services that deny everything.
    #[cfg(feature = "std")]
    pub fn closed() -> Self {
        Environment::new(Arc::new(NoServices), Arc::new(crate::clock::StdClock::new()))
    }
}

impl core::fmt::Debug for Environment {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}
