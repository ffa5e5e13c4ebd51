//! What a target has said to a case: a line of JSON.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::cases::Case;
use crate::judge::Judgement;

/// One case on one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Family of the case.
    pub family: String,
    /// Name of the case.
    pub case: String,
    /// Status of the filter's answer; `None` if the request passes.
    pub status: Option<u16>,
    /// Anomaly score.
    pub score: u32,
    /// Rules that matched.
    pub rules: BTreeSet<u32>,
    /// SHA-256 of the whole judgement: answer with all its bytes, matches with all their texts.
    pub judgement: String,
    /// Fuel of a fresh instance, where there is one.
    pub fuel_fresh: Option<u64>,
    /// Fuel of the pooled instance that has judged all cases before, where there is one.
    pub fuel_pooled: Option<u64>,
    /// What the case's expectation has against it.
    pub contradiction: Option<String>,
}

impl Record {
    /// What is kept of a judgement.
    pub fn new(
        case: &Case,
        judgement: &Judgement,
        fuel_fresh: Option<u64>,
        fuel_pooled: Option<u64>,
    ) -> Self {
        let rules = judgement.rules();
        Record {
            family: case.family.clone(),
            case: case.name.clone(),
            status: judgement.answer.as_ref().map(|answer| answer.status),
            score: judgement.score,
            judgement: judgement.digest(),
            contradiction: case.expect.contradiction(&rules, judgement.answer.is_some()),
            rules,
            fuel_fresh,
            fuel_pooled,
        }
    }

    /// Whether the verdict is the same: let through or not, by which rules, with which score.
    pub fn same_verdict(&self, other: &Record) -> bool {
        (self.status.is_some(), self.score, &self.rules)
            == (other.status.is_some(), other.score, &other.rules)
    }

    /// Whether everything the filter says and does is the same, to the byte.
    pub fn same_action(&self, other: &Record) -> bool {
        self.judgement == other.judgement
    }

    /// Whether it took the same fuel, in every kind of instance that both have.
    pub fn same_fuel(&self, other: &Record) -> bool {
        let same =
            |one: Option<u64>, other: Option<u64>| one.zip(other).is_none_or(|(one, other)| one == other);
        let (fresh, pooled) = (self.fuel_fresh, self.fuel_pooled);
        same(fresh, other.fuel_fresh)
            && same(pooled, other.fuel_pooled)
            && (fresh.is_some() || pooled.is_some())
    }
}
