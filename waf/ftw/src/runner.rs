//! Runs tests against an engine and counts.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{Exchange, Observed, Outcome, Suite, Test, exchange, judge};

/// An engine under test.
pub trait Engine {
    /// Puts one exchange through all phases.
    ///
    /// # Errors
    ///
    /// Why the exchange could not be run; the test counts as failed.
    fn run(&mut self, exchange: &Exchange) -> Result<Observed, String>;
}

/// Which tests to run: those for which all that is said holds.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Beginnings of test names, of which one must fit: `942`, `942100`, `942100-3`. Empty fits all.
    pub ids: Vec<String>,
    /// A text that the file's path must contain.
    pub file: Option<String>,
    /// A text that the description must contain.
    pub desc: Option<String>,
}

impl Filter {
    /// Tests whose name begins with one of `ids`; a name in full fits itself only.
    pub fn ids<I: IntoIterator<Item = S>, S: Into<String>>(ids: I) -> Self {
        Filter { ids: ids.into_iter().map(Into::into).collect(), ..Filter::default() }
    }

    /// Whether `test` is to be run.
    pub fn fits(&self, test: &Test) -> bool {
        let id = test.id();
        let by_id =
            |wanted: &String| if wanted.contains('-') { id == *wanted } else { id.starts_with(wanted) };
        let within = |text: &str, wanted: &Option<String>| wanted.as_ref().is_none_or(|w| text.contains(w));
        (self.ids.is_empty() || self.ids.iter().any(by_id))
            && within(&test.file, &self.file)
            && within(&test.desc, &self.desc)
    }
}

/// Runs the tests of a suite.
#[derive(Clone, Debug)]
pub struct Runner<'s> {
    suite: &'s Suite,
    filter: Filter,
}

impl<'s> Runner<'s> {
    /// A runner of those tests of `suite` that fit `filter`.
    pub fn new(suite: &'s Suite, filter: Filter) -> Self {
        Runner { suite, filter }
    }

    /// The tests that would be run, in order.
    pub fn tests(&self) -> impl Iterator<Item = &'s Test> + '_ {
        self.suite.tests.iter().filter(|test| self.filter.fits(test))
    }

    /// Runs them all. `progress` hears of each when it is done.
    pub fn run<E: Engine + ?Sized>(&self, engine: &mut E, mut progress: impl FnMut(&TestResult)) -> Report {
        let mut report = Report::default();
        for test in self.tests() {
            let result = TestResult { id: test.id(), family: test.family(), outcome: outcome(test, engine) };
            report.table.add(&result);
            progress(&result);
            report.results.push(result);
        }
        report
    }
}

/// How `test` comes out: the first stage that fails decides, then the first that is not judged.
fn outcome<E: Engine + ?Sized>(test: &Test, engine: &mut E) -> Outcome {
    let mut worst = Outcome::Pass;
    for (stage, number) in test.stages.iter().zip(1..) {
        let at = |reason: String| match test.stages.len() {
            1 => reason,
            _ => format!("stage {number}: {reason}"),
        };
        let observed = exchange(&stage.input).map_err(|e| e.to_string()).and_then(|exchange| {
            let mut observed = engine.run(&exchange)?;
            let refusal = exchange.request.refusal().map(str::to_owned);
            observed.error = observed.error.or(refusal);
            Ok(observed)
        });
        match observed.map(|observed| judge(&stage.output, &observed)) {
            Ok(Outcome::Pass) => {}
            Ok(Outcome::NotJudged(reason)) if worst == Outcome::Pass => {
                worst = Outcome::NotJudged(at(reason))
            }
            Ok(Outcome::NotJudged(_)) => {}
            Ok(Outcome::Fail(reason)) | Err(reason) => return Outcome::Fail(at(reason)),
        }
    }
    worst
}

/// How one test came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TestResult {
    /// The test's name, `942100-3`.
    pub id: String,
    /// The family of its rule, `942`.
    pub family: String,
    /// How it came out.
    pub outcome: Outcome,
}

/// What a run came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Counts by family.
    pub table: Table,
    /// Every test, in the order run.
    pub results: Vec<TestResult>,
}

impl Report {
    /// The tests that failed, with the reasons.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.results.iter().filter_map(|result| match &result.outcome {
            Outcome::Fail(reason) => Some((&result.id[..], &reason[..])),
            _ => None,
        })
    }
}

/// How many tests came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Tests passed.
    pub pass: u32,
    /// Tests failed.
    pub fail: u32,
    /// Tests that only a server's answer could judge.
    pub not_judged: u32,
}

impl Count {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Pass => self.pass += 1,
            Outcome::Fail(_) => self.fail += 1,
            Outcome::NotJudged(_) => self.not_judged += 1,
        }
    }
}

/// Counts by family of rules, and over all. Its `Display` is a table of text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Counts by family: `942` and its kin.
    pub families: BTreeMap<String, Count>,
    /// All families together.
    pub total: Count,
}

impl Table {
    /// Counts one more result.
    pub fn add(&mut self, result: &TestResult) {
        self.families.entry(result.family.clone()).or_default().add(&result.outcome);
        self.total.add(&result.outcome);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "family    pass    fail  not judged")?;
        let total = [("all", &self.total)];
        let rows = self.families.iter().map(|(family, count)| (&family[..], count)).chain(total);
        for (family, Count { pass, fail, not_judged }) in rows {
            writeln!(f, "{family:<6} {pass:>7} {fail:>7} {not_judged:>11}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LoggedRule;

    const YAML: &str = "
rule_id: 77
tests:
  - desc: first
    stages:
      - input: { uri: /bad }
        output: { log: { expect_ids: [942100] } }
      - input: { uri: /good }
        output: { log: { no_expect_ids: [942100] } }
  - test_id: 5
    stages:
      - input: { uri: /good }
        output: { log: { expect_ids: [942100] } }
  - test_id: 6
    stages:
      - input: {}
        output: { status: 400 }
";

    /// Logs rule 942100 on targets with `bad` in them.
    struct Naive;

    impl Engine for Naive {
        fn run(&mut self, exchange: &Exchange) -> Result<Observed, String> {
            let bad = exchange.request.target.windows(3).any(|window| window == b"bad");
            let rule = LoggedRule { id: 942100, ..LoggedRule::default() };
            Ok(Observed { rules: bad.then_some(rule).into_iter().collect(), ..Observed::default() })
        }
    }

    #[test]
    fn counts_by_family() {
        let suite = Suite::parse("SQLI/942100.yaml", YAML).unwrap();
        let mut seen = Vec::new();
        let report = Runner::new(&suite, Filter::default()).run(&mut Naive, |r| seen.push(r.id.clone()));
        assert_eq!(seen, ["942100-1", "942100-5", "942100-6"]);
        assert_eq!(report.table.families["942"], Count { pass: 1, fail: 1, not_judged: 1 });
        assert_eq!(report.failures().collect::<Vec<_>>(), [("942100-5", "not logged: 942100")]);
        assert!(report.table.to_string().contains("942          1       1           1"));
        let json = serde_json::to_string(&report.table).unwrap();
        assert!(json.contains(r#""942":{"pass":1,"fail":1,"not_judged":1}"#), "{json}");
    }

    #[test]
    fn filters_by_name_file_and_description() {
        let suite = Suite::parse("SQLI/942100.yaml", YAML).unwrap();
        let count = |filter| Runner::new(&suite, filter).tests().count();
        assert_eq!(count(Filter::ids(["942"])), 3);
        assert_eq!(count(Filter::ids(["942100-5"])), 1);
        assert_eq!(count(Filter::ids(["941", "77"])), 0);
        assert_eq!(count(Filter { desc: Some("irs".into()), ..Filter::default() }), 1);
        assert_eq!(count(Filter { file: Some("XSS".into()), ..Filter::default() }), 0);
    }
}
