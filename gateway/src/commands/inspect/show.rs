//! The two forms of the report.

use std::fmt::Write as _;

use picket_abi::{AbiVersion, CapabilitySet, PhaseSet};
use serde_json::{Value, json};

use super::super::table::{Align, Paint, Table};
use super::Findings;

/// One JSON object.
pub(super) fn json(findings: &Findings) -> Value {
    let mut object = json!({
        "file": findings.file.to_string_lossy(),
        "bytes": findings.bytes,
        "sha256": findings.digest.to_string(),
        "cid": findings.digest.cid(),
        "tier": findings.tier.name(),
        "granted": names(findings.policy.capabilities),
        "would_load": findings.refusal.is_none(),
        "reason": findings.refusal.as_ref().map(ToString::to_string),
    });
    if let Some(info) = &findings.info {
        let known = json!({
            "manifest": info.manifest.as_ref().map(|manifest| json!({
                "name": manifest.name,
                "version": manifest.version,
                "kind": manifest.kind,
                "phases": phases(manifest.phases),
                "capabilities": names(manifest.capabilities),
                "body_window": manifest.body_window,
            })),
            "abi": info.abi.map(|abi| abi.to_string()),
            "host_abi": AbiVersion::CURRENT.to_string(),
            "phases": phases(info.phases()),
            "capabilities": names(info.capabilities()),
            "imports": info.imports.iter().map(|import| json!({
                "module": import.module, "name": import.name, "type": import.ty,
            })).collect::<Vec<_>>(),
            "exports": info.exports.iter().map(|export| json!({
                "name": export.name, "type": export.ty,
            })).collect::<Vec<_>>(),
            "memory": info.memory.map(|memory| json!({
                "initial_bytes": memory.initial_bytes, "maximum_bytes": memory.maximum_bytes,
            })),
            "tables": info.tables.iter().map(|table| json!({
                "initial": table.initial, "maximum": table.maximum,
            })).collect::<Vec<_>>(),
            "has_start": info.has_start,
            "sections": info.sections.iter().map(|section| json!({
                "name": section.name, "bytes": section.bytes,
            })).collect::<Vec<_>>(),
        });
        if let (Value::Object(object), Value::Object(known)) = (&mut object, known) {
            object.extend(known);
        }
    }
    object
}

/// For people.
pub(super) fn text(findings: &Findings, colour: bool) -> String {
    let mut out = String::new();
    let mut facts = Table::new([("", Align::Left), ("", Align::Left)], colour);
    let mut fact = |name: &str, value: String| {
        facts.row([(name.to_owned(), Paint::Faint), (printable(&value), Paint::Plain)]);
    };
    fact("module", findings.file.display().to_string());
    fact("size", format!("{} bytes", findings.bytes));
    fact("sha256", findings.digest.to_string());
    fact("cid", findings.digest.cid());
    if let Some(info) = &findings.info {
        match &info.manifest {
            Some(manifest) => {
                fact("name", format!("{} {}", manifest.name, manifest.version));
                fact("kind", manifest.kind.clone());
                fact("body window", format!("{} bytes", manifest.body_window));
            }
            None => fact("manifest", "none".into()),
        }
        fact(
            "abi",
            match info.abi {
                Some(abi) => format!("{abi} (host: {})", AbiVersion::CURRENT),
                None => format!("known once it runs (host: {})", AbiVersion::CURRENT),
            },
        );
        fact("phases", list(&phases(info.phases())));
        fact("capabilities", list(&names(info.capabilities())));
        fact(
            "memory",
            match info.memory {
                Some(memory) => {
                    let maximum =
                        memory.maximum_bytes.map_or("no maximum".into(), |bytes| format!("at most {bytes}"));
                    format!("{} bytes, {maximum}", memory.initial_bytes)
                }
                None => "none".into(),
            },
        );
        for table in &info.tables {
            let maximum = table.maximum.map_or("no maximum".into(), |most| format!("at most {most}"));
            fact("table", format!("{} elements, {maximum}", table.initial));
        }
        if info.has_start {
            fact("start", "has a start function, which runs for every instance".into());
        }
    }
    // The table has no use for a line of empty heads.
    out.push_str(facts.to_string().trim_start_matches('\n'));

    if let Some(info) = &findings.info {
        let mut listed = |title: &str, rows: Vec<(String, String)>| {
            if rows.is_empty() {
                return;
            }
            let mut table = Table::new([(title, Align::Left), ("", Align::Left)], colour);
            for (name, ty) in rows {
                table.row([(printable(&name), Paint::Plain), (printable(&ty), Paint::Faint)]);
            }
            let _infallible = write!(out, "\n{table}");
        };
        listed(
            "imports",
            info.imports
                .iter()
                .map(|import| (format!("{}.{}", import.module, import.name), import.ty.clone()))
                .collect(),
        );
        listed(
            "exports",
            info.exports.iter().map(|export| (export.name.clone(), export.ty.clone())).collect(),
        );
        listed(
            "sections",
            info.sections
                .iter()
                .map(|section| (section.name.clone(), format!("{} bytes", section.bytes)))
                .collect(),
        );
    }

    let granted = list(&names(findings.policy.capabilities));
    let _infallible = match &findings.refusal {
        None => writeln!(
            out,
            "\n{} under tier {} with {granted}",
            Paint::Good.apply("would load", colour),
            findings.tier.name()
        ),
        Some(reason) => writeln!(
            out,
            "\n{} under tier {} with {granted}: {}",
            Paint::Bad.apply("would not load", colour),
            findings.tier.name(),
            printable(&reason.to_string())
        ),
    };
    out
}

fn names(capabilities: CapabilitySet) -> Vec<&'static str> {
    capabilities.iter().map(|capability| capability.name()).collect()
}

fn phases(phases: PhaseSet) -> Vec<&'static str> {
    phases.iter().map(|phase| phase.name()).collect()
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Names in a module are whatever its author wrote: none of them writes to the terminal.
fn printable(text: &str) -> String {
    if text.chars().any(char::is_control) { text.escape_debug().to_string() } else { text.to_owned() }
}
