//! Canonical metering: the counters of a module that counts for itself.

use picket_host::meter::{
    EXPORT_FUEL, EXPORT_STACK, EXPORT_START, IMPORT_FUEL, IMPORT_MODULE, IMPORT_STACK, stack_level,
};
use picket_host::{Fuel, Limits, LoadError};
use wasmtime::{Caller, Extern, Global, Instance, Linker, Module, ModuleExport, Store, Val};

use crate::limits::State;
use crate::memory::Halted;

/// Makes the functions importable that a metered module asks when it has used up what it was given.
pub(crate) fn define_meter(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        IMPORT_MODULE,
        IMPORT_FUEL,
        |mut caller: Caller<'_, State>, counter: i64, outstanding: i64| -> wasmtime::Result<i64> {
            let context = &mut caller.data_mut().0;
            context.refuel(counter, outstanding).map_err(|halt| wasmtime::Error::new(Halted(halt)))
        },
    )?;
    linker.func_wrap(
        IMPORT_MODULE,
        IMPORT_STACK,
        |mut caller: Caller<'_, State>| -> wasmtime::Result<()> {
            Err(wasmtime::Error::new(Halted(caller.data_mut().0.stack_exhausted())))
        },
    )?;
    Ok(())
}

/// Where in a module its counters are.
pub(crate) struct Meter {
    fuel: ModuleExport,
    /// With what the stack begins with, if it is counted.
    stack: Option<(ModuleExport, i64)>,
    /// The start function.
    pub(crate) start: Option<ModuleExport>,
}

impl Meter {
    /// The counters that the module has.
    pub(crate) fn of(module: &Module, limits: &Limits) -> Result<Self, LoadError> {
        let Some(fuel) = module.get_export_index(EXPORT_FUEL) else {
            return Err(LoadError::MissingExport { name: EXPORT_FUEL });
        };
        let bytes = u32::try_from(limits.stack_bytes).unwrap_or(u32::MAX);
        let level = stack_level(limits.call_depth, bytes);
        let stack = module.get_export_index(EXPORT_STACK).map(|export| (export, level));
        Ok(Meter { fuel, stack, start: module.get_export_index(EXPORT_START) })
    }

    /// The counters of an instance.
    pub(crate) fn counters(&self, store: &mut Store<State>, instance: &Instance) -> Option<Counters> {
        let mut global =
            |export| instance.get_module_export(&mut *store, export).and_then(Extern::into_global);
        let fuel = global(&self.fuel)?;
        let stack = match &self.stack {
            Some((export, level)) => Some((global(export)?, *level)),
            None => None,
        };
        Some(Counters { fuel, stack, used: Fuel(0) })
    }
}

/// The counters of an instance.
pub(crate) struct Counters {
    fuel: Global,
    stack: Option<(Global, i64)>,
    used: Fuel,
}

impl Counters {
    /// Begins a call.
    pub(crate) fn arm(&mut self, store: &mut Store<State>) {
        let counter = store.data_mut().0.begin_fuel();
        self.used = Fuel(0);
        // Setting fails only where a global has another type: these were made by the pass.
        let _set = self.fuel.set(&mut *store, Val::I64(counter));
        if let Some((stack, level)) = self.stack {
            let _set = stack.set(&mut *store, Val::I64(level));
        }
    }

    /// Notes what a call has used: reading a global of wasmtime takes the store for itself.
    pub(crate) fn note(&mut self, store: &mut Store<State>) {
        let counter = self.fuel.get(&mut *store).i64().unwrap_or(0);
        self.used = store.data().0.fuel_used(counter);
    }

    /// Fuel used since [`Counters::arm`].
    pub(crate) fn used(&self) -> Fuel {
        self.used
    }
}
