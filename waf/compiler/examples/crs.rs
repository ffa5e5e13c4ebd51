//! Compiles the Core Rule Set and prints what it consists of, or explains a rule.
//!
//! `cargo run --release --example crs -- [paranoia level] [rule id | --no-fold | --json] …`, with the folder
//! of the Core Rule Set in `CRS_DIR`.

use std::path::PathBuf;
use std::time::Instant;

use picket_seclang::format::{Section, TextRecord, TxInit, flag};
use picket_seclang::{BlobError, RuleSet};
use picket_waf_compiler::seclang::syntax::{FileSystem, parse_files};
use picket_waf_compiler::seclang::{BASE, Options, compile, explain, strip_sources};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let level = arguments.first().map_or("1", String::as_str);
    let crs = PathBuf::from(std::env::var("CRS_DIR").unwrap_or_else(|_| "../shared/crs".into()));
    let setup = std::env::temp_dir().join(format!("picket-crs-{}.conf", std::process::id()));
    let text = format!(
        "{BASE}\nSecAction \"id:900000,phase:1,pass,t:none,nolog,tag:'OWASP_CRS',\
         setvar:tx.blocking_paranoia_level={level}\"\n"
    );
    std::fs::write(&setup, text)?;
    let files = [setup.clone(), crs.join("crs-setup.conf.example"), crs.join("rules/*.conf")];
    let begin = Instant::now();
    let configuration = parse_files(&files, &FileSystem);
    std::fs::remove_file(&setup)?;
    let configuration = configuration?;
    let parsed = begin.elapsed();
    let options =
        Options { fold: !arguments.iter().any(|argument| argument == "--no-fold"), ..Options::default() };
    let compiled = compile(configuration, &options)?;
    let total = begin.elapsed();
    for diagnostic in &compiled.diagnostics {
        println!("{diagnostic}");
    }
    let ids: Vec<u32> = arguments.iter().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    for &id in &ids {
        println!("{}", explain(&compiled.blob, id)?);
    }
    if arguments.iter().any(|argument| argument == "--always") {
        print_always(&compiled.blob)?;
    } else if ids.is_empty() {
        println!("{}", compiled.summary);
    }
    println!(
        "parsed in {parsed:?}, compiled in {:?}; without sources {} bytes",
        total - parsed,
        strip_sources(&compiled.blob)?.len()
    );
    if let Ok(path) = std::env::var("CRS_BLOB") {
        std::fs::write(path, &compiled.blob)?;
    }
    Ok(())
}

/// Rules that run in every transaction, and what TX holds at the start.
fn print_always(blob: &[u8]) -> Result<(), BlobError> {
    let rules = RuleSet::load(blob)?;
    let meta = rules.meta();
    let starts = [meta.phase1, meta.phase2, meta.phase3, meta.phase4, meta.phase5, meta.rules];
    for phase in 0..5 {
        let all = (starts[phase] as usize..starts[phase + 1] as usize).map(|at| (at, rules.rule(at)));
        let always: Vec<String> = all
            .filter(|(_, rule)| {
                rule.flags & flag::LINK == 0 && explain(blob, rule.id).is_ok_and(|rule| rule.always)
            })
            .map(|(_, rule)| {
                format!("{}{}", rule.id, if rule.flags & flag::UNCONDITIONAL != 0 { "!" } else { "" })
            })
            .collect();
        println!("phase {}: {}", phase + 1, always.join(" "));
    }
    for at in 0..rules.count::<TxInit>(Section::TxInit) {
        let init: TxInit = rules.record(Section::TxInit, at);
        let name: TextRecord = rules.record(Section::TxNames, usize::from(init.slot));
        print!("{} ", String::from_utf8_lossy(rules.text(name)));
    }
    println!();
    Ok(())
}
