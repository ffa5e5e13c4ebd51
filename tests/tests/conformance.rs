//! Every case of `cases/*.toml` over every engine: the same verdict everywhere, and the expected one.

use picket_abi::Value;
use picket_tests::{Case, Engine, Judgement, engines, load_cases, workspace};

/// Failures that are shown; beyond that, the rest are counted.
const SHOWN: usize = 25;

fn cases() -> Vec<Case> {
    let cases = load_cases(&workspace().join("tests/cases")).unwrap_or_else(|error| panic!("{error}"));
    assert!(!cases.is_empty(), "there are no cases");
    cases
}

/// Runs `check` over all cases and panics with all that it has against them.
fn over_all_cases(mut check: impl FnMut(&Case) -> Option<String>) {
    let cases = cases();
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| check(case).map(|failure| format!("{}: {}: {failure}", case.family, case.name)))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases fail\n{}",
        failures.len(),
        cases.len(),
        failures[..failures.len().min(SHOWN)].join("\n")
    );
}

fn native(settings: &[(&str, Value<'_>)]) -> Engine {
    engines(settings).swap_remove(0)
}

#[test]
fn every_case_is_judged_as_expected() {
    let mut native = native(&[]);
    over_all_cases(|case| {
        let (judgement, _) = native.judge(&case.request);
        case.expect.contradiction(&judgement.rules(), judgement.answer.is_some())
    });
}

#[test]
fn every_engine_has_the_verdict_of_the_native_one() {
    let mut engines = engines(&[]);
    let mut native = engines.remove(0);
    over_all_cases(|case| {
        let (expected, _) = native.judge(&case.request);
        engines.iter_mut().find_map(|engine| {
            let (judgement, _) = engine.judge(&case.request);
            difference(engine.name(), &expected, &judgement)
        })
    });
}

#[test]
fn explanations_are_the_same_everywhere_too() {
    let mut engines = engines(&[("explain", Value::Bool(true)), ("mode", Value::Text("detect".into()))]);
    let mut native = engines.remove(0);
    over_all_cases(|case| {
        let (expected, _) = native.judge(&case.request);
        engines.iter_mut().find_map(|engine| {
            let (judgement, _) = engine.judge(&case.request);
            difference(engine.name(), &expected, &judgement)
        })
    });
}

#[test]
fn what_a_pooled_instance_has_seen_does_not_change_its_verdicts() {
    let mut engines = engines(&[]);
    engines.retain(|engine| engine.name().ends_with("pooled") || engine.name() == "native");
    let cases = cases();
    for engine in &mut engines {
        let forwards: Vec<Judgement> = cases.iter().map(|case| engine.judge(&case.request).0).collect();
        let mut backwards: Vec<Judgement> =
            cases.iter().rev().map(|case| engine.judge(&case.request).0).collect();
        backwards.reverse();
        for ((case, forwards), backwards) in cases.iter().zip(&forwards).zip(&backwards) {
            assert_eq!(forwards, backwards, "{} on {}", case.name, engine.name());
        }
    }
}

#[test]
fn fuel_repeats() {
    let mut engines = engines(&[]);
    engines.retain(Engine::is_sandboxed);
    let cases = cases();
    for engine in &mut engines {
        for case in &cases {
            // The instance of a pool keeps the memory it has grown: the first call pays for it.
            engine.judge(&case.request);
            let (_, first) = engine.judge(&case.request);
            let (_, second) = engine.judge(&case.request);
            assert_eq!(first, second, "{} on {}", case.name, engine.name());
            assert_ne!(first, 0, "{} on {}", case.name, engine.name());
        }
    }
}

#[test]
fn fuel_does_not_depend_on_the_kind_of_instance() {
    let mut engines = engines(&[]);
    engines.retain(Engine::is_sandboxed);
    let case = &cases()[0];
    let fuel = |engine: &mut Engine| {
        engine.judge(&case.request);
        engine.judge(&case.request).1
    };
    for pair in engines.chunks_mut(2) {
        let [fresh, pooled] = pair else { panic!("lanes come in pairs") };
        let (fresh_fuel, pooled_fuel) = (fuel(fresh), fuel(pooled));
        // A fresh instance configures itself and grows its memory first.
        assert!(
            fresh_fuel >= pooled_fuel,
            "{}: {fresh_fuel} fuel, {}: {pooled_fuel}",
            fresh.name(),
            pooled.name()
        );
    }
}

fn difference(engine: &str, expected: &Judgement, judgement: &Judgement) -> Option<String> {
    (expected != judgement).then(|| format!("native says\n  {expected:?}\n{engine} says\n  {judgement:?}"))
}
