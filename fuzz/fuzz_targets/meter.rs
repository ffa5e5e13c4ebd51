//! Canonical fuel: a generated module costs the same on wasmi, on wasmtime and, where that is defined, by
//! wasmtime's own count; with any budget it stops at the same place on all three.
//!
//! An input is a budget, the slices it is handed out in, bounds of the stack, and what wasm-smith makes a
//! module of. Inputs are also taken as modules as they are, which the pass may refuse but must survive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use picket_fuel_oracle::{Call, Ending, Lane, Limits, Outcome, Prepared, module};

/// Fuel that generated loops use up soon enough.
const PLENTY: u64 = 50_000;

fuzz_target!(|data: &[u8]| {
    // Refused or not, it ends.
    let _any = picket_meter::meter(data, 1 << 20);
    let Some((head, rest)) = data.split_first_chunk::<8>() else { return };
    let [budget_low, budget_high, slice, frames, bytes, seed, ..] = *head;
    let Ok(wasm) = module(rest) else { return };
    let limits = Limits {
        fuel: PLENTY,
        slice: u64::from(slice) + 1,
        frames: 10 + u32::from(frames) * 4,
        // A few sizes, because each takes an engine of wasmtime.
        bytes: (64 << 10) << (bytes % 3),
    };
    let prepared = match Prepared::new(&wasm, limits) {
        Ok(prepared) => prepared,
        Err(error) => {
            let text = format!("{error:#}");
            // `externref`, which filters do not have, or an export with a name of the pass.
            assert!(text.contains("gc types are disallowed") || text.contains("reserved for metering"), "{text}");
            return;
        }
    };
    let budget = u64::from(u16::from_le_bytes([budget_low, budget_high]));
    for export in prepared.exports() {
        let call = Call { export, seed: u64::from(seed) };
        let Some(whole) = compare(&prepared, (call, limits)) else { return };
        // Budgets that matter lie within what the call takes.
        let fuel = budget % (whole.fuel + 2);
        compare(&prepared, (call, Limits { fuel, ..limits }));
    }
});

/// `None` for a module that does not come up on any lane.
fn compare(prepared: &Prepared, call: (Call<'_>, Limits)) -> Option<Outcome> {
    let [wasmi, wasmtime, native] =
        [Lane::Wasmi, Lane::Wasmtime, Lane::Native].map(|lane| prepared.run(lane, &[call]));
    let (wasmi, wasmtime, native) = match (wasmi, wasmtime, native) {
        (Ok(mut wasmi), Ok(mut wasmtime), Ok(mut native)) => (wasmi.pop()?, wasmtime.pop()?, native.pop()?),
        (Err(_), Err(_), Err(_)) => return None,
        // A start function that runs out natively, at its own pace of checks, has no canonical equal.
        (wasmi, wasmtime, _) => {
            assert_eq!(wasmi.is_ok(), wasmtime.is_ok(), "{wasmi:?}\n{wasmtime:?}");
            return None;
        }
    };
    // wasmi 2.0.0 traps in a remainder whose divisor is `select`ed not to be zero, metered or not: found here,
    // and no matter of fuel.
    if wasmi.ending == Ending::Trapped("division") && wasmtime.ending != wasmi.ending {
        return None;
    }
    assert_eq!(wasmi, wasmtime, "{call:?}: wasmi on the left, wasmtime on the right");
    assert_ne!(wasmi.ending, Ending::Wall, "{call:?}: an engine's own stack ended first");
    match (&wasmi.ending, &native.ending) {
        (Ending::Stack, _) | (_, Ending::Wall) => {}
        (Ending::Trapped(ours), Ending::Trapped(theirs)) => {
            assert_eq!((ours, wasmi.state), (theirs, native.state), "{call:?}");
        }
        _ => assert_eq!(wasmi, native, "{call:?}: metered on the left, native on the right"),
    }
    Some(wasmi)
}
