//! What is kept of a finished request: counts, a line in the log, a line in the audit log.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use picket_abi::Octets;
use picket_host::{ReplyCause, Report};
use serde_json::{Map, Value, json};

use crate::audit::Audit;
use crate::config::{AuditFormat, AuditSink, Config, Route};
use crate::gateway::Loaded;
use crate::layer::{Observer, Summary};
use crate::logging::timestamp;
use crate::metrics::{Metrics, RouteMetrics, Sample};
use crate::modsecurity;
use crate::rules::RulesInfo;

/// Observes the requests of one route.
pub(crate) struct RouteObserver {
    counts: Arc<RouteMetrics>,
    metrics: Arc<Metrics>,
    audit: Arc<Audit>,
    audit_off: bool,
    access: bool,
    format: AuditFormat,
    /// The filters, for the audit log.
    modules: Vec<Module>,
}

/// What the audit log says of a filter.
struct Module {
    id: Arc<str>,
    digest: String,
    rules: Option<Arc<RulesInfo>>,
}

impl RouteObserver {
    pub(crate) fn new(
        route: &Route,
        filters: &[&Loaded],
        config: &Config,
        metrics: Arc<Metrics>,
        audit: Arc<Audit>,
    ) -> Self {
        let modules = filters
            .iter()
            .map(|loaded| Module {
                id: Arc::clone(loaded.filter.id()),
                digest: loaded.filter.metadata().sha256.to_string(),
                rules: loaded.rules.clone(),
            })
            .collect();
        RouteObserver {
            counts: metrics.route(&route.name),
            metrics,
            audit,
            audit_off: config.audit == AuditSink::Off,
            access: config.log.access,
            format: config.audit_format,
            modules,
        }
    }

    fn module(&self, filter: &str) -> Value {
        let known = self.modules.iter().find(|module| *module.id == *filter);
        known.map_or(Value::Null, |module| json!(module.digest))
    }

    fn rules(&self, filter: &str) -> Option<&RulesInfo> {
        self.modules.iter().find(|module| *module.id == *filter)?.rules.as_deref()
    }

    /// The audit line of a request that a filter answered, matched, or failed on.
    fn audit_line(&self, summary: &Summary<'_>) -> String {
        let report = summary.report;
        let matches: Vec<Value> = report
            .matches()
            .map(|(filter, found)| {
                json!({
                    "filter": filter,
                    "id": found.rule_id,
                    "severity": found.severity.name(),
                    "category": text(found.category),
                    "message": text(found.message),
                    "location": text(found.location),
                    "matched": text(found.matched),
                    "score": found.score,
                    "tags": found.tags.iter().map(text).collect::<Vec<_>>(),
                })
            })
            .collect();
        let failures: Vec<Value> = report
            .failures
            .iter()
            .map(|failure| {
                json!({
                    "filter": &*failure.filter,
                    "module": self.module(&failure.filter),
                    "phase": failure.phase.name(),
                    "kind": failure.error.kind().name(),
                    "culprit": failure.error.culprit().name(),
                    "error": failure.error.to_string(),
                })
            })
            .collect();
        // The filter that answered, else the first that found something.
        let filter = match &report.answered_by {
            Some((filter, _)) => Some(&**filter),
            None => report
                .matches()
                .map(|(filter, _)| filter)
                .next()
                .or_else(|| report.failures.first().map(|failure| &*failure.filter)),
        };
        let mut line = Map::new();
        let mut put = |key: &str, value: Value| line.insert(key.to_owned(), value);
        put("time", timestamp().into());
        put("request_id", summary.request_id.as_str().into());
        put("client", summary.client.map(|client| client.addr.ip().to_canonical().to_string()).into());
        put("method", summary.method.as_str().into());
        put("host", summary.authority.into());
        put("target", target(summary).into());
        put("route", summary.route.into());
        put("status", summary.status.into());
        put("action", action(report).into());
        put("score", report.score().into());
        put("matches", matches.into());
        put("tags", report.tags().map(|(_, tag)| text(tag)).collect());
        put("failures", failures.into());
        put("filter", filter.into());
        put("module", filter.map_or(Value::Null, |filter| self.module(filter)));
        put("fuel", report.fuel.0.into());
        put("micros", report.time.0.into());
        Value::Object(line).to_string()
    }
}

/// Path and query; empty where the target is neither.
fn target<'s>(summary: &Summary<'s>) -> &'s str {
    summary.uri.path_and_query().map_or("", |target| target.as_str())
}

/// What was done about the request.
fn action(report: &Report) -> &'static str {
    match &report.answered_by {
        Some((_, ReplyCause::Verdict)) => "blocked",
        Some((_, ReplyCause::Redirect)) => "redirected",
        Some((_, ReplyCause::Failure(_))) => "failed_closed",
        None if report.matches().next().is_some() => "detected",
        None => "failed_open",
    }
}

/// Bytes as JSON can hold them: printable ASCII as it is, a backslash doubled, everything else as
/// `\xhh`. The audit log is read in terminals, which nothing of a request may write to.
pub(crate) fn text(octets: Octets<'_>) -> Value {
    let mut text = String::with_capacity(octets.len());
    for &byte in octets.bytes() {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    Value::String(text)
}

impl Observer for RouteObserver {
    fn wants_headers(&self) -> bool {
        !self.audit_off && self.format == AuditFormat::ModSecurity
    }

    fn finished(&self, summary: &Summary<'_>) {
        let report = summary.report;
        let answered = report.answered_by.is_some();
        self.counts.count(&Sample {
            status: summary.status,
            duration: summary.duration,
            request_bytes: summary.request_bytes,
            response_bytes: summary.response_bytes,
            blocked: answered,
            filter_micros: report.time.0,
        });
        for (filter, found) in report.matches() {
            self.metrics.rule(filter, found.rule_id);
        }
        for failure in &report.failures {
            tracing::warn!(
                request_id = %summary.request_id, filter = %failure.filter, phase = failure.phase.name(),
                kind = failure.error.kind().name(), "filter failed: {}", failure.error
            );
        }
        if self.access {
            tracing::info!(
                target: "picket::access",
                request_id = %summary.request_id,
                client = summary.client.map(|client| tracing::field::display(client.addr)),
                method = %summary.method,
                host = summary.authority,
                uri = target(summary),
                route = summary.route,
                status = summary.status,
                request_bytes = summary.request_bytes,
                response_bytes = summary.response_bytes,
                micros = u64::try_from(summary.duration.as_micros()).unwrap_or(u64::MAX),
                filter_micros = report.time.0,
                fuel = report.fuel.0,
                score = report.score(),
                answered_by = report.answered_by.as_ref().map(|(filter, _)| &**filter),
            );
        }
        let notable = answered || !report.failures.is_empty() || report.matches().next().is_some();
        if !notable || self.audit_off {
            return;
        }
        let line = match self.format {
            AuditFormat::Picket => self.audit_line(summary),
            AuditFormat::ModSecurity => modsecurity::line(summary, |filter| self.rules(filter)),
        };
        if !self.audit.write(line) {
            self.metrics.dropped_audit_lines.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matched_is_readable_and_unambiguous() {
        assert_eq!(text(Octets(b"or '1'=\"1")), "or '1'=\"1");
        assert_eq!(text(Octets(b"a\\x1b\x1b[2J\xff")), "a\\\\x1b\\x1b[2J\\xff");
    }
}
