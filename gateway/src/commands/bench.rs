//! `picket bench`.

use std::process::ExitCode;

/// Arguments of `picket bench`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`picket bench` is not in this build")
}
