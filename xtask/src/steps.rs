//! What CI checks, one step after the other.

use std::process::ExitCode;
use std::time::Instant;

use crate::process::{Cargo, Failure};
use crate::toolchain::{BOARD, GUEST, OTHER_BOARDS, ensure_component, ensure_sources, ensure_target};
use crate::{arm, firmware, guests, targets, tree};

/// Modules must not be larger, in bytes: they are what an edge box downloads and compiles.
const WAF_MODULE_LIMIT: u64 = 200 * 1024;
/// The same without a ruleset, which is four times as large.
const SECLANG_MODULE_LIMIT: u64 = 304 * 1024;

struct Step {
    name: &'static str,
    title: &'static str,
    run: fn() -> Result<(), Failure>,
}

/// Quick ones first. wasmtime is built twice in all, once for tests and benches and once for the
/// release: that is most of the time.
const STEPS: [Step; 14] = [
    Step { name: "toolchain", title: "Rust targets and components", run: toolchain },
    Step { name: "format", title: "formatting", run: format },
    Step { name: "guests", title: "guest modules and their size", run: guests },
    Step { name: "board", title: "no_std crates on a board, each feature set alone", run: board },
    Step { name: "wasm", title: "no_std crates in a guest, each feature set alone", run: wasm },
    Step { name: "edge", title: "edge gateway: no wasmtime, no C", run: edge },
    Step { name: "lint", title: "clippy", run: lint },
    Step { name: "doc", title: "documentation", run: doc },
    Step { name: "test", title: "tests", run: test },
    Step { name: "bench", title: "each benchmark once", run: bench },
    Step { name: "firmware", title: "the board's image in QEMU", run: || firmware::run("test") },
    Step { name: "arm", title: "the gateway for ARM boxes, emulated", run: arm::test },
    Step { name: "targets", title: "the same module and cases on every target", run: targets::run },
    Step { name: "release", title: "the gateway as it is released", run: crate::build },
];

/// Prints the names of the steps.
pub fn list() {
    for step in &STEPS {
        println!("{:<10} {}", step.name, step.title);
    }
}

/// Runs the steps called `names`, or all, up to the first that fails.
pub fn run(names: &[&str]) -> ExitCode {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        eprintln!("there is no step `{unknown}`; `cargo xtask test --list` names them");
        return ExitCode::FAILURE;
    }
    let steps: Vec<&Step> =
        STEPS.iter().filter(|step| names.is_empty() || names.contains(&step.name)).collect();

    let begin = Instant::now();
    for (passed, step) in steps.iter().enumerate() {
        println!("\n── {}/{} {}: {}", passed + 1, steps.len(), step.name, step.title);
        let step_begin = Instant::now();
        let done = (step.run)();
        let seconds = step_begin.elapsed().as_secs_f64();
        if let Err(failure) = done {
            println!("\nFAILED in step `{}` after {seconds:.1} s: {failure}", step.name);
            println!("{} not run", steps.len() - passed - 1);
            println!("{passed} passed, 1 failed");
            return ExitCode::FAILURE;
        }
        println!("   ok: {} in {seconds:.1} s", step.name);
    }
    println!("\n{:.0} s in all", begin.elapsed().as_secs_f64());
    println!("{} passed, 0 failed", steps.len());
    ExitCode::SUCCESS
}

fn toolchain() -> Result<(), Failure> {
    ensure_component("fmt", "rustfmt")?;
    ensure_component("clippy", "clippy")?;
    ensure_target(GUEST)?;
    OTHER_BOARDS.iter().chain([&BOARD]).try_for_each(|board| ensure_target(board))?;
    ensure_sources()
}

fn format() -> Result<(), Failure> {
    Cargo::new(["fmt", "--all", "--", "--check"]).run()
}

fn guests() -> Result<(), Failure> {
    let modules = guests::build()?;
    print!("{}", guests::table(&modules));
    let limits = [(guests::waf_module(), WAF_MODULE_LIMIT), (guests::seclang_module(), SECLANG_MODULE_LIMIT)];
    for (path, limit) in limits {
        if let Some(module) = modules.iter().find(|module| module.path == path && module.bytes > limit) {
            let name = path.display();
            return Err(Failure::new(format!("{name} has {} bytes; {limit} are allowed", module.bytes)));
        }
    }
    Ok(())
}

/// Package and features of each no_std build. Alone, because cargo unites the features of what is
/// built together, and dev-dependencies hide gaps.
const BOARD_BUILDS: [(&str, &str); 22] = [
    ("picket-abi", ""),
    ("picket-abi", "alloc"),
    ("picket-abi", "defmt"),
    ("picket-abi", "alloc,defmt"),
    ("picket-guest", ""),
    ("picket-waf", ""),
    ("picket-regex", ""),
    ("picket-seclang", ""),
    ("picket-host", ""),
    ("picket-host", "validate"),
    ("picket-host", "meter"),
    ("picket-host", "defmt"),
    ("picket-host", "text"),
    ("picket-meter", ""),
    ("picket-meter", "pass"),
    ("picket-host-wasmi", ""),
    ("picket-host-wasmi", "validate"),
    ("picket-host-wasmi", "text"),
    ("picket-link", ""),
    ("picket-link", "async"),
    ("picket-link", "host"),
    ("picket-link", "text"),
];

/// The runtime for other kinds of boards: what may differ there is the width of atomics and of
/// pointers, which the engine of rules and the wire have nothing to do with.
const OTHER_BOARD_BUILDS: [(&str, &str); 2] = [("picket-host-wasmi", ""), ("picket-host-wasmi", "validate")];

const WASM_BUILDS: [(&str, &str); 6] = [
    ("picket-abi", ""),
    ("picket-abi", "alloc"),
    ("picket-guest", ""),
    ("picket-waf", ""),
    ("picket-regex", ""),
    ("picket-seclang", ""),
];

fn board() -> Result<(), Failure> {
    build_each(&BOARD_BUILDS, BOARD)?;
    OTHER_BOARDS.iter().try_for_each(|board| build_each(&OTHER_BOARD_BUILDS, board))
}

fn wasm() -> Result<(), Failure> {
    build_each(&WASM_BUILDS, GUEST)
}

fn build_each(builds: &[(&str, &str)], target: &str) -> Result<(), Failure> {
    for (package, features) in builds {
        let shown = if features.is_empty() { "no features" } else { features };
        println!("{package} for {target}: {shown}");
        Cargo::new(["build", "--quiet", "--profile", "bare", "--no-default-features", "--package", package])
            .args(["--features", features, "--target", target])
            .run()?;
    }
    Ok(())
}

/// What it depends on. That it compiles, the step `lint` shows, and `arm` that no C is needed to link it.
fn edge() -> Result<(), Failure> {
    tree::check_edge()
}

fn lint() -> Result<(), Failure> {
    Cargo::new(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]).run()?;
    // What only a guest compiles.
    Cargo::new(["clippy", "--package", "picket-guest", "--target", GUEST, "--", "--deny", "warnings"])
        .run()?;
    // The backends and TLS, each left out once.
    for features in ["wasmi", "wasmtime,tls"] {
        Cargo::new(["clippy", "--package", "picket", "--no-default-features", "--features", features])
            .args(["--", "--deny", "warnings"])
            .run()?;
    }
    Ok(())
}

fn doc() -> Result<(), Failure> {
    Cargo::new(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings").run()
}

fn test() -> Result<(), Failure> {
    // The wire without the feature that everything else in the workspace turns on.
    Cargo::new(["test", "--package", "picket-abi"]).run()?;
    // The same for a device, and with what nothing else in the workspace turns on.
    Cargo::new(["test", "--package", "picket-link", "--features", "async"]).run()?;
    Cargo::new(["test", "--workspace"]).run()
}

fn bench() -> Result<(), Failure> {
    // `cargo test` runs each benchmark once, and in the profile that is built already; with the whole
    // workspace, so that features and with them wasmtime are the same as in the tests.
    Cargo::new(["test", "--workspace", "--bench", "*"]).run()
}
