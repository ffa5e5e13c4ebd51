//! `picket rules compile`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use picket::config::RulesConfig;
use picket::rules::compile;
use serde_json::json;

use super::super::table::{Paint, colour};

/// Arguments of `picket rules compile`.
#[derive(clap::Args)]
pub struct Args {
    /// Rule files, in their order; patterns such as `rules/*.conf` are taken too
    #[arg(required = true)]
    rules: Vec<PathBuf>,
    /// Where the ruleset goes; without it everything is only checked
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Whatever is not understood is an error
    #[arg(long)]
    strict: bool,
    /// The rules stand alone: without the recommended base configuration before them
    #[arg(long)]
    no_base: bool,
    /// Say everything that was noticed, notes too
    #[arg(short, long)]
    verbose: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let config = RulesConfig { files: args.rules.clone(), base: !args.no_base, lenient: true };
    let compiled = compile(&config, args.strict)?;
    let elapsed = start.elapsed();
    if let Some(output) = &args.output {
        super::put(output, &compiled.blob)?;
    }
    let (left_out, noted): (Vec<_>, Vec<_>) =
        compiled.diagnostics.iter().partition(|said| said.rule_left_out.is_some());
    if args.json {
        let said: Vec<_> = compiled
            .diagnostics
            .iter()
            .map(|said| json!({ "text": said.to_string(), "rule_left_out": said.rule_left_out }))
            .collect();
        let report = json!({
            "bytes": compiled.blob.len(),
            "files": compiled.files,
            "milliseconds": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            "left_out": left_out.len(),
            "diagnostics": said,
            "summary": compiled.summary,
        });
        println!("{report}");
    } else {
        let shown = |said: &&picket_waf_compiler::seclang::syntax::Diagnostic| {
            args.verbose || said.level != picket_waf_compiler::seclang::syntax::Level::Note
        };
        for said in left_out.iter().copied().chain(noted.iter().copied().filter(shown)) {
            eprintln!("{said}");
        }
        print!("{}", compiled.summary);
        let paint = if left_out.is_empty() { Paint::Good } else { Paint::Bad };
        let left = paint.apply(&format!("{} rules left out", left_out.len()), colour());
        println!(
            "\n{left}, {} files read, {} bytes compiled in {} ms",
            compiled.files.len(),
            compiled.blob.len(),
            elapsed.as_millis()
        );
        if let Some(output) = &args.output {
            println!("written to {}", output.display());
        }
    }
    Ok(if left_out.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
