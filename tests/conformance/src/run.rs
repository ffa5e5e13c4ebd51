//! `picket-conformance run`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use picket_conformance::{Case, Record, Sandbox, load_cases, settings_buf};
use picket_host::{Backend, Isolation, Limits};
use picket_host_wasmi::WasmiBackend;

/// Arguments of `picket-conformance run`.
#[derive(clap::Args)]
pub struct Args {
    /// The module
    #[arg(long, value_name = "FILE", required_unless_present = "device")]
    module: Option<PathBuf>,
    /// The engine
    #[arg(long, default_value = "wasmi")]
    backend: Engine,
    /// A device that judges with a module of its own: tcp://HOST:PORT, serial:/dev/ttyX[@BAUD]
    #[cfg(feature = "device")]
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["module", "backend"])]
    device: Option<picket_link::Address>,
    /// The device has a new instance for every request
    #[cfg(feature = "device")]
    #[arg(long, requires = "device")]
    fresh: bool,
    /// The folder of the cases
    #[arg(long, value_name = "DIR", default_value = "tests/cases")]
    cases: PathBuf,
    /// Bytes of a body that are shown at once
    #[arg(long, value_name = "BYTES", default_value_t = Limits::WAF.chunk_bytes, value_parser = piece)]
    piece: usize,
}

fn piece(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a piece has at least one byte".into()),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(format!("{error}")),
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    Wasmi,
    #[cfg(feature = "wasmtime")]
    Wasmtime,
}

impl Engine {
    fn start(self) -> anyhow::Result<Box<dyn Backend>> {
        Ok(match self {
            Engine::Wasmi => Box::new(WasmiBackend::new()),
            #[cfg(feature = "wasmtime")]
            Engine::Wasmtime => Box::new(picket_host_wasmtime::WasmtimeBackend::new()?),
        })
    }
}

/// Judges a case.
type Judge = Box<dyn FnMut(&Case) -> anyhow::Result<Record>>;

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let cases = load_cases(&args.cases)?;
    ensure!(!cases.is_empty(), "{} holds no cases", args.cases.display());
    let mut judge = judge(args)?;
    let mut out = std::io::stdout().lock();
    let mut as_expected = true;
    for case in &cases {
        let record = judge(case).with_context(|| case.name.clone())?;
        as_expected &= record.contradiction.is_none();
        serde_json::to_writer(&mut out, &record)?;
        out.write_all(b"\n")?;
    }
    Ok(if as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn judge(args: &Args) -> anyhow::Result<Judge> {
    let piece = args.piece;
    #[cfg(feature = "device")]
    if let Some(address) = &args.device {
        let client = picket_link::Client::connect(address.clone(), picket_link::Options::default());
        let mut client = client.with_context(|| address.to_string())?;
        let (limit, fresh) = (client.max_chunk(), args.fresh);
        ensure!(piece <= limit, "the device takes at most {limit} bytes at once, not {piece}: use --piece");
        return Ok(Box::new(move |case| {
            let (judgement, fuel) = picket_conformance::judge_on_device(&mut client, &case.request, piece)?;
            Ok(Record::new(case, &judgement, fresh.then_some(fuel), (!fresh).then_some(fuel)))
        }));
    }
    let module = args.module.as_ref().context("no module")?;
    let wasm = std::fs::read(module).with_context(|| module.display().to_string())?;
    let backend = args.backend.start()?;
    let settings = settings_buf(&[]);
    let load = |isolation| Sandbox::load(&*backend, &wasm, &settings, isolation);
    let (fresh, pooled) = (load(Isolation::Fresh)?, load(Isolation::Pooled { max_idle: 1 })?);
    Ok(Box::new(move |case| {
        let (judgement, fuel_fresh) = fresh.judge_in_pieces(&case.request, piece);
        let (again, fuel_pooled) = pooled.judge_in_pieces(&case.request, piece);
        ensure!(judgement == again, "{judgement:?} of a fresh instance, {again:?} of a pooled one");
        Ok(Record::new(case, &judgement, Some(fuel_fresh), Some(fuel_pooled)))
    }))
}
