//! The engine as a filter: a method a phase, answers of the ABI.

use alloc::boxed::Box;
use alloc::vec::Vec;

use picket_abi::{
    ActionBuf, BodyChunk, Header, Match, Octets, OutcomeBuf, RequestHead, ResponseHead, SeqBuf, Severity,
    VerdictBuf,
};

use super::report::{Interruption, Matched, Verb};
use super::services::Services;
use super::transaction::{Settings, Transaction};
use crate::ruleset::RuleSet;

/// A filter over a ruleset. It serves one transaction at a time;
/// [`request_head`](Guard::request_head) begins one.
pub struct Guard<'r, S> {
    rules: RuleSet<'r>,
    settings: Settings,
    services: S,
    transaction: Option<Transaction<'r>>,
    /// Matches that have been told.
    told: usize,
    /// Whether the interruption has been told.
    stopped: bool,
}

impl<'r, S: Services + Clone + 'r> Guard<'r, S> {
    /// A filter over `rules`.
    pub fn new(rules: RuleSet<'r>, settings: Settings, services: S) -> Self {
        Guard { rules, settings, services, transaction: None, told: 0, stopped: false }
    }

    /// The transaction at hand.
    pub fn transaction(&self) -> Option<&Transaction<'r>> {
        self.transaction.as_ref()
    }

    /// Begins a transaction and inspects the head: phase 1, and phase 2 if no body follows.
    pub fn request_head(&mut self, head: &RequestHead<'_>) -> OutcomeBuf {
        self.told = 0;
        self.stopped = false;
        self.begin();
        if let Some(transaction) = &mut self.transaction {
            transaction.request_head(head);
        }
        self.outcome(false)
    }

    /// Puts a new transaction in the place of the last, with its memory. A function of its own: what is moved
    /// about here is off the stack, which is small in a guest, before any rule runs.
    #[inline(never)]
    fn begin(&mut self) {
        let services = Box::new(self.services.clone());
        let settings = self.settings.clone();
        self.transaction = Some(match self.transaction.take() {
            Some(last) => Transaction::begin_with(self.rules, settings, services, last.into_memory()),
            None => Transaction::begin(self.rules, settings, services),
        });
    }

    /// Inspects the request's body: phase 2 behind its last chunk.
    pub fn request_body(&mut self, chunk: &BodyChunk<'_>) -> OutcomeBuf {
        if let Some(transaction) = &mut self.transaction {
            transaction.request_body(&chunk.data, chunk.end);
        }
        self.outcome(false)
    }

    /// Inspects the response's head: phase 3.
    pub fn response_head(&mut self, head: &ResponseHead<'_>) -> OutcomeBuf {
        if let Some(transaction) = &mut self.transaction {
            transaction.response_head(head);
        }
        self.outcome(true)
    }

    /// Inspects the response's body: phase 4 behind its last chunk.
    pub fn response_body(&mut self, chunk: &BodyChunk<'_>) -> OutcomeBuf {
        if let Some(transaction) = &mut self.transaction {
            transaction.response_body(&chunk.data, chunk.end);
        }
        self.outcome(true)
    }

    /// Ends the transaction: phase 5.
    pub fn log(&mut self) -> OutcomeBuf {
        if let Some(transaction) = &mut self.transaction {
            transaction.log();
        }
        self.stopped = true;
        self.outcome(true)
    }

    fn outcome(&mut self, response: bool) -> OutcomeBuf {
        let Some(transaction) = &self.transaction else { return OutcomeBuf::default() };
        let mut verdict = VerdictBuf { score: transaction.inbound_score(), ..VerdictBuf::default() };
        if response {
            verdict.score = verdict.score.saturating_add(transaction.outbound_score());
        }
        for matched in transaction.matches().get(self.told..).unwrap_or(&[]) {
            push_match(&mut verdict.matches, &self.rules, matched);
        }
        self.told = transaction.matches().len();
        let action = match transaction.interruption().filter(|_| !self.stopped) {
            Some(interruption) => {
                self.stopped = true;
                if interruption.rule_id == 0 {
                    verdict.tags.push("body-limit".into());
                }
                action(interruption)
            }
            None => ActionBuf::Continue,
        };
        OutcomeBuf { action, verdict }
    }
}

/// The answer to an interrupted transaction. Its page is the host's business, and it does not say why.
fn action(interruption: &Interruption) -> ActionBuf {
    let status = interruption.status;
    if interruption.verb == Verb::Redirect && !interruption.location.is_empty() {
        let status = if matches!(status, 301 | 302 | 303 | 307 | 308) { status } else { 302 };
        return ActionBuf::Redirect { status, location: interruption.location.clone() };
    }
    let status = if (200..=599).contains(&status) { status } else { 403 };
    let mut headers = SeqBuf::<Header<'_>>::new();
    headers.push(Header { name: "cache-control".into(), value: "no-store".into() });
    ActionBuf::Respond { status, headers, body: Vec::new() }
}

#[inline(never)]
fn push_match(matches: &mut SeqBuf<Match<'static>>, rules: &RuleSet<'_>, matched: &Matched) {
    let rule = rules.rule(matched.rule);
    let mut category: &[u8] = b"";
    let mut tags = SeqBuf::<Octets<'_>>::new();
    for tag in rules.tags(&rule) {
        if let (b"", Some(kind)) = (category, tag.strip_prefix(b"attack-")) {
            category = kind;
        }
        tags.push(Octets(tag));
    }
    if !matched.data.is_empty() {
        let data = [b"data=", &*matched.data].concat();
        tags.push(Octets(&data));
    }
    matches.push(Match {
        rule_id: matched.id,
        severity: match matched.severity {
            0..=2 => Severity::Critical,
            3 => Severity::Error,
            4 => Severity::Warning,
            _ => Severity::Notice,
        },
        score: matched.score,
        category: Octets(category),
        message: Octets(&matched.message),
        location: Octets(&matched.location),
        matched: Octets(&matched.matched),
        value: Octets(&matched.value),
        transformations: Octets(&matched.transformations),
        tags: tags.as_seq(),
    });
}
