//! Engines, compilation, and the linker of host functions.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use picket_host::abi::HostFn;
use picket_host::meter::{EXPORT_START, UNCOUNTED_BYTES, UNCOUNTED_FRAMES};
use picket_host::{
    Backend, Budget, CallContext, CompiledModule, Error, InPlace, Instance, Limits, LoadError, Metering,
    data_in_place, start_as_export,
};
use wasmi::{CompilationMode, Config, CustomFuelCosts, Engine, Linker, Module};

use crate::instance::WasmiInstance;
use crate::limits::State;
use crate::memory::define_host_function;
use crate::meter::{Meter, define_meter};

/// Stacks that wasmi keeps for the next call: about one for each thread that calls.
const CACHED_STACKS: usize = 16;

/// wasmi's own price of bulk operations.
const BYTES_COPIED_PER_FUEL: u32 = 64;

/// The wasmi interpreter.
///
/// An engine of wasmi keeps the code of every module it has ever compiled until it is dropped itself.
/// So each module gets an engine of its own, and reloading frees what it replaces.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "validate", derive(Default))]
pub struct WasmiBackend {
    loader: Option<Loader>,
    lazy: bool,
    image: Option<&'static [u8]>,
}

/// Makes a module of its bytes; see [`WasmiBackend::with_loader`].
pub type Loader = fn(&Engine, &[u8]) -> Result<Module, wasmi::Error>;

impl WasmiBackend {
    /// The interpreter.
    #[cfg(feature = "validate")]
    pub const fn new() -> Self {
        WasmiBackend { loader: None, lazy: false, image: None }
    }

    /// The interpreter with a loader of the embedder's, for builds without a validator.
    ///
    /// To load a module that is not validated is unsafe, and this crate has no unsafe code: the loader
    /// answers for it that it is given valid modules only. `picket_host` without `validate` passes
    /// none that the embedder's own list of digests does not name.
    pub const fn with_loader(loader: Loader) -> Self {
        WasmiBackend { loader: Some(loader), lazy: false, image: None }
    }

    /// Translates each function when it is first called: memory goes to the code that runs, and the
    /// first caller waits for it. Fuel stays what it is.
    #[must_use]
    pub const fn lazy(self) -> Self {
        WasmiBackend { lazy: true, ..self }
    }

    /// With a module that lies in memory for good, such as flash: its data are written from there to
    /// each new instance, where wasmi would keep a copy of them.
    #[must_use]
    pub const fn with_image(self, image: &'static [u8]) -> Self {
        WasmiBackend { image: Some(image), ..self }
    }

    fn load(&self, engine: &Engine, wasm: &[u8]) -> Result<Module, LoadError> {
        if let Some(loader) = self.loader {
            return loader(engine, wasm).map_err(LoadError::engine);
        }
        #[cfg(feature = "validate")]
        return Module::new(engine, wasm).map_err(LoadError::engine);
        #[cfg(not(feature = "validate"))]
        Err(LoadError::engine("this build has no validator and no loader"))
    }
}

fn engine(limits: &Limits, lazy: bool) -> Engine {
    let mut config = Config::default();
    let (stack_bytes, call_depth) = match limits.metering {
        Metering::Native => (limits.stack_bytes, limits.call_depth as usize),
        // A second wall behind the metered one: memory is taken only as far as guests get.
        Metering::Canonical => (
            limits.stack_bytes.saturating_add(UNCOUNTED_BYTES as usize).saturating_mul(2),
            (limits.call_depth as usize).saturating_add(UNCOUNTED_FRAMES as usize + 1),
        ),
    };
    // The features that `picket_host::inspect` admits; it has the last word, wasmi only must not
    // know fewer.
    #[cfg(feature = "validate")]
    config.wasm_multi_memory(false).wasm_tail_call(false).wasm_custom_page_sizes(true);
    if lazy {
        // Whoever calls a function first would pay for its translation.
        config.fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: BYTES_COPIED_PER_FUEL,
            fuel_per_bytes_translated: 0,
            fuel_per_bytes_validated: 0,
        });
    }
    config
        .consume_fuel(limits.metering == Metering::Native)
        .compilation_mode(if lazy { CompilationMode::LazyTranslation } else { CompilationMode::Eager })
        .ignore_custom_sections(true)
        // wasmi panics when the least height is above the greatest.
        .set_min_stack_height(stack_bytes.min(4 << 10))
        .set_max_stack_height(stack_bytes)
        .set_max_recursion_depth(call_depth)
        .set_max_cached_stacks(CACHED_STACKS);
    Engine::new(&config)
}

impl Backend for WasmiBackend {
    fn name(&self) -> &'static str {
        "wasmi"
    }

    fn compile(&self, wasm: &[u8], limits: &Limits) -> Result<Box<dyn CompiledModule>, LoadError> {
        let engine = engine(limits, self.lazy);
        let mut linker = Linker::new(&engine);
        for function in HostFn::ALL {
            define_host_function(&mut linker, function).map_err(LoadError::engine)?;
        }
        if limits.metering == Metering::Canonical {
            define_meter(&mut linker).map_err(LoadError::engine)?;
            let image = self.image.filter(|image| *image == wasm);
            let (module, data) = match image.and_then(|image| Some((image, data_in_place(image)?))) {
                None => (self.load(&engine, wasm)?, Vec::new()),
                Some((image, InPlace { wasm, segments })) => {
                    let data = segments.into_iter().map(|(address, bytes)| (address, &image[bytes]));
                    (self.load(&engine, &wasm)?, data.collect())
                }
            };
            let meter = Meter::of(&module, limits)?;
            let start = module.get_export(EXPORT_START).map(|_| EXPORT_START.into());
            return Ok(Box::new(WasmiModule { engine, linker, module, start, meter: Some(meter), data }));
        }
        // wasmi would run a start function in one go; as an export it can be stopped.
        let (module, start) = match start_as_export(wasm) {
            Some((rewritten, name)) => (self.load(&engine, &rewritten)?, Some(name)),
            None => (self.load(&engine, wasm)?, None),
        };
        Ok(Box::new(WasmiModule { engine, linker, module, start, meter: None, data: Vec::new() }))
    }
}

/// A module compiled to wasmi's bytecode.
struct WasmiModule {
    engine: Engine,
    linker: Linker<State>,
    module: Module,
    start: Option<String>,
    /// Under canonical metering.
    meter: Option<Meter>,
    /// Written to each new instance: address and bytes.
    data: Vec<(u32, &'static [u8])>,
}

impl CompiledModule for WasmiModule {
    fn instantiate(&self, context: CallContext, budget: &Budget) -> Result<Box<dyn Instance>, Error> {
        let WasmiModule { engine, linker, module, start, meter, data } = self;
        let mut instance = WasmiInstance::new(engine, linker, module, *meter, context, budget)?;
        instance.place(data)?;
        if let Some(start) = start {
            instance.start(start)?;
        }
        Ok(Box::new(instance))
    }

    fn compiled_size(&self) -> Option<usize> {
        // wasmi does not tell.
        None
    }
}
