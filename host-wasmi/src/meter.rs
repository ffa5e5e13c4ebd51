//! Canonical metering: the counters of a module that counts for itself.

use picket_host::meter::{EXPORT_FUEL, EXPORT_STACK, IMPORT_FUEL, IMPORT_MODULE, IMPORT_STACK, stack_level};
use picket_host::{Fuel, Limits, LoadError};
use wasmi::errors::LinkerError;
use wasmi::{Caller, Error, Global, Instance, Linker, Module, Store, Val};

use crate::limits::State;
use crate::memory::Halted;

/// Makes the functions importable that a metered module asks when it has used up what it was given.
pub(crate) fn define_meter(linker: &mut Linker<State>) -> Result<(), LinkerError> {
    linker.func_wrap(
        IMPORT_MODULE,
        IMPORT_FUEL,
        |mut caller: Caller<'_, State>, counter: i64, outstanding: i64| -> Result<i64, Error> {
            let context = &mut caller.data_mut().0;
            context.refuel(counter, outstanding).map_err(|halt| Error::host(Halted(halt)))
        },
    )?;
    linker.func_wrap(IMPORT_MODULE, IMPORT_STACK, |mut caller: Caller<'_, State>| -> Result<(), Error> {
        Err(Error::host(Halted(caller.data_mut().0.stack_exhausted())))
    })?;
    Ok(())
}

/// What is known of a module's counters.
#[derive(Clone, Copy)]
pub(crate) struct Meter {
    /// What the stack begins with, if it is counted.
    stack: Option<i64>,
}

impl Meter {
    /// The counters that the module has.
    pub(crate) fn of(module: &Module, limits: &Limits) -> Result<Self, LoadError> {
        if module.get_export(EXPORT_FUEL).is_none() {
            return Err(LoadError::MissingExport { name: EXPORT_FUEL });
        }
        let bytes = u32::try_from(limits.stack_bytes).unwrap_or(u32::MAX);
        let stack = module.get_export(EXPORT_STACK).map(|_| stack_level(limits.call_depth, bytes));
        Ok(Meter { stack })
    }

    /// The counters of an instance.
    pub(crate) fn counters(self, store: &Store<State>, instance: &Instance) -> Option<Counters> {
        let fuel = instance.get_global(store, EXPORT_FUEL)?;
        let stack = match self.stack {
            Some(level) => Some((instance.get_global(store, EXPORT_STACK)?, level)),
            None => None,
        };
        Some(Counters { fuel, stack })
    }
}

/// The counters of an instance.
#[derive(Clone, Copy)]
pub(crate) struct Counters {
    fuel: Global,
    stack: Option<(Global, i64)>,
}

impl Counters {
    /// Begins a call.
    pub(crate) fn arm(&self, store: &mut Store<State>) {
        let counter = store.data_mut().0.begin_fuel();
        // Setting fails only where a global has another type: these were made by the pass.
        let _set = self.fuel.set(&mut *store, Val::I64(counter));
        if let Some((stack, level)) = self.stack {
            let _set = stack.set(&mut *store, Val::I64(level));
        }
    }

    /// Fuel used since [`Counters::arm`].
    pub(crate) fn used(&self, store: &Store<State>) -> Fuel {
        let counter = match self.fuel.get(store) {
            Val::I64(counter) => counter,
            _ => 0,
        };
        store.data().0.fuel_used(counter)
    }
}
