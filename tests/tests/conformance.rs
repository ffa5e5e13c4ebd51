//! Every case of `cases/*.toml` over every engine: the same verdict everywhere, and the expected one.

use picket_abi::Value;
use picket_host::Metering;
use picket_tests::{
    Case, Engine, Judgement, engines, guest_module, load_cases, sandboxes_metered, settings_buf, workspace,
};

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
    let cases = cases();
    let fuel = |engine: &mut Engine| -> Vec<u64> {
        cases.iter().map(|case| engine.judge(&case.request).1).collect()
    };
    // A pooled instance keeps its heap: what a request costs there depends on those before it, so
    // that it is the sequence that repeats. A fresh one has no past.
    for (mut first, mut second) in engines(&[]).into_iter().zip(engines(&[])) {
        if !first.is_sandboxed() {
            continue;
        }
        let expected = fuel(&mut first);
        assert!(expected.iter().all(|&fuel| fuel > 0), "{}", first.name());
        assert_eq!(fuel(&mut second), expected, "{}", first.name());
        if first.name().ends_with("fresh") {
            assert_eq!(fuel(&mut first), expected, "{}, once more", first.name());
        }
    }
}

#[test]
fn fuel_is_the_same_on_every_backend() {
    let cases = cases();
    for isolation in ["fresh", "pooled"] {
        let mut lanes: Vec<Engine> = engines(&[]);
        lanes.retain(|engine| engine.name().ends_with(isolation));
        assert_eq!(lanes.len(), 2, "wasmi and wasmtime");
        // In the same order on all, because a pooled instance keeps its heap.
        for case in &cases {
            let fuel: Vec<_> = lanes
                .iter_mut()
                .map(|lane| {
                    let fuel = lane.judge(&case.request).1;
                    (lane.name().to_owned(), fuel)
                })
                .collect();
            assert!(fuel[0].1 > 0 && fuel[0].1 == fuel[1].1, "{}: {}: {fuel:?}", case.family, case.name);
        }
    }
}

#[test]
fn fuel_is_what_wasmtime_counts_by_itself() {
    let settings = settings_buf(&[]);
    let module = guest_module("picket_waf_guest");
    let canonical = sandboxes_metered(&module, &settings, Metering::Canonical);
    let native = sandboxes_metered(&module, &settings, Metering::Native);
    let cases = cases();
    for (canonical, native) in
        canonical.iter().zip(&native).filter(|(lane, _)| lane.name().starts_with("wasmtime"))
    {
        for case in &cases {
            let (ours, theirs) = (canonical.judge(&case.request), native.judge(&case.request));
            assert_eq!(ours, theirs, "{}: {}: {}", canonical.name(), case.family, case.name);
        }
    }
}

fn difference(engine: &str, expected: &Judgement, judgement: &Judgement) -> Option<String> {
    (expected != judgement).then(|| format!("native says\n  {expected:?}\n{engine} says\n  {judgement:?}"))
}
