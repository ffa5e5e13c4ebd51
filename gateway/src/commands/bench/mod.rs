//! `picket bench`.

use std::process::ExitCode;

/// Arguments of `picket bench`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command; errors go to standard error.
pub fn run(_args: Args) -> ExitCode {
    eprintln!("picket: `picket bench` is not in this build");
    ExitCode::from(2)
}
