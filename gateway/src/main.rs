//! The `picket` command.

#![forbid(unsafe_code)]

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A picket for your service: a reverse proxy that guards HTTP traffic with WebAssembly filters.
#[derive(Parser)]
#[command(name = "picket", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the reverse proxy
    Serve(commands::serve::Args),
    /// Judge requests without a network
    Check(commands::check::Args),
    /// Be a device: judge for clients at the other end of a line
    Device(commands::device::Args),
    /// Measure the backends side by side
    Bench(commands::bench::Args),
    /// Show what a module is and whether it would load
    Inspect(commands::inspect::Args),
    /// Work on module files: meter them ahead of time
    Module(commands::module::Args),
    /// Rulesets in ModSecurity's language: compile, explain, bake, test
    #[cfg(feature = "rules")]
    Rules(commands::rules::Args),
}

/// The exit code of whatever could not be done; clap's own for a wrong command line is the same.
const EXIT_ERROR: u8 = 2;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => commands::serve::run(args).unwrap_or_else(|error| {
            eprintln!("picket: {}", commands::with_causes(&error));
            ExitCode::from(EXIT_ERROR)
        }),
        Command::Check(args) => commands::check::run(args),
        Command::Device(args) => commands::device::run(args).unwrap_or_else(|error| {
            eprintln!("picket: {}", commands::with_causes(&error));
            ExitCode::from(EXIT_ERROR)
        }),
        Command::Bench(args) => commands::bench::run(args),
        Command::Inspect(args) => commands::inspect::run(args),
        Command::Module(args) => commands::module::run(args),
        #[cfg(feature = "rules")]
        Command::Rules(args) => commands::rules::run(args),
    }
}
