//! What stands behind the host functions of a filter: log, counters, store, fetches, clock, random.

mod fetch;
mod store;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use picket_abi::{FetchRequest, HostStatus, LogLevel};
use picket_host::{FetchReply, HostServices, Micros};

use crate::config::FilterConfig;
use crate::metrics::Metrics;

pub(crate) use store::Store;

/// The services of one filter.
pub(crate) struct Services {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    fetch: fetch::Fetcher,
}

impl Services {
    pub(crate) fn new(filter: &FilterConfig, store: Arc<Store>, metrics: Arc<Metrics>) -> Self {
        let fetch = fetch::Fetcher::new(filter.fetch_hosts.clone(), filter.fetch_timeout);
        Services { store, metrics, fetch }
    }
}

impl HostServices for Services {
    fn log(&self, filter: &str, level: LogLevel, message: &[u8]) {
        // Control bytes are escaped: a filter must not write to the operator's terminal.
        let message = String::from_utf8_lossy(message);
        let message: String = message
            .chars()
            .flat_map(|c| {
                let control = c.is_control();
                control.then(|| c.escape_default()).into_iter().flatten().chain((!control).then_some(c))
            })
            .collect();
        match level {
            LogLevel::Error => tracing::error!(target: "picket::filter", filter, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "picket::filter", filter, "{message}"),
            LogLevel::Info => tracing::info!(target: "picket::filter", filter, "{message}"),
            LogLevel::Debug => tracing::debug!(target: "picket::filter", filter, "{message}"),
            LogLevel::Trace => tracing::trace!(target: "picket::filter", filter, "{message}"),
        }
    }

    fn emit(&self, filter: &str, name: &[u8], value: i64) {
        self.metrics.emit(filter, name, value);
    }

    fn kv_get(&self, filter: &str, key: &[u8]) -> Result<Vec<u8>, HostStatus> {
        self.store.read(filter, key)
    }

    fn kv_set(&self, filter: &str, key: &[u8], value: &[u8], ttl_ms: u64) -> Result<(), HostStatus> {
        let ttl = (ttl_ms > 0).then(|| Duration::from_millis(ttl_ms));
        self.store.write(filter, key, value, ttl)
    }

    fn fetch(
        &self,
        filter: &str,
        request: &FetchRequest<'_>,
        timeout: Micros,
    ) -> Result<FetchReply, HostStatus> {
        self.fetch.fetch(filter, request, Duration::from_micros(timeout.0))
    }

    fn now_us(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    fn random(&self, _filter: &str, out: &mut [u8]) -> Result<(), HostStatus> {
        getrandom::fill(out).map_err(|_| HostStatus::Unavailable)
    }
}
