//! Targets and components that are needed beside the default toolchain.

use std::path::Path;
use std::process::Command;

use crate::process::Failure;

/// The target of guests.
pub const GUEST: &str = "wasm32v1-none";
/// The target that stands for every board: a Cortex-M4 or M7 with a floating-point unit.
pub const BOARD: &str = "thumbv7em-none-eabihf";
/// Other boards: a Cortex-M33, and a RISC-V without floating point.
pub const OTHER_BOARDS: [&str; 2] = ["thumbv8m.main-none-eabihf", "riscv32imac-unknown-none-elf"];

/// Makes sure that there is a standard library for `target`.
pub fn ensure_target(target: &str) -> Result<(), Failure> {
    let libraries = library_folder(target)?;
    let there = || Path::new(&libraries).is_dir();
    if there() {
        return Ok(());
    }
    eprintln!("The target {target} is missing; adding it with rustup.");
    let added = rustup(&["target", "add", target]);
    if added.is_ok() && !there() {
        return Err(Failure::new(format!(
            "rustup has added {target}, but to another toolchain: the compiler in use looks for it in {libraries}"
        )));
    }
    added.map_err(|failure| {
        failure.explained(&format!(
            "The Rust target {target} is needed and is not installed: there is no {libraries}.\n\
             Add it with `rustup target add {target}`, or as your system adds targets to its Rust."
        ))
    })
}

/// Makes sure that the sources of the standard library are there, to build parts of it for size.
pub fn ensure_sources() -> Result<(), Failure> {
    let sources = Path::new(&library_folder(GUEST)?).join("../../src/rust/library/core/Cargo.toml");
    if sources.is_file() {
        return Ok(());
    }
    eprintln!("The sources of the standard library are missing; adding them with rustup.");
    rustup(&["component", "add", "rust-src"]).map_err(|failure| {
        failure.explained("The component rust-src is needed and is not installed: what a board carries is built with a core library of its own.")
    })
}

/// Makes sure that `cargo <command>` is there, which the component of that name brings.
pub fn ensure_component(command: &str, component: &str) -> Result<(), Failure> {
    let there = Command::new("cargo").args([command, "--version"]).output();
    if there.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    eprintln!("The component {component} is missing; adding it with rustup.");
    rustup(&["component", "add", component]).map_err(|failure| {
        failure.explained(&format!(
            "`cargo {command}` is needed and is not installed: it is the component {component}."
        ))
    })
}

/// Makes sure that `program` is there, which the Debian package of that name brings.
pub fn ensure_program(program: &str, package: &str) -> Result<(), Failure> {
    let there =
        || Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if there() {
        return Ok(());
    }
    eprintln!("{program} is missing; installing {package} with apt-get.");
    let line = format!("apt-get install --yes --no-install-recommends {package}");
    let install = || {
        let mut words = line.split(' ');
        Command::new(words.next().unwrap_or_default())
            .args(words)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
    };
    // The lists of packages may be missing or old.
    let done = install().is_ok_and(|status| status.success())
        || Command::new("apt-get").arg("update").status().is_ok_and(|status| status.success())
            && install().is_ok_and(|status| status.success());
    match done && there() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "{program} is needed and could not be installed: run `{line}` as root, or install {program} as your system does"
        ))),
    }
}

/// Where the compiler looks for the standard library of `target`.
fn library_folder(target: &str) -> Result<String, Failure> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(&rustc)
        .args(["--print", "target-libdir", "--target", target])
        .output()
        .map_err(|error| Failure::new(format!("`{}` did not start: {error}", rustc.display())))?;
    if !output.status.success() {
        return Err(Failure::new(format!(
            "this compiler does not know the target {target}; Picket needs Rust 1.95 or later:\n{}",
            String::from_utf8_lossy(&output.stderr).trim()
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn rustup(args: &[&str]) -> Result<(), Failure> {
    let line = format!("rustup {}", args.join(" "));
    // With `cargo run` above it, RUSTUP_TOOLCHAIN is set: rustup changes the toolchain in use.
    match Command::new("rustup").args(args).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!(
            "`{line}` failed ({status}): its own message is above. It has to download; without a network it cannot."
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("`{line}` is not possible: there is no rustup on the path.")))
        }
        Err(error) => Err(Failure::new(format!("`{line}` did not start: {error}"))),
    }
}
