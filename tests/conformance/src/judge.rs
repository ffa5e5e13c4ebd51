//! What is said to a request, and by whom: a module in a chain of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use picket_abi::{
    Header, HttpVersion, Match, Octets, Peer, PeerAddr, RequestHead, SeqBuf, Setting, TransactionLog, Value,
};
use picket_host::{
    Backend, BodyDecision, Chain, ConfigureBuf, Environment, Filter, HeadDecision, Isolation, LoadError,
    Metering, Micros, ModuleDigest, Policy, Source,
};

use crate::cases::Request;

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
    /// SHA-256 of everything in it, in hexadecimal: equal if and only if the judgement is.
    pub fn digest(&self) -> String {
        ModuleDigest::of(format!("{self:?}").as_bytes()).to_string()
    }

    /// Numbers of the rules that matched.
    pub fn rules(&self) -> BTreeSet<u32> {
        self.matches.iter().map(|found| found.rule_id).collect()
    }
}

/// The policy of the suites: that of a firewall, with all rights and ten seconds a call. A machine
/// that runs several suites at once is slow; what bounds a call here is its fuel, which repeats.
pub fn policy(isolation: Isolation) -> Policy {
    let mut policy = Policy { isolation, capabilities: picket_abi::CapabilitySet::ALL, ..Policy::WAF };
    policy.limits.call.deadline = Micros::from_millis(10_000);
    policy.limits.setup.deadline = Micros::from_millis(10_000);
    policy
}

/// A module on one backend with one kind of instances, alone in its chain.
pub struct Sandbox {
    name: String,
    filter: Arc<Filter>,
    chain: Chain,
}

impl Sandbox {
    /// Loads a module.
    ///
    /// # Errors
    /// [`LoadError`] if it does not load.
    pub fn load(
        backend: &dyn Backend,
        wasm: &[u8],
        settings: &SeqBuf<Setting<'static>>,
        isolation: Isolation,
    ) -> Result<Sandbox, LoadError> {
        Self::load_metered(backend, wasm, settings, isolation, Metering::Canonical)
    }

    /// As [`load`](Self::load), with that mode of metering.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_metered(
        backend: &dyn Backend,
        wasm: &[u8],
        settings: &SeqBuf<Setting<'static>>,
        isolation: Isolation,
        metering: Metering,
    ) -> Result<Sandbox, LoadError> {
        let mut policy = policy(isolation);
        policy.limits.metering = metering;
        let instances = if isolation == Isolation::Fresh { "fresh" } else { "pooled" };
        let configure = ConfigureBuf { settings: settings.clone(), data: Vec::new() };
        let source = Source { id: "filter", wasm };
        let environment = Arc::new(Environment::closed());
        let filter = Arc::new(Filter::load(backend, source, policy, configure, environment)?);
        Ok(Sandbox {
            name: format!("{} {instances}", backend.name()),
            chain: Chain::new(vec![filter.clone()]),
            filter,
        })
    }

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

    /// Shows it a request, up to its answer or to the request's end, and tells the fuel that took.
    ///
    /// # Panics
    /// If the filter fails, or does what no firewall does: no request may bring that about.
    pub fn judge(&self, request: &Request) -> (Judgement, u64) {
        self.judge_in_pieces(request, usize::MAX)
    }

    /// The same with the body in pieces of at most `piece` bytes, as a device has to take them. How a body
    /// is cut is seen in the fuel.
    ///
    /// # Panics
    /// As [`judge`](Self::judge).
    pub fn judge_in_pieces(&self, request: &Request, piece: usize) -> (Judgement, u64) {
        let headers = header_buf(&request.headers);
        let mut transaction = self.chain.begin();
        let mut reply = match transaction.request_head(&request_head(request, &headers)) {
            HeadDecision::Continue => None,
            HeadDecision::Respond(reply) => Some(reply),
            HeadDecision::Modify { .. } => panic!("the WAF modifies nothing"),
        };
        for (piece, end) in pieces(&request.body, piece) {
            if reply.is_some() {
                break;
            }
            reply = match transaction.request_body(piece, end) {
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

/// A body in pieces, each with whether it is the last; nothing of an empty one.
pub(crate) fn pieces(body: &[u8], piece: usize) -> impl Iterator<Item = (&[u8], bool)> {
    let count = body.len().div_ceil(piece);
    body.chunks(piece).enumerate().map(move |(number, data)| (data, number + 1 == count))
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
