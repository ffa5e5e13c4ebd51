//! `picket rules bake`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use picket::config::RulesConfig;
use picket::embedded::Builtin;
use picket::rules::Rules;
use picket_host::ModuleDigest;

/// Arguments of `picket rules bake`.
#[derive(clap::Args)]
pub struct Args {
    /// The module, or `builtin:seclang`
    module: PathBuf,
    /// The compiled ruleset; rule files are compiled
    #[arg(required = true)]
    rules: Vec<PathBuf>,
    /// Where the module with the ruleset goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Rule files stand alone: without the recommended base configuration before them
    #[arg(long)]
    no_base: bool,
    /// Rules that are faulty or not understood are left out; without this they are refused
    #[arg(long)]
    lenient: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let module = match Builtin::ALL.into_iter().find(|builtin| args.module.as_os_str() == builtin.name()) {
        Some(builtin) => builtin.module()?,
        None => std::fs::read(&args.module).with_context(|| args.module.display().to_string())?.into(),
    };
    let rules =
        Rules::load(&RulesConfig { files: args.rules.clone(), base: !args.no_base, lenient: args.lenient })?;
    for remark in &rules.remarks {
        eprintln!("{remark}");
    }
    let baked = rules.bake(&module)?;
    super::put(&args.output, &baked)?;
    println!("{}: {} bytes, sha256 {}", args.output.display(), baked.len(), ModuleDigest::of(&baked));
    Ok(ExitCode::SUCCESS)
}
