//! What is counted, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use picket_host::Filter;

use crate::device::Post;
use crate::gateway::State;

/// Bounds of the latency histogram, in microseconds: from what a cached answer takes to what a user
/// gives up on.
const BUCKETS: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000,
];

/// Series that filters may bring about by names of their own: more are dropped.
const MAX_OWN_SERIES: usize = 1_000;

#[derive(Default)]
pub(crate) struct Metrics {
    routes: RwLock<BTreeMap<String, Arc<RouteMetrics>>>,
    /// Answered before a route was found, by status.
    refused: Mutex<BTreeMap<u16, u64>>,
    rules: Mutex<BTreeMap<(String, u32), u64>>,
    emitted: Mutex<BTreeMap<(String, String), i64>>,
    pub connections: AtomicU64,
    pub open_connections: AtomicI64,
    /// Connections that ended in what is no HTTP.
    pub broken_connections: AtomicU64,
    pub reloads: AtomicU64,
    pub failed_reloads: AtomicU64,
    pub dropped_audit_lines: AtomicU64,
    dropped_series: AtomicU64,
}

/// Counts of one route.
pub(crate) struct RouteMetrics {
    by_status: Mutex<BTreeMap<u16, u64>>,
    buckets: [AtomicU64; BUCKETS.len()],
    micros: AtomicU64,
    requests: AtomicU64,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    blocked: AtomicU64,
    filter_micros: AtomicU64,
}

impl Default for RouteMetrics {
    fn default() -> Self {
        RouteMetrics {
            by_status: Mutex::default(),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            micros: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            filter_micros: AtomicU64::new(0),
        }
    }
}

/// One finished request.
pub(crate) struct Sample {
    pub status: u16,
    pub duration: Duration,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub blocked: bool,
    pub filter_micros: u64,
}

impl RouteMetrics {
    pub(crate) fn count(&self, sample: &Sample) {
        let micros = u64::try_from(sample.duration.as_micros()).unwrap_or(u64::MAX);
        *locked(&self.by_status).entry(sample.status).or_default() += 1;
        if let Some(bucket) = BUCKETS.iter().position(|&bound| micros <= bound) {
            self.buckets[bucket].fetch_add(1, Relaxed);
        }
        self.micros.fetch_add(micros, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.request_bytes.fetch_add(sample.request_bytes, Relaxed);
        self.response_bytes.fetch_add(sample.response_bytes, Relaxed);
        self.blocked.fetch_add(u64::from(sample.blocked), Relaxed);
        self.filter_micros.fetch_add(sample.filter_micros, Relaxed);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    /// The counts of a route; they outlive a reload.
    pub(crate) fn route(&self, name: &str) -> Arc<RouteMetrics> {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(routes.entry(name.to_owned()).or_default())
    }

    pub(crate) fn refused(&self, status: u16) {
        *locked(&self.refused).entry(status).or_default() += 1;
    }

    pub(crate) fn rule(&self, filter: &str, rule: u32) {
        self.bounded(&self.rules, (filter.to_owned(), rule), |hits| *hits += 1);
    }

    /// What a filter emits. Its names are its own, so they are escaped and bounded in number.
    pub(crate) fn emit(&self, filter: &str, name: &[u8], value: i64) {
        let key = (filter.to_owned(), name.escape_ascii().to_string());
        self.bounded(&self.emitted, key, |sum| *sum = sum.saturating_add(value));
    }

    fn bounded<K: Ord, V: Default>(
        &self,
        series: &Mutex<BTreeMap<K, V>>,
        key: K,
        change: impl FnOnce(&mut V),
    ) {
        let mut series = locked(series);
        if series.len() >= MAX_OWN_SERIES && !series.contains_key(&key) {
            self.dropped_series.fetch_add(1, Relaxed);
            return;
        }
        change(series.entry(key).or_default());
    }

    /// Everything, in the text format 0.0.4.
    pub(crate) fn render(&self, state: &State) -> String {
        let mut text = Text::default();
        self.render_routes(&mut text);
        text.family("picket_refused_total", "counter", "Requests answered before a route was found.");
        for (status, count) in locked(&self.refused).iter() {
            text.sample("picket_refused_total", &[("status", &status.to_string())], count);
        }
        for (name, help, value) in [
            ("picket_connections_total", "Connections accepted.", &self.connections),
            (
                "picket_broken_connections_total",
                "Connections that ended in what is no HTTP.",
                &self.broken_connections,
            ),
            ("picket_reloads_total", "Configurations put in place while running.", &self.reloads),
            (
                "picket_failed_reloads_total",
                "Configurations that were refused while running.",
                &self.failed_reloads,
            ),
            (
                "picket_audit_dropped_total",
                "Audit lines dropped because the sink was too slow.",
                &self.dropped_audit_lines,
            ),
            (
                "picket_series_dropped_total",
                "Counts dropped because filters brought too many names.",
                &self.dropped_series,
            ),
        ] {
            text.family(name, "counter", help);
            text.sample(name, &[], value.load(Relaxed));
        }
        text.family("picket_open_connections", "gauge", "Connections that are open.");
        text.sample("picket_open_connections", &[], self.open_connections.load(Relaxed));

        let filters: Vec<&Filter> = state.filters.iter().map(|loaded| &*loaded.filter).collect();
        render_filters(&mut text, &filters);
        let devices: Vec<(&str, &Post)> = state
            .filters
            .iter()
            .filter_map(|loaded| Some((&**loaded.filter.id(), loaded.device.as_deref()?)))
            .collect();
        render_devices(&mut text, &devices);
        text.family("picket_rule_hits_total", "counter", "Matches, by filter and rule.");
        for ((filter, rule), hits) in locked(&self.rules).iter() {
            text.sample("picket_rule_hits_total", &[("filter", filter), ("rule", &rule.to_string())], hits);
        }
        // A filter may also count down: a gauge.
        text.family("picket_filter_emitted", "gauge", "What filters emit, by the names they give it.");
        for ((filter, name), sum) in locked(&self.emitted).iter() {
            text.sample("picket_filter_emitted", &[("filter", filter), ("name", name)], sum);
        }
        text.0
    }

    fn render_routes(&self, text: &mut Text) {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        text.family(
            "picket_requests_total",
            "counter",
            "Requests, by route and status; 0 where the client left.",
        );
        for (route, counts) in routes.iter() {
            for (status, count) in locked(&counts.by_status).iter() {
                let labels = [("route", route.as_str()), ("status", &status.to_string())];
                text.sample("picket_requests_total", &labels, count);
            }
        }
        text.family(
            "picket_request_duration_seconds",
            "histogram",
            "From the head of the request to the end of the response.",
        );
        for (route, counts) in routes.iter() {
            let mut below = 0;
            for (bound, count) in BUCKETS.iter().zip(&counts.buckets) {
                below += count.load(Relaxed);
                let labels = [("route", route.as_str()), ("le", &Seconds(*bound).to_string())];
                text.sample("picket_request_duration_seconds_bucket", &labels, below);
            }
            let requests = counts.requests.load(Relaxed);
            let labels = [("route", route.as_str()), ("le", "+Inf")];
            text.sample("picket_request_duration_seconds_bucket", &labels, requests);
            let sum = Seconds(counts.micros.load(Relaxed));
            text.sample("picket_request_duration_seconds_sum", &labels[..1], sum);
            text.sample("picket_request_duration_seconds_count", &labels[..1], requests);
        }
        type Reading = fn(&RouteMetrics) -> &AtomicU64;
        let families: [(&str, &str, Reading); 3] = [
            ("picket_request_bytes_total", "Bytes of request bodies.", |counts| &counts.request_bytes),
            ("picket_response_bytes_total", "Bytes of response bodies.", |counts| &counts.response_bytes),
            ("picket_answered_by_filter_total", "Requests that a filter answered.", |counts| &counts.blocked),
        ];
        for (name, help, reading) in families {
            text.family(name, "counter", help);
            for (route, counts) in routes.iter() {
                text.sample(name, &[("route", route)], reading(counts).load(Relaxed));
            }
        }
        text.family("picket_filtering_seconds_total", "counter", "Time spent in filters, by route.");
        for (route, counts) in routes.iter() {
            let seconds = Seconds(counts.filter_micros.load(Relaxed));
            text.sample("picket_filtering_seconds_total", &[("route", route)], seconds);
        }
    }
}

/// The lines to devices, by the filters that are there.
fn render_devices(text: &mut Text, devices: &[(&str, &Post)]) {
    if devices.is_empty() {
        return;
    }
    type Reading = fn(&Post) -> u64;
    let families: [(&str, &str, &str, Reading); 4] = [
        ("picket_device_up", "gauge", "Whether there is a session with the device.", |post| {
            post.is_up().into()
        }),
        ("picket_device_sessions_total", "counter", "Sessions that have begun.", |post| {
            post.sessions.load(Relaxed)
        }),
        ("picket_device_failed_sessions_total", "counter", "Attempts to begin one that failed.", |post| {
            post.failed_sessions.load(Relaxed)
        }),
        ("picket_device_lost_total", "counter", "Questions that no answer came to.", |post| {
            post.lost.load(Relaxed)
        }),
    ];
    for (name, kind, help, reading) in families {
        text.family(name, kind, help);
        for (filter, post) in devices {
            let labels = [("filter", *filter), ("device", &*post.address().to_string())];
            text.sample(name, &labels, reading(post));
        }
    }
    text.family("picket_device_heap_peak_bytes", "gauge", "The most that the device had allocated.");
    for (filter, post) in devices {
        if let Some(peak) = post.status().and_then(|status| status.vitals.heap_peak) {
            let labels = [("filter", *filter), ("device", &*post.address().to_string())];
            text.sample("picket_device_heap_peak_bytes", &labels, peak);
        }
    }
}

fn render_filters(text: &mut Text, filters: &[&Filter]) {
    text.family("picket_filter_info", "gauge", "Loaded filters.");
    for filter in filters {
        let metadata = filter.metadata();
        let labels = [
            ("filter", &*metadata.id),
            ("name", &metadata.name),
            ("version", &metadata.version),
            ("backend", metadata.backend),
            ("sha256", &metadata.sha256.to_string()),
        ];
        text.sample("picket_filter_info", &labels, 1);
    }
    text.family("picket_filter_calls_total", "counter", "Calls into guests.");
    for filter in filters {
        text.sample("picket_filter_calls_total", &[("filter", filter.id())], filter.counters().calls);
    }
    text.family("picket_filter_outcomes_total", "counter", "What guests answered.");
    for filter in filters {
        let counters = filter.counters();
        for (outcome, count) in [
            ("continue", counters.continued),
            ("modify", counters.modified),
            ("respond", counters.responded),
            ("redirect", counters.redirected),
        ] {
            text.sample(
                "picket_filter_outcomes_total",
                &[("filter", filter.id()), ("outcome", outcome)],
                count,
            );
        }
    }
    text.family("picket_filter_failures_total", "counter", "Failures of filters, by kind.");
    for filter in filters {
        for (kind, count) in filter.counters().failures() {
            text.sample(
                "picket_filter_failures_total",
                &[("filter", filter.id()), ("kind", kind.name())],
                count,
            );
        }
    }
    type Reading = fn(&Filter) -> u64;
    let families: [(&str, &str, &str, Reading); 5] = [
        ("picket_filter_fuel_total", "counter", "Fuel used.", |filter| filter.counters().fuel.0),
        ("picket_filter_instances_total", "counter", "Instances brought up.", |filter| {
            filter.counters().instances
        }),
        ("picket_filter_live_instances", "gauge", "Instances alive.", |filter| {
            filter.live_instances().into()
        }),
        ("picket_filter_peak_memory_bytes", "gauge", "Largest linear memory of an instance.", |filter| {
            filter.counters().peak_memory_bytes
        }),
        ("picket_filter_module_bytes", "gauge", "Length of the module.", |filter| {
            filter.metadata().module_bytes as u64
        }),
    ];
    for (name, kind, help, reading) in families {
        text.family(name, kind, help);
        for filter in filters {
            text.sample(name, &[("filter", filter.id())], reading(filter));
        }
    }
    text.family("picket_filter_seconds_total", "counter", "Time spent in the filter.");
    for filter in filters {
        let seconds = Seconds(filter.counters().time.0);
        text.sample("picket_filter_seconds_total", &[("filter", filter.id())], seconds);
    }
}

/// Microseconds, shown as seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 as f64 / 1e6)
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string has no errors.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.0.push_str(name);
        for (n, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{value}\"", if n == 0 { '{' } else { ',' });
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}
