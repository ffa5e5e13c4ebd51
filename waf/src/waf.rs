//! The WAF as a filter: a method a phase.

use alloc::vec::Vec;

use picket_abi::{ActionBuf, BodyChunk, Configure, Header, Octets, OutcomeBuf, RequestHead, SeqBuf};

use crate::blob::RuleSet;
use crate::body::BodyParser;
use crate::config::{Config, ConfigError, Mode};
use crate::inspect::Inspector;
use crate::request::{HeaderCounts, inspect_head};

/// A WAF instance. It serves one transaction at a time; [`Waf::request_head`] begins one.
pub struct Waf {
    inspector: Inspector,
    counts: HeaderCounts,
    body: BodyParser,
}

impl Waf {
    /// An instance over a ruleset.
    pub fn new(rules: RuleSet<'static>, config: Config) -> Self {
        Waf {
            counts: HeaderCounts::new(&rules),
            inspector: Inspector::new(rules, config),
            body: BodyParser::default(),
        }
    }

    /// An instance with the settings of a configure phase, see [`Config`].
    ///
    /// # Errors
    /// [`ConfigError`] names the setting that is not taken.
    pub fn configure(rules: RuleSet<'static>, configure: &Configure<'_>) -> Result<Self, ConfigError> {
        let config = Config::parse(configure)?;
        config.check_rules(&rules)?;
        Ok(Self::new(rules, config))
    }

    /// Bounds the memory that unpacked tables may take, in bytes: less of it, and patterns that run
    /// often run slower. Verdicts stay what they are.
    pub fn limit_unpacked(&mut self, bytes: usize) {
        self.inspector.limit_unpacked(bytes);
    }

    /// Begins a transaction and inspects the head.
    pub fn request_head(&mut self, head: &RequestHead<'_>) -> OutcomeBuf {
        let path = head.path();
        self.inspector.begin(path);
        let body = inspect_head(&mut self.inspector, &mut self.counts, head, path);
        self.body = if head.end {
            BodyParser::Opaque
        } else {
            BodyParser::for_headers(body.content_type.map(Octets::bytes), body.encoded)
        };
        self.outcome()
    }

    /// Inspects the next chunk of the request's body.
    pub fn request_body(&mut self, chunk: &BodyChunk<'_>) -> OutcomeBuf {
        self.body.feed(&chunk.data, chunk.end, &mut self.inspector);
        self.outcome()
    }

    fn outcome(&mut self) -> OutcomeBuf {
        let verdict = self.inspector.take_verdict();
        let config = self.inspector.config();
        let block = config.mode == Mode::Block && verdict.score >= config.threshold;
        let action = if block { block_action(config.block_status) } else { ActionBuf::Continue };
        OutcomeBuf { action, verdict }
    }

    /// Anomaly score of the transaction so far.
    pub fn score(&self) -> u32 {
        self.inspector.score()
    }
}

/// The answer to a blocked request. Its page is the host's business, and it does not say why: that is
/// for the operator's log.
fn block_action(status: u16) -> ActionBuf {
    let mut headers = SeqBuf::<Header<'_>>::new();
    headers.push(Header { name: "cache-control".into(), value: "no-store".into() });
    ActionBuf::Respond { status, headers, body: Vec::new() }
}
