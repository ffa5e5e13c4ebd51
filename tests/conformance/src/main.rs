//! `picket-conformance`: what one target says to the conformance cases, and whether several say the same.
//!
//! ```text
//! picket-conformance run --module waf.wasm --backend wasmi > wasmi.jsonl
//! picket-conformance compare x86-64/wasmtime=wasmtime.jsonl x86-64/wasmi=wasmi.jsonl
//! ```
//!
//! Exit codes: 0 all is equal and as expected, 1 something is not, 2 it could not be found out.

#![forbid(unsafe_code)]

mod compare;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What one target says to the conformance cases, and whether several say the same.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Judges every case with a module; prints a line of JSON for each
    Run(run::Args),
    /// Compares what several runs have printed, the first being the measure; prints a table
    Compare(compare::Args),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Compare(args) => compare::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("picket-conformance: {error:#}");
        ExitCode::from(2)
    })
}
