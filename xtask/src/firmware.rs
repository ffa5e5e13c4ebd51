//! The firmware: built for a Cortex-M7, run in QEMU.

use std::path::{Path, PathBuf};
use std::process::Command;

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
        "-Zjson-target-spec",
        "--target",
    ])
    .args([target()?])
    .args(["--features", features])
    .args(["--target-dir".as_ref(), folder.as_os_str()])
    .args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=optimize_for_size"])
    .env("RUSTC_BOOTSTRAP", "1")
    .env("PICKET_BOARD_MODULE", module)
    .env_remove("CARGO_ENCODED_RUSTFLAGS")
    // In each crate with logs, defmt leaves out what is below this level.
    .env("DEFMT_LOG", std::env::var_os("DEFMT_LOG").unwrap_or_else(|| "info".into()))
    // The digest of a module is computed once: in a loop, not unrolled.
    .env("RUSTFLAGS", "-Zunstable-options -Cpanic=immediate-abort --cfg=sha2_backend_soft=\"compact\"")
    .run()?;
    Ok(folder.join(BOARD).join("release/picket-firmware"))
}

/// The board's target, but for frame pointers: there is no debugger's unwinder to walk them, and the
/// interpreter's loop has a register more. Cargo takes the name from the file.
fn target() -> Result<PathBuf, Failure> {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["-Zunstable-options", "--print", "target-spec-json", "--target", BOARD])
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .map_err(|error| Failure::new(format!("rustc did not start: {error}")))?;
    let mut spec: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|error| {
        let said = String::from_utf8_lossy(&output.stderr);
        Failure::new(format!("rustc does not describe {BOARD}: {error}\n{said}"))
    })?;
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("frame-pointer");
        // Words about it, which rustc takes only from itself.
        spec.remove("metadata");
    }
    let file = workspace().join("target/firmware").join(format!("{BOARD}.json"));
    let text = spec.to_string();
    // Written anew only if it differs, so that nothing is built for it.
    if !std::fs::read_to_string(&file).is_ok_and(|known| known == text) {
        let cannot = |error| Failure::new(format!("cannot write {}: {error}", file.display()));
        std::fs::create_dir_all(workspace().join("target/firmware")).map_err(cannot)?;
        std::fs::write(&file, text).map_err(cannot)?;
    }
    Ok(file)
}

/// Runs the tests' own program, built with the features of the whole workspace: most of it is there then.
fn board(args: &[&Path]) -> Result<(), Failure> {
    let name = "picket-board";
    Cargo::new(["build", "--quiet", "--workspace", "--bin", name]).run()?;
    let program = workspace().join("target/debug").join(name);
    let status = Command::new(&program).args(args).current_dir(workspace()).status();
    let status = status.map_err(|error| Failure::new(format!("{}: {error}", program.display())))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{name} {} failed", args[0].display()))) }
}
