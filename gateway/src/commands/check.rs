//! `picket check`.

use std::process::ExitCode;

/// Arguments of `picket check`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`picket check` is not in this build")
}
