//! What judges: the native engine, and a module on each backend with each kind of instances.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use picket_abi::{
    ActionBuf, BodyChunk, Configure, Header, HttpVersion, Match, Octets, OutcomeBuf, Peer, PeerAddr,
    RequestHead, SeqBuf, Setting, TransactionLog, Value,
};
use picket_host::{
    Backend, BodyDecision, Chain, ConfigureBuf, Environment, Filter, HeadDecision, Isolation, Limits, Micros,
    Policy, Source,
};
use picket_host_wasmi::WasmiBackend;
use picket_host_wasmtime::WasmtimeBackend;
use picket_waf::{RuleSet, Waf};

use crate::cases::Request;
use crate::guests::guest_module;

/// A rule that matched: everything a user sees of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleMatch {
    /// Number of the rule.
    pub rule_id: u32,
    /// Name of its severity.
    pub severity: &'static str,
    /// What it added to the score.
    pub score: u32,
    /// Its category.
    pub category: String,
    /// Its message.
    pub message: String,
    /// Where it matched.
    pub location: String,
    /// The part that matched.
    pub matched: String,
    /// Its tags.
    pub tags: Vec<String>,
}

impl From<Match<'_>> for RuleMatch {
    fn from(found: Match<'_>) -> Self {
        RuleMatch {
            rule_id: found.rule_id,
            severity: found.severity.name(),
            score: found.score,
            category: found.category.to_string(),
            message: found.message.to_string(),
            location: found.location.to_string(),
            matched: found.matched.to_string(),
            tags: found.tags.iter().map(|tag| tag.to_string()).collect(),
        }
    }
}

/// What an engine says to a request: equal on every engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Status, header fields and body of the answer, if the request is not let through.
    pub answer: Option<Answer>,
    /// Anomaly score.
    pub score: u32,
    /// Rules that matched, in order.
    pub matches: Vec<RuleMatch>,
}

/// What the client gets instead of the upstream's response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header fields in order, duplicates kept.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Judgement {
    /// Numbers of the rules that matched.
    pub fn rules(&self) -> BTreeSet<u32> {
        self.matches.iter().map(|found| found.rule_id).collect()
    }
}

/// A WAF that judges requests.
pub struct Engine {
    name: String,
    kind: Kind,
}

enum Kind {
    Native(Box<Waf>),
    Sandbox(Sandbox),
}

/// The built-in WAF with these settings, natively and on every lane of [`sandboxes`].
///
/// # Panics
/// If one of them cannot be set up.
pub fn engines(settings: &[(&str, Value<'_>)]) -> Vec<Engine> {
    let settings = settings_buf(settings);
    let rules = RuleSet::load(picket_waf_rules::BUILTIN).expect("the built-in ruleset is one");
    let configure = Configure { settings: settings.as_seq(), data: Octets::default() };
    let waf = Waf::configure(rules, &configure).expect("the WAF takes its settings");
    let native = Engine { name: "native".into(), kind: Kind::Native(Box::new(waf)) };
    let sandboxes = sandboxes(&guest_module("picket_waf_guest"), &settings);
    std::iter::once(native)
        .chain(
            sandboxes.into_iter().map(|lane| Engine { name: lane.name.clone(), kind: Kind::Sandbox(lane) }),
        )
        .collect()
}

impl Engine {
    /// `native`, `wasmi fresh`, `wasmi pooled`, `wasmtime fresh`, `wasmtime pooled`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it counts fuel.
    pub fn is_sandboxed(&self) -> bool {
        matches!(self.kind, Kind::Sandbox(_))
    }

    /// Shows it a request, up to its answer or to the request's end, and tells the fuel that took.
    ///
    /// # Panics
    /// If the filter fails: no request may bring that about.
    pub fn judge(&mut self, request: &Request) -> (Judgement, u64) {
        let headers = header_buf(&request.headers);
        let head = request_head(request, &headers);
        match &mut self.kind {
            Kind::Native(waf) => (judge_natively(waf, &head, &request.body), 0),
            Kind::Sandbox(sandbox) => sandbox.judge(&head, &request.body),
        }
    }
}

fn judge_natively(waf: &mut Waf, head: &RequestHead<'_>, body: &[u8]) -> Judgement {
    let mut judgement = Judgement::default();
    let mut outcome = waf.request_head(head);
    let mut offset = 0;
    loop {
        judgement.matches.extend(outcome.verdict.matches.iter().map(RuleMatch::from));
        judgement.answer = answered(&outcome);
        if judgement.answer.is_some() || offset == body.len() {
            judgement.score = waf.score();
            return judgement;
        }
        // The pieces a guest gets.
        let data = &body[offset..body.len().min(offset + Limits::WAF.chunk_bytes)];
        let end = offset + data.len() == body.len();
        outcome = waf.request_body(&BodyChunk { offset: offset as u64, end, data: Octets(data) });
        offset += data.len();
    }
}

fn answered(outcome: &OutcomeBuf) -> Option<Answer> {
    match &outcome.action {
        ActionBuf::Continue => None,
        ActionBuf::Respond { status, headers, body } => {
            Some(Answer { status: *status, headers: pairs(headers), body: body.clone() })
        }
        other => panic!("the WAF neither modifies nor redirects: {other:?}"),
    }
}

/// A module on one backend with one kind of instances, alone in its chain.
pub struct Sandbox {
    name: String,
    filter: Arc<Filter>,
    chain: Chain,
}

/// The backends, one each for the process: a backend has threads and pools of its own.
///
/// # Panics
/// If a backend cannot be started.
pub fn backends() -> &'static [Box<dyn Backend>] {
    static BACKENDS: OnceLock<Vec<Box<dyn Backend>>> = OnceLock::new();
    BACKENDS.get_or_init(|| {
        let wasmtime = WasmtimeBackend::new().expect("wasmtime starts on this machine");
        vec![Box::new(WasmiBackend::new()), Box::new(wasmtime)]
    })
}

/// The policy of the suites: that of a firewall, with all rights and ten seconds a call. A machine
/// that runs several suites at once is slow; what bounds a call here is its fuel, which repeats.
pub fn policy(isolation: Isolation) -> Policy {
    let mut policy = Policy { isolation, capabilities: picket_abi::CapabilitySet::ALL, ..Policy::WAF };
    policy.limits.call.deadline = Micros::from_millis(10_000);
    policy.limits.setup.deadline = Micros::from_millis(10_000);
    policy
}

/// The module on wasmi and on wasmtime, with fresh and with pooled instances.
///
/// # Panics
/// If it does not load.
pub fn sandboxes(module: &Path, settings: &SeqBuf<Setting<'static>>) -> Vec<Sandbox> {
    let wasm = std::fs::read(module).unwrap_or_else(|error| panic!("{}: {error}", module.display()));
    let mut lanes = Vec::new();
    for backend in backends() {
        for (instances, isolation) in
            [("fresh", Isolation::Fresh), ("pooled", Isolation::Pooled { max_idle: 1 })]
        {
            let name = format!("{} {instances}", backend.name());
            let configure = ConfigureBuf { settings: settings.clone(), data: Vec::new() };
            let filter = Filter::load(
                &**backend,
                Source { id: "filter", wasm: &wasm },
                policy(isolation),
                configure,
                Arc::new(Environment::closed()),
            )
            .unwrap_or_else(|error| panic!("{}: {name}: {error}", module.display()));
            let filter = Arc::new(filter);
            lanes.push(Sandbox { name, chain: Chain::new(vec![filter.clone()]), filter });
        }
    }
    lanes
}

impl Sandbox {
    /// `wasmi fresh`, …
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Its filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    fn judge(&self, head: &RequestHead<'_>, body: &[u8]) -> (Judgement, u64) {
        let mut transaction = self.chain.begin();
        let mut reply = match transaction.request_head(head) {
            HeadDecision::Continue => None,
            HeadDecision::Respond(reply) => Some(reply),
            HeadDecision::Modify { .. } => panic!("the WAF modifies nothing"),
        };
        if reply.is_none() && !body.is_empty() {
            reply = match transaction.request_body(body, true) {
                BodyDecision::Continue => None,
                BodyDecision::Respond(reply) => Some(reply),
                BodyDecision::Replace(_) => panic!("the WAF replaces nothing"),
            };
        }
        let report = transaction.finish(&TransactionLog::default());
        assert!(report.failures.is_empty(), "{}: {:?}", self.name, report.failures);
        let judgement = Judgement {
            answer: reply.map(|reply| Answer {
                status: reply.status,
                headers: pairs(&reply.headers),
                body: reply.body,
            }),
            score: report.score(),
            matches: report.matches().map(|(_, found)| RuleMatch::from(found)).collect(),
        };
        (judgement, report.fuel.0)
    }
}

/// The head of `request`, as a gateway would tell it. `headers` are its fields, encoded.
pub fn request_head<'a>(request: &'a Request, headers: &'a SeqBuf<Header<'static>>) -> RequestHead<'a> {
    RequestHead {
        request_id: "00000000-0000-7000-8000-000000000000".into(),
        route: "default".into(),
        client: Peer { addr: PeerAddr::V4([192, 0, 2, 7]), port: 50_000 },
        version: HttpVersion::Http11,
        method: request.method.as_str().into(),
        authority: headers.as_seq().first(b"host").unwrap_or_default(),
        target: request.target.as_slice().into(),
        headers: headers.as_seq(),
        end: request.body.is_empty(),
        protocol: Octets::default(),
        ..RequestHead::default()
    }
}

/// Header fields, encoded.
pub fn header_buf<V: AsRef<[u8]>>(headers: &[(String, V)]) -> SeqBuf<Header<'static>> {
    let mut encoded = SeqBuf::new();
    encoded.extend(
        headers
            .iter()
            .map(|(name, value)| Header { name: name.as_str().into(), value: value.as_ref().into() }),
    );
    encoded
}

/// Settings, encoded.
pub fn settings_buf(settings: &[(&str, Value<'_>)]) -> SeqBuf<Setting<'static>> {
    let mut encoded = SeqBuf::new();
    encoded.extend(settings.iter().map(|&(key, value)| Setting { key: key.into(), value }));
    encoded
}

/// Header fields as texts, order and duplicates kept; what is no printable ASCII is escaped.
pub fn pairs(headers: &SeqBuf<Header<'static>>) -> Vec<(String, String)> {
    headers.iter().map(|header| (header.name.to_string(), header.value.to_string())).collect()
}
