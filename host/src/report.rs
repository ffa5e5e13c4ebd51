//! What the chain tells its caller: a decision for each phase, a report for the transaction.

use alloc::sync::Arc;
use alloc::vec::Vec;

use picket_abi::{Header, Match, Octets, Phase, SeqBuf, Verdict};

use crate::error::{Error, FailureKind};
use crate::limits::{Fuel, Micros};

/// What becomes of a request or a response after its head was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadDecision {
    /// Goes on as it is.
    Continue,
    /// Goes on with changes.
    Modify {
        /// The complete new list of header fields; `None` where it is the old one. With a new body
        /// the list has no `Content-Length` and no `Transfer-Encoding` left.
        headers: Option<SeqBuf<Header<'static>>>,
        /// The whole new body, already seen by the filters that follow; the body that arrives is to
        /// be thrown away.
        body: Option<Vec<u8>>,
    },
    /// The client is answered with this instead.
    Respond(Reply),
}

/// What becomes of a piece of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyDecision {
    /// Goes on as it is.
    Continue,
    /// These bytes go on in its place.
    Replace(Vec<u8>),
    /// The client is answered with this instead; where that is too late, the message is broken off.
    Respond(Reply),
}

/// An answer that a filter gives in place of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Header fields, checked to be HTTP; the host adds those that frame the message.
    pub headers: SeqBuf<Header<'static>>,
    /// Body.
    pub body: Vec<u8>,
    /// Id of the filter.
    pub filter: Arc<str>,
    /// Why.
    pub cause: ReplyCause,
}

/// Why a filter answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ReplyCause {
    /// It decided to.
    Verdict,
    /// It decided to send the client elsewhere.
    Redirect,
    /// It failed, and its policy is to fail closed.
    Failure(FailureKind),
}

/// What one filter of the chain found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterVerdict {
    /// Anomaly score of the transaction, by this filter.
    pub score: u32,
    /// Rules that matched.
    pub matches: SeqBuf<Match<'static>>,
    /// Words for the audit log.
    pub tags: SeqBuf<Octets<'static>>,
    /// Whether matches or tags were left out because the filter had too many.
    pub truncated: bool,
}

/// Bytes of matches and tags that one filter may leave in a report: an answer is bounded for each
/// phase, but a body may have any number of chunks.
const MAX_VERDICT: usize = 256 << 10;

impl FilterVerdict {
    pub(crate) fn absorb(&mut self, verdict: &Verdict<'_>) {
        self.score = verdict.score;
        let grown = self.matches.encoded().len()
            + self.tags.encoded().len()
            + verdict.matches.encoded().len()
            + verdict.tags.encoded().len();
        if grown <= MAX_VERDICT {
            self.matches.extend_from_seq(verdict.matches);
            self.tags.extend_from_seq(verdict.tags);
        } else {
            self.truncated = true;
        }
    }
}

/// A filter failed during the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FailureRecord {
    /// Id of the filter.
    pub filter: Arc<str>,
    /// The phase it failed in; [`Phase::Configure`] also stands for bringing up the instance.
    pub phase: Phase,
    /// How.
    pub error: Error,
}

/// What a transaction came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// For each filter that said something: its id and what it found.
    pub verdicts: Vec<(Arc<str>, FilterVerdict)>,
    /// Fuel of all calls.
    pub fuel: Fuel,
    /// Time of all calls.
    pub time: Micros,
    /// Calls into guests.
    pub calls: u32,
    /// Largest linear memory of an instance, in bytes.
    pub memory_peak: usize,
    /// Filters that failed, in order.
    pub failures: Vec<FailureRecord>,
    /// Id of the filter that answered, and why, if one did.
    pub answered_by: Option<(Arc<str>, ReplyCause)>,
}

impl Report {
    /// The anomaly score: the sum over the filters.
    pub fn score(&self) -> u32 {
        self.verdicts.iter().fold(0, |sum, (_, verdict)| sum.saturating_add(verdict.score))
    }

    /// All matches, each with the id of its filter.
    pub fn matches(&self) -> impl Iterator<Item = (&str, Match<'_>)> {
        self.verdicts
            .iter()
            .flat_map(|(filter, verdict)| verdict.matches.iter().map(move |found| (&**filter, found)))
    }

    /// All tags, each with the id of its filter.
    pub fn tags(&self) -> impl Iterator<Item = (&str, Octets<'_>)> {
        self.verdicts
            .iter()
            .flat_map(|(filter, verdict)| verdict.tags.iter().map(move |tag| (&**filter, tag)))
    }
}
