//! What a guest answers: an action, and the verdict it rests on.

use serde::{Deserialize, Serialize};

use crate::codec::{DecodeError, decode_exact};
use crate::message::Header;
use crate::octets::Octets;
use crate::seq::{Element, Seq};

/// A change of the header fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum HeaderOp<'a> {
    /// Removes all fields of that name, then appends this one.
    #[serde(borrow)]
    Set(Header<'a>),
    /// Appends a field, whatever is there.
    #[serde(borrow)]
    Append(Header<'a>),
    /// Removes all fields of that name.
    #[serde(borrow)]
    Remove(Octets<'a>),
}

impl<'a> Element<'a> for HeaderOp<'a> {
    const NAME: &'static str = "header operation";
}

/// What the host is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Action<'a> {
    /// Go on, nothing changed.
    #[default]
    Continue,
    /// Go on with changes.
    Modify {
        /// Changes of the header fields, in order. Only in head phases: a head that has been sent
        /// on cannot be changed.
        #[serde(borrow)]
        headers: Seq<'a, HeaderOp<'a>>,
        /// In a body phase: replaces this chunk. In a head phase: replaces the whole body that
        /// would follow, and no body phase is called.
        #[serde(borrow)]
        body: Option<Octets<'a>>,
    },
    /// Answer the client with this instead of going on.
    Respond {
        /// Status code, 200 to 599.
        status: u16,
        /// Header fields; the host adds `Content-Length`.
        #[serde(borrow)]
        headers: Seq<'a, Header<'a>>,
        /// Body.
        #[serde(borrow)]
        body: Octets<'a>,
    },
    /// Send the client elsewhere.
    Redirect {
        /// Status code: 301, 302, 303, 307 or 308.
        status: u16,
        /// Value of `Location`.
        #[serde(borrow)]
        location: Octets<'a>,
    },
}

/// How bad a match is. The number is the score it adds, as in the OWASP Core Rule Set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(into = "u8", try_from = "u8")]
pub enum Severity {
    /// 2
    #[default]
    Notice,
    /// 3
    Warning,
    /// 4
    Error,
    /// 5
    Critical,
}

impl Severity {
    /// The score a match of this severity adds.
    pub const fn score(self) -> u32 {
        match self {
            Severity::Notice => 2,
            Severity::Warning => 3,
            Severity::Error => 4,
            Severity::Critical => 5,
        }
    }

    /// The name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Notice => "notice",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }
}

impl From<Severity> for u8 {
    fn from(severity: Severity) -> u8 {
        severity.score() as u8
    }
}

impl TryFrom<u8> for Severity {
    type Error = DecodeError;

    fn try_from(score: u8) -> Result<Self, DecodeError> {
        match score {
            2 => Ok(Severity::Notice),
            3 => Ok(Severity::Warning),
            4 => Ok(Severity::Error),
            5 => Ok(Severity::Critical),
            other => Err(DecodeError::OutOfRange { what: "severity", value: other.into() }),
        }
    }
}

/// A rule that matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Match<'a> {
    /// Number of the rule.
    pub rule_id: u32,
    /// Severity of the rule.
    pub severity: Severity,
    /// What the match added to the score.
    pub score: u32,
    /// Category of the rule: `sqli`, `xss`, `lfi`, `rce`, `protocol`, `scanner`, …
    #[serde(borrow)]
    pub category: Octets<'a>,
    /// Message of the rule.
    #[serde(borrow)]
    pub message: Octets<'a>,
    /// Where: `ARGS:q`, `REQUEST_HEADERS:User-Agent`, `REQUEST_URI`, …
    #[serde(borrow)]
    pub location: Octets<'a>,
    /// The part of the value that matched, after the transformations; cut to the filter's limit.
    #[serde(borrow)]
    pub matched: Octets<'a>,
    /// The value before the transformations, cut likewise; empty unless explanations are asked for.
    #[serde(borrow)]
    pub value: Octets<'a>,
    /// The transformations that changed the value, in order, separated by commas; empty unless
    /// explanations are asked for.
    #[serde(borrow)]
    pub transformations: Octets<'a>,
    /// Tags of the rule.
    #[serde(borrow)]
    pub tags: Seq<'a, Octets<'a>>,
}

impl<'a> Element<'a> for Match<'a> {
    const NAME: &'static str = "match";

    fn check(&self) -> Result<(), DecodeError> {
        self.tags.check()
    }
}

/// What a filter found out so far in this transaction, by the phase that has just run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Verdict<'a> {
    /// Anomaly score of the transaction up to now: the sum over all phases, not of this one alone.
    pub score: u32,
    /// Rules that matched in this phase.
    #[serde(borrow)]
    pub matches: Seq<'a, Match<'a>>,
    /// Words for the audit log.
    #[serde(borrow)]
    pub tags: Seq<'a, Octets<'a>>,
}

/// What a phase answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Outcome<'a> {
    /// What the host is to do.
    #[serde(borrow)]
    pub action: Action<'a>,
    /// What it rests on.
    #[serde(borrow)]
    pub verdict: Verdict<'a>,
}

impl<'a> Outcome<'a> {
    /// Decodes what an untrusted guest wrote. Every element of every list is proved, so that
    /// iterating over them later does not end early.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no outcome, if bytes are left over, or if a status code is
    /// none that [`Action`] admits.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let outcome: Outcome<'a> = decode_exact(bytes, "outcome")?;
        match outcome.action {
            Action::Continue => {}
            Action::Modify { headers, .. } => headers.check()?,
            Action::Respond { status, headers, .. } => {
                if !(200..=599).contains(&status) {
                    return Err(DecodeError::OutOfRange { what: "response status", value: status.into() });
                }
                headers.check()?;
            }
            Action::Redirect { status, .. } => {
                if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                    return Err(DecodeError::OutOfRange { what: "redirect status", value: status.into() });
                }
            }
        }
        outcome.verdict.matches.check()?;
        outcome.verdict.tags.check()?;
        Ok(outcome)
    }
}
