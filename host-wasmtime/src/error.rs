//! What wasmtime says, in Picket's words.

use picket_host::{CallContext, Error, Limit, Stop, Trap};
use wasmtime::PoolConcurrencyLimitError;

use crate::engine::POOL_INSTANCES;
use crate::memory::Halted;

/// The epoch callback found the deadline passed.
#[derive(Debug)]
pub(crate) struct DeadlinePassed;

impl std::fmt::Display for DeadlinePassed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the deadline has passed")
    }
}

impl std::error::Error for DeadlinePassed {}

/// The error behind a failed call or instantiation.
pub(crate) fn resolve(context: &mut CallContext, error: &wasmtime::Error) -> Error {
    if error.is::<PoolConcurrencyLimitError>() {
        return Limit::Instances { instances: POOL_INSTANCES }.into();
    }
    context.resolve(stop(error))
}

/// Why wasmtime stopped.
fn stop(error: &wasmtime::Error) -> Stop {
    if error.is::<Halted>() {
        return Stop::HostFunction;
    }
    if error.is::<DeadlinePassed>() {
        return Stop::Deadline;
    }
    match error.downcast_ref::<wasmtime::Trap>() {
        Some(&code) => trap(code),
        None => Stop::Engine(format!("{error:#}").into_boxed_str()),
    }
}

fn trap(code: wasmtime::Trap) -> Stop {
    use wasmtime::Trap as Code;
    Stop::Trap(match code {
        Code::UnreachableCodeReached => Trap::Unreachable,
        Code::MemoryOutOfBounds => Trap::MemoryOutOfBounds,
        Code::TableOutOfBounds => Trap::TableOutOfBounds,
        Code::IndirectCallToNull | Code::BadSignature => Trap::IndirectCall,
        Code::IntegerDivisionByZero => Trap::DivisionByZero,
        Code::IntegerOverflow => Trap::IntegerOverflow,
        Code::BadConversionToInteger => Trap::BadConversion,
        Code::StackOverflow => return Stop::Stack,
        Code::OutOfFuel => return Stop::Fuel,
        Code::Interrupt => return Stop::Deadline,
        other => return Stop::Engine(other.to_string().into_boxed_str()),
    })
}
