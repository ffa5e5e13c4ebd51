//! What filters may use on the board. The tests run the same module under the same policy on a
//! workstation, so this file is theirs, too.

use picket_host::{Budget, Fuel, Isolation, Limits, Micros, Policy};

/// Longest piece of a body that the guest gets at once, in bytes.
pub const CHUNK: usize = 2 * 1024;

/// A firewall on a board. Fuel ends before time does, so that what a filter may do does not depend on
/// how fast the board is; the deadline is for a clock that fuel knows nothing of.
pub const POLICY: Policy = Policy {
    limits: Limits {
        call: Budget {
            fuel: Fuel(5_000_000),
            deadline: Micros::from_millis(1_000),
            host_calls: 100,
            host_call_bytes: 16 * 1024,
        },
        setup: Budget {
            fuel: Fuel(20_000_000),
            deadline: Micros::from_millis(5_000),
            host_calls: 100,
            host_call_bytes: 16 * 1024,
        },
        memory_bytes: 192 * 1024,
        table_elements: 1_000,
        tables: 1,
        call_depth: 200,
        stack_bytes: 16 * 1024,
        instances: 2,
        output_bytes: 16 * 1024,
        module_bytes: 256 * 1024,
        chunk_bytes: CHUNK,
        ..Limits::WAF
    },
    ..Policy::WAF
};

/// With one instance that is used again, or a new one for each transaction.
pub const fn policy(fresh: bool) -> Policy {
    Policy { isolation: if fresh { Isolation::Fresh } else { Isolation::Pooled { max_idle: 1 } }, ..POLICY }
}
