//! Engines, compilation, and the linker of host functions.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use picket_host::abi::HostFn;
use picket_host::{
    Backend, Budget, CallContext, CompiledModule, Error, Instance, Limits, LoadError, start_as_export,
};
use spin::Mutex;
use wasmi::{CompilationMode, Config, Engine, Linker, Module};

use crate::instance::WasmiInstance;
use crate::limits::State;
use crate::memory::define_host_function;

/// Stacks that wasmi keeps for the next call: about one for each thread that calls.
const CACHED_STACKS: usize = 16;

/// The wasmi interpreter.
///
/// wasmi fixes the stack of its calls for a whole engine, so there is one engine for each stack limit
/// in use: usually one.
#[derive(Default)]
pub struct WasmiBackend {
    engines: Mutex<Vec<(Stack, Arc<Ready>)>>,
}

/// The limits that make an engine.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stack {
    depth: usize,
    bytes: usize,
}

/// An engine and the host functions that belong to it.
struct Ready {
    engine: Engine,
    linker: Linker<State>,
}

impl WasmiBackend {
    /// The interpreter. Engines are made when a module first needs one.
    pub const fn new() -> Self {
        WasmiBackend { engines: Mutex::new(Vec::new()) }
    }

    fn engine(&self, limits: &Limits) -> Result<Arc<Ready>, LoadError> {
        let stack = Stack { depth: limits.call_depth as usize, bytes: limits.stack_bytes };
        let mut engines = self.engines.lock();
        if let Some((_, ready)) = engines.iter().find(|(other, _)| *other == stack) {
            return Ok(Arc::clone(ready));
        }
        let ready = Arc::new(Ready::new(stack)?);
        engines.push((stack, Arc::clone(&ready)));
        Ok(ready)
    }
}

impl core::fmt::Debug for WasmiBackend {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WasmiBackend").finish_non_exhaustive()
    }
}

impl Ready {
    fn new(stack: Stack) -> Result<Self, LoadError> {
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
            .set_min_stack_height(stack.bytes.min(4 << 10))
            .set_max_stack_height(stack.bytes)
            .set_max_recursion_depth(stack.depth)
            .set_max_cached_stacks(CACHED_STACKS);
        let engine = Engine::new(&config);
        let mut linker = Linker::new(&engine);
        for function in HostFn::ALL {
            define_host_function(&mut linker, function).map_err(LoadError::engine)?;
        }
        Ok(Ready { engine, linker })
    }
}

impl Backend for WasmiBackend {
    fn name(&self) -> &'static str {
        "wasmi"
    }

    fn compile(&self, wasm: &[u8], limits: &Limits) -> Result<Box<dyn CompiledModule>, LoadError> {
        let ready = self.engine(limits)?;
        // wasmi would run a start function in one go; as an export it can be stopped.
        let (module, start) = match start_as_export(wasm) {
            Some((rewritten, name)) => (Module::new(&ready.engine, rewritten), Some(name)),
            None => (Module::new(&ready.engine, wasm), None),
        };
        let module = module.map_err(LoadError::engine)?;
        Ok(Box::new(WasmiModule { ready, module, start }))
    }
}

/// A module compiled to wasmi's bytecode.
struct WasmiModule {
    ready: Arc<Ready>,
    module: Module,
    start: Option<String>,
}

impl CompiledModule for WasmiModule {
    fn instantiate(&self, context: CallContext, budget: &Budget) -> Result<Box<dyn Instance>, Error> {
        let Ready { engine, linker } = &*self.ready;
        let instance =
            WasmiInstance::new(engine, linker, &self.module, self.start.as_deref(), context, budget)?;
        Ok(Box::new(instance))
    }

    fn compiled_size(&self) -> Option<usize> {
        // wasmi does not tell.
        None
    }
}
