//! A module on wasmtime: metered, or under the engine's own fuel.

use std::fmt;
use std::sync::OnceLock;

use anyhow::anyhow;
use picket_meter::{
    EXPORT_FUEL, EXPORT_STACK, EXPORT_START, Gauge, IMPORT_FUEL, IMPORT_MODULE, IMPORT_STACK,
    RESERVED_PREFIX, UNCOUNTED_BYTES, stack_level,
};
use wasmtime::{
    Caller, Config, Engine, Extern, ExternType, Func, Global, Instance, InstancePre, Linker, Module, Store,
    Trap, Val, ValType,
};

use crate::generate::arguments;
use crate::lanes::{AMPLE, Call, Ending, Limits, Outcome, Value, digest};

pub(crate) struct WasmtimeLane {
    linked: InstancePre<State>,
    metered: bool,
}

#[derive(Default)]
pub(crate) struct State {
    gauge: Gauge,
    stopped_at: Option<u64>,
}

#[derive(Debug)]
struct Halted(Ending);

impl fmt::Display for Halted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Halted {}

fn engine(limits: Limits, metered: bool) -> anyhow::Result<Engine> {
    // One for each kind: compilation and stack are all that differs.
    static ENGINES: OnceLock<std::sync::Mutex<Vec<(u32, bool, Engine)>>> = OnceLock::new();
    let mut engines =
        ENGINES.get_or_init(Default::default).lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, _, engine)) =
        engines.iter().find(|(bytes, of, _)| (*bytes, *of) == (limits.bytes, metered))
    {
        return Ok(engine.clone());
    }
    let mut config = Config::new();
    config
        .consume_fuel(!metered)
        .max_wasm_stack((limits.bytes + UNCOUNTED_BYTES) as usize * 2)
        .wasm_backtrace_max_frames(None)
        .memory_reservation(16 << 20)
        .memory_reservation_for_growth(16 << 20)
        .memory_guard_size(1 << 16);
    let engine = Engine::new(&config).map_err(|error| anyhow!("{error:#}"))?;
    engines.push((limits.bytes, metered, engine.clone()));
    Ok(engine)
}

impl WasmtimeLane {
    pub(crate) fn new(wasm: &[u8], limits: Limits, metered: bool) -> anyhow::Result<Self> {
        Self::link(wasm, limits, metered).map_err(|error| anyhow!("{error:#}"))
    }

    fn link(wasm: &[u8], limits: Limits, metered: bool) -> wasmtime::Result<Self> {
        let engine = engine(limits, metered).map_err(|error| wasmtime::Error::msg(format!("{error:#}")))?;
        let mut linker = Linker::new(&engine);
        linker.func_wrap(
            IMPORT_MODULE,
            IMPORT_FUEL,
            |mut caller: Caller<'_, State>, counter: i64, outstanding: i64| -> wasmtime::Result<i64> {
                let state = caller.data_mut();
                let consumed = counter.wrapping_add(outstanding);
                match state.gauge.refuel(consumed) {
                    Ok(next) => Ok(next.wrapping_sub(outstanding)),
                    Err(_) => {
                        state.stopped_at = Some(state.gauge.used(consumed));
                        Err(wasmtime::Error::new(Halted(Ending::Fuel)))
                    }
                }
            },
        )?;
        linker.func_wrap(IMPORT_MODULE, IMPORT_STACK, || -> wasmtime::Result<()> {
            Err(wasmtime::Error::new(Halted(Ending::Stack)))
        })?;
        let module = Module::new(&engine, wasm)?;
        Ok(WasmtimeLane { linked: linker.instantiate_pre(&module)?, metered })
    }

    pub(crate) fn functions(&self) -> Vec<String> {
        let exports = self.linked.module().exports();
        let functions = exports.filter(|export| matches!(export.ty(), ExternType::Func(_)));
        functions.map(|export| export.name().to_owned()).collect()
    }

    pub(crate) fn run(&self, calls: &[(Call<'_>, Limits)]) -> anyhow::Result<Vec<Outcome>> {
        self.calls(calls).map_err(|error| anyhow!("{error:#}"))
    }

    fn calls(&self, calls: &[(Call<'_>, Limits)]) -> wasmtime::Result<Vec<Outcome>> {
        let mut store = Store::new(self.linked.module().engine(), State::default());
        if !self.metered {
            store.set_fuel(AMPLE)?;
        }
        let instance = self.linked.instantiate(&mut store)?;
        let counters = match self.metered {
            true => {
                let fuel = instance.get_global(&mut store, EXPORT_FUEL);
                let fuel = fuel.ok_or_else(|| wasmtime::Error::msg("no counter"))?;
                Some((fuel, instance.get_global(&mut store, EXPORT_STACK)))
            }
            false => None,
        };
        if self.metered
            && let Some(start) = instance.get_func(&mut store, EXPORT_START)
        {
            arm(&mut store, counters, &Limits::with_fuel(AMPLE))?;
            start.call(&mut store, &[], &mut [])?;
        }
        let mut outcomes = Vec::new();
        for (call, limits) in calls {
            arm(&mut store, counters, limits)?;
            let function = instance.get_func(&mut store, call.export);
            let function = function.ok_or_else(|| wasmtime::Error::msg("no function"))?;
            let ending = invoke(&mut store, &function, call.seed);
            let fuel = match counters {
                Some((fuel, _)) => {
                    let counter = fuel.get(&mut store).i64().unwrap_or(0);
                    let state = store.data();
                    state.stopped_at.unwrap_or_else(|| state.gauge.used(counter))
                }
                None => limits.fuel - store.get_fuel()?.min(limits.fuel),
            };
            let finished = matches!(ending, Ending::Finished(_));
            outcomes.push(Outcome { ending, fuel, state: state_of(&mut store, &instance) });
            if !finished {
                break;
            }
        }
        Ok(outcomes)
    }
}

fn arm(
    store: &mut Store<State>,
    counters: Option<(Global, Option<Global>)>,
    limits: &Limits,
) -> wasmtime::Result<()> {
    let Some((fuel, stack)) = counters else { return store.set_fuel(limits.fuel) };
    let (gauge, counter) = Gauge::begin(limits.fuel, limits.slice);
    *store.data_mut() = State { gauge, stopped_at: None };
    fuel.set(&mut *store, Val::I64(counter))?;
    if let Some(stack) = stack {
        stack.set(&mut *store, Val::I64(stack_level(limits.frames, limits.bytes)))?;
    }
    Ok(())
}

fn invoke(store: &mut Store<State>, function: &Func, seed: u64) -> Ending {
    let ty = function.ty(&*store);
    let seeds = arguments(seed, ty.params().len());
    let params: Vec<Val> = ty.params().zip(seeds).map(|(ty, seed)| value(&ty, seed)).collect();
    let mut results: Vec<Val> = ty.results().map(|ty| value(&ty, 0)).collect();
    match function.call(&mut *store, &params, &mut results) {
        Ok(()) => Ending::Finished(results.iter().map(seen).collect()),
        Err(error) => match (error.downcast_ref::<Halted>(), error.downcast_ref::<Trap>()) {
            (Some(Halted(ending)), _) => ending.clone(),
            (_, Some(Trap::OutOfFuel)) => Ending::Fuel,
            (_, Some(Trap::StackOverflow)) => Ending::Wall,
            (_, Some(code)) => Ending::Trapped(trap(*code)),
            _ => Ending::Trapped("something else"),
        },
    }
}

fn trap(code: Trap) -> &'static str {
    match code {
        Trap::UnreachableCodeReached => "unreachable",
        Trap::MemoryOutOfBounds => "memory",
        Trap::TableOutOfBounds => "table",
        Trap::IndirectCallToNull | Trap::BadSignature => "indirect call",
        Trap::IntegerDivisionByZero => "division",
        Trap::IntegerOverflow => "overflow",
        Trap::BadConversionToInteger => "conversion",
        _ => "something else",
    }
}

fn value(ty: &ValType, seed: u64) -> Val {
    match ty {
        ValType::I32 => Val::I32(seed as i32),
        ValType::I64 => Val::I64(seed as i64),
        ValType::F32 => Val::F32(seed as u32),
        ValType::F64 => Val::F64(seed),
        ValType::Ref(ty) => Val::null_ref(ty.heap_type()),
        ValType::V128 => Val::V128(0.into()),
    }
}

fn seen(value: &Val) -> Value {
    match value {
        Val::I32(value) => Value::I32(*value),
        Val::I64(value) => Value::I64(*value),
        Val::F32(bits) => Value::f32(*bits),
        Val::F64(bits) => Value::f64(*bits),
        Val::FuncRef(reference) => Value::Ref(reference.is_none()),
        Val::ExternRef(reference) => Value::Ref(reference.is_none()),
        _ => Value::Ref(true),
    }
}

fn state_of(store: &mut Store<State>, instance: &Instance) -> u64 {
    let mut exports: Vec<_> = instance
        .exports(&mut *store)
        .map(|export| (export.name().to_owned(), export.into_extern()))
        .collect();
    exports.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut state = 0;
    for (name, export) in exports {
        if name.starts_with(RESERVED_PREFIX) {
            continue;
        }
        match export {
            Extern::Memory(memory) => digest(&mut state, memory.data(&*store)),
            Extern::Table(table) => digest(&mut state, &table.size(&*store).to_le_bytes()),
            Extern::Global(global) => {
                digest(&mut state, format!("{:?}", seen(&global.get(&mut *store))).as_bytes());
            }
            _ => {}
        }
    }
    state
}
