//! `picket module`: work on module files.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::Subcommand;
use picket_host::{Limits, ModuleDigest, meter_offline};
use serde_json::json;

/// Arguments of `picket module`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the module with its metering, as a host makes it when it loads the module
    #[command(after_help = "\
A host takes the result as metered only if its SHA-256, which is printed, is one that the host trusts:
`trusted` of a filter in picket.toml, or the list that a firmware is built with.

Exit code: 0 written, 2 the module is refused or a file cannot be read or written.")]
    Meter(Meter),
}

/// Arguments of `picket module meter`.
#[derive(clap::Args)]
struct Meter {
    /// The module's file
    module: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command; errors go to standard error.
pub fn run(args: Args) -> ExitCode {
    let Command::Meter(args) = args.command;
    match meter(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("picket: {}", super::with_causes(&error));
            ExitCode::from(crate::EXIT_ERROR)
        }
    }
}

fn meter(args: &Meter) -> anyhow::Result<()> {
    let wasm = std::fs::read(&args.module).with_context(|| args.module.display().to_string())?;
    let start = Instant::now();
    let metered =
        meter_offline(&wasm, &Limits::EDGE_FUNCTION).with_context(|| args.module.display().to_string())?;
    let time = start.elapsed();
    std::fs::write(&args.output, &metered.wasm).with_context(|| args.output.display().to_string())?;
    let digest = ModuleDigest::of(&metered.wasm);
    if args.json {
        let object = json!({
            "metering": "canonical",
            "sha256": digest.to_string(),
            "source_sha256": ModuleDigest::of(&wasm).to_string(),
            "source_bytes": wasm.len(),
            "bytes": metered.wasm.len(),
            "functions": metered.functions,
            "counted_frames": metered.counted,
            "micros": u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
        });
        println!("{object:#}");
    } else {
        println!(
            "{digest}\n{} bytes, {} before; {} functions, of {} the frames are counted; {:.1} ms",
            metered.wasm.len(),
            wasm.len(),
            metered.functions,
            metered.counted,
            time.as_secs_f64() * 1e3,
        );
    }
    Ok(())
}
