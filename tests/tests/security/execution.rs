//! Guests that would not stop, would not stay within bounds, or break down.

use picket_host::abi::{HostFn, HostStatus, PackedSlice};
use picket_host::{
    Budget, Chain, Error, Fuel, GuestFault, HeadDecision, HostFault, Limit, LoadError, Metering, Micros,
    Policy, Trap,
};

use crate::stage::{
    assert_attack, assert_refused, assert_serves, attack, backends, filter, metered_both_ways, policy, serve,
};

/// So much that only the clock can stop a guest.
const AMPLE: Fuel = Fuel(1 << 50);

fn with_call(change: impl FnOnce(&mut Budget)) -> Policy {
    let mut policy = policy();
    change(&mut policy.limits.call);
    policy
}

fn with_setup(change: impl FnOnce(&mut Budget)) -> Policy {
    let mut policy = policy();
    change(&mut policy.limits.setup);
    policy
}

#[test]
fn an_endless_loop_ends_with_its_fuel() {
    let limit = Fuel(300_000);
    let policy = with_call(|call| call.fuel = limit);
    assert_attack("endless_loop", policy, b"!", || Limit::Fuel { limit }.into());
}

#[test]
fn an_endless_loop_ends_with_its_time() {
    let limit = Micros::from_millis(5);
    let policy = with_call(|call| (call.fuel, call.deadline) = (AMPLE, limit));
    assert_attack("endless_loop", policy, b"!", || Limit::Deadline { limit }.into());
}

#[test]
fn fuel_that_is_used_up_is_reported_as_used() {
    let limit = Fuel(300_000);
    let policy = with_call(|call| call.fuel = limit);
    for backend in backends() {
        for policy in metered_both_ways(policy) {
            let metering = policy.limits.metering;
            let chain = Chain::new(vec![filter(backend, "endless_loop", policy)]);
            let (_, report) = serve(&chain, &attack(b"!"));
            // An engine stops ahead of a step that it cannot pay for; a metered module behind one.
            let short = if metering == Metering::Canonical { 0 } else { 100 };
            assert!(
                (limit.0 - short..=limit.0).contains(&report.fuel.0),
                "{}, {metering}: {} of {limit}",
                backend.name(),
                report.fuel
            );
        }
    }
}

#[test]
fn deep_recursion_ends_at_the_stack_limit() {
    assert_attack("deep_recursion", policy(), b"!", || Limit::Stack.into());
}

#[test]
fn a_smaller_stack_limit_counts() {
    let mut policy = policy();
    policy.limits.stack_bytes = 64 << 10;
    policy.limits.call_depth = 100;
    assert_attack("deep_recursion", policy, b"!", || Limit::Stack.into());
}

#[test]
fn memory_growth_ends_at_the_memory_limit() {
    let bytes = Policy::WAF.limits.memory_bytes;
    let wanted = (bytes / 65_536 + 1) * 65_536;
    assert_attack("memory_growth", policy(), b"!", || Limit::Memory { bytes, wanted }.into());
}

#[test]
fn memory_growth_at_once_ends_at_the_memory_limit() {
    let bytes = Policy::EDGE_FUNCTION.limits.memory_bytes;
    let mut policy = policy();
    policy.limits.memory_bytes = bytes;
    assert_attack("memory_growth_at_once", policy, b"!", || {
        Limit::Memory { bytes, wanted: 65_536 * 65_536 }.into()
    });
}

#[test]
fn a_guest_may_live_with_refused_memory() {
    for backend in backends() {
        let filter = filter(backend, "memory_growth_polite", policy());
        let (decision, report) = serve(&Chain::new(vec![filter.clone()]), &attack(b"!"));
        assert_eq!(decision, HeadDecision::Continue, "{}: {report:?}", backend.name());
        let peak = filter.counters().peak_memory_bytes;
        assert_eq!(peak, 152 * 65_536, "{}: the peak is what fits in 10 MB", backend.name());
    }
}

#[test]
fn table_growth_ends_at_the_table_limit() {
    let elements = Policy::WAF.limits.table_elements;
    assert_attack("table_growth", policy(), b"!", || {
        Limit::Table { elements, wanted: elements + 100 }.into()
    });
}

#[test]
fn a_start_function_ends_with_its_fuel() {
    let limit = Fuel(300_000);
    let policy = with_setup(|setup| setup.fuel = limit);
    assert_refused("endless_start", policy, &LoadError::Start(Limit::Fuel { limit }.into()));
}

#[test]
fn a_start_function_ends_with_its_time() {
    let limit = Micros::from_millis(5);
    let policy = with_setup(|setup| (setup.fuel, setup.deadline) = (AMPLE, limit));
    assert_refused("endless_start", policy, &LoadError::Start(Limit::Deadline { limit }.into()));
}

#[test]
fn a_start_function_may_trap() {
    assert_refused("trapping_start", policy(), &LoadError::Start(Trap::Unreachable.into()));
}

#[test]
fn a_start_function_runs_before_the_first_call() {
    for backend in backends() {
        let chain = Chain::new(vec![filter(backend, "working_start", policy())]);
        let (decision, _) = serve(&chain, &attack(b""));
        assert!(
            matches!(&decision, HeadDecision::Respond(reply) if reply.status == 204),
            "{}: {decision:?}",
            backend.name()
        );
    }
}

#[test]
fn a_question_for_the_version_ends_with_its_time() {
    let limit = Micros::from_millis(5);
    let policy = with_setup(|setup| (setup.fuel, setup.deadline) = (AMPLE, limit));
    assert_refused("abi_endless", policy, &LoadError::Start(Limit::Deadline { limit }.into()));
}

#[test]
fn every_trap_has_its_name() {
    let traps = [
        Trap::Unreachable,
        Trap::DivisionByZero,
        Trap::MemoryOutOfBounds,
        Trap::MemoryOutOfBounds,
        Trap::IndirectCall,
        Trap::TableOutOfBounds,
        Trap::IndirectCall,
        Trap::IntegerOverflow,
        Trap::BadConversion,
        Trap::TableOutOfBounds,
    ];
    for (index, trap) in traps.into_iter().enumerate() {
        assert_attack("traps", policy(), &vec![b'!'; index + 1], || Error::Trap(trap.clone()));
    }
}

#[test]
fn a_panic_keeps_its_text() {
    let message = "src/lib.rs:17:5: index 9 out of range for 4!";
    assert_attack("panic", policy(), b"!", || Trap::Panic { message: message.into() }.into());
}

#[test]
fn a_panic_without_a_trap_changes_nothing() {
    for backend in backends() {
        let chain = Chain::new(vec![filter(backend, "panic_and_live", policy())]);
        let (decision, report) = serve(&chain, &attack(b"!"));
        assert_eq!((decision, report.failures.len()), (HeadDecision::Continue, 0), "{}", backend.name());
    }
}

#[test]
fn a_flood_of_host_calls_ends_at_the_limit() {
    let calls = 77;
    let policy = with_call(|call| call.host_calls = calls);
    assert_attack("host_call_flood", policy, b"!", || Limit::HostCalls { calls }.into());
}

#[test]
fn a_flood_of_bytes_to_the_host_ends_at_the_limit() {
    let bytes = 100_000;
    let policy = with_call(|call| call.host_call_bytes = bytes);
    assert_attack("host_bytes_flood", policy, b"!", || Limit::HostCallBytes { bytes }.into());
}

#[test]
fn an_argument_outside_the_memory_is_not_read() {
    assert_attack("host_argument", policy(), b"!", || {
        let slice = PackedSlice { ptr: 0xfffe, len: 3 };
        GuestFault::HostArgument { function: HostFn::Log, slice, memory: 65_536 }.into()
    });
}

#[test]
fn no_guest_gets_bytes_that_are_not_random() {
    assert_attack("randomness", policy(), b"!", || {
        HostFault::Service { function: HostFn::Random, status: HostStatus::Unavailable }.into()
    });
}

#[test]
fn a_guest_that_hides_its_input_buffer_ends_with_its_fuel() {
    let limit = Fuel(300_000);
    let policy = with_call(|call| call.fuel = limit);
    for backend in backends() {
        let chain = Chain::new(vec![filter(backend, "input_endless", policy)]);
        let (_, report) = serve(&chain, &attack(b""));
        let errors: Vec<_> = report.failures.into_iter().map(|failure| failure.error).collect();
        assert_eq!(errors, [Error::Limit(Limit::Fuel { limit })], "{}", backend.name());
        assert_serves(backend);
    }
}
