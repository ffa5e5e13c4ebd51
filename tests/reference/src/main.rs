//! Runs the Core Rule Set's regression tests with libmodsecurity.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use clap::{Parser, Subcommand};
use picket_ftw::{Filter, Mode, Outcome, Runner, Setup, Suite, crs_dir, exchange};
use picket_reference::{Decision, LibModSecurity, time_request};
use serde::Serialize;

/// libmodsecurity as a reference.
#[derive(Parser)]
struct Arguments {
    /// The Core Rule Set, with its folders `rules` and `tests`; else the environment's CRS_DIR.
    #[arg(long, global = true, default_value = "../shared/crs")]
    crs: PathBuf,
    /// Beginnings of test names: 942, 942100, 942100-3.
    #[arg(long, global = true, value_delimiter = ',')]
    ids: Vec<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the tests at paranoia level 4, detection only, and prints the table.
    Suite {
        /// Where to write the names of the tests that failed, with reasons.
        #[arg(long)]
        failures: Option<PathBuf>,
        /// Where to write the table and all results as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Writes what becomes of each test's requests at each paranoia level with blocking on.
    Decisions {
        /// The file to write, one JSON object a line.
        #[arg(long)]
        out: PathBuf,
    },
    /// Prints the time that phases 1 and 2 take for the tests' requests at paranoia level 1.
    Time {
        /// Runs of each request, of which the median counts.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
}

/// A line of the decisions.
#[derive(Serialize)]
struct Line {
    id: String,
    stage: usize,
    paranoia: u8,
    #[serde(flatten)]
    decision: Decision,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let crs = crs_dir(&arguments.crs).with_context(|| format!("no {}/tests", arguments.crs.display()))?;
    let suite = Suite::load(&crs.join("tests"))?;
    let runner = Runner::new(&suite, Filter::ids(arguments.ids));
    match arguments.command {
        Command::Suite { failures, json } => run_suite(&runner, &crs, failures.as_deref(), json.as_deref()),
        Command::Decisions { out } => write_decisions(&runner, &crs, &out),
        Command::Time { rounds } => print_times(&runner, &crs, rounds),
    }
}

fn run_suite(
    runner: &Runner<'_>,
    crs: &Path,
    failures: Option<&Path>,
    json: Option<&Path>,
) -> anyhow::Result<()> {
    let mut engine = LibModSecurity::new(&Setup::regression(crs).text()?)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", engine.name())?;
    let report = runner.run(&mut engine, |result| {
        if let Outcome::Fail(reason) = &result.outcome {
            eprintln!("{}: {reason}", result.id);
        }
    });
    write!(out, "{}", report.table)?;
    if let Some(path) = failures {
        let mut file = BufWriter::new(File::create(path)?);
        for (id, reason) in report.failures() {
            writeln!(file, "{id}\t{reason}")?;
        }
        file.flush()?;
    }
    if let Some(path) = json {
        serde_json::to_writer(BufWriter::new(File::create(path)?), &report)?;
    }
    Ok(())
}

fn write_decisions(runner: &Runner<'_>, crs: &Path, out: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(out)?);
    for paranoia in 1..=4 {
        let setup = Setup { paranoia, mode: Mode::On, crs_dir: crs.to_owned() };
        let mut engine = LibModSecurity::new(&setup.text()?)?;
        for test in runner.tests() {
            for (stage, number) in test.stages.iter().zip(1..) {
                let exchange = exchange(&stage.input)?;
                let decision = engine.decide(&exchange).map_err(|e| anyhow!("{}: {e}", test.id()))?;
                let line = Line { id: test.id(), stage: number, paranoia, decision };
                serde_json::to_writer(&mut file, &line)?;
                file.write_all(b"\n")?;
            }
        }
        eprintln!("paranoia level {paranoia} done");
    }
    Ok(file.flush()?)
}

fn print_times(runner: &Runner<'_>, crs: &Path, rounds: usize) -> anyhow::Result<()> {
    let setup = Setup { paranoia: 1, mode: Mode::On, crs_dir: crs.to_owned() };
    let mut engine = LibModSecurity::new(&setup.text()?)?;
    let mut times = Vec::new();
    for test in runner.tests() {
        for stage in &test.stages {
            let exchange = exchange(&stage.input)?;
            times.push(time_request(&mut engine, &exchange, rounds).map_err(|e| anyhow!(e))?);
        }
    }
    times.sort_unstable();
    let at = |hundredth: usize| times.get(times.len() * hundredth / 100).copied().unwrap_or_default();
    println!("{} requests: median {:?}, 90th of 100 {:?}, 99th {:?}", times.len(), at(50), at(90), at(99));
    Ok(())
}
