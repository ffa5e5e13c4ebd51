//! The firmware: built for a Cortex-M7, run in QEMU.

use std::path::{Path, PathBuf};

use crate::guests;
use crate::process::{Cargo, Failure, workspace};
use crate::toolchain::{BOARD, ensure_program, ensure_sources, ensure_target};

const QEMU: &str = "qemu-system-arm";
/// Its package in Debian.
const QEMU_PACKAGE: &str = "qemu-system-arm";

/// Does `cargo xtask firmware <task>`.
pub fn run(task: &str) -> Result<(), Failure> {
    match task {
        "build" => build().map(|_| ()),
        "test" | "size" | "record" => {
            ensure_program(QEMU, QEMU_PACKAGE)?;
            let built = build()?;
            board(&[task.as_ref(), workspace(), &built.image, &built.open_image, &guests::appliance_module()])
        }
        other => Err(Failure::new(format!("firmware {other}: build, test, size, record are the tasks"))),
    }
}

/// What the board says to every conformance case goes to `out`.
pub fn record_cases(out: &Path, piece: &str) -> Result<(), Failure> {
    ensure_program(QEMU, QEMU_PACKAGE)?;
    let built = build()?;
    board(&["cases".as_ref(), workspace(), &built.image, out, piece.as_ref()])
}

struct Built {
    /// Takes no module but its own.
    image: PathBuf,
    /// Validates and meters modules that come over the line.
    open_image: PathBuf,
}

/// Builds the module, meters it, and builds both images around it.
fn build() -> Result<Built, Failure> {
    ensure_target(BOARD)?;
    ensure_sources()?;
    guests::build()?;
    let module = guests::appliance_module();
    let metered = module.with_extension("metered.wasm");
    board(&["meter".as_ref(), &module, &metered])?;
    Ok(Built { image: image("", &metered)?, open_image: image("validate", &metered)? })
}

/// Builds an image with a core library for size and without the texts of panics: with those of the
/// toolchain it is half as large again.
fn image(features: &str, module: &Path) -> Result<PathBuf, Failure> {
    let folder =
        workspace().join("target/firmware").join(if features.is_empty() { "trusted" } else { features });
    println!(
        "firmware ({}) for {BOARD}",
        if features.is_empty() { "trusted modules only" } else { features }
    );
    Cargo::new([
        "build",
        "--quiet",
        "--release",
        "--manifest-path",
        "firmware/Cargo.toml",
        "--target",
        BOARD,
    ])
    .args(["--features", features])
    .args(["--target-dir".as_ref(), folder.as_os_str()])
    .args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=optimize_for_size"])
    .env("RUSTC_BOOTSTRAP", "1")
    .env("PICKET_BOARD_MODULE", module)
    .env_remove("CARGO_ENCODED_RUSTFLAGS")
    .env("RUSTFLAGS", "-Zunstable-options -Cpanic=immediate-abort")
    // In each crate with logs, defmt leaves out what is below this level.
    .env("DEFMT_LOG", std::env::var_os("DEFMT_LOG").unwrap_or_else(|| "info".into()))
    .run()?;
    Ok(folder.join(BOARD).join("release/picket-firmware"))
}

/// Runs the tests' own program.
fn board(args: &[&Path]) -> Result<(), Failure> {
    Cargo::new(["run", "--quiet", "--release", "--package", "picket-board-tests", "--"])
        .args(args.iter().map(|arg| arg.as_os_str()))
        .run()
}
