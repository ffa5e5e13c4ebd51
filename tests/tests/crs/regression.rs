//! The regression tests of the rule set, over the native engine, wasmi and wasmtime.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use picket::regression::Native;
use picket::rules::Rules;
use picket_ftw::{Engine, Exchange, Filter, Observed, Outcome, Report, Runner, Suite, Test};
use picket_tests::{backends, workspace};
use serde::Deserialize;

use crate::{crs, operators_rules, regression_rules, sandbox, suite};

/// A test that need not pass.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Its name.
    pub id: String,
    /// Why.
    pub reason: String,
    /// What others do.
    pub elsewhere: String,
    /// What `picket serve` answers, where that is what the test is about.
    pub status: Option<u16>,
}

/// `cases/crs/exceptions.toml`.
pub fn exceptions() -> Vec<Exception> {
    #[derive(Deserialize)]
    struct File {
        exception: Vec<Exception>,
    }
    let path = workspace().join("tests/cases/crs/exceptions.toml");
    let text = std::fs::read_to_string(&path).expect("the exceptions are readable");
    let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(file.exception.len() <= 5, "more and more exceptions");
    assert!(file.exception.iter().all(|known| !known.reason.is_empty() && !known.elsewhere.is_empty()));
    file.exception
}

/// What an exchange came to: equal on every engine.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    interruption: Option<u16>,
    /// Of each rule: number, message, data, place.
    rules: Vec<(u32, String, String, String)>,
}

/// Writes down what an engine does.
struct Recorder {
    engine: Box<dyn Engine>,
    seen: Vec<Seen>,
}

impl Engine for Recorder {
    fn run(&mut self, exchange: &Exchange) -> Result<Observed, String> {
        let observed = self.engine.run(exchange)?;
        let rules = observed
            .rules
            .iter()
            .map(|rule| (rule.id, rule.msg.clone(), rule.data.clone(), rule.var_name.clone()));
        self.seen.push(Seen { interruption: observed.interruption, rules: rules.collect() });
        Ok(observed)
    }
}

struct Run {
    engine: &'static str,
    report: Report,
    seen: Vec<Seen>,
    seconds: f64,
}

/// Sets every engine up and lets it `work`, each on a thread of its own.
fn on_every_engine<T: Send>(
    rules: &Rules,
    work: impl Fn(&'static str, Box<dyn Engine>) -> T + Sync,
) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let native = scope.spawn(move || {
            let native = Native::new(rules.blob.clone()).expect("what was just compiled is sound");
            work("native", Box::new(native))
        });
        let sandboxes: Vec<_> = backends()
            .iter()
            .map(|backend| scope.spawn(move || work(backend.name(), Box::new(sandbox(&**backend, rules)))))
            .collect();
        let threads = std::iter::once(native).chain(sandboxes);
        threads.map(|thread| thread.join().expect("no engine panics")).collect()
    })
}

/// Runs the whole suite on every engine.
fn runs(rules: &Rules, suite: &Suite) -> Vec<Run> {
    on_every_engine(rules, |engine, inner| {
        let begun = Instant::now();
        let mut recorder = Recorder { engine: inner, seen: Vec::new() };
        let report = Runner::new(suite, Filter::default()).run(&mut recorder, |_| {});
        Run { engine, report, seen: recorder.seen, seconds: begun.elapsed().as_secs_f64() }
    })
}

/// Puts the exchanges of the suite to every engine, whatever is expected of them.
fn plays(rules: &Rules, suite: &Suite) -> Vec<Run> {
    on_every_engine(rules, |engine, inner| {
        let begun = Instant::now();
        let mut recorder = Recorder { engine: inner, seen: Vec::new() };
        for stage in suite.tests.iter().flat_map(|test| &test.stages) {
            let exchange = picket_ftw::exchange(&stage.input).expect("the request can be built");
            recorder.run(&exchange).unwrap_or_else(|error| panic!("{engine}: {error}"));
        }
        let seconds = begun.elapsed().as_secs_f64();
        Run { engine, report: Report::default(), seen: recorder.seen, seconds }
    })
}

/// The tests whose exchanges did not come to the same everywhere.
fn differences(runs: &[Run], suite: &Suite) -> Vec<String> {
    let ids = |test: &'_ Test| vec![test.id(); test.stages.len()];
    let stages: Vec<String> = suite.tests.iter().flat_map(ids).collect();
    let (first, others) = runs.split_first().expect("there is the native engine");
    assert_eq!(first.seen.len(), stages.len(), "{}: an exchange could not be run", first.engine);
    let mut differences = Vec::new();
    for other in others {
        assert_eq!(other.seen.len(), stages.len(), "{}: {:?}", other.engine, other.report.failures().next());
        for (id, (one, two)) in stages.iter().zip(first.seen.iter().zip(&other.seen)) {
            if one != two {
                differences.push(format!("{id}: {} {one:?}\n  {} {two:?}", first.engine, other.engine));
            }
        }
    }
    differences
}

fn table(runs: &[Run]) -> String {
    let mut table = format!("{:<8}", "family");
    for run in runs {
        let _ = write!(table, "{:>16}", run.engine);
    }
    table.push_str("   not judged\n");
    let families = runs[0].report.table.families.keys().map(String::as_str);
    for family in families.chain(["all"]) {
        let count = |run: &Run| match family {
            "all" => run.report.table.total,
            _ => run.report.table.families.get(family).copied().unwrap_or_default(),
        };
        let _ = write!(table, "{family:<8}");
        for run in runs {
            let _ = write!(table, "{:>16}", format!("{} + {}", count(run).pass, count(run).fail));
        }
        let _ = writeln!(table, "{:>13}", count(&runs[0]).not_judged);
    }
    let _ = write!(table, "{:<8}", "seconds");
    for run in runs {
        let _ = write!(table, "{:>16.1}", run.seconds);
    }
    table
}

#[test]
fn every_regression_test_passes_on_every_engine_and_logs_the_same() {
    let Some(crs) = crs() else { return };
    let suite = suite(crs);
    let rules = regression_rules(crs);
    let runs = runs(&rules, &suite);
    println!("passed + failed\n{}", table(&runs));

    let exceptions = exceptions();
    for run in &runs {
        let failures: BTreeMap<&str, &str> = run.report.failures().collect();
        let unexpected: Vec<_> =
            failures.iter().filter(|(id, _)| !exceptions.iter().any(|known| known.id == **id)).collect();
        assert!(unexpected.is_empty(), "{}: {unexpected:?}", run.engine);
        for known in &exceptions {
            let listed = run.report.results.iter().find(|result| result.id == known.id);
            let fails = listed.is_some_and(|result| matches!(result.outcome, Outcome::Fail(_)));
            assert!(fails, "{}: {} passes, and is no exception any more", run.engine, known.id);
        }
    }
    let differences = differences(&runs, &suite);
    assert!(differences.is_empty(), "{} differ\n{}", differences.len(), differences[0]);
}

#[test]
fn every_engine_blocks_the_same_requests() {
    let Some(crs) = crs() else { return };
    let suite = suite(crs);
    let runs = plays(&operators_rules(crs, 1), &suite);
    let blocked = runs[0].seen.iter().filter(|seen| seen.interruption.is_some()).count();
    let times: Vec<_> = runs.iter().map(|run| format!("{} {:.1} s", run.engine, run.seconds)).collect();
    println!("level 1: {blocked} of {} exchanges blocked; {}", runs[0].seen.len(), times.join(", "));
    assert!(blocked > 1_000, "{blocked} blocked");
    let differences = differences(&runs, &suite);
    assert!(differences.is_empty(), "{} differ\n{}", differences.len(), differences[0]);
}
