//! `picket serve`.

use std::process::ExitCode;

/// Arguments of `picket serve`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`picket serve` is not in this build")
}
