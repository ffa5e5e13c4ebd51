//! Decisions side by side, and the differences that are known.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::Decision;

/// Where two engines decide otherwise, and why, by cause.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Rules that are not compared.
    #[serde(default)]
    pub ignored: HashSet<u32>,
    /// The causes.
    #[serde(default, rename = "group")]
    pub groups: Vec<Group>,
}

/// A cause.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub key: String,
    /// What it is about.
    pub summary: String,
    /// The rules that only libmodsecurity logs for it.
    #[serde(default)]
    pub libmodsecurity: HashSet<u32>,
    /// The rules that only Picket logs for it.
    #[serde(default)]
    pub picket: HashSet<u32>,
    /// The tests in which it shows.
    pub tests: Vec<Tests>,
}

/// Tests of one rule at some paranoia levels: `942100-1..3,7@2..4`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Tests {
    rule: String,
    numbers: Vec<(u32, u32)>,
    levels: Vec<(u32, u32)>,
}

impl TryFrom<String> for Tests {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parse = || {
            let (tests, levels) = text.split_once('@')?;
            let (rule, numbers) = tests.split_once('-')?;
            Some(Tests { rule: rule.to_owned(), numbers: ranges(numbers)?, levels: ranges(levels)? })
        };
        parse().ok_or_else(|| format!("`{text}` is not of the form 942100-1..3,7@2..4"))
    }
}

/// `1..3,7`, ends included.
fn ranges(text: &str) -> Option<Vec<(u32, u32)>> {
    let range = |piece: &str| {
        let (first, last) = piece.split_once("..").unwrap_or((piece, piece));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    text.split(',').map(range).collect()
}

impl Tests {
    /// Whether the test of that name at that level is one of them.
    pub fn contains(&self, id: &str, paranoia: u8) -> bool {
        let within = |number: u32, ranges: &[(u32, u32)]| {
            ranges.iter().any(|&(first, last)| (first..=last).contains(&number))
        };
        id.split_once('-').is_some_and(|(rule, number)| {
            rule == self.rule && number.parse().is_ok_and(|number| within(number, &self.numbers))
        }) && within(u32::from(paranoia), &self.levels)
    }
}

/// A request on which the engines differ.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The test.
    pub id: String,
    /// Its stage.
    pub stage: usize,
    /// The paranoia level.
    pub paranoia: u8,
    /// What differs.
    pub kinds: Vec<&'static str>,
    /// Rules that only libmodsecurity logs.
    pub libmodsecurity_only: Vec<u32>,
    /// Rules that only Picket logs.
    pub picket_only: Vec<u32>,
    /// What libmodsecurity decides.
    pub libmodsecurity: Decision,
    /// What Picket decides.
    pub picket: Decision,
    /// The known causes; none: the difference is new.
    pub causes: Vec<String>,
}

impl Known {
    /// Compares two decisions on a stage of a test; `None` if they are the same.
    pub fn compare(
        &self,
        (id, stage, paranoia): (&str, usize, u8),
        theirs: Decision,
        ours: Decision,
    ) -> Option<Difference> {
        let only = |one: &Decision, other: &Decision| -> Vec<u32> {
            let rules = one.rules.iter().copied();
            rules.filter(|rule| !other.rules.contains(rule) && !self.ignored.contains(rule)).collect()
        };
        let (libmodsecurity_only, picket_only) = (only(&theirs, &ours), only(&ours, &theirs));
        let differs = [
            ("status", theirs.status != ours.status),
            ("inbound score", theirs.inbound != ours.inbound),
            ("outbound score", theirs.outbound != ours.outbound),
            ("rules", !libmodsecurity_only.is_empty() || !picket_only.is_empty()),
        ];
        let kinds: Vec<_> =
            differs.into_iter().filter(|(_, differs)| *differs).map(|(kind, _)| kind).collect();
        if kinds.is_empty() {
            return None;
        }
        let groups: Vec<&Group> = self
            .groups
            .iter()
            .filter(|group| group.tests.iter().any(|tests| tests.contains(id, paranoia)))
            .collect();
        // Every rule must have its cause; what follows from none, such as a score, takes any.
        let explained =
            libmodsecurity_only.iter().all(|rule| groups.iter().any(|g| g.libmodsecurity.contains(rule)))
                && picket_only.iter().all(|rule| groups.iter().any(|g| g.picket.contains(rule)));
        let causes =
            if explained { groups.iter().map(|group| group.key.clone()).collect() } else { Vec::new() };
        Some(Difference {
            id: id.to_owned(),
            stage,
            paranoia,
            kinds,
            libmodsecurity_only,
            picket_only,
            libmodsecurity: theirs,
            picket: ours,
            causes,
        })
    }
}

/// Counts of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    equal: usize,
    different: usize,
    new: usize,
    kinds: BTreeMap<&'static str, usize>,
    causes: BTreeMap<String, usize>,
}

impl Tally {
    /// Counts one request.
    pub fn add(&mut self, difference: Option<&Difference>) {
        let Some(difference) = difference else {
            self.equal += 1;
            return;
        };
        self.different += 1;
        self.new += usize::from(difference.causes.is_empty());
        for kind in &difference.kinds {
            *self.kinds.entry(kind).or_default() += 1;
        }
        for cause in &difference.causes {
            *self.causes.entry(cause.clone()).or_default() += 1;
        }
    }

    /// Differences without a known cause.
    pub fn unexplained(&self) -> usize {
        self.new
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>7}  equal", self.equal)?;
        writeln!(f, "{:>7}  different", self.different)?;
        for (kind, count) in &self.kinds {
            writeln!(f, "{count:>7}    in {kind}")?;
        }
        for (cause, count) in &self.causes {
            writeln!(f, "{count:>7}    because of {cause}")?;
        }
        writeln!(f, "{:>7}    for no known reason", self.new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        toml::from_str(
            "ignored = [9]\n[[group]]\nkey = \"k\"\nsummary = \"s\"\nlibmodsecurity = [1]\n\
             tests = [\"942100-1..3,7@2..4\"]\n",
        )
        .unwrap()
    }

    fn decision(inbound: u32, rules: &[u32]) -> Decision {
        Decision { status: None, inbound, outbound: 0, rules: rules.to_vec() }
    }

    #[test]
    fn ranges_include_their_ends() {
        let known = known();
        let tests = &known.groups[0].tests[0];
        assert!(tests.contains("942100-3", 2) && tests.contains("942100-7", 4));
        assert!(!tests.contains("942100-4", 2) && !tests.contains("942100-1", 1));
        assert!(!tests.contains("942101-1", 2));
        assert!(Tests::try_from("942100@1".to_owned()).is_err());
    }

    #[test]
    fn only_listed_rules_of_listed_tests_are_known() {
        let known = known();
        let compare = |id, theirs: &[u32], ours: &[u32]| {
            known.compare((id, 1, 2), decision(5, theirs), decision(0, ours)).unwrap().causes
        };
        assert_eq!(compare("942100-1", &[1, 2], &[2]), ["k"]);
        assert!(compare("942100-1", &[2], &[1, 2]).is_empty());
        assert!(compare("942100-1", &[1, 2], &[]).is_empty());
        assert!(compare("942100-9", &[1], &[]).is_empty());
        assert!(known.compare(("942100-9", 1, 2), decision(0, &[3, 9]), decision(0, &[3])).is_none());
    }

    #[test]
    fn the_file_can_be_read() {
        let known: Known = toml::from_str(include_str!("../differences.toml")).unwrap();
        assert!(known.groups.iter().all(|group| !group.tests.is_empty() && !group.summary.is_empty()));
    }
}
