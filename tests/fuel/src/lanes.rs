//! What a lane is asked and what it answers.

use anyhow::Context as _;

use crate::wasmtime_lane::WasmtimeLane;
use crate::{wasmi_before, wasmi_now};

/// A value of a type that generated functions have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// `i32`
    I32(i32),
    /// `i64`
    I64(i64),
    /// `f32`, as bits. A NaN has the bits of the canonical one: engines choose others.
    F32(u32),
    /// `f64`, likewise.
    F64(u64),
    /// A reference: whether it is null.
    Ref(bool),
}

impl Value {
    pub(crate) fn f32(bits: u32) -> Self {
        Value::F32(if f32::from_bits(bits).is_nan() { f32::NAN.to_bits() } else { bits })
    }

    pub(crate) fn f64(bits: u64) -> Self {
        Value::F64(if f64::from_bits(bits).is_nan() { f64::NAN.to_bits() } else { bits })
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With these results.
    Finished(Vec<Value>),
    /// With a trap.
    Trapped(&'static str),
    /// The fuel was used up.
    Fuel,
    /// The counted stack was used up.
    Stack,
    /// The engine's own stack was used up: canonically this must not happen.
    Wall,
}

/// All that can be seen of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// Fuel it used, as far as that is defined: not behind a trap.
    pub fuel: u64,
    /// Memory, tables' sizes and globals, as a digest.
    pub state: u64,
}

/// What a call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fuel of the call.
    pub fuel: u64,
    /// Fuel handed out at once: must not be seen in any outcome.
    pub slice: u64,
    /// Counted frames.
    pub frames: u32,
    /// Counted bytes of stack.
    pub bytes: u32,
}

impl Limits {
    /// Those of [`picket_host`'s default](https://docs.rs), but for the fuel.
    pub const fn with_fuel(fuel: u64) -> Self {
        Limits { fuel, slice: 100_000, frames: 1_000, bytes: 512 << 10 }
    }
}

/// A call of an exported function.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its name.
    pub export: &'a str,
    /// A seed for its arguments.
    pub seed: u64,
}

/// Who runs a module, and who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The metered module on wasmi.
    Wasmi,
    /// The metered module on the version of wasmi before.
    WasmiBefore,
    /// The metered module on wasmtime.
    Wasmtime,
    /// The module as it was, under wasmtime's fuel.
    Native,
}

/// A module ready on all lanes.
pub struct Prepared {
    wasmi: wasmi_now::lane::WasmiLane,
    wasmi_before: wasmi_before::lane::WasmiLane,
    wasmtime: WasmtimeLane,
    native: WasmtimeLane,
    exports: Vec<String>,
    metered: Vec<u8>,
}

impl Prepared {
    /// Meters and compiles a module. The walls of the engines are those that the backends have for
    /// `frames` and `bytes`.
    ///
    /// # Errors
    /// What stands against the module: it may use what filters may not.
    pub fn new(wasm: &[u8], limits: Limits) -> anyhow::Result<Self> {
        let metered = picket_meter::meter(wasm, usize::MAX)?;
        let wasmi = wasmi_now::lane::WasmiLane::new(&metered, limits).context("wasmi")?;
        let wasmi_before =
            wasmi_before::lane::WasmiLane::new(&metered, limits).context("the version of wasmi before")?;
        let wasmtime = WasmtimeLane::new(&metered, limits, true).context("wasmtime")?;
        let native = WasmtimeLane::new(wasm, limits, false).context("wasmtime, native")?;
        let exports = native.functions();
        Ok(Prepared { wasmi, wasmi_before, wasmtime, native, exports, metered })
    }

    /// Names of the exported functions.
    pub fn exports(&self) -> &[String] {
        &self.exports
    }

    /// The metered module.
    pub fn metered(&self) -> &[u8] {
        &self.metered
    }

    /// Makes the calls one after the other in a new instance, each with its limits, up to the first that
    /// does not finish. Before them the start function runs, with ample fuel.
    ///
    /// # Errors
    /// If the module cannot be instantiated: its segments do not fit, or its start function traps.
    pub fn run(&self, lane: Lane, calls: &[(Call<'_>, Limits)]) -> anyhow::Result<Vec<Outcome>> {
        match lane {
            Lane::Wasmi => self.wasmi.run(calls),
            Lane::WasmiBefore => self.wasmi_before.run(calls),
            Lane::Wasmtime => self.wasmtime.run(calls),
            Lane::Native => self.native.run(calls),
        }
    }
}

/// Fuel that no start function of the tests needs.
pub(crate) const AMPLE: u64 = 1 << 20;

/// Adds to a digest (FNV-1a over words: what differs must show, nothing here resists forgery).
pub(crate) fn digest(state: &mut u64, bytes: &[u8]) {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        *state = (*state ^ u64::from_le_bytes(*word)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }
    for &byte in rest {
        *state = (*state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    *state = (*state ^ bytes.len() as u64).wrapping_mul(0x0000_0100_0000_01b3);
}
