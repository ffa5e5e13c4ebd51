//! The same fuel, the same end and the same state, whoever runs a module.

use std::sync::atomic::{AtomicUsize, Ordering};

use picket_fuel_oracle::{Call, Ending, Lane, Limits, Outcome, Prepared, module, small};

/// Fuel that no call of these tests uses up unless it is meant to.
const PLENTY: u64 = 200_000;

/// Whether wasmi differs from wasmtime for a reason of its own, metered or not: 2.0.0 traps in some
/// divisions and remainders whose divisor was `select`ed not to be zero, as wasm-smith writes them.
fn engines_differ(wasmi: &[Outcome], wasmtime: &[Outcome]) -> bool {
    let divides = |outcomes: &[Outcome]| {
        outcomes.last().is_some_and(|outcome| outcome.ending == Ending::Trapped("division"))
    };
    divides(wasmi) && !divides(wasmtime)
}

/// Calls that may be left out for that.
const MAY_DIFFER: usize = 8;
static DIFFERED: AtomicUsize = AtomicUsize::new(0);

/// A stream of bytes from a seed: the suites are the same in every run.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

fn run(prepared: &Prepared, lane: Lane, calls: &[(Call<'_>, Limits)]) -> Result<Vec<Outcome>, String> {
    prepared.run(lane, calls).map_err(|error| format!("{error:#}"))
}

/// Runs the calls canonically on both engines, and on the version of wasmi before, and holds them to each
/// other. Returns what they agree on; `None` if the module does not come up, on none.
fn agreed(prepared: &Prepared, calls: &[(Call<'_>, Limits)], what: &str) -> Option<Vec<Outcome>> {
    let wasmtime = run(prepared, Lane::Wasmtime, calls);
    for lane in [Lane::Wasmi, Lane::WasmiBefore] {
        match (run(prepared, lane, calls), &wasmtime) {
            (Ok(wasmi), Ok(wasmtime)) if engines_differ(&wasmi, wasmtime) => {
                let differed = DIFFERED.fetch_add(1, Ordering::Relaxed);
                assert!(differed < MAY_DIFFER, "{what}: too many to be left out");
                return None;
            }
            (Ok(wasmi), Ok(wasmtime)) => {
                assert_eq!(&wasmi, wasmtime, "{what}: {lane:?} left, wasmtime right; calls {calls:?}");
                assert!(wasmi.iter().all(|outcome| outcome.ending != Ending::Wall), "{what}: {wasmi:?}");
            }
            (Err(_), Err(_)) => {}
            (wasmi, wasmtime) => panic!("{what}: {lane:?} says {wasmi:?}, wasmtime says {wasmtime:?}"),
        }
    }
    wasmtime.ok()
}

/// `None` for a module with `externref`, which filters do not have.
fn prepare(wasm: &[u8], seed: u64) -> Option<Prepared> {
    match Prepared::new(wasm, Limits::with_fuel(0)) {
        Ok(prepared) => Some(prepared),
        Err(error) if format!("{error:#}").contains("gc types are disallowed") => None,
        Err(error) => panic!("module {seed}: {error:#}"),
    }
}

/// Every export once, in order, each with these limits.
fn calls(prepared: &Prepared, seed: u64, limits: Limits) -> Vec<(Call<'_>, Limits)> {
    prepared.exports().iter().map(|export| (Call { export, seed }, limits)).collect()
}

#[test]
fn generated_modules_cost_the_same_everywhere() {
    let (mut finished, mut compared) = (0, 0);
    for seed in 0..800 {
        let wasm = module(&bytes(seed, 4096)).expect("enough bytes for a module");
        let Some(prepared) = prepare(&wasm, seed) else { continue };
        for call in calls(&prepared, seed, Limits::with_fuel(PLENTY)) {
            let what = format!("module {seed}, {}", call.0.export);
            let Some(canonical) = agreed(&prepared, &[call], &what) else { continue };
            let native = run(&prepared, Lane::Native, &[call]).expect("it came up on the other lanes");
            compared += 1;
            match (&canonical[0].ending, &native[0].ending) {
                // wasmtime's stack is measured in bytes of machine code.
                (Ending::Stack, _) | (_, Ending::Wall) => {}
                // What was consumed on the way to a trap, wasmtime does not tell.
                (Ending::Trapped(ours), Ending::Trapped(theirs)) => {
                    assert_eq!(ours, theirs, "{what}");
                    assert_eq!(canonical[0].state, native[0].state, "{what}");
                }
                _ => {
                    finished += usize::from(matches!(canonical[0].ending, Ending::Finished(_)));
                    assert_eq!(canonical, native, "{what}: metered on the left, native on the right");
                }
            }
        }
    }
    // Generated code traps often; enough of it must not, or this shows nothing.
    assert!(finished > 250, "{finished} of {compared} calls finished");
}

#[test]
fn small_modules_stop_at_the_same_place_at_every_budget() {
    let (mut budgets, mut natively) = (0, 0);
    for seed in 1_000..1_060 {
        let wasm = small(&bytes(seed, 2048)).expect("enough bytes for a module");
        let Some(prepared) = prepare(&wasm, seed) else { continue };
        for (call, _) in calls(&prepared, seed, Limits::with_fuel(0)) {
            let what = format!("module {seed}, {}", call.export);
            let Some(whole) = agreed(&prepared, &[(call, Limits::with_fuel(PLENTY))], &what) else {
                continue;
            };
            let total = whole[0].fuel.min(600);
            for fuel in 0..=total + 1 {
                // Slices of every kind are not seen.
                let limits = Limits { slice: 1 + fuel % 7, ..Limits::with_fuel(fuel) };
                let what = format!("{what}, {fuel} of {total} fuel");
                let Some(canonical) = agreed(&prepared, &[(call, limits)], &what) else { continue };
                let native = run(&prepared, Lane::Native, &[(call, limits)]).expect("it came up before");
                budgets += 1;
                match (&canonical[0].ending, &native[0].ending) {
                    (Ending::Stack, _) | (_, Ending::Wall) => {}
                    (Ending::Trapped(_), Ending::Trapped(_)) => {
                        assert_eq!(canonical[0].state, native[0].state, "{what}");
                    }
                    _ => {
                        natively += 1;
                        assert_eq!(canonical, native, "{what}: metered on the left, native on the right");
                    }
                }
            }
        }
    }
    assert!(budgets > 1_000 && natively > 500, "{budgets} budgets, {natively} natively");
}
