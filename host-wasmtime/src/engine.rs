//! Engines, compilation, and the linker of host functions.

use std::sync::{Arc, Mutex, PoisonError};

use picket_host::abi::{EXPORT_ABI, EXPORT_INPUT, EXPORT_MEMORY, HostFn, Phase};
use picket_host::meter::UNCOUNTED_BYTES;
use picket_host::{
    Backend, Budget, CallContext, CompiledModule, Error, Instance, Limits, LoadError, Metering,
};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module, ModuleExport, OptLevel,
    PoolingAllocationConfig, Store,
};

use crate::instance::WasmtimeInstance;
use crate::limits::{State, Ticker};
use crate::memory::define_host_function;
use crate::meter::{Meter, define_meter};

/// Instances in a pool, over all filters of an engine.
pub(crate) const POOL_INSTANCES: u32 = 2_048;
/// Tables of one instance in a pool.
const POOL_TABLES: u32 = 8;
/// Elements of one table in a pool.
const POOL_TABLE_ELEMENTS: usize = 20_000;
/// Slots of a pool that keep a module's image mapped while no instance is in them.
const WARM_SLOTS: u32 = 256;
/// Bytes of a used memory that are written anew instead of being given back to the system: for the
/// few pages that a call dirties that is cheaper than a system call and page faults.
const KEEP_RESIDENT: usize = 1 << 20;
/// Bytes of addresses for a memory where they are scarce: enough that a small one never moves.
const FRUGAL: u64 = 16 << 20;
/// Guests run on the stack of the calling thread, which usually has 2 MiB.
const MAX_STACK: usize = 1 << 20;
/// Most that is kept for guests whose stack is counted: a second wall, which they do not come to.
const MAX_WALL: usize = 1152 << 10;

/// The wasmtime JIT.
///
/// wasmtime fixes the stack of its calls and what it counts for a whole engine, so there is one engine for
/// each stack limit and each kind of metering in use: usually one. An engine's ticker, which native
/// metering needs, lives as long as the last of its modules.
pub struct WasmtimeBackend {
    engines: Mutex<Vec<(Kind, Arc<Ready>)>>,
}

/// What makes an engine.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    stack_bytes: usize,
    pooled: bool,
    metering: Metering,
}

impl Kind {
    fn of(limits: &Limits) -> Self {
        let pooled = limits.tables <= POOL_TABLES && limits.table_elements <= POOL_TABLE_ELEMENTS;
        Kind { stack_bytes: limits.stack_bytes, pooled, metering: limits.metering }
    }

    /// Bytes of native stack. A frame of machine code may take more than what the metered module is
    /// charged for it; with twice the room, it is the charge that ends a recursion.
    fn native_stack(self) -> usize {
        match self.metering {
            Metering::Native => self.stack_bytes,
            Metering::Canonical => {
                self.stack_bytes.saturating_add(UNCOUNTED_BYTES as usize).saturating_mul(2).min(MAX_WALL)
            }
        }
    }
}

/// An engine and the host functions that belong to it.
struct Ready {
    engine: Engine,
    linker: Linker<State>,
    _ticker: Option<Ticker>,
}

impl WasmtimeBackend {
    /// The JIT, with the engine that [`Limits::WAF`] wants.
    ///
    /// # Errors
    /// [`LoadError::Engine`] if the machine has no such engine, or no thread for its ticker.
    pub fn new() -> Result<Self, LoadError> {
        let backend = WasmtimeBackend { engines: Mutex::new(Vec::new()) };
        backend.engine(Kind::of(&Limits::WAF))?;
        Ok(backend)
    }

    fn engine(&self, kind: Kind) -> Result<Arc<Ready>, LoadError> {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, ready)) = engines.iter().find(|(other, _)| *other == kind) {
            return Ok(Arc::clone(ready));
        }
        let ready = Arc::new(Ready::new(kind)?);
        engines.push((kind, Arc::clone(&ready)));
        Ok(ready)
    }
}

impl std::fmt::Debug for WasmtimeBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmtimeBackend").finish_non_exhaustive()
    }
}

impl Ready {
    fn new(kind: Kind) -> Result<Self, LoadError> {
        if kind.stack_bytes > MAX_STACK {
            return Err(LoadError::engine(format_args!(
                "a stack of {} bytes is more than the {MAX_STACK} that a thread can spare",
                kind.stack_bytes
            )));
        }
        let engine = engine(kind).map_err(LoadError::engine)?;
        let mut linker = Linker::new(&engine);
        for function in HostFn::ALL {
            define_host_function(&mut linker, function).map_err(LoadError::engine)?;
        }
        let ticker = match kind.metering {
            Metering::Native => Some(Ticker::start(&engine).map_err(LoadError::engine)?),
            Metering::Canonical => {
                define_meter(&mut linker).map_err(LoadError::engine)?;
                None
            }
        };
        Ok(Ready { engine, linker, _ticker: ticker })
    }
}

/// The fastest engine that this machine grants.
///
/// A pool reserves terabytes of addresses and an instance on demand still gigabytes; a container or
/// `ulimit -v` may grant neither. The last resort checks every access instead.
fn engine(kind: Kind) -> wasmtime::Result<Engine> {
    if kind.pooled
        && let Ok(engine) = pooled(kind)
    {
        return Ok(engine);
    }
    let engine = Engine::new(&config(kind))?;
    if instantiates(&engine) {
        return Ok(engine);
    }
    let mut frugal = config(kind);
    frugal.memory_reservation(FRUGAL).memory_reservation_for_growth(FRUGAL).memory_guard_size(1 << 16);
    Engine::new(&frugal)
}

/// Whether an instance with a memory can be had.
fn instantiates(engine: &Engine) -> bool {
    // A module with a memory of one page and nothing else.
    let module = Module::new(engine, b"\0asm\x01\0\0\0\x05\x03\x01\0\x01");
    module.is_ok_and(|module| wasmtime::Instance::new(Store::new(engine, ()), &module, &[]).is_ok())
}

fn pooled(kind: Kind) -> wasmtime::Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(POOL_INSTANCES)
        .total_memories(POOL_INSTANCES)
        .total_tables(POOL_INSTANCES * 2)
        .max_memories_per_module(1)
        .max_tables_per_module(POOL_TABLES)
        .table_elements(POOL_TABLE_ELEMENTS)
        .max_unused_warm_slots(WARM_SLOTS)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .pagemap_scan(Enabled::Auto);
    let mut config = config(kind);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

fn config(kind: Kind) -> Config {
    let mut config = Config::new();
    // The features that `picket_host::inspect` admits; it has the last word, wasmtime only must not
    // know fewer.
    config
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_custom_page_sizes(true)
        .wasm_relaxed_simd(false)
        .wasm_simd(false)
        .consume_fuel(kind.metering == Metering::Native)
        .epoch_interruption(kind.metering == Metering::Native)
        .max_wasm_stack(kind.native_stack())
        // Errors are part of everyday life here; walking the stack for each would cost microseconds.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        .concurrency_support(false)
        .cranelift_opt_level(OptLevel::Speed)
        .memory_init_cow(true);
    config
}

impl Backend for WasmtimeBackend {
    fn name(&self) -> &'static str {
        "wasmtime"
    }

    fn compile(&self, wasm: &[u8], limits: &Limits) -> Result<Box<dyn CompiledModule>, LoadError> {
        let ready = self.engine(Kind::of(limits))?;
        let module =
            Module::new(&ready.engine, wasm).map_err(|error| LoadError::engine(format_args!("{error:#}")))?;
        let linked = ready.linker.instantiate_pre(&module);
        let linked = linked.map_err(|error| LoadError::engine(format_args!("{error:#}")))?;
        let memory = module.get_export_index(EXPORT_MEMORY);
        let Some(memory) = memory else {
            return Err(LoadError::MissingExport { name: EXPORT_MEMORY });
        };
        let exports = Exports {
            memory,
            abi: module.get_export_index(EXPORT_ABI),
            input: module.get_export_index(EXPORT_INPUT),
            phases: Phase::ALL.map(|phase| module.get_export_index(phase.export())),
        };
        let meter = match limits.metering {
            Metering::Canonical => Some(Meter::of(&module, limits)?),
            Metering::Native => None,
        };
        Ok(Box::new(WasmtimeModule { _ready: ready, linked, exports: Arc::new(exports), meter }))
    }
}

/// Where in a module its exports are: names are looked up once.
pub(crate) struct Exports {
    pub(crate) memory: ModuleExport,
    pub(crate) abi: Option<ModuleExport>,
    pub(crate) input: Option<ModuleExport>,
    pub(crate) phases: [Option<ModuleExport>; Phase::ALL.len()],
}

/// A module compiled to machine code, with its imports resolved.
struct WasmtimeModule {
    linked: InstancePre<State>,
    exports: Arc<Exports>,
    /// Under canonical metering.
    meter: Option<Meter>,
    // Holds the ticker: without it deadlines would not be kept.
    _ready: Arc<Ready>,
}

impl CompiledModule for WasmtimeModule {
    fn instantiate(&self, context: CallContext, budget: &Budget) -> Result<Box<dyn Instance>, Error> {
        let meter = self.meter.as_ref();
        let exports = Arc::clone(&self.exports);
        Ok(Box::new(WasmtimeInstance::new(&self.linked, exports, meter, context, budget)?))
    }

    fn compiled_size(&self) -> Option<usize> {
        Some(self.linked.module().text().len())
    }
}
