//! `picket-conformance compare`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, ensure};
use picket_conformance::Record;

/// Differences that are shown of a target; beyond that, they are counted.
const SHOWN: usize = 10;

/// Arguments of `picket-conformance compare`.
#[derive(clap::Args)]
pub struct Args {
    /// Name of a target and the file of its run
    #[arg(required = true, value_name = "TARGET=FILE", value_parser = target)]
    targets: Vec<Target>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone)]
struct Target {
    name: String,
    file: PathBuf,
}

fn target(text: &str) -> Result<Target, String> {
    let (name, file) = text.split_once('=').ok_or("is not TARGET=FILE")?;
    Ok(Target { name: name.to_owned(), file: file.into() })
}

/// How the records of a target compare with the measure.
#[derive(Default, serde::Serialize)]
struct Row {
    target: String,
    cases: usize,
    as_expected: usize,
    equal_verdicts: usize,
    equal_actions: usize,
    equal_fuel: usize,
    fuel_fresh: Option<u64>,
    fuel_pooled: Option<u64>,
    differences: Vec<String>,
}

impl Row {
    fn of(target: &str, records: &[Record], measure: &[Record]) -> Row {
        let mut row = Row { target: target.to_owned(), cases: records.len(), ..Row::default() };
        for (record, measure) in records.iter().zip(measure) {
            row.as_expected += usize::from(record.contradiction.is_none());
            row.equal_verdicts += usize::from(record.same_verdict(measure));
            row.equal_actions += usize::from(record.same_action(measure));
            row.equal_fuel += usize::from(record.same_fuel(measure));
            row.fuel_fresh = sum(row.fuel_fresh, record.fuel_fresh);
            row.fuel_pooled = sum(row.fuel_pooled, record.fuel_pooled);
            let same =
                record.same_verdict(measure) && record.same_action(measure) && record.same_fuel(measure);
            if !same || record.contradiction.is_some() {
                row.differences.push(difference(record, measure));
            }
        }
        row
    }

    fn is_equal(&self) -> bool {
        [self.as_expected, self.equal_verdicts, self.equal_actions, self.equal_fuel]
            .iter()
            .all(|&count| count == self.cases)
    }
}

fn sum(so_far: Option<u64>, more: Option<u64>) -> Option<u64> {
    more.map(|more| so_far.unwrap_or(0) + more)
}

fn amount(fuel: Option<u64>) -> String {
    fuel.map_or("-".into(), |fuel| fuel.to_string())
}

fn difference(record: &Record, measure: &Record) -> String {
    let told = |record: &Record| {
        let status = record.status.map_or("passes".into(), |status| status.to_string());
        let Record { score, rules, fuel_fresh, fuel_pooled, judgement, .. } = record;
        let (fresh, pooled) = (amount(*fuel_fresh), amount(*fuel_pooled));
        let judgement = judgement.get(..8).unwrap_or(judgement);
        format!("{status}, score {score}, rules {rules:?}, fuel {fresh} and {pooled}, judgement {judgement}…")
    };
    let mut text = format!("{}: {}; the measure: {}", record.case, told(record), told(measure));
    if let Some(contradiction) = &record.contradiction {
        text.push_str(&format!("; not as expected: {contradiction}"));
    }
    text
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut runs = Vec::new();
    for Target { name, file } in &args.targets {
        runs.push((name, read(file)?));
    }
    let (first, measure) = &runs[0];
    ensure!(!measure.is_empty(), "{first} has judged no case");
    for (name, records) in &runs {
        let cases = |records: &[Record]| records.iter().map(|record| record.case.clone()).collect::<Vec<_>>();
        ensure!(
            cases(records) == cases(measure),
            "{name} has judged {} cases and {first} {}: not the same ones in the same order",
            records.len(),
            measure.len()
        );
    }
    let rows: Vec<Row> = runs.iter().map(|(name, records)| Row::of(name, records, measure)).collect();
    let equal = rows.iter().all(Row::is_equal);
    if args.json {
        println!("{}", serde_json::to_string(&rows)?);
    } else {
        print(&rows);
    }
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(file: &Path) -> anyhow::Result<Vec<Record>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    text.lines()
        .enumerate()
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| anyhow!("{}:{}: {error}", file.display(), number + 1))
        })
        .collect()
}

fn print(rows: &[Row]) {
    println!(
        "{:<20} {:>6} {:>12} {:>14} {:>13} {:>11} {:>14} {:>14}",
        "target",
        "cases",
        "as expected",
        "equal verdict",
        "equal action",
        "equal fuel",
        "fuel, fresh",
        "fuel, pooled"
    );
    for row in rows {
        println!(
            "{:<20} {:>6} {:>12} {:>14} {:>13} {:>11} {:>14} {:>14}",
            row.target,
            row.cases,
            row.as_expected,
            row.equal_verdicts,
            row.equal_actions,
            row.equal_fuel,
            amount(row.fuel_fresh),
            amount(row.fuel_pooled)
        );
    }
    for row in rows.iter().filter(|row| !row.differences.is_empty()) {
        println!("\n{}: {} cases differ", row.target, row.differences.len());
        row.differences.iter().take(SHOWN).for_each(|difference| println!("  {difference}"));
        if row.differences.len() > SHOWN {
            println!("  … and {} more", row.differences.len() - SHOWN);
        }
    }
}
