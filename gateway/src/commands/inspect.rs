//! `picket inspect`.

use std::process::ExitCode;

/// Arguments of `picket inspect`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`picket inspect` is not in this build")
}
