//! What a transaction tells about itself.

use alloc::vec::Vec;

/// How an interruption ends the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Answer with the status.
    Deny,
    /// Close the connection, where that can be done; else as [`Verb::Deny`].
    Drop,
    /// Send the client elsewhere.
    Redirect,
}

/// A rule's word that the transaction is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interruption {
    /// How.
    pub verb: Verb,
    /// Status of the answer.
    pub status: u16,
    /// Where a redirection leads; else empty.
    pub location: Vec<u8>,
    /// The rule; 0 if a limit was exceeded.
    pub rule_id: u32,
    /// The phase, 1 to 4.
    pub phase: u8,
}

/// A rule, with its chain, that matched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// The rule's record in the ruleset.
    pub rule: usize,
    /// Its `id`.
    pub id: u32,
    /// The phase it ran in.
    pub phase: u8,
    /// `severity`; 255: none.
    pub severity: u8,
    /// `msg`, with its macros replaced.
    pub message: Vec<u8>,
    /// `logdata`, likewise.
    pub data: Vec<u8>,
    /// The variable that matched last: `ARGS:q`.
    pub location: Vec<u8>,
    /// What the operator found in it, after the transformations; cut to
    /// [`Settings::max_excerpt`](super::Settings::max_excerpt).
    pub matched: Vec<u8>,
    /// The value before the transformations, cut likewise; only if it is asked for.
    pub value: Vec<u8>,
    /// The rule's transformations, likewise.
    pub transformations: Vec<u8>,
    /// What it added to the `…_anomaly_score_pl…` of TX.
    pub score: u32,
    /// Whether it makes the transaction one for the audit log.
    pub audit: bool,
}
