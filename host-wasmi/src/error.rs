//! What wasmi says, in Picket's words.

use picket_host::{Stop, Trap};
use wasmi::errors::{ErrorKind, InstantiationError, MemoryError, TableError};
use wasmi::{Error, TrapCode};

use crate::memory::Halted;

/// Why wasmi stopped.
pub(crate) fn stop(error: &Error) -> Stop {
    if error.downcast_ref::<Halted>().is_some() {
        return Stop::HostFunction;
    }
    if let ErrorKind::Instantiation(error) = error.kind() {
        return instantiation(error);
    }
    match error.as_trap_code() {
        Some(code) => trap(code),
        None => Stop::engine(error),
    }
}

/// An active segment that does not fit traps, as in the specification; wasmi calls it by other names.
fn instantiation(error: &InstantiationError) -> Stop {
    match error {
        InstantiationError::FailedToInstantiateMemory(MemoryError::OutOfBoundsAccess) => {
            Stop::Trap(Trap::MemoryOutOfBounds)
        }
        InstantiationError::FailedToInstantiateTable(TableError::InitOutOfBounds)
        | InstantiationError::ElementSegmentDoesNotFit { .. } => Stop::Trap(Trap::TableOutOfBounds),
        other => Stop::engine(other),
    }
}

fn trap(code: TrapCode) -> Stop {
    Stop::Trap(match code {
        TrapCode::UnreachableCodeReached => Trap::Unreachable,
        TrapCode::MemoryOutOfBounds => Trap::MemoryOutOfBounds,
        TrapCode::TableOutOfBounds => Trap::TableOutOfBounds,
        TrapCode::IndirectCallToNull | TrapCode::BadSignature => Trap::IndirectCall,
        TrapCode::IntegerDivisionByZero => Trap::DivisionByZero,
        TrapCode::IntegerOverflow => Trap::IntegerOverflow,
        TrapCode::BadConversionToInteger => Trap::BadConversion,
        TrapCode::StackOverflow => return Stop::Stack,
        TrapCode::OutOfFuel => return Stop::Fuel,
        TrapCode::GrowthOperationLimited => return Stop::Engine("growth was refused".into()),
        TrapCode::OutOfSystemMemory => return Stop::Engine("out of memory".into()),
    })
}
