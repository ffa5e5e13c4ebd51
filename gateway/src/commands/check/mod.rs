//! `picket check`.

use std::process::ExitCode;

/// Arguments of `picket check`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command; errors go to standard error.
pub fn run(_args: Args) -> ExitCode {
    eprintln!("picket: `picket check` is not in this build");
    ExitCode::from(2)
}
