//! The guest's memory, and host functions on it.

use picket_host::abi::{EXPORT_MEMORY, HostFn, IMPORT_MODULE};
use picket_host::{Halt, ValueType, host_call, signature};
use wasmi::errors::{HostError, LinkerError};
use wasmi::{Caller, Error, FuncType, Linker, Val, ValType};

use crate::limits::State;

/// What wasmi carries from a host function to the caller of the guest. The reason is in the context.
#[derive(Debug)]
pub(crate) struct Halted(pub(crate) Halt);

impl core::fmt::Display for Halted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // Nobody is shown it.
        f.write_str("stopped by a host function")
    }
}

impl HostError for Halted {}

/// Most parameters that a host function has.
const MAX_PARAMS: usize = 8;

/// Makes `function` importable.
pub(crate) fn define_host_function(linker: &mut Linker<State>, function: HostFn) -> Result<(), LinkerError> {
    let signature = signature(function);
    let ty =
        FuncType::new(signature.params.iter().map(|&ty| value_type(ty)), signature.result.map(value_type));
    linker
        .func_new(IMPORT_MODULE, function.name(), ty, move |caller, params, results| {
            call(function, caller, params, results)
        })
        .map(|_| ())
}

fn value_type(ty: ValueType) -> ValType {
    match ty {
        ValueType::I32 => ValType::I32,
        ValueType::I64 => ValType::I64,
    }
}

fn call(
    function: HostFn,
    mut caller: Caller<'_, State>,
    params: &[Val],
    results: &mut [Val],
) -> Result<(), Error> {
    let mut arguments = [0; MAX_PARAMS];
    for (argument, param) in arguments.iter_mut().zip(params) {
        *argument = match param {
            Val::I32(value) => u64::from(*value as u32),
            Val::I64(value) => *value as u64,
            _ => 0,
        };
    }
    let arguments = &arguments[..params.len().min(MAX_PARAMS)];
    // The export is looked up because a start function calls before there is an instance to ask.
    let exported = caller.get_export(EXPORT_MEMORY).and_then(|export| export.into_memory());
    let result = match exported {
        Some(memory) => {
            let (bytes, state) = memory.data_and_store_mut(&mut caller);
            host_call(function, arguments, bytes, &mut state.0)
        }
        None => host_call(function, arguments, &mut [], &mut caller.data_mut().0),
    };
    let result = result.map_err(|halt| Error::host(Halted(halt)))?;
    if let [slot] = results {
        *slot = Val::I64(result);
    }
    Ok(())
}
