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

/// An instance on wasmtime.
pub(crate) struct WasmtimeInstance {
    store: Store<State>,
    instance: wasmtime::Instance,
    memory: Memory,
    exports: Arc<Exports>,
    input: Option<TypedFunc<u32, u32>>,
    phases: [Option<TypedFunc<u32, u64>>; Phase::ALL.len()],
    granted: u64,
}

impl WasmtimeInstance {
    pub(crate) fn new(
        linked: &InstancePre<State>,
        exports: Arc<Exports>,
        context: CallContext,
        budget: &Budget,
    ) -> Result<Self, Error> {
        let mut store = Store::new(linked.module().engine(), State(context));
        store.limiter(|state| state);
        store.epoch_deadline_callback(|mut caller| {
            if caller.data_mut().0.deadline_passed() {
                Err(wasmtime::Error::new(DeadlinePassed))
            } else {
                Ok(UpdateDeadline::Continue(1))
            }
        });
        arm(&mut store, budget);
        let instance =
            linked.instantiate(&mut store).map_err(|error| resolve(&mut store.data_mut().0, &error))?;
        let memory = instance
            .get_module_export(&mut store, &exports.memory)
            .and_then(Extern::into_memory)
            .ok_or_else(|| Error::engine("the instance has lost its memory"))?;
        Ok(WasmtimeInstance {
            store,
            instance,
            memory,
            exports,
            input: None,
            phases: Default::default(),
            granted: budget.fuel.0,
        })
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
        function: &TypedFunc<P, R>,
        params: P,
    ) -> Result<R, Error> {
        function.call(&mut *store, params).map_err(|error| resolve(&mut store.data_mut().0, &error))
    }
}

fn arm(store: &mut Store<State>, budget: &Budget) {
    store.data_mut().0.arm(budget);
    // Fails only in an engine that does not count.
    let _set = store.set_fuel(budget.fuel.0);
    store.set_epoch_deadline(1);
}

impl Instance for WasmtimeInstance {
    fn arm(&mut self, budget: &Budget) {
        self.granted = budget.fuel.0;
        arm(&mut self.store, budget);
    }

    fn abi_version(&mut self) -> Result<u32, Error> {
        let function: TypedFunc<(), u32> = self.function(self.exports.abi)?;
        Self::run(&mut self.store, &function, ())
    }

    fn input(&mut self, len: u32) -> Result<u32, Error> {
        if self.input.is_none() {
            self.input = Some(self.function(self.exports.input)?);
        }
        match &self.input {
            Some(function) => Self::run(&mut self.store, function, len),
            None => Err(Error::engine("the instance has lost an export")),
        }
    }

    fn call(&mut self, phase: Phase, len: u32) -> Result<u64, Error> {
        let index = phase as usize;
        if self.phases[index].is_none() {
            self.phases[index] = Some(self.function(self.exports.phases[index])?);
        }
        match &self.phases[index] {
            Some(function) => Self::run(&mut self.store, function, len),
            None => Err(Error::engine("the instance has lost an export")),
        }
    }

    fn fuel_used(&self) -> Fuel {
        // Fails only in an engine that does not count.
        Fuel(self.granted.saturating_sub(self.store.get_fuel().unwrap_or(self.granted)))
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
