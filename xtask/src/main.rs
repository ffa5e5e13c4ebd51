//! # Build tasks
//!
//! `cargo xtask <task>`: what a plain `cargo build` cannot do, because a guest is built for another
//! target than the gateway that runs it.
//!
//! 1. **Two commands are all.** `cargo xtask serve` builds and runs; `cargo xtask test` is what CI
//!    runs, and nothing else is.
//! 2. **A missing piece is added or named.** A target or component that is missing is added with
//!    rustup; where that cannot be done, the message says what is missing and what was tried.
mod arm;
mod firmware;
mod guests;
mod process;
mod resident;
mod segments;
mod steps;
mod targets;
mod toolchain;
mod tree;

use std::process::ExitCode;

use process::{Cargo, Failure};

const USAGE: &str = "\
usage: cargo xtask <task>

  guests              build all guest modules into target/guests
  build               build the guests and the gateway (release), the WAF module inside
  serve [-- ARGS]     the same, then run `picket serve ARGS`
  arm                 build the gateway for ARM boxes of 64 and 32 bits: wasmi alone, static
  arm test            the same, and run it emulated; its memory
  sizes               what modules, ARM gateways and the board's images take
  targets             the same module and cases on every target, in one table
  firmware build      build the image for a Cortex-M7 board
  firmware test       run it in QEMU: the conformance cases, hostile modules, its figures
  firmware size       flash, RAM, instructions
  firmware record     the same, written to firmware/figures.toml
  test                everything that CI checks
  test --list         the names of its steps
  test STEP...        only those steps, in the order of the list";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["guests"] => guests::build().map(|modules| print!("{}", guests::table(&modules))),
        ["build"] => build(),
        ["firmware", task] => firmware::run(task),
        ["serve", "--", args @ ..] | ["serve", args @ ..] => serve(args),
        ["arm"] => arm::build(),
        ["arm", "test"] => arm::test(),
        ["sizes"] => sizes(),
        ["targets"] => targets::run(),
        ["test", "--list"] => {
            steps::list();
            Ok(())
        }
        ["test", names @ ..] => return steps::run(names),
        ["help" | "-h" | "--help"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(Failure::new(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what everything takes.
fn sizes() -> Result<(), Failure> {
    println!("{}", guests::table(&guests::build()?));
    arm::sizes()?;
    println!();
    firmware::run("size")
}

/// Builds the gateway as it is released.
fn build() -> Result<(), Failure> {
    let modules = guests::build()?;
    print!("{}", guests::table(&modules));
    Cargo::new(["build", "--release", "--package", "picket"])
        .env("PICKET_WAF_MODULE", guests::waf_module())
        .env("PICKET_SECLANG_MODULE", guests::seclang_module())
        .run()
}

/// Builds the gateway and becomes it, so that signals reach it.
fn serve(args: &[&str]) -> Result<(), Failure> {
    build()?;
    Cargo::new(["run", "--quiet", "--release", "--package", "picket", "--", "serve"])
        .args(args)
        .env("PICKET_WAF_MODULE", guests::waf_module())
        .env("PICKET_SECLANG_MODULE", guests::seclang_module())
        .become_it()
}
