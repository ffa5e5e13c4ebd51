//! Picket's decisions against libmodsecurity's: the same rules, the requests of the regression tests, all paranoia
//! levels, blocking on. Fails on a difference that `differences.toml` does not account for.
//!
//! ```text
//! cargo run --release -p picket-reference --features libmodsecurity --bin picket-decisions
//! ```

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow};
use clap::Parser;
use picket::{regression::Native, rules::compile_text};
use picket_ftw::{Filter, Mode, Runner, Setup, Suite, crs_dir, exchange};
use picket_reference::{Decision, Known, LibModSecurity, Tally, decide};
use serde::Deserialize;

/// Compares decisions with libmodsecurity's.
#[derive(Parser)]
struct Arguments {
    /// The Core Rule Set, with its folder `rules`; else the environment's CRS_DIR.
    #[arg(long, default_value = "../shared/crs")]
    crs: PathBuf,
    /// Tests to take instead of the rule set's own.
    #[arg(long)]
    tests: Option<PathBuf>,
    /// Beginnings of test names: 942, 942100, 942100-3.
    #[arg(long, value_delimiter = ',')]
    ids: Vec<String>,
    /// Paranoia levels.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3,4")]
    levels: Vec<u8>,
    /// The differences that are known.
    #[arg(long, default_value = "tests/reference/differences.toml")]
    known: PathBuf,
    /// Decisions of libmodsecurity that `picket-reference decisions` has written, instead of asking it.
    #[arg(long)]
    reference: Option<PathBuf>,
    /// Where to write all differences, one JSON object a line.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// A line of decisions.
#[derive(Deserialize)]
struct Line {
    id: String,
    stage: usize,
    paranoia: u8,
    #[serde(flatten)]
    decision: Decision,
}

/// Decisions by test, stage and level.
type Recorded = HashMap<(String, usize, u8), Decision>;

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let crs = crs_dir(&arguments.crs).with_context(|| format!("no {}/rules", arguments.crs.display()))?;
    let suite = Suite::load(arguments.tests.as_deref().unwrap_or(&crs.join("tests")))?;
    let runner = Runner::new(&suite, Filter::ids(arguments.ids));
    let known =
        fs::read_to_string(&arguments.known).with_context(|| arguments.known.display().to_string())?;
    let known: Known = toml::from_str(&known)?;
    let recorded = arguments.reference.as_deref().map(read).transpose()?;
    let mut out = match arguments.out {
        Some(path) => Some(BufWriter::new(File::create(path)?)),
        None => None,
    };
    let mut tally = Tally::default();
    for paranoia in arguments.levels {
        let text = Setup { paranoia, mode: Mode::On, crs_dir: crs.clone() }.text()?;
        let mut ours = Native::new(compile_text(&text, false)?.blob).map_err(|error| anyhow!("{error}"))?;
        let mut library = match recorded {
            Some(_) => None,
            None => Some(LibModSecurity::new(&text)?),
        };
        for test in runner.tests() {
            for (stage, number) in test.stages.iter().zip(1..) {
                let id = test.id();
                let failed = |problem| anyhow!("{id}: {problem}");
                let exchange = exchange(&stage.input)?;
                let theirs = match (&mut library, &recorded) {
                    (Some(library), _) => decide(library, &exchange).map_err(failed)?,
                    (None, recorded) => recorded
                        .as_ref()
                        .and_then(|recorded| recorded.get(&(id.clone(), number, paranoia)))
                        .with_context(|| format!("{id}: no decision recorded at level {paranoia}"))?
                        .clone(),
                };
                let decided = decide(&mut ours, &exchange).map_err(failed)?;
                let difference = known.compare((&id, number, paranoia), theirs, decided);
                tally.add(difference.as_ref());
                let Some(difference) = difference else { continue };
                if difference.causes.is_empty() {
                    println!(
                        "{id}, stage {number}, level {paranoia}: {}; only libmodsecurity {:?}, only Picket {:?}",
                        difference.kinds.join(", "),
                        difference.libmodsecurity_only,
                        difference.picket_only
                    );
                }
                if let Some(out) = &mut out {
                    serde_json::to_writer(&mut *out, &difference)?;
                    out.write_all(b"\n")?;
                }
            }
        }
        eprintln!("paranoia level {paranoia} done");
    }
    if let Some(mut out) = out {
        out.flush()?;
    }
    print!("{tally}");
    Ok(if tally.unexplained() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &Path) -> anyhow::Result<Recorded> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut recorded = Recorded::new();
    for line in BufReader::new(file).lines() {
        let line: Line = serde_json::from_str(&line?)?;
        recorded.insert((line.id, line.stage, line.paranoia), line.decision);
    }
    Ok(recorded)
}
