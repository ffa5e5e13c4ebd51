//! Modules that count for themselves, or say so.

use std::sync::Arc;

use picket_host::{
    Backend, Chain, ConfigureBuf, Environment, Filter, HeadDecision, Limits, LoadError, Metering,
    ModuleDigest, Source, Trusted, inspect, meter_offline,
};

use crate::stage::{attack, backends, filter, load_bytes, module, policy, serve};

fn metered(name: &str) -> Vec<u8> {
    meter_offline(&module(name), &Limits::WAF).unwrap().wasm
}

fn trusting(digests: impl IntoIterator<Item = ModuleDigest>) -> Arc<Environment> {
    Arc::new(Environment::closed().trusting(Trusted::from_iter(digests)))
}

fn load_trusted(
    backend: &dyn Backend,
    wasm: &[u8],
    metering: Metering,
    environment: Arc<Environment>,
) -> Result<Filter, LoadError> {
    let mut policy = policy();
    policy.limits.metering = metering;
    Filter::load(backend, Source { id: "metered", wasm }, policy, ConfigureBuf::default(), environment)
}

#[test]
fn a_trusted_module_costs_what_it_costs_when_it_is_metered_at_load() {
    for backend in backends() {
        for name in ["good", "working_start", "state", "memory_growth_polite"] {
            let wasm = metered(name);
            let environment = trusting([ModuleDigest::of(&wasm)]);
            let trusted = load_trusted(backend, &wasm, Metering::Canonical, environment).unwrap();
            assert_eq!(trusted.metadata().sha256, ModuleDigest::of(&wasm));
            let (decision, report) = serve(&Chain::new(vec![Arc::new(trusted)]), &attack(b"!"));
            let (expected, known) = serve(&Chain::new(vec![filter(backend, name, policy())]), &attack(b"!"));
            let same_answer = match (&decision, &expected) {
                (HeadDecision::Respond(left), HeadDecision::Respond(right)) => left.status == right.status,
                (left, right) => left == right,
            };
            assert!(same_answer, "{} {name}: {decision:?} {expected:?}", backend.name());
            assert_eq!(report.fuel, known.fuel, "{} {name}", backend.name());
            assert!(report.fuel.0 > 0, "{} {name}", backend.name());
        }
    }
}

#[test]
fn a_trusted_module_is_stopped_like_any_other() {
    let wasm = metered("endless_loop");
    for backend in backends() {
        let environment = trusting([ModuleDigest::of(&wasm)]);
        let filter = load_trusted(backend, &wasm, Metering::Canonical, environment).unwrap();
        let (_, report) = serve(&Chain::new(vec![Arc::new(filter)]), &attack(b"!"));
        assert_eq!(report.fuel, policy().limits.call.fuel, "{}", backend.name());
        assert_eq!(report.failures.len(), 1, "{}", backend.name());
    }
}

#[test]
fn nobody_is_believed_to_be_metered() {
    let wasm = metered("good");
    let other = trusting([ModuleDigest::of(&module("good"))]);
    for backend in backends() {
        for environment in [Arc::new(Environment::closed()), Arc::clone(&other)] {
            let error = load_trusted(backend, &wasm, Metering::Canonical, environment).unwrap_err();
            let LoadError::ReservedName { name } = &error else { panic!("{}: {error}", backend.name()) };
            assert!(name.starts_with("picket:"), "{name}");
        }
    }
}

#[test]
fn names_of_the_meter_are_refused_in_either_mode() {
    for part in [
        r#"(import "picket:meter" "fuel" (func (param i64 i64) (result i64)))"#,
        r#"(global (export "picket:fuel") (mut i64) (i64.const 0))"#,
        r#"(func (export "picket:start"))"#,
    ] {
        let good = String::from_utf8(std::fs::read("modules/good.wat").unwrap()).unwrap();
        let text = good.replacen("(module", &format!("(module {part}"), 1);
        let wasm = wat::parse_str(&text).unwrap();
        for backend in backends() {
            for metering in Metering::ALL {
                let mut policy = policy();
                policy.limits.metering = metering;
                let error = load_bytes(backend, "named", &wasm, policy).map(drop).unwrap_err();
                assert!(matches!(error, LoadError::ReservedName { .. }), "{}: {error}", backend.name());
            }
        }
        let refused = inspect(&wasm).unwrap().check(&policy()).unwrap_err();
        assert!(matches!(refused, LoadError::ReservedName { .. }), "{refused}");
    }
}

#[test]
fn trust_in_a_module_that_is_not_metered_does_not_leave_it_unmetered() {
    let wasm = module("endless_loop");
    for backend in backends() {
        let environment = trusting([ModuleDigest::of(&wasm)]);
        let filter = load_trusted(backend, &wasm, Metering::Canonical, environment).unwrap();
        let (_, report) = serve(&Chain::new(vec![Arc::new(filter)]), &attack(b"!"));
        assert_eq!(report.fuel, policy().limits.call.fuel, "{}", backend.name());
    }
}

#[test]
fn a_metered_module_is_not_for_native_mode() {
    let wasm = metered("good");
    for backend in backends() {
        let environment = trusting([ModuleDigest::of(&wasm)]);
        let error = load_trusted(backend, &wasm, Metering::Native, environment).unwrap_err();
        assert_eq!(error, LoadError::MeteredForNative, "{}", backend.name());
    }
}

#[test]
fn the_mode_is_part_of_what_is_known_of_a_filter() {
    for backend in backends() {
        for metering in Metering::ALL {
            let mut policy = policy();
            policy.limits.metering = metering;
            assert_eq!(filter(backend, "good", policy).metadata().metering, metering);
        }
    }
}

#[test]
fn every_failure_costs_the_same_on_every_backend() {
    for name in ["deep_recursion", "endless_loop", "traps", "panic", "memory_growth", "table_growth"] {
        let costs = backends().map(|backend| {
            let (_, report) = serve(&Chain::new(vec![filter(backend, name, policy())]), &attack(b"!"));
            (report.fuel, report.failures.first().map(|failure| failure.error.clone()))
        });
        assert_eq!(costs[0], costs[1], "{name}");
        assert!(costs[0].1.is_some(), "{name}");
    }
}
