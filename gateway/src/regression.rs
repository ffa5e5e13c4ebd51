//! The engines that regression tests of rulesets run against: natively, and as a module on a
//! backend.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::RULES_LIMITS;
use picket_abi::{
    Header, HttpVersion, Match, Octets, Peer, RequestHead, ResponseHead, Scheme, SeqBuf, TransactionLog,
};
use picket_ftw::{Engine, Exchange, LoggedRule, Observed, Scores};
use picket_host::{
    Backend, BodyDecision, Chain, ConfigureBuf, Environment, Filter, HeadDecision, Isolation, Limits,
    LoadError, Micros, OnFailure, Policy, Reply, Source, Transaction, inspect,
};
use picket_seclang::{BlobError, NoServices, RuleSet, Settings};

/// The tag of a match that carries the rule's expanded `logdata`.
const DATA: &str = "data=";

/// The engine as a part of this program.
pub struct Native {
    rules: RuleSet<'static>,
}

impl Native {
    /// An engine with a compiled ruleset, which is kept for the rest of the process.
    ///
    /// # Errors
    /// [`BlobError`] if the blob is damaged.
    pub fn new(blob: Vec<u8>) -> Result<Native, BlobError> {
        Ok(Native { rules: RuleSet::load(blob.leak())? })
    }
}

impl Engine for Native {
    fn run(&mut self, exchange: &Exchange) -> Result<Observed, String> {
        let messages = Messages::of(exchange);
        let mut transaction =
            picket_seclang::Transaction::begin(self.rules, Settings::default(), Box::new(NoServices));
        let request = messages.request_head(exchange);
        let mut interrupted = transaction.request_head(&request).is_some();
        if !interrupted && !request.end {
            interrupted = transaction.request_body(&exchange.request.body, true).is_some();
        }
        if !interrupted {
            let response = messages.response_head(exchange);
            interrupted = transaction.response_head(&response).is_some();
            if !interrupted && !response.end {
                transaction.response_body(&exchange.response.body, true);
            }
        }
        transaction.log();
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let rules = transaction.matches().iter().map(|found| LoggedRule {
            id: found.id,
            msg: lossy(&found.message),
            data: lossy(&found.data),
            var_name: lossy(&found.location),
            var_value: lossy(&found.matched),
            severity: (found.severity <= 7).then_some(found.severity),
            tags: self.rules.tags(&self.rules.rule(found.rule)).map(lossy).collect(),
            line: None,
        });
        Ok(Observed {
            rules: rules.collect(),
            interruption: transaction.interruption().map(|interruption| interruption.status),
            scores: Some(Scores {
                blocking_inbound: transaction.inbound_score(),
                blocking_outbound: transaction.outbound_score(),
            }),
            error: None,
        })
    }
}

impl Native {
    /// Judges the request alone, phases 1 and 2: whether it was refused.
    pub fn request(&mut self, prepared: &Prepared<'_>) -> bool {
        let mut transaction =
            picket_seclang::Transaction::begin(self.rules, Settings::default(), Box::new(NoServices));
        let request = prepared.messages.request_head(prepared.exchange);
        transaction.request_head(&request).is_some()
            || !request.end && transaction.request_body(&prepared.exchange.request.body, true).is_some()
    }
}

/// A module that carries its ruleset, on a backend.
pub struct Sandbox {
    chain: Chain,
}

impl Sandbox {
    /// Loads the module. Time depends on what else the machine does, so there is plenty; what bounds
    /// the module is fuel.
    ///
    /// # Errors
    /// [`LoadError`] if it does not load.
    pub fn new(backend: &dyn Backend, module: &[u8], isolation: Isolation) -> Result<Sandbox, LoadError> {
        let mut policy = Policy {
            capabilities: inspect(module)?.capabilities(),
            isolation,
            on_failure: OnFailure::FailClosed { status: 503 },
            limits: RULES_LIMITS,
        };
        for budget in [&mut policy.limits.call, &mut policy.limits.setup] {
            budget.deadline = Micros::from_millis(10_000);
        }
        let source = Source { id: "rules", wasm: module };
        let environment = Arc::new(Environment::closed());
        let filter = Filter::load(backend, source, policy, ConfigureBuf::default(), environment)?;
        Ok(Sandbox { chain: Chain::new(vec![Arc::new(filter)]) })
    }
}

impl Sandbox {
    /// Judges the request alone, phases 1 and 2: whether it was refused, and the fuel it took.
    ///
    /// # Errors
    /// What the module failed on.
    pub fn request(&mut self, prepared: &Prepared<'_>) -> Result<(bool, u64), String> {
        let mut transaction = self.chain.begin();
        let reply = play_request(&mut transaction, &prepared.messages, prepared.exchange);
        let report = transaction.finish(&TransactionLog::default());
        match report.failures.first() {
            Some(failure) => Err(format!("{} in phase {}", failure.error, failure.phase.name())),
            None => Ok((reply.is_some(), report.fuel.0)),
        }
    }
}

/// An exchange, encoded ahead for many a run.
pub struct Prepared<'e> {
    exchange: &'e Exchange,
    messages: Messages,
}

impl<'e> Prepared<'e> {
    /// Encodes what can be.
    pub fn new(exchange: &'e Exchange) -> Self {
        Prepared { exchange, messages: Messages::of(exchange) }
    }
}

impl Engine for Sandbox {
    fn run(&mut self, exchange: &Exchange) -> Result<Observed, String> {
        let messages = Messages::of(exchange);
        let mut transaction = self.chain.begin();
        let reply = play(&mut transaction, &messages, exchange);
        let report = transaction.finish(&TransactionLog {
            status: reply.as_ref().map_or(exchange.response.status, |reply| reply.status),
            answered_by_filter: reply.is_some(),
            ..TransactionLog::default()
        });
        if let Some(failure) = report.failures.first() {
            return Err(format!("{} in phase {}", failure.error, failure.phase.name()));
        }
        Ok(Observed {
            rules: report.matches().map(|(_, found)| logged(&found)).collect(),
            interruption: reply.map(|reply| reply.status),
            scores: None,
            error: None,
        })
    }
}

fn play(transaction: &mut Transaction, messages: &Messages, exchange: &Exchange) -> Option<Reply> {
    if let Some(reply) = play_request(transaction, messages, exchange) {
        return Some(reply);
    }
    let response = messages.response_head(exchange);
    if let HeadDecision::Respond(reply) = transaction.response_head(&response) {
        return Some(reply);
    }
    let mut left = exchange.response.body.as_slice();
    while !left.is_empty() {
        let (piece, rest) = left.split_at(left.len().min(Limits::WAF.chunk_bytes));
        left = rest;
        if let BodyDecision::Respond(reply) = transaction.response_body(piece, left.is_empty()) {
            return Some(reply);
        }
    }
    None
}

fn play_request(transaction: &mut Transaction, messages: &Messages, exchange: &Exchange) -> Option<Reply> {
    let request = messages.request_head(exchange);
    if let HeadDecision::Respond(reply) = transaction.request_head(&request) {
        return Some(reply);
    }
    let mut left = exchange.request.body.as_slice();
    // In the pieces that a gateway would show.
    while !left.is_empty() {
        let (piece, rest) = left.split_at(left.len().min(Limits::WAF.chunk_bytes));
        left = rest;
        if let BodyDecision::Respond(reply) = transaction.request_body(piece, left.is_empty()) {
            return Some(reply);
        }
    }
    None
}

fn logged(found: &Match<'_>) -> LoggedRule {
    let lossy = |octets: Octets<'_>| String::from_utf8_lossy(octets.bytes()).into_owned();
    let (data, tags): (Vec<String>, Vec<String>) =
        found.tags.iter().map(lossy).partition(|tag| tag.starts_with(DATA));
    LoggedRule {
        id: found.rule_id,
        msg: lossy(found.message),
        data: data.first().map(|data| data[DATA.len()..].to_owned()).unwrap_or_default(),
        var_name: lossy(found.location),
        var_value: lossy(found.matched),
        severity: None,
        tags,
        line: None,
    }
}

/// The header fields of an exchange, encoded.
struct Messages {
    request_headers: SeqBuf<Header<'static>>,
    response_headers: SeqBuf<Header<'static>>,
}

impl Messages {
    fn of(exchange: &Exchange) -> Messages {
        let encode = |fields: &picket_ftw::Headers| {
            let mut encoded = SeqBuf::new();
            encoded.extend(
                fields.iter().map(|(name, value)| Header { name: Octets(name), value: Octets(value) }),
            );
            encoded
        };
        Messages {
            request_headers: encode(&exchange.request.headers),
            response_headers: encode(&exchange.response.headers),
        }
    }

    fn request_head<'a>(&'a self, exchange: &'a Exchange) -> RequestHead<'a> {
        let request = &exchange.request;
        let (version, protocol) = version(&request.version);
        RequestHead {
            request_id: "test".into(),
            client: peer(exchange.client),
            scheme: Scheme::Http,
            version,
            method: Octets(&request.method),
            authority: Octets(request.header("host").unwrap_or_default()),
            target: Octets(&request.target),
            headers: self.request_headers.as_seq(),
            end: request.body.is_empty(),
            protocol: Octets(protocol),
            ..RequestHead::default()
        }
    }

    fn response_head(&self, exchange: &Exchange) -> ResponseHead<'_> {
        ResponseHead {
            status: exchange.response.status,
            version: HttpVersion::Http11,
            headers: self.response_headers.as_seq(),
            end: exchange.response.body.is_empty(),
        }
    }
}

fn peer(addr: SocketAddr) -> Peer {
    Peer { addr: addr.ip().into(), port: addr.port() }
}

/// The version of that name; where there is none, the text as well.
fn version(text: &[u8]) -> (HttpVersion, &[u8]) {
    use HttpVersion::{Http2, Http3, Http09, Http10, Http11};
    match [Http09, Http10, Http11, Http2, Http3]
        .into_iter()
        .find(|version| version.as_str().as_bytes() == text)
    {
        Some(version) => (version, b""),
        None => (Http11, text),
    }
}
