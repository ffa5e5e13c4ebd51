//! Judging exchanges without a network: the chain on a backend, or the engine natively.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use picket::backend::BackendKind;
use picket_abi::{BodyChunk, Match, Octets, RequestHead, ResponseHead, SeqBuf, Setting, TransactionLog};
use picket_host::{
    Backend, BodyDecision, Chain, ConfigureBuf, Environment, Filter, HeadDecision, Isolation, Limits, Micros,
    OnFailure, Policy, Reply, ReplyCause, Source, Transaction, inspect,
};

use picket_seclang::transform::Transformation;

use super::exchange::Prepared;

/// What judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The built-in WAF as a part of this binary: no module, no sandbox, no fuel.
    #[cfg(feature = "native")]
    Native,
    /// A module on a backend.
    Wasm(BackendKind),
}

impl Engine {
    /// All engines of this build, the fastest first.
    pub(crate) fn all() -> Vec<Engine> {
        let mut all = Vec::new();
        #[cfg(feature = "native")]
        all.push(Engine::Native);
        all.extend(BackendKind::ALL.iter().map(|&kind| Engine::Wasm(kind)));
        all
    }

    /// The engine that `check` takes unless told otherwise: the fastest backend.
    pub(crate) fn default_backend() -> Option<Engine> {
        BackendKind::ALL.first().map(|&kind| Engine::Wasm(kind))
    }

    /// The name on the command line and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "native")]
            Engine::Native => "native",
            Engine::Wasm(kind) => kind.name(),
        }
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Engine::all().into_iter().find(|engine| engine.name() == name).ok_or_else(|| {
            let known: Vec<_> = Engine::all().into_iter().map(Engine::name).collect();
            format!("not in this build (there is: {})", known.join(", "))
        })
    }
}

/// A rule that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule_id: u32,
    pub(crate) severity: &'static str,
    pub(crate) score: u32,
    pub(crate) category: String,
    pub(crate) message: String,
    pub(crate) location: String,
    pub(crate) matched: String,
    pub(crate) value: String,
    pub(crate) transformations: String,
    /// The value behind each of them, where they are SecLang's.
    pub(crate) steps: Vec<(&'static str, String)>,
    pub(crate) tags: Vec<String>,
}

impl From<Match<'_>> for Finding {
    /// The texts are shown so that they can be printed: what is no printable ASCII is escaped.
    fn from(found: Match<'_>) -> Self {
        Finding {
            rule_id: found.rule_id,
            severity: found.severity.name(),
            score: found.score,
            category: found.category.to_string(),
            message: found.message.to_string(),
            location: found.location.to_string(),
            matched: found.matched.to_string(),
            value: found.value.to_string(),
            transformations: found.transformations.to_string(),
            steps: steps(found.value.bytes(), found.transformations.bytes()),
            tags: found.tags.iter().map(|tag| tag.to_string()).collect(),
        }
    }
}

/// The value behind each of a list of SecLang's transformations; nothing if they are others.
fn steps(value: &[u8], names: &[u8]) -> Vec<(&'static str, String)> {
    let mut value = value.to_vec();
    let mut changed = Vec::new();
    let mut steps = Vec::new();
    for name in names.split(|&byte| byte == b',') {
        let known = std::str::from_utf8(name).ok().and_then(Transformation::from_name);
        let Some(transformation) = known else { return Vec::new() };
        if transformation.apply(&value, &mut changed) {
            std::mem::swap(&mut value, &mut changed);
        }
        steps.push((transformation.name(), Octets(&value).to_string()));
    }
    steps
}

/// What an exchange came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// The status a filter answered with instead of the upstream.
    pub(crate) answered: Option<u16>,
    /// Anomaly score.
    pub(crate) score: u32,
    /// Rules that matched, in order.
    pub(crate) findings: Vec<Finding>,
    /// Fuel of all phases; 0 natively.
    pub(crate) fuel: u64,
    /// From the first phase to the last.
    pub(crate) time: Duration,
}

impl Judgement {
    /// Whether a filter answered instead of the upstream.
    pub(crate) fn blocked(&self) -> bool {
        self.answered.is_some()
    }

    /// Numbers of the rules that matched, sorted, each once.
    pub(crate) fn rule_ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.findings.iter().map(|finding| finding.rule_id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// The filter failed: there is no judgement. How, and in which phase, in words.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

/// How much of a request is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Up to the filter's answer, as the gateway does.
    UpToAnswer,
    /// All of it: the answer stands, but what there is to find behind it is found too.
    WholeRequest,
}

/// One engine, set up.
pub(crate) trait Judge {
    /// Plays the exchange as the gateway would, phase by phase.
    fn judge(&mut self, exchange: &Prepared) -> Result<Judgement, Failed>;

    /// The filter behind it, if it is a module.
    fn filter(&self) -> Option<&Filter> {
        None
    }
}

/// What the engines are set up with.
pub(crate) struct Setup {
    /// The module; unused natively.
    pub(crate) module: Option<Cow<'static, [u8]>>,
    /// The ruleset that the module carries, if any: the engine natively runs that.
    #[cfg(feature = "native")]
    pub(crate) rules: Option<Vec<u8>>,
    /// What the module may use.
    pub(crate) limits: Limits,
    /// Settings of the filter.
    pub(crate) settings: SeqBuf<Setting<'static>>,
    /// How much of a request is judged.
    pub(crate) extent: Extent,
    /// Bytes of a body that are shown at once.
    pub(crate) piece: usize,
}

impl Setup {
    /// The module's bytes.
    ///
    /// # Errors
    /// If there is no module: a native engine was to do without.
    pub(crate) fn module(&self) -> anyhow::Result<&[u8]> {
        self.module.as_deref().context("no module was read")
    }

    /// The policy a module is judged under: that of a firewall, with the capabilities it asks for
    /// (the services behind them deny) and with time to spare. Time depends on what else the
    /// machine does; what bounds a module here is fuel, which repeats.
    pub(crate) fn policy(&self, isolation: Isolation) -> anyhow::Result<Policy> {
        let mut policy = Policy {
            capabilities: inspect(self.module()?)?.capabilities(),
            isolation,
            on_failure: OnFailure::FailClosed { status: 503 },
            limits: self.limits,
        };
        for budget in [&mut policy.limits.call, &mut policy.limits.setup] {
            budget.deadline = Micros::from_millis(10_000);
        }
        Ok(policy)
    }

    /// Sets up `engine`.
    ///
    /// # Errors
    /// If the module does not load or refuses its settings.
    pub(crate) fn judge(&self, engine: Engine, isolation: Isolation) -> anyhow::Result<Box<dyn Judge>> {
        match engine {
            #[cfg(feature = "native")]
            Engine::Native => Ok(Box::new(native::Native::new(self)?)),
            Engine::Wasm(kind) => {
                let backend = kind.build()?;
                Ok(Box::new(Sandbox::new(&*backend, self, isolation)?))
            }
        }
    }
}

/// A module on a backend, alone in its chain.
struct Sandbox {
    filter: Arc<Filter>,
    chain: Chain,
    extent: Extent,
    piece: usize,
}

impl Sandbox {
    fn new(backend: &dyn Backend, setup: &Setup, isolation: Isolation) -> anyhow::Result<Self> {
        let configure = ConfigureBuf { settings: setup.settings.clone(), data: Vec::new() };
        let source = Source { id: "check", wasm: setup.module()? };
        let environment = Arc::new(Environment::closed());
        let filter = Filter::load(backend, source, setup.policy(isolation)?, configure, environment)?;
        let filter = Arc::new(filter);
        let chain = Chain::new(vec![filter.clone()]);
        Ok(Sandbox { chain, filter, extent: setup.extent, piece: setup.piece })
    }
}

impl Judge for Sandbox {
    fn judge(&mut self, exchange: &Prepared) -> Result<Judgement, Failed> {
        let start = Instant::now();
        let mut transaction = self.chain.begin();
        let Ok(answered) = play(&mut transaction, exchange, self.extent, self.piece);
        let report = transaction.finish(&end_of(answered));
        let time = start.elapsed();
        if let Some(failure) = report.failures.first() {
            return Err(Failed(format!("{} in phase {}", failure.error, failure.phase.name())));
        }
        Ok(Judgement {
            answered,
            score: report.score(),
            findings: report.matches().map(|(_, found)| Finding::from(found)).collect(),
            fuel: report.fuel.0,
            time,
        })
    }

    fn filter(&self) -> Option<&Filter> {
        Some(&self.filter)
    }
}

/// What a filter says to a phase.
pub(super) enum Said {
    /// On with it, changed or not.
    GoOn,
    /// On with it, and with another body in the place of the one that follows.
    BodyReplaced,
    /// The client is answered instead.
    Answered {
        status: u16,
        /// Whether that was its verdict, and no failure.
        verdict: bool,
    },
}

/// What takes a transaction phase by phase: a chain here, or a device.
pub(super) trait Phases {
    type Error;

    fn request_head(&mut self, head: &RequestHead<'_>) -> Result<Said, Self::Error>;
    fn request_body(&mut self, piece: BodyChunk<'_>) -> Result<Said, Self::Error>;
    fn response_head(&mut self, head: &ResponseHead<'_>) -> Result<Said, Self::Error>;
    fn response_body(&mut self, piece: BodyChunk<'_>) -> Result<Said, Self::Error>;
}

impl Phases for Transaction {
    type Error = Infallible;

    fn request_head(&mut self, head: &RequestHead<'_>) -> Result<Said, Infallible> {
        Ok(self.request_head(head).into())
    }

    fn request_body(&mut self, piece: BodyChunk<'_>) -> Result<Said, Infallible> {
        Ok(self.request_body(piece.data.bytes(), piece.end).into())
    }

    fn response_head(&mut self, head: &ResponseHead<'_>) -> Result<Said, Infallible> {
        Ok(self.response_head(head).into())
    }

    fn response_body(&mut self, piece: BodyChunk<'_>) -> Result<Said, Infallible> {
        Ok(self.response_body(piece.data.bytes(), piece.end).into())
    }
}

impl From<HeadDecision> for Said {
    fn from(decision: HeadDecision) -> Self {
        match decision {
            HeadDecision::Continue | HeadDecision::Modify { body: None, .. } => Said::GoOn,
            HeadDecision::Modify { body: Some(_), .. } => Said::BodyReplaced,
            HeadDecision::Respond(reply) => reply.into(),
        }
    }
}

impl From<BodyDecision> for Said {
    fn from(decision: BodyDecision) -> Self {
        match decision {
            BodyDecision::Continue | BodyDecision::Replace(_) => Said::GoOn,
            BodyDecision::Respond(reply) => reply.into(),
        }
    }
}

impl From<Reply> for Said {
    fn from(reply: Reply) -> Self {
        Said::Answered { status: reply.status, verdict: reply.cause == ReplyCause::Verdict }
    }
}

/// Plays an exchange as the gateway would, in pieces of at most `piece` bytes. The status that it was
/// answered with, if it was.
pub(super) fn play<P: Phases>(
    phases: &mut P,
    exchange: &Prepared,
    extent: Extent,
    piece: usize,
) -> Result<Option<u16>, P::Error> {
    let head = exchange.request_head();
    match phases.request_head(&head)? {
        Said::Answered { status, verdict } => {
            // Not behind a failure: that filter is out.
            if extent == Extent::WholeRequest && verdict && !head.end {
                play_body(phases, exchange.request_body(), extent, piece)?;
            }
            return Ok(Some(status));
        }
        // The filter has put its own body in the place of this one.
        Said::BodyReplaced => {}
        Said::GoOn if head.end => {}
        Said::GoOn => {
            if let Some(status) = play_body(phases, exchange.request_body(), extent, piece)? {
                return Ok(Some(status));
            }
        }
    }
    let Some((head, body)) = exchange.response() else { return Ok(None) };
    match phases.response_head(&head)? {
        Said::Answered { status, .. } => return Ok(Some(status)),
        Said::BodyReplaced => {}
        Said::GoOn if head.end => {}
        Said::GoOn => {
            for chunk in pieces(body, piece) {
                if let Said::Answered { status, .. } = phases.response_body(chunk)? {
                    return Ok(Some(status));
                }
            }
        }
    }
    Ok(None)
}

/// Shows the request's body, in the pieces a guest gets.
fn play_body<P: Phases>(
    phases: &mut P,
    body: &[u8],
    extent: Extent,
    piece: usize,
) -> Result<Option<u16>, P::Error> {
    let mut answer = None;
    for chunk in pieces(body, piece) {
        if let Said::Answered { status, verdict } = phases.request_body(chunk)? {
            answer.get_or_insert(status);
            if extent == Extent::UpToAnswer || !verdict {
                break;
            }
        }
    }
    Ok(answer)
}

/// A body, which is not empty, in pieces of at most `piece` bytes.
fn pieces(body: &[u8], piece: usize) -> impl Iterator<Item = BodyChunk<'_>> {
    let piece = piece.max(1);
    body.chunks(piece).enumerate().map(move |(n, data)| BodyChunk {
        offset: (n * piece) as u64,
        end: n * piece + data.len() == body.len(),
        data: Octets(data),
    })
}

/// The end of an exchange that was answered with that status, or not at all.
pub(super) fn end_of(answered: Option<u16>) -> TransactionLog {
    TransactionLog {
        status: answered.unwrap_or(200),
        answered_by_filter: answered.is_some(),
        ..TransactionLog::default()
    }
}

#[cfg(feature = "native")]
mod native {
    use std::time::Instant;

    use anyhow::Context as _;
    use picket_abi::{ActionBuf, BodyChunk, Configure, Octets, OutcomeBuf, RequestHead, Value};
    use picket_seclang::{Guard, NoServices};
    use picket_waf::{RuleSet, Waf};

    use super::{Extent, Failed, Finding, Judge, Judgement, Prepared, Setup};

    /// The engine of a built-in module, called directly.
    pub(super) struct Native {
        engine: Engine,
        extent: Extent,
        piece: usize,
    }

    enum Engine {
        Waf(Box<Waf>),
        SecLang(Box<Guard<'static, NoServices>>),
    }

    impl Native {
        pub(super) fn new(setup: &Setup) -> anyhow::Result<Self> {
            let configure = Configure { settings: setup.settings.as_seq(), data: Octets::default() };
            let engine = match &setup.rules {
                None => {
                    let rules = RuleSet::load(picket_waf_rules::BUILTIN).context("the built-in ruleset")?;
                    Engine::Waf(Box::new(Waf::configure(rules, &configure)?))
                }
                Some(blob) => {
                    // As long as the process, which is as long as it is needed.
                    let rules = picket_seclang::RuleSet::load(blob.clone().leak())?;
                    let is = |key: &str, value: Value<'_>| {
                        configure.settings.iter().any(|setting| setting.key == key && setting.value == value)
                    };
                    let settings = picket_seclang::Settings {
                        explain: is("explain", Value::Bool(true)),
                        detection_only: is("mode", Value::Text("detect".into())),
                        ..picket_seclang::Settings::default()
                    };
                    Engine::SecLang(Box::new(Guard::new(rules, settings, NoServices)))
                }
            };
            Ok(Native { engine, extent: setup.extent, piece: setup.piece })
        }
    }

    impl Engine {
        fn request_head(&mut self, head: &RequestHead<'_>) -> OutcomeBuf {
            match self {
                Engine::Waf(waf) => waf.request_head(head),
                Engine::SecLang(guard) => guard.request_head(head),
            }
        }

        fn request_body(&mut self, chunk: &BodyChunk<'_>) -> OutcomeBuf {
            match self {
                Engine::Waf(waf) => waf.request_body(chunk),
                Engine::SecLang(guard) => guard.request_body(chunk),
            }
        }

        /// What follows the request, for engines that look at it: the outcomes, and whether one answers.
        fn response(&mut self, exchange: &Prepared, stopped: bool) -> Vec<OutcomeBuf> {
            let Engine::SecLang(guard) = self else { return Vec::new() };
            let mut outcomes = Vec::new();
            if let (Some((head, body)), false) = (exchange.response(), stopped) {
                outcomes.push(guard.response_head(&head));
                if !head.end && status(&outcomes[0]).is_none() {
                    outcomes.push(guard.response_body(&BodyChunk {
                        offset: 0,
                        end: true,
                        data: Octets(body),
                    }));
                }
            }
            outcomes.push(guard.log());
            outcomes
        }

        fn score(&self) -> u32 {
            match self {
                Engine::Waf(waf) => waf.score(),
                Engine::SecLang(guard) => {
                    guard.transaction().map_or(0, |found| found.inbound_score() + found.outbound_score())
                }
            }
        }
    }

    impl Judge for Native {
        fn judge(&mut self, exchange: &Prepared) -> Result<Judgement, Failed> {
            let start = Instant::now();
            let head = exchange.request_head();
            let outcome = self.engine.request_head(&head);
            let mut answered = status(&outcome);
            let mut outcomes = vec![outcome];
            let body = exchange.request_body();
            let mut offset = 0;
            // The same pieces that a guest gets.
            for data in body.chunks(self.piece) {
                if answered.is_some() && self.extent == Extent::UpToAnswer {
                    break;
                }
                let end = offset + data.len() == body.len();
                let chunk = BodyChunk { offset: offset as u64, end, data: Octets(data) };
                offset += data.len();
                let outcome = self.engine.request_body(&chunk);
                answered = answered.or(status(&outcome));
                if !outcome.is_silent() {
                    outcomes.push(outcome);
                }
            }
            let behind = self.engine.response(exchange, answered.is_some());
            answered = answered.or(behind.iter().find_map(status));
            outcomes.extend(behind);
            let time = start.elapsed();
            let matches = outcomes.iter().flat_map(|outcome| outcome.verdict.matches.iter());
            Ok(Judgement {
                answered,
                score: self.engine.score(),
                findings: matches.map(Finding::from).collect(),
                fuel: 0,
                time,
            })
        }
    }

    fn status(outcome: &OutcomeBuf) -> Option<u16> {
        match outcome.action {
            ActionBuf::Respond { status, .. } | ActionBuf::Redirect { status, .. } => Some(status),
            ActionBuf::Continue | ActionBuf::Modify { .. } => None,
        }
    }
}
