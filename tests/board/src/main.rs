//! # The firmware in QEMU against the same module on this machine
//!
//! Both are devices of `picket-link` under the same policy; both are shown the same requests; every
//! answer has to be the same: decision, rules, score, fuel of each phase, memory.

mod board;
mod figures;
mod local;
mod play;
#[path = "../../../firmware/src/policy.rs"]
mod policy;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use board::{Board, Boot};
use figures::Figures;
use picket_conformance::{Record, judge_on_device, load_cases};
use play::{Played, Traffic};

/// Where everything lies, from the root of the workspace.
struct Paths {
    image: PathBuf,
    open_image: PathBuf,
    module: PathBuf,
    root: PathBuf,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [task, from, to] = args.as_slice()
        && task == "meter"
    {
        let metered = picket_host::meter_offline(&read(Path::new(from))?, &policy::POLICY.limits)?;
        return std::fs::write(to, metered.wasm).with_context(|| to.clone());
    }
    if let [task, root, image, out, piece] = args.as_slice()
        && task == "cases"
    {
        return record_cases(Path::new(root), Path::new(image), Path::new(out), piece.parse()?);
    }
    let [task, root, image, open_image, module] = args.as_slice() else {
        bail!(
            "usage: picket-board meter IN OUT | cases ROOT IMAGE OUT PIECE | test|hostile|size|record ROOT IMAGE IMAGE-WITH-VALIDATOR MODULE"
        );
    };
    let paths = Paths {
        image: image.into(),
        open_image: open_image.into(),
        module: module.into(),
        root: root.into(),
    };
    match task.as_str() {
        "hostile" => hostile(&paths),
        "test" => {
            conformance(&paths)?;
            hostile(&paths)?;
            figures::compare(&measure(&paths)?, &paths.root)
        }
        "size" => measure(&paths)?.show(),
        "record" => measure(&paths)?.record(&paths.root),
        other => bail!("{other} is no task"),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

/// What the board says to every conformance case, as `picket-conformance run` tells it of other targets.
fn record_cases(root: &Path, image: &Path, out: &Path, piece: usize) -> Result<()> {
    let mut pooled = Board::start(image, Boot::default())?;
    let mut fresh = Board::start(image, Boot { fresh: true, ..Boot::default() })?;
    let mut lines = String::new();
    for case in load_cases(&root.join("tests/cases"))? {
        let judge = |board: &mut Board| {
            judge_on_device(&mut board.client, &case.request, piece).context(case.name.clone())
        };
        let (judgement, fuel_pooled) = judge(&mut pooled)?;
        let (again, fuel_fresh) = judge(&mut fresh)?;
        ensure!(
            judgement == again,
            "{}: {judgement:?} of a pooled instance, {again:?} of a fresh one",
            case.name
        );
        let record = Record::new(&case, &judgement, Some(fuel_fresh), Some(fuel_pooled));
        lines.push_str(&serde_json::to_string(&record)?);
        lines.push('\n');
    }
    std::fs::write(out, lines).with_context(|| out.display().to_string())
}

/// Every conformance case, on both.
fn conformance(paths: &Paths) -> Result<()> {
    let cases = load_cases(&paths.root.join("tests/cases"))?;
    let wasm = read(&paths.module)?;
    for fresh in [false, true] {
        let kind = if fresh { "fresh" } else { "pooled" };
        let mut board = Board::start(&paths.image, Boot { fresh, ..Boot::default() })?;
        let mut local = local::start(Some(wasm.clone()), policy::policy(fresh))?;
        let (mut fuel, mut differing, mut wrong) = (0, 0, 0);
        for case in &cases {
            let traffic = Traffic::of(&case.request);
            let here = play::play(&mut local, &traffic).with_context(|| case.name.clone())?;
            let there = play::play(&mut board.client, &traffic).with_context(|| case.name.clone())?;
            fuel += there.fuel();
            if let Some(difference) = here.difference(&there) {
                println!("{}: {difference}", case.name);
                differing += 1;
            }
            if let Some(contradiction) = case.expect.contradiction(&there.rules, there.blocked) {
                println!("{}: {contradiction}", case.name);
                wrong += 1;
            }
        }
        println!(
            "{} cases, {kind} instances: {} the same as here, {} as expected, {fuel} fuel ({})",
            cases.len(),
            cases.len() - differing,
            cases.len() - wrong,
            board.client.info().metering,
        );
        for line in board.errors()? {
            println!("the board says: {line}");
            differing += 1;
        }
        ensure!(differing == 0 && wrong == 0, "the board and this machine are not of one mind");
    }
    Ok(())
}

/// Modules whose requests end alike and are told differently, and why. An instance with two pages and one
/// with three do not fit the heap side by side while memory grows, so that the board refuses before the
/// limit does; and 4 GiB are no length on 32 bits, so that wasmi refuses before it asks.
const TOLD_DIFFERENTLY: [&str; 3] = ["memory_growth", "memory_growth_at_once", "memory_growth_polite"];

/// The modules of the security suite: whatever they do, the board says the same as this machine, and
/// goes on.
fn hostile(paths: &Paths) -> Result<()> {
    let mut board = Board::start(&paths.open_image, Boot { bare: true, ..Boot::default() })?;
    let mut local = local::start(None, policy::policy(false))?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(paths.root.join("tests/modules"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .collect();
    files.sort();
    let (mut refused, mut failed, mut differing) = (0, 0, 0);
    let good = play::Install::of(&wat::parse_file(paths.root.join("tests/modules/good.wat"))?);
    for file in &files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let install = play::Install::of(&wat::parse_file(file)?);
        let here = install.run(&mut local).with_context(|| name.clone())?;
        let there = install.run(&mut board.client).with_context(|| name.clone())?;
        refused += usize::from(there.refused.is_some());
        failed += there.played.iter().filter(|played| played.failed()).count();
        if let Some(difference) = here.difference(&there)
            && !(TOLD_DIFFERENTLY.contains(&&*name) && here.ends_like(&there))
        {
            println!("{name}: {difference}");
            differing += 1;
        }
        // It is still a board.
        let after = good.run(&mut board.client).with_context(|| format!("after {name}"))?;
        if after.refused.is_some() || after.played.iter().any(Played::failed) {
            println!("after {name}, a good module is not taken any more: {after:?}");
            differing += 1;
        }
    }
    println!(
        "{} hostile and odd modules: {refused} refused, {failed} requests failed closed, {differing} told differently",
        files.len()
    );
    let told = |board: &mut Board, what| anyhow::Ok(board.lines_with(&["WARN", what, "at fault"])?.len());
    let (log_refused, log_failed) = (told(&mut board, " refused, ")?, told(&mut board, " failed in ")?);
    println!("the board's log tells of {log_refused} refused and {log_failed} failed");
    ensure!((log_refused, log_failed) == (refused, failed), "the board's log does not tell what happened");
    let errors = board.errors()?;
    errors.iter().for_each(|line| println!("the board says: {line}"));
    ensure!(differing == 0 && errors.is_empty(), "the board did not stand the hostile modules");
    Ok(())
}

/// What the image takes, and what requests take on it.
fn measure(paths: &Paths) -> Result<Figures> {
    let mut figures = Figures::default();
    let wasm = read(&paths.module)?;
    figures.set("module bytes", wasm.len() as u64);
    figures.set(
        "module bytes, metered",
        picket_host::meter_offline(&wasm, &policy::POLICY.limits)?.wasm.len() as u64,
    );
    for fresh in [false, true] {
        let mut board = Board::start(&paths.image, Boot { fresh, ..Boot::default() })?;
        let kind = if fresh { "fresh" } else { "pooled" };
        if !fresh {
            let start = board.status()?;
            figures.set("flash bytes", start.flash_bytes.unwrap_or(0));
            figures.set("static RAM bytes", start.static_bytes.unwrap_or(0));
            figures.set("heap bytes, loaded", start.heap_used.unwrap_or(0));
            figures.set("heap bytes, peak of loading", start.heap_peak.unwrap_or(0));
            figures.set("native stack bytes, loading", start.stack_peak.unwrap_or(0));
        }
        for (name, traffic) in
            [("GET of 106 bytes", Traffic::get()), ("request of 1 KiB", Traffic::kibibyte())]
        {
            // Warm: code is translated, tables are unpacked.
            let mut last = None;
            for _ in 0..3 {
                last = Some(play::play(&mut board.client, &traffic)?);
            }
            let before = board.allocations()?;
            let played = play::play(&mut board.client, &traffic)?;
            let allocations = board.allocations()? - before;
            ensure!(!played.blocked && !played.failed(), "{name} is not clean: {played:?}");
            ensure!(last.as_ref().map(Played::fuel) == Some(played.fuel()), "{name} is not repeatable");
            figures.set(&format!("instructions, {name}, {kind}"), played.instructions());
            figures.set(&format!("fuel, {name}, {kind}"), played.fuel());
            figures.set(&format!("allocations, {name}, {kind}"), allocations);
            figures.set("guest memory bytes", played.memory_peak);
        }
        if !fresh {
            for case in load_cases(&paths.root.join("tests/cases"))? {
                play::play(&mut board.client, &Traffic::of(&case.request))?;
            }
            let end = board.status()?;
            figures.set("heap bytes, after all cases", end.heap_used.unwrap_or(0));
            figures.set("heap bytes, peak", end.heap_peak.unwrap_or(0));
            figures.set("native stack bytes", end.stack_peak.unwrap_or(0));
            let ram = figures.get("static RAM bytes")
                + figures.get("heap bytes, peak")
                + figures.get("native stack bytes");
            figures.set("RAM bytes, all in", ram);
            let guest = figures.get("guest memory bytes");
            figures.set("wasmi and host bytes", figures.get("heap bytes, after all cases") - guest);
        }
    }
    let open = Board::start(&paths.open_image, Boot::default())?.status()?;
    figures.set("flash bytes, with validator", open.flash_bytes.unwrap_or(0));
    Ok(figures)
}
