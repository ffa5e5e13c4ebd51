//! One instance and its calls.

use std::sync::Arc;

use picket_host::abi::Phase;
use picket_host::{Budget, CallContext, Error, Fuel, Instance};
use wasmtime::{
    Extern, InstancePre, Memory, ModuleExport, Store, TypedFunc, UpdateDeadline, WasmParams, WasmResults,
};

use crate::engine::Exports;
use crate::error::{DeadlinePassed, resolve};
use crate::limits::State;
use crate::meter::{Counters, Meter};

/// An instance on wasmtime.
pub(crate) struct WasmtimeInstance {
    store: Store<State>,
    instance: wasmtime::Instance,
    memory: Memory,
    exports: Arc<Exports>,
    input: Option<TypedFunc<u32, u32>>,
    phases: [Option<TypedFunc<u32, u64>>; Phase::ALL.len()],
    metering: Metering,
}

/// Who counts the fuel of an instance.
enum Metering {
    /// The module.
    Canonical(Counters),
    /// wasmtime.
    Native {
        /// Fuel that the call was granted.
        granted: u64,
    },
}

impl WasmtimeInstance {
    pub(crate) fn new(
        linked: &InstancePre<State>,
        exports: Arc<Exports>,
        meter: Option<&Meter>,
        context: CallContext,
        budget: &Budget,
    ) -> Result<Self, Error> {
        let mut store = Store::new(linked.module().engine(), State(context));
        store.limiter(|state| state);
        store.data_mut().0.arm(budget);
        if meter.is_none() {
            store.epoch_deadline_callback(|mut caller| {
                if caller.data_mut().0.deadline_passed() {
                    Err(wasmtime::Error::new(DeadlinePassed))
                } else {
                    Ok(UpdateDeadline::Continue(1))
                }
            });
            arm_native(&mut store, budget);
        }
        let instance =
            linked.instantiate(&mut store).map_err(|error| resolve(&mut store.data_mut().0, &error))?;
        let memory = instance
            .get_module_export(&mut store, &exports.memory)
            .and_then(Extern::into_memory)
            .ok_or_else(|| Error::engine("the instance has lost its memory"))?;
        let metering = match meter {
            Some(meter) => {
                let counters = meter.counters(&mut store, &instance);
                let mut counters =
                    counters.ok_or_else(|| Error::engine("the instance has lost its counters"))?;
                counters.arm(&mut store);
                Metering::Canonical(counters)
            }
            None => Metering::Native { granted: budget.fuel.0 },
        };
        let mut this = WasmtimeInstance {
            store,
            instance,
            memory,
            exports,
            input: None,
            phases: Default::default(),
            metering,
        };
        // Under native metering wasmtime has run it, within its own limits.
        if let Some(start) = meter.and_then(|meter| meter.start) {
            let start: TypedFunc<(), ()> = this.function(Some(start))?;
            Self::run(&mut this.store, &mut this.metering, &start, ())?;
        }
        Ok(this)
    }

    /// Looked up when first called: most transactions call one or two phases.
    fn function<P: WasmParams, R: WasmResults>(
        &mut self,
        export: Option<ModuleExport>,
    ) -> Result<TypedFunc<P, R>, Error> {
        export
            .and_then(|export| self.instance.get_module_export(&mut self.store, &export))
            .and_then(Extern::into_func)
            .ok_or_else(|| Error::engine("the instance has lost an export"))?
            .typed(&self.store)
            .map_err(Error::engine)
    }

    fn run<P: WasmParams, R: WasmResults>(
        store: &mut Store<State>,
        metering: &mut Metering,
        function: &TypedFunc<P, R>,
        params: P,
    ) -> Result<R, Error> {
        let result = function.call(&mut *store, params);
        if let Metering::Canonical(counters) = metering {
            counters.note(store);
        }
        result.map_err(|error| resolve(&mut store.data_mut().0, &error))
    }
}

fn arm_native(store: &mut Store<State>, budget: &Budget) {
    // Fails only in an engine that does not count.
    let _set = store.set_fuel(budget.fuel.0);
    store.set_epoch_deadline(1);
}

impl Instance for WasmtimeInstance {
    fn arm(&mut self, budget: &Budget) {
        self.store.data_mut().0.arm(budget);
        match &mut self.metering {
            Metering::Canonical(counters) => counters.arm(&mut self.store),
            Metering::Native { granted } => {
                *granted = budget.fuel.0;
                arm_native(&mut self.store, budget);
            }
        }
    }

    fn abi_version(&mut self) -> Result<u32, Error> {
        let function: TypedFunc<(), u32> = self.function(self.exports.abi)?;
        Self::run(&mut self.store, &mut self.metering, &function, ())
    }

    fn input(&mut self, len: u32) -> Result<u32, Error> {
        if self.input.is_none() {
            self.input = Some(self.function(self.exports.input)?);
        }
        match &self.input {
            Some(function) => Self::run(&mut self.store, &mut self.metering, function, len),
            None => Err(Error::engine("the instance has lost an export")),
        }
    }

    fn call(&mut self, phase: Phase, len: u32) -> Result<u64, Error> {
        let index = phase as usize;
        if self.phases[index].is_none() {
            self.phases[index] = Some(self.function(self.exports.phases[index])?);
        }
        match &self.phases[index] {
            Some(function) => Self::run(&mut self.store, &mut self.metering, function, len),
            None => Err(Error::engine("the instance has lost an export")),
        }
    }

    fn fuel_used(&self) -> Fuel {
        match &self.metering {
            Metering::Canonical(counters) => counters.used(),
            // Fails only in an engine that does not count.
            Metering::Native { granted } => {
                Fuel(granted.saturating_sub(self.store.get_fuel().unwrap_or(*granted)))
            }
        }
    }

    fn memory(&self) -> &[u8] {
        self.memory.data(&self.store)
    }

    fn memory_mut(&mut self) -> &mut [u8] {
        self.memory.data_mut(&mut self.store)
    }

    fn context(&self) -> &CallContext {
        &self.store.data().0
    }

    fn context_mut(&mut self) -> &mut CallContext {
        &mut self.store.data_mut().0
    }
}
