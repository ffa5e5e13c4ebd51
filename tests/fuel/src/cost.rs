//! One call of a guest, over and over, by each way of counting: for measuring what counting costs.

use anyhow::anyhow;
use picket_meter::{EXPORT_FUEL, EXPORT_STACK, Gauge, IMPORT_FUEL, IMPORT_MODULE, IMPORT_STACK, stack_level};

/// Who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// Nobody, neither fuel nor time: what there is to compare with.
    Nobody,
    /// The module.
    Canonical,
    /// The engine: its fuel, and on wasmtime its epochs as well, as Picket runs it.
    Native,
}

impl Counting {
    /// All of them.
    pub const ALL: [Counting; 3] = [Counting::Nobody, Counting::Canonical, Counting::Native];

    /// `none`, `canonical`, `native`.
    pub const fn name(self) -> &'static str {
        match self {
            Counting::Nobody => "none",
            Counting::Canonical => "canonical",
            Counting::Native => "native",
        }
    }
}

/// Fuel of a call, in every way of counting.
const FUEL: u64 = 1 << 32;
const SLICE: u64 = 100_000;
const STACK: (u32, u32) = (1_000, 512 << 10);

fn instrumented(wasm: &[u8], counting: Counting) -> anyhow::Result<Vec<u8>> {
    Ok(match counting {
        Counting::Canonical => picket_meter::meter(wasm, usize::MAX)?,
        Counting::Nobody | Counting::Native => wasm.to_vec(),
    })
}

/// A guest of Picket that is called with one message.
pub trait Guest {
    /// Calls the phase.
    ///
    /// # Errors
    /// If the guest traps.
    fn call(&mut self) -> anyhow::Result<i64>;
}

/// A guest on wasmi; imports do nothing.
///
/// # Errors
/// If it does not come up.
pub fn on_wasmi(
    wasm: &[u8],
    phase: &str,
    message: &[u8],
    counting: Counting,
) -> anyhow::Result<Box<dyn Guest>> {
    use wasmi::{
        Caller, CompilationMode, Config, Engine, ExternType, Func, Global, Linker, Module, Store, TypedFunc,
        Val,
    };

    struct OnWasmi {
        store: Store<Gauge>,
        phase: TypedFunc<i32, i64>,
        len: i32,
        counters: Option<(Global, Option<Global>)>,
        native: bool,
    }

    impl OnWasmi {
        fn arm(&mut self) -> anyhow::Result<()> {
            if let Some((fuel, stack)) = self.counters {
                let (gauge, counter) = Gauge::begin(FUEL, SLICE);
                *self.store.data_mut() = gauge;
                fuel.set(&mut self.store, Val::I64(counter))?;
                if let Some(stack) = stack {
                    stack.set(&mut self.store, Val::I64(stack_level(STACK.0, STACK.1)))?;
                }
            }
            if self.native {
                self.store.set_fuel(FUEL)?;
            }
            Ok(())
        }
    }

    impl Guest for OnWasmi {
        fn call(&mut self) -> anyhow::Result<i64> {
            self.arm()?;
            Ok(self.phase.call(&mut self.store, self.len)?)
        }
    }

    let mut config = Config::default();
    config.compilation_mode(CompilationMode::Eager).consume_fuel(counting == Counting::Native);
    let engine = Engine::new(&config);
    let module = Module::new(&engine, instrumented(wasm, counting)?)?;
    let mut linker = Linker::new(&engine);
    let mut store = Store::new(&engine, Gauge::default());
    for import in module.imports() {
        if let ExternType::Func(ty) = import.ty()
            && import.module() != IMPORT_MODULE
        {
            let function = Func::new(&mut store, ty.clone(), |_, _, _| Ok(()));
            linker.define(import.module(), import.name(), function)?;
        }
    }
    linker.func_wrap(
        IMPORT_MODULE,
        IMPORT_FUEL,
        |mut caller: Caller<'_, Gauge>, counter: i64, outstanding: i64| {
            caller.data_mut().refuel(counter + outstanding).unwrap_or(0) - outstanding
        },
    )?;
    linker.func_wrap(IMPORT_MODULE, IMPORT_STACK, || {})?;
    let native = counting == Counting::Native;
    if native {
        store.set_fuel(FUEL)?;
    }
    let instance = linker.instantiate_and_start(&mut store, &module)?;
    let fuel = instance.get_global(&store, EXPORT_FUEL);
    let counters = fuel.map(|fuel| (fuel, instance.get_global(&store, EXPORT_STACK)));
    let input: TypedFunc<i32, i32> = instance.get_typed_func(&store, "picket_input")?;
    let phase = instance.get_typed_func(&store, phase)?;
    let memory = instance.get_memory(&store, "memory").ok_or_else(|| anyhow!("no memory"))?;
    let len = i32::try_from(message.len())?;
    let mut guest = OnWasmi { store, phase, len, counters, native };
    guest.arm()?;
    let at = input.call(&mut guest.store, len)?;
    memory.write(&mut guest.store, at as usize, message)?;
    Ok(Box::new(guest))
}

/// A guest on wasmtime; imports do nothing.
///
/// # Errors
/// If it does not come up.
pub fn on_wasmtime(
    wasm: &[u8],
    phase: &str,
    message: &[u8],
    counting: Counting,
) -> anyhow::Result<Box<dyn Guest>> {
    wasmtime_guest(wasm, phase, message, counting).map_err(|error| anyhow!("{error:#}"))
}

fn wasmtime_guest(
    wasm: &[u8],
    phase: &str,
    message: &[u8],
    counting: Counting,
) -> wasmtime::Result<Box<dyn Guest>> {
    use wasmtime::{Caller, Config, Engine, ExternType, Global, Linker, Module, Store, TypedFunc, Val};

    struct OnWasmtime {
        store: Store<Gauge>,
        phase: TypedFunc<i32, i64>,
        len: i32,
        counters: Option<(Global, Option<Global>)>,
        native: bool,
    }

    impl OnWasmtime {
        fn arm(&mut self) -> wasmtime::Result<()> {
            if let Some((fuel, stack)) = self.counters {
                let (gauge, counter) = Gauge::begin(FUEL, SLICE);
                *self.store.data_mut() = gauge;
                fuel.set(&mut self.store, Val::I64(counter))?;
                if let Some(stack) = stack {
                    stack.set(&mut self.store, Val::I64(stack_level(STACK.0, STACK.1)))?;
                }
            }
            if self.native {
                self.store.set_fuel(FUEL)?;
                self.store.set_epoch_deadline(1);
            }
            Ok(())
        }
    }

    impl Guest for OnWasmtime {
        fn call(&mut self) -> anyhow::Result<i64> {
            self.arm().map_err(|error| anyhow!("{error:#}"))?;
            self.phase.call(&mut self.store, self.len).map_err(|error| anyhow!("{error:#}"))
        }
    }

    let native = counting == Counting::Native;
    let mut config = Config::new();
    config.consume_fuel(native).epoch_interruption(native).wasm_backtrace_max_frames(None);
    let engine = Engine::new(&config)?;
    let wasm = instrumented(wasm, counting).map_err(|error| wasmtime::Error::msg(format!("{error:#}")))?;
    let module = Module::new(&engine, wasm)?;
    let mut linker = Linker::new(&engine);
    for import in module.imports() {
        if let ExternType::Func(ty) = import.ty()
            && import.module() != IMPORT_MODULE
        {
            linker.func_new(import.module(), import.name(), ty, |_, _, _| Ok(()))?;
        }
    }
    linker.func_wrap(
        IMPORT_MODULE,
        IMPORT_FUEL,
        |mut caller: Caller<'_, Gauge>, counter: i64, outstanding: i64| {
            caller.data_mut().refuel(counter + outstanding).unwrap_or(0) - outstanding
        },
    )?;
    linker.func_wrap(IMPORT_MODULE, IMPORT_STACK, || {})?;
    let mut store = Store::new(&engine, Gauge::default());
    if native {
        store.set_fuel(FUEL)?;
        store.set_epoch_deadline(1);
    }
    let instance = linker.instantiate(&mut store, &module)?;
    let fuel = instance.get_global(&mut store, EXPORT_FUEL);
    let counters = fuel.map(|fuel| (fuel, instance.get_global(&mut store, EXPORT_STACK)));
    let input: TypedFunc<i32, i32> = instance.get_typed_func(&mut store, "picket_input")?;
    let phase = instance.get_typed_func(&mut store, phase)?;
    let memory =
        instance.get_memory(&mut store, "memory").ok_or_else(|| wasmtime::Error::msg("no memory"))?;
    let len = message.len() as i32;
    let mut guest = OnWasmtime { store, phase, len, counters, native };
    guest.arm()?;
    let at = input.call(&mut guest.store, len)?;
    memory.write(&mut guest.store, at as usize, message)?;
    Ok(Box::new(guest))
}
