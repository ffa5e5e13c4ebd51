//! The two forms of a measurement.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::table::{Align, Paint, Table};
use super::stats::Samples;
use super::{Lane, Measurement};

/// One JSON object. Times are in nanoseconds, sizes in bytes.
pub(super) fn json(measurement: &Measurement) -> Value {
    let lanes: Vec<Value> = measurement
        .lanes
        .iter()
        .map(|lane| {
            let requests: Vec<Value> = measurement
                .names
                .iter()
                .zip(&lane.results)
                .map(|(name, result)| {
                    let mut object = times(&mut result.samples.clone());
                    object["request"] = json!(name);
                    object["blocked"] = json!(result.blocked);
                    object["rule_ids"] = json!(result.rule_ids);
                    object["score"] = json!(result.score);
                    object["fuel"] = json!(result.fuel);
                    object
                })
                .collect();
            let mut object = times(&mut all(lane));
            object["backend"] = json!(lane.engine.name());
            object["instances"] = json!(lane.instances());
            object["load_ns"] = json!(lane.load.map(|load| super::nanos(load.load)));
            object["instantiate_ns"] = json!(lane.load.map(|load| super::nanos(load.instantiate)));
            object["compiled_bytes"] = json!(lane.load.and_then(|load| load.compiled_bytes));
            object["instance_bytes"] = json!(instance_bytes(lane));
            object["requests"] = json!(requests);
            object
        })
        .collect();
    json!({
        "module": measurement.module.map(|(digest, bytes)| json!({
            "sha256": digest.to_string(), "bytes": bytes,
        })),
        "metering": measurement.metering.name(),
        "rounds": measurement.rounds,
        "lanes": lanes,
    })
}

fn times(samples: &mut Samples) -> Value {
    json!({
        "samples": samples.len(),
        "median_ns": samples.percentile(50),
        "p99_ns": samples.percentile(99),
        "per_second": samples.per_second().round(),
    })
}

/// For people: a table of the lanes, then one of the requests.
pub(super) fn text(measurement: &Measurement, colour: bool) -> String {
    let mut out = String::new();
    if let Some((digest, bytes)) = measurement.module {
        let _infallible = writeln!(
            out,
            "module {digest}, {} KiB, {} metering, {} rounds\n",
            bytes.div_ceil(1024),
            measurement.metering,
            measurement.rounds
        );
    } else {
        let _infallible = writeln!(out, "{} rounds\n", measurement.rounds);
    }
    out.push_str(&lanes(measurement, colour).to_string());
    out.push('\n');
    out.push_str(&requests(measurement, colour).to_string());
    out
}

fn lanes(measurement: &Measurement, colour: bool) -> Table {
    let mut table = Table::new(
        [
            ("all requests", Align::Left),
            ("median µs", Align::Right),
            ("p99 µs", Align::Right),
            ("requests/s", Align::Right),
            ("load ms", Align::Right),
            ("instance µs", Align::Right),
            ("instance KiB", Align::Right),
            ("code KiB", Align::Right),
        ],
        colour,
    );
    let kib = |bytes: Option<u64>| bytes.map_or(String::new(), |bytes| bytes.div_ceil(1024).to_string());
    for lane in &measurement.lanes {
        let mut samples = all(lane);
        let cells = [
            label(lane),
            micros(samples.percentile(50)),
            micros(samples.percentile(99)),
            format!("{:.0}", samples.per_second()),
            lane.load.map_or(String::new(), |load| format!("{:.1}", load.load.as_secs_f64() * 1e3)),
            lane.load.map_or(String::new(), |load| micros(super::nanos(load.instantiate))),
            kib(instance_bytes(lane)),
            kib(lane.load.and_then(|load| load.compiled_bytes).map(|bytes| bytes as u64)),
        ];
        table.row(cells.map(|cell| (cell, Paint::Plain)));
    }
    table
}

fn requests(measurement: &Measurement, colour: bool) -> Table {
    let mut table = Table::new(
        [
            ("request", Align::Left),
            ("lane", Align::Left),
            ("median µs", Align::Right),
            ("p99 µs", Align::Right),
            ("requests/s", Align::Right),
            ("fuel", Align::Right),
            ("verdict", Align::Left),
        ],
        colour,
    );
    for (n, name) in measurement.names.iter().enumerate() {
        for (turn, lane) in measurement.lanes.iter().enumerate() {
            let result = &lane.results[n];
            let mut samples = result.samples.clone();
            let rules: Vec<String> = result.rule_ids.iter().map(u32::to_string).collect();
            let verdict = match (result.blocked, rules.is_empty()) {
                (true, _) => (format!("blocked {}", rules.join(" ")), Paint::Bad),
                (false, true) => ("clean".to_owned(), Paint::Good),
                (false, false) => (format!("passed {}", rules.join(" ")), Paint::Plain),
            };
            table.row([
                (if turn == 0 { name.clone() } else { String::new() }, Paint::Plain),
                (label(lane), Paint::Faint),
                (micros(samples.percentile(50)), Paint::Plain),
                (micros(samples.percentile(99)), Paint::Plain),
                (format!("{:.0}", samples.per_second()), Paint::Plain),
                (if result.fuel == 0 { String::new() } else { result.fuel.to_string() }, Paint::Plain),
                if turn == 0 { verdict } else { (String::new(), Paint::Plain) },
            ]);
        }
    }
    table
}

fn all(lane: &Lane) -> Samples {
    let mut all = Samples::default();
    for result in &lane.results {
        all.extend(&result.samples);
    }
    all
}

fn instance_bytes(lane: &Lane) -> Option<u64> {
    lane.judge.filter().map(|filter| filter.counters().peak_memory_bytes)
}

fn label(lane: &Lane) -> String {
    match lane.instances() {
        "" => lane.engine.name().to_owned(),
        instances => format!("{} {instances}", lane.engine.name()),
    }
}

fn micros(nanos: u64) -> String {
    format!("{}.{}", nanos / 1_000, nanos % 1_000 / 100)
}
