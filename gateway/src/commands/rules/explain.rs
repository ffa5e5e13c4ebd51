//! `picket rules explain`

use std::path::PathBuf;
use std::process::ExitCode;

use picket::config::RulesConfig;
use picket::rules::Rules;

/// Arguments of `picket rules explain`.
#[derive(clap::Args)]
pub struct Args {
    /// The compiled ruleset, or a rule file
    file: PathBuf,
    /// Number of the rule
    id: u32,
    /// A rule file stands alone: without the recommended base configuration before it
    #[arg(long)]
    no_base: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let rules =
        Rules::load(&RulesConfig { files: vec![args.file.clone()], base: !args.no_base, lenient: true })?;
    let explanation = picket_waf_compiler::seclang::explain(&rules.blob, args.id)?;
    if args.json {
        println!("{}", serde_json::to_string(&explanation)?);
    } else {
        print!("{explanation}");
    }
    Ok(ExitCode::SUCCESS)
}
