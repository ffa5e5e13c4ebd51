//! Modules that are cut off, bent or random: never a panic, and the backends agree.

use picket_host::abi::RequestHead;
use picket_host::{Chain, Fuel, LoadError};

use crate::stage::{assert_serves, attack, backends, load_bytes, module, policy, serve};

/// The same bytes on every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// What the backends make of a module: the error, or the kinds of failure of one request.
fn verdicts(wasm: &[u8], head: &RequestHead<'_>) -> Vec<Result<Vec<&'static str>, LoadError>> {
    let mut policy = policy();
    policy.limits.call.fuel = Fuel(1_000_000);
    policy.limits.setup.fuel = Fuel(1_000_000);
    let judge = |backend| {
        let filter = load_bytes(backend, "noise", wasm, policy)?;
        let (_, report) = serve(&Chain::new(vec![filter.into()]), head);
        Ok(report.failures.iter().map(|failure| failure.error.kind().name()).collect())
    };
    backends().into_iter().map(judge).collect()
}

#[track_caller]
fn assert_agreed(wasm: &[u8], context: &str) {
    let verdicts = verdicts(wasm, &attack(b"!"));
    assert_eq!(verdicts[0], verdicts[1], "{context}");
}

#[test]
fn every_beginning_of_a_module_is_refused() {
    // Its last section is the code, which must be as long as the function section says.
    let wasm = module("raw_result");
    for len in 0..wasm.len() {
        let verdicts = verdicts(&wasm[..len], &attack(b"!"));
        assert_eq!(verdicts[0], verdicts[1], "{len} bytes");
        assert!(verdicts[0].is_err(), "{len} bytes: {verdicts:?}");
    }
    backends().into_iter().for_each(assert_serves);
}

#[test]
fn random_bytes_are_refused() {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for round in 0..500 {
        let mut wasm: Vec<u8> = (0..noise.below(400)).map(|_| noise.next() as u8).collect();
        if round % 2 == 0 {
            // Past the first hurdle.
            wasm.splice(0..0, *b"\0asm\x01\0\0\0");
        }
        let verdicts = verdicts(&wasm, &attack(b"!"));
        assert_eq!(verdicts[0], verdicts[1], "round {round}");
        assert!(verdicts[0].is_err(), "round {round}: {verdicts:?}");
    }
    backends().into_iter().for_each(assert_serves);
}

#[test]
fn bent_modules_end_the_same_on_every_backend() {
    let mut noise = Noise(0x2545_f491_4f6c_dd1d);
    for name in ["traps", "echo", "working_start", "table_growth"] {
        let whole = module(name);
        for round in 0..150 {
            let mut wasm = whole.clone();
            for _ in 0..=noise.below(3) {
                let at = noise.below(wasm.len());
                wasm[at] = noise.next() as u8;
            }
            assert_agreed(&wasm, &format!("{name} round {round}"));
        }
    }
    backends().into_iter().for_each(assert_serves);
}
