//! `picket rules test`: the regression tests of a ruleset, against every engine of this build.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail};
use picket::regression::{Native, Sandbox};
use picket::rules::{Rules, compile_text};
use picket_ftw::{Filter, LoggedRule, Mode, Outcome, Report, Runner, Setup, Suite, log_line};
use picket_host::Isolation;
use serde_json::{Value, json};

use super::super::check::Engine;
use super::super::table::{Align, Paint, Table, colour};

/// Arguments of `picket rules test`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of the ruleset's `.conf` files
    #[arg(long, value_name = "DIR")]
    rules: PathBuf,
    /// Folder of the tests, in the format of the OWASP Core Rule Set
    #[arg(long, value_name = "DIR")]
    tests: PathBuf,
    /// What evaluates: `native`, a backend, or `all`
    #[arg(long, default_value = "all")]
    backend: String,
    /// Only tests whose name begins so: `942`, `942100`, `942100-3`; may be given again
    #[arg(long, value_name = "PREFIX")]
    only: Vec<String>,
    /// Paranoia level
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=4))]
    paranoia: u8,
    /// Show each failing test in full: its request, what was expected and what was logged
    #[arg(long)]
    show: bool,
    /// A fresh instance for every test, where a backend runs them; otherwise instances are reused
    #[arg(long)]
    fresh: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let suite = Suite::load(&args.tests)?;
    let folder = match args.rules.file_name() {
        Some(name) if name == "rules" => args.rules.parent().map(PathBuf::from).unwrap_or_default(),
        _ => bail!("{}: the folder of the rules is to be called `rules`", args.rules.display()),
    };
    let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
    let setup = Setup { paranoia: args.paranoia, mode: Mode::DetectionOnly, crs_dir: folder };
    let compiled = compile_text(&setup.text()?, false)?;
    for said in compiled.diagnostics.iter().filter(|said| said.rule_left_out.is_some()) {
        eprintln!("{said}");
    }
    let engines = match args.backend.as_str() {
        "all" => Engine::all(),
        name => vec![name.parse().map_err(|error| anyhow::anyhow!("--backend {name}: {error}"))?],
    };
    let runner = Runner::new(&suite, Filter::ids(args.only.clone()));
    let total = runner.tests().count();
    if total == 0 {
        bail!("no test fits: {} are in {}", suite.tests.len(), args.tests.display());
    }
    let rules = Rules { blob: compiled.blob, files: compiled.files, remarks: Vec::new() };
    let mut reports: Vec<(&'static str, Report, f64)> = Vec::new();
    for engine in engines {
        let mut under_test = set_up(engine, &rules, args.fresh)?;
        let start = Instant::now();
        let mut done = 0;
        let report = runner.run(&mut *under_test, |_| {
            done += 1;
            progress(engine.name(), done, total);
        });
        if args.show {
            show(&runner, &report, &mut *under_test)?;
        }
        reports.push((engine.name(), report, start.elapsed().as_secs_f64()));
    }
    let failed = reports.iter().any(|(_, report, _)| report.table.total.fail > 0);
    let unequal = differences(&reports);
    if args.json {
        let engines: Vec<Value> = reports
            .iter()
            .map(|(name, report, seconds)| json!({ "engine": name, "seconds": seconds, "report": report }))
            .collect();
        println!("{}", json!({ "engines": engines, "different": unequal }));
    } else {
        print!("{}", table(&reports));
        print_reasons(&reports);
        for id in &unequal {
            println!("{id}: not the same on every engine");
        }
    }
    Ok(if failed || !unequal.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn set_up(engine: Engine, rules: &Rules, fresh: bool) -> anyhow::Result<Box<dyn picket_ftw::Engine>> {
    Ok(match engine {
        #[cfg(feature = "native")]
        Engine::Native => Box::new(Native::new(rules.blob.clone())?),
        Engine::Wasm(kind) => {
            let module = rules.bake(&picket::embedded::Builtin::SecLang.module()?)?;
            let isolation = if fresh { Isolation::Fresh } else { Isolation::Pooled { max_idle: 1 } };
            Box::new(Sandbox::new(&*kind.build()?, &module, isolation).context(kind.name())?)
        }
    })
}

fn progress(engine: &str, done: usize, total: usize) {
    if std::io::stderr().is_terminal() && (done.is_multiple_of(50) || done == total) {
        let end = if done == total { "\n" } else { "" };
        eprint!("\r{engine}: {done} of {total} tests{end}");
        let _ = std::io::stderr().flush();
    }
}

/// Tests whose outcome is not the same everywhere.
fn differences(reports: &[(&str, Report, f64)]) -> Vec<String> {
    let Some(((_, first, _), others)) = reports.split_first() else { return Vec::new() };
    let differs = |at: usize| {
        others.iter().any(|(_, other, _)| {
            std::mem::discriminant(&other.results[at].outcome)
                != std::mem::discriminant(&first.results[at].outcome)
        })
    };
    (0..first.results.len()).filter(|&at| differs(at)).map(|at| first.results[at].id.clone()).collect()
}

fn table(reports: &[(&str, Report, f64)]) -> Table {
    let mut columns = vec![("family".to_owned(), Align::Left)];
    for (name, ..) in reports {
        columns.extend([(format!("{name} pass"), Align::Right), ("fail".to_owned(), Align::Right)]);
    }
    columns.push(("not judged".to_owned(), Align::Right));
    let mut table = Table::new(columns, colour());
    let Some((_, first, _)) = reports.first() else { return table };
    let families = first.table.families.keys().map(|family| (family.as_str(), false));
    for (family, all) in families.chain([("all", true)]) {
        let counts = |report: &Report| match all {
            true => report.table.total,
            false => report.table.families.get(family).copied().unwrap_or_default(),
        };
        let mut row = vec![(family.to_owned(), Paint::Plain)];
        for (_, report, _) in reports {
            let count = counts(report);
            let paint = if count.fail > 0 { Paint::Bad } else { Paint::Faint };
            row.extend([(count.pass.to_string(), Paint::Plain), (count.fail.to_string(), paint)]);
        }
        row.push((counts(first).not_judged.to_string(), Paint::Faint));
        table.row(row);
    }
    table
}

/// Why tests failed or were not judged.
fn print_reasons(reports: &[(&str, Report, f64)]) {
    for (name, report, seconds) in reports {
        let total = report.table.total;
        println!("\n{name}: {} passed, {} failed in {seconds:.1} s", total.pass, total.fail);
        for (id, reason) in report.failures() {
            println!("  {id}: {reason}");
        }
    }
    let Some((_, report, _)) = reports.first() else { return };
    let not_judged: Vec<_> = report
        .results
        .iter()
        .filter_map(|result| match &result.outcome {
            Outcome::NotJudged(reason) => Some((&result.id, reason)),
            _ => None,
        })
        .collect();
    if !not_judged.is_empty() {
        println!("\nnot judged:");
        for (id, reason) in not_judged {
            println!("  {id}: {reason}");
        }
    }
}

/// Runs the failing tests once more and shows them.
fn show(runner: &Runner<'_>, report: &Report, engine: &mut dyn picket_ftw::Engine) -> anyhow::Result<()> {
    for (id, reason) in report.failures() {
        let Some(test) = runner.tests().find(|test| test.id() == id) else { continue };
        println!("--- {id}: {reason}");
        println!("{}", test.desc.trim());
        for (number, stage) in test.stages.iter().enumerate() {
            let exchange = picket_ftw::exchange(&stage.input)?;
            println!("stage {}: expected {:?}", number + 1, stage.output);
            println!("> {}", exchange.request.line().escape_ascii());
            for (name, value) in &exchange.request.headers {
                println!("> {}: {}", name.escape_ascii(), value.escape_ascii());
            }
            if !exchange.request.body.is_empty() {
                println!("> \n> {}", exchange.request.body.escape_ascii());
            }
            match engine.run(&exchange) {
                Ok(observed) => {
                    observed.rules.iter().map(shown).for_each(|line| println!("  {line}"));
                    println!("  interruption: {:?}, scores: {:?}", observed.interruption, observed.scores);
                }
                Err(error) => println!("  failed: {error}"),
            }
        }
    }
    Ok(())
}

fn shown(rule: &LoggedRule) -> String {
    format!("{} [{} = {}]", log_line(rule), rule.var_name, rule.var_value.escape_debug())
}
