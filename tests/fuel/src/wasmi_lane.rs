//! The metered module on wasmi.

use std::fmt;

use super::engine::errors::HostError;
use super::engine::{
    Caller, CompilationMode, Config, Engine, Error, Extern, F32, F64, Func, Instance, Linker, Module, Store,
    TrapCode, Val, ValType,
};
use crate::generate::arguments;
use crate::lanes::{AMPLE, Call, Ending, Limits, Outcome, Value, digest};
use anyhow::anyhow;
use picket_meter::{
    EXPORT_FUEL, EXPORT_STACK, EXPORT_START, Gauge, IMPORT_FUEL, IMPORT_MODULE, IMPORT_STACK,
    RESERVED_PREFIX, UNCOUNTED_BYTES, UNCOUNTED_FRAMES, stack_level,
};

pub(crate) struct WasmiLane {
    engine: Engine,
    linker: Linker<State>,
    module: Module,
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

impl HostError for Halted {}

impl WasmiLane {
    pub(crate) fn new(wasm: &[u8], limits: Limits) -> anyhow::Result<Self> {
        let mut config = Config::default();
        config
            .compilation_mode(CompilationMode::Eager)
            .set_min_stack_height(4 << 10)
            .set_max_stack_height((limits.bytes + UNCOUNTED_BYTES) as usize * 2)
            .set_max_recursion_depth((limits.frames + UNCOUNTED_FRAMES + 1) as usize);
        let engine = Engine::new(&config);
        let mut linker = Linker::new(&engine);
        linker.func_wrap(
            IMPORT_MODULE,
            IMPORT_FUEL,
            |mut caller: Caller<'_, State>, counter: i64, outstanding: i64| -> Result<i64, Error> {
                let state = caller.data_mut();
                let consumed = counter.wrapping_add(outstanding);
                match state.gauge.refuel(consumed) {
                    Ok(next) => Ok(next.wrapping_sub(outstanding)),
                    Err(_) => {
                        state.stopped_at = Some(state.gauge.used(consumed));
                        Err(Error::host(Halted(Ending::Fuel)))
                    }
                }
            },
        )?;
        linker.func_wrap(IMPORT_MODULE, IMPORT_STACK, || -> Result<(), Error> {
            Err(Error::host(Halted(Ending::Stack)))
        })?;
        let module = Module::new(&engine, wasm)?;
        Ok(WasmiLane { engine, linker, module })
    }

    pub(crate) fn run(&self, calls: &[(Call<'_>, Limits)]) -> anyhow::Result<Vec<Outcome>> {
        let mut store = Store::new(&self.engine, State::default());
        let instance = self.linker.instantiate_and_start(&mut store, &self.module)?;
        let fuel = instance.get_global(&store, EXPORT_FUEL).ok_or_else(|| anyhow!("no counter"))?;
        let stack = instance.get_global(&store, EXPORT_STACK);
        let arm = |store: &mut Store<State>, limits: &Limits| -> anyhow::Result<()> {
            let (gauge, counter) = Gauge::begin(limits.fuel, limits.slice);
            *store.data_mut() = State { gauge, stopped_at: None };
            fuel.set(&mut *store, Val::I64(counter))?;
            if let Some(stack) = stack {
                stack.set(&mut *store, Val::I64(stack_level(limits.frames, limits.bytes)))?;
            }
            Ok(())
        };
        if let Some(start) = instance.get_func(&store, EXPORT_START) {
            arm(&mut store, &Limits::with_fuel(AMPLE))?;
            start.call(&mut store, &[], &mut [])?;
        }
        let mut outcomes = Vec::new();
        for (call, limits) in calls {
            arm(&mut store, limits)?;
            let function = instance.get_func(&store, call.export).ok_or_else(|| anyhow!("no function"))?;
            let ending = invoke(&mut store, &function, call.seed);
            let counter = fuel.get(&store).i64().unwrap_or(0);
            let state = store.data();
            let used = state.stopped_at.unwrap_or_else(|| state.gauge.used(counter));
            let finished = matches!(ending, Ending::Finished(_));
            outcomes.push(Outcome { ending, fuel: used, state: state_of(&store, &instance) });
            if !finished {
                break;
            }
        }
        Ok(outcomes)
    }
}

fn invoke(store: &mut Store<State>, function: &Func, seed: u64) -> Ending {
    let ty = function.ty(&*store);
    let seeds = arguments(seed, ty.params().len());
    let params: Vec<Val> = ty.params().iter().zip(seeds).map(|(ty, seed)| value(*ty, seed)).collect();
    let mut results: Vec<Val> = ty.results().iter().map(|ty| value(*ty, 0)).collect();
    match function.call(store, &params, &mut results) {
        Ok(()) => Ending::Finished(results.iter().map(seen).collect()),
        Err(error) => match error.downcast_ref::<Halted>() {
            Some(Halted(ending)) => ending.clone(),
            None => match error.as_trap_code() {
                Some(TrapCode::StackOverflow) => Ending::Wall,
                Some(code) => Ending::Trapped(trap(code)),
                None => Ending::Trapped("something else"),
            },
        },
    }
}

fn trap(code: TrapCode) -> &'static str {
    match code {
        TrapCode::UnreachableCodeReached => "unreachable",
        TrapCode::MemoryOutOfBounds => "memory",
        TrapCode::TableOutOfBounds => "table",
        TrapCode::IndirectCallToNull | TrapCode::BadSignature => "indirect call",
        TrapCode::IntegerDivisionByZero => "division",
        TrapCode::IntegerOverflow => "overflow",
        TrapCode::BadConversionToInteger => "conversion",
        _ => "something else",
    }
}

fn value(ty: ValType, seed: u64) -> Val {
    match ty {
        ValType::I32 => Val::I32(seed as i32),
        ValType::I64 => Val::I64(seed as i64),
        ValType::F32 => Val::F32(F32::from_bits(seed as u32)),
        ValType::F64 => Val::F64(F64::from_bits(seed)),
        other => super::null(other),
    }
}

fn seen(value: &Val) -> Value {
    match value {
        Val::I32(value) => Value::I32(*value),
        Val::I64(value) => Value::I64(*value),
        Val::F32(value) => Value::f32(value.to_bits()),
        Val::F64(value) => Value::f64(value.to_bits()),
        Val::FuncRef(reference) => Value::Ref(reference.is_null()),
        Val::ExternRef(reference) => Value::Ref(reference.is_null()),
        _ => Value::Ref(true),
    }
}

fn state_of(store: &Store<State>, instance: &Instance) -> u64 {
    let mut exports: Vec<_> =
        instance.exports(store).map(|export| (export.name().to_owned(), export.into_extern())).collect();
    exports.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut state = 0;
    for (name, export) in exports {
        if name.starts_with(RESERVED_PREFIX) {
            continue;
        }
        match export {
            Extern::Memory(memory) => digest(&mut state, memory.data(store)),
            Extern::Table(table) => digest(&mut state, &table.size(store).to_le_bytes()),
            Extern::Global(global) => {
                digest(&mut state, format!("{:?}", seen(&global.get(store))).as_bytes())
            }
            Extern::Func(_) => {}
        }
    }
    state
}
