//! The forms of the answer.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Value, json};

use super::super::table::{Align, Paint, Table};
use super::Place;
use super::judge::{Finding, Judgement};

type Outcome = Result<Judgement, String>;

/// Longest value that is shown to people, in characters.
const SHOWN: usize = 160;

/// Appends the answer to one JSON line, line end included.
pub(super) fn line(out: &mut Vec<u8>, id: Value, outcome: &Outcome, explain: bool) {
    let answer = match outcome {
        Err(message) => json!({ "id": id, "error": message }),
        Ok(judgement) => {
            let mut answer = summary(judgement);
            answer["id"] = id;
            if explain {
                answer["matches"] = findings(judgement);
            }
            answer
        }
    };
    // A vector takes every byte.
    writeln!(out, "{answer}").ok();
}

/// One JSON object over all files.
pub(super) fn json(place: &Place, outcomes: &[(String, Outcome)]) -> Value {
    let requests: Vec<Value> = outcomes
        .iter()
        .map(|(file, outcome)| match outcome {
            Err(message) => json!({ "file": file, "error": message }),
            Ok(judgement) => {
                let mut answer = summary(judgement);
                answer["file"] = json!(file);
                answer["status"] = json!(judgement.answered);
                answer["matches"] = findings(judgement);
                answer
            }
        })
        .collect();
    let mut all = json!({ "backend": place.backend, "metering": place.metering });
    if let Some(device) = &place.device {
        all["device"] = json!(device);
    }
    all["requests"] = requests.into();
    all
}

fn summary(judgement: &Judgement) -> Value {
    json!({
        "rule_ids": judgement.rule_ids(),
        "blocked": judgement.blocked(),
        "score": judgement.score,
        "fuel": judgement.fuel,
        "micros": u64::try_from(judgement.time.as_micros()).unwrap_or(u64::MAX),
    })
}

fn findings(judgement: &Judgement) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "rule_id": finding.rule_id,
            "severity": finding.severity,
            "score": finding.score,
            "category": finding.category,
            "message": finding.message,
            "location": finding.location,
            "value": finding.value,
            "transformations": finding.transformations,
            "steps": finding.steps.iter().map(|(name, value)| json!({ "transformation": name, "value": value })).collect::<Vec<_>>(),
            "matched": finding.matched,
            "tags": finding.tags,
        })
    };
    judgement.findings.iter().map(finding).collect()
}

/// For people: a table, and with `explain` what stands behind each match.
pub(super) fn text(place: &Place, outcomes: &[(String, Outcome)], explain: bool, colour: bool) -> String {
    let mut table = Table::new(
        [
            ("request", Align::Left),
            ("verdict", Align::Left),
            ("score", Align::Right),
            ("fuel", Align::Right),
            ("µs", Align::Right),
            ("rules", Align::Left),
        ],
        colour,
    );
    let plain = |text: String| (text, Paint::Plain);
    for (file, outcome) in outcomes {
        match outcome {
            Err(message) => table.row([
                plain(file.clone()),
                ("error".into(), Paint::Bad),
                plain(String::new()),
                plain(String::new()),
                plain(String::new()),
                plain(message.clone()),
            ]),
            Ok(judgement) => {
                let verdict = match judgement.answered {
                    Some(status) => (format!("blocked {status}"), Paint::Bad),
                    None if judgement.findings.is_empty() => ("clean".into(), Paint::Good),
                    None => ("passed".into(), Paint::Plain),
                };
                let rules: Vec<String> = judgement.rule_ids().iter().map(u32::to_string).collect();
                table.row([
                    plain(file.clone()),
                    verdict,
                    plain(judgement.score.to_string()),
                    (judgement.fuel.to_string(), Paint::Faint),
                    (judgement.time.as_micros().to_string(), Paint::Faint),
                    plain(rules.join(" ")),
                ]);
            }
        }
    }
    let mut out = table.to_string();
    if explain {
        for (file, outcome) in outcomes {
            let Ok(judgement) = outcome else { continue };
            if !judgement.findings.is_empty() {
                let _infallible = writeln!(out, "\n{file}, on {place}");
            }
            for finding in &judgement.findings {
                explained(&mut out, finding, colour);
            }
        }
    }
    out
}

fn explained(out: &mut String, finding: &Finding, colour: bool) {
    let _infallible = writeln!(
        out,
        "  {} {} +{}  {}",
        Paint::Bad.apply(&finding.rule_id.to_string(), colour),
        finding.severity,
        finding.score,
        finding.message
    );
    let mut rows = vec![("in", &finding.location), ("value", &finding.value)];
    match finding.steps.is_empty() {
        true => rows.push(("changed by", &finding.transformations)),
        false => rows.extend(finding.steps.iter().map(|(name, value)| (*name, value))),
    }
    rows.push(("matched", &finding.matched));
    for (name, text) in rows {
        if !text.is_empty() {
            let name = Paint::Faint.apply(&format!("{name:>18}"), colour);
            let _infallible = writeln!(out, "{name}  {}", cut(text));
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
