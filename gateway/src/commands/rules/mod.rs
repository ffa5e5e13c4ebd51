//! `picket rules`: rulesets in ModSecurity's language.

mod bake;
mod compile;
mod explain;
mod test;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;

/// Arguments of `picket rules`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compile rule files to a ruleset
    Compile(compile::Args),
    /// Show a rule as it was compiled
    Explain(explain::Args),
    /// Put a compiled ruleset into a module: one file is then the whole filter
    Bake(bake::Args),
    /// Run the regression tests of a ruleset
    Test(test::Args),
}

/// Runs the command; errors go to standard error.
pub fn run(args: Args) -> ExitCode {
    let done = match args.command {
        Command::Compile(args) => compile::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Bake(args) => bake::run(&args),
        Command::Test(args) => test::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("picket: {}", super::with_causes(&error));
        ExitCode::from(crate::EXIT_ERROR)
    })
}

/// Writes a file in one step: a gateway may be watching it.
fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&beside, bytes).with_context(|| format!("cannot write {}", beside.display()))?;
    std::fs::rename(&beside, path).with_context(|| format!("cannot replace {}", path.display()))
}
