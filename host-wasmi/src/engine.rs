//! Engines, compilation, and the linker of host functions.

use alloc::boxed::Box;
use alloc::string::String;

use picket_host::abi::HostFn;
use picket_host::{
    Backend, Budget, CallContext, CompiledModule, Error, Instance, Limits, LoadError, start_as_export,
};
use wasmi::{CompilationMode, Config, Engine, Linker, Module};

use crate::instance::WasmiInstance;
use crate::limits::State;
use crate::memory::define_host_function;

/// Stacks that wasmi keeps for the next call: about one for each thread that calls.
const CACHED_STACKS: usize = 16;

/// The wasmi interpreter.
///
/// An engine of wasmi keeps the code of every module it has ever compiled until it is dropped itself.
/// So each module gets an engine of its own, and reloading frees what it replaces.
#[derive(Clone, Copy, Debug, Default)]
pub struct WasmiBackend;

impl WasmiBackend {
    /// The interpreter.
    pub const fn new() -> Self {
        WasmiBackend
    }
}

fn engine(limits: &Limits) -> Engine {
    let mut config = Config::default();
    // The features that `picket_host::inspect` admits; it has the last word, wasmi only must not
    // know fewer.
    config
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_custom_page_sizes(false)
        .consume_fuel(true)
        .compilation_mode(CompilationMode::Eager)
        .ignore_custom_sections(true)
        // wasmi panics when the least height is above the greatest.
        .set_min_stack_height(limits.stack_bytes.min(4 << 10))
        .set_max_stack_height(limits.stack_bytes)
        .set_max_recursion_depth(limits.call_depth as usize)
        .set_max_cached_stacks(CACHED_STACKS);
    Engine::new(&config)
}

impl Backend for WasmiBackend {
    fn name(&self) -> &'static str {
        "wasmi"
    }

    fn compile(&self, wasm: &[u8], limits: &Limits) -> Result<Box<dyn CompiledModule>, LoadError> {
        let engine = engine(limits);
        let mut linker = Linker::new(&engine);
        for function in HostFn::ALL {
            define_host_function(&mut linker, function).map_err(LoadError::engine)?;
        }
        // wasmi would run a start function in one go; as an export it can be stopped.
        let (module, start) = match start_as_export(wasm) {
            Some((rewritten, name)) => (Module::new(&engine, rewritten), Some(name)),
            None => (Module::new(&engine, wasm), None),
        };
        let module = module.map_err(LoadError::engine)?;
        Ok(Box::new(WasmiModule { engine, linker, module, start }))
    }
}

/// A module compiled to wasmi's bytecode.
struct WasmiModule {
    engine: Engine,
    linker: Linker<State>,
    module: Module,
    start: Option<String>,
}

impl CompiledModule for WasmiModule {
    fn instantiate(&self, context: CallContext, budget: &Budget) -> Result<Box<dyn Instance>, Error> {
        let WasmiModule { engine, linker, module, start } = self;
        let instance = WasmiInstance::new(engine, linker, module, start.as_deref(), context, budget)?;
        Ok(Box::new(instance))
    }

    fn compiled_size(&self) -> Option<usize> {
        // wasmi does not tell.
        None
    }
}
