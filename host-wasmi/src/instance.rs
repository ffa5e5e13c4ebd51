//! One instance and its calls.

use picket_host::abi::{EXPORT_ABI, EXPORT_INPUT, EXPORT_MEMORY, Phase};
use picket_host::{Budget, CallContext, Error, Fuel, Instance, Stop, Trap};
use wasmi::{Engine, Linker, Memory, Module, Store, TypedFunc, TypedResumableCall, WasmParams, WasmResults};

use crate::error::stop;
use crate::limits::{FuelSlices, State};
use crate::meter::{Counters, Meter};

/// An instance on wasmi.
pub(crate) struct WasmiInstance {
    store: Store<State>,
    instance: wasmi::Instance,
    memory: Memory,
    input: Option<TypedFunc<u32, u32>>,
    phases: [Option<TypedFunc<u32, u64>>; Phase::ALL.len()],
    metering: Metering,
}

/// Who counts the fuel of an instance.
enum Metering {
    /// The module.
    Canonical(Counters),
    /// wasmi.
    Native(FuelSlices),
}

impl WasmiInstance {
    pub(crate) fn new(
        engine: &Engine,
        linker: &Linker<State>,
        module: &Module,
        meter: Option<Meter>,
        context: CallContext,
        budget: &Budget,
    ) -> Result<Self, Error> {
        let mut store = Store::new(engine, State(context));
        store.limiter(|state| state);
        store.data_mut().0.arm(budget);
        let (fuel, slice) = FuelSlices::begin(budget.fuel);
        if meter.is_none() {
            set_fuel(&mut store, slice)?;
        }
        // Nothing of the module runs here: its start function is an export.
        let instance = linker
            .instantiate_and_start(&mut store, module)
            .map_err(|error| store.data_mut().0.resolve(stop(&error)))?;
        let memory = instance
            .get_memory(&store, EXPORT_MEMORY)
            .ok_or_else(|| Error::engine("the instance has lost its memory"))?;
        let metering = match meter {
            Some(meter) => {
                let counters = meter.counters(&store, &instance);
                let counters = counters.ok_or_else(|| Error::engine("the instance has lost its counters"))?;
                counters.arm(&mut store);
                Metering::Canonical(counters)
            }
            None => Metering::Native(fuel),
        };
        Ok(WasmiInstance { store, instance, memory, input: None, phases: Default::default(), metering })
    }

    /// Writes data that the module has been relieved of.
    pub(crate) fn place(&mut self, data: &[(u32, &[u8])]) -> Result<(), Error> {
        let memory = self.memory_mut();
        for (address, bytes) in data {
            let begin = *address as usize;
            let place = memory.get_mut(begin..begin.saturating_add(bytes.len()));
            // As in the specification: an active segment that does not fit traps.
            place.ok_or(Trap::MemoryOutOfBounds)?.copy_from_slice(bytes);
        }
        Ok(())
    }

    /// Runs the start function, which is the export `name`, within what the instance came up with.
    pub(crate) fn start(&mut self, name: &str) -> Result<(), Error> {
        let start: TypedFunc<(), ()> = self.function(name)?;
        self.run(start, ())
    }

    /// Looked up when first called: most transactions call one or two phases.
    fn function<P: WasmParams, R: WasmResults>(&self, name: &str) -> Result<TypedFunc<P, R>, Error> {
        self.instance.get_typed_func(&self.store, name).map_err(Error::engine)
    }

    fn run<P: WasmParams, R: WasmResults>(
        &mut self,
        function: TypedFunc<P, R>,
        params: P,
    ) -> Result<R, Error> {
        let fuel = match &mut self.metering {
            Metering::Canonical(_) => {
                return function
                    .call(&mut self.store, params)
                    .map_err(|error| self.store.data_mut().0.resolve(stop(&error)));
            }
            Metering::Native(fuel) => fuel,
        };
        let mut call = function.call_resumable(&mut self.store, params);
        loop {
            let why = match call {
                Ok(TypedResumableCall::Finished(result)) => return Ok(result),
                Ok(TypedResumableCall::OutOfFuel(suspended)) => {
                    let left = fuel_left(&self.store);
                    match fuel.next(left, suspended.required_fuel(), &mut self.store.data_mut().0) {
                        Ok(slice) => {
                            set_fuel(&mut self.store, slice)?;
                            call = suspended.resume(&mut self.store);
                            continue;
                        }
                        Err(why) => why,
                    }
                }
                Ok(TypedResumableCall::HostTrap(_)) => Stop::HostFunction,
                Err(error) => stop(&error),
            };
            return Err(self.store.data_mut().0.resolve(why));
        }
    }
}

fn fuel_left(store: &Store<State>) -> u64 {
    // Fails only in an engine that does not count.
    store.get_fuel().unwrap_or(0)
}

fn set_fuel(store: &mut Store<State>, fuel: u64) -> Result<(), Error> {
    store.set_fuel(fuel).map_err(Error::engine)
}

impl Instance for WasmiInstance {
    fn arm(&mut self, budget: &Budget) {
        self.store.data_mut().0.arm(budget);
        match &mut self.metering {
            Metering::Canonical(counters) => counters.arm(&mut self.store),
            Metering::Native(slices) => {
                let (fuel, slice) = FuelSlices::begin(budget.fuel);
                *slices = fuel;
                // Fails only in an engine that does not count.
                let _set = self.store.set_fuel(slice);
            }
        }
    }

    fn abi_version(&mut self) -> Result<u32, Error> {
        let function: TypedFunc<(), u32> = self.function(EXPORT_ABI)?;
        self.run(function, ())
    }

    fn input(&mut self, len: u32) -> Result<u32, Error> {
        let function = match self.input {
            Some(function) => function,
            None => *self.input.insert(self.function(EXPORT_INPUT)?),
        };
        self.run(function, len)
    }

    fn call(&mut self, phase: Phase, len: u32) -> Result<u64, Error> {
        let function = match self.phases[phase as usize] {
            Some(function) => function,
            None => *self.phases[phase as usize].insert(self.function(phase.export())?),
        };
        self.run(function, len)
    }

    fn fuel_used(&self) -> Fuel {
        match &self.metering {
            Metering::Canonical(counters) => counters.used(&self.store),
            Metering::Native(slices) => slices.used(fuel_left(&self.store)),
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
