//! `picket bench`: the same requests over the backends, turn and turn about, so that whatever else
//! the machine does meets all of them alike.

mod samples;
mod show;
mod stats;

use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use picket::backend::BackendKind;
use picket_host::{
    CallContext, ConfigureBuf, Environment, Filter, Isolation, Metering, ModuleDigest, Source, prepare,
};

use self::stats::Samples;
use super::check::exchange::Prepared;
use super::check::judge::{Engine, Extent, Judge, Setup};
use super::check::{FilterArgs, read_requests};

/// Instances that a pooled lane keeps; requests come one after the other, so that one is used.
const POOL: usize = 1;
/// Loads of which the median is reported.
const LOADS: usize = 5;
/// Instantiations of which the median is reported.
const INSTANTIATIONS: usize = 101;
/// Times of one request on one lane that are kept at most.
const MAX_ROUNDS: u64 = 1_000_000;

/// Arguments of `picket bench`.
#[derive(clap::Args)]
#[command(after_help = "\
Each round sends every request through every lane, and the next round begins with another lane. A
lane is a backend with fresh instances (a new one for each request) or with pooled ones. Times are of
whole transactions, up to the filter's answer; fuel is the same on every
backend, but with --metering=native it is that of the backend and compares with itself only.

Exit code: 0 measured, 1 measured but the lanes disagree on a verdict, 2 something failed.")]
pub struct Args {
    /// Files with one raw HTTP/1.1 request each, or folders of such files; a built-in set if none
    files: Vec<PathBuf>,
    /// Backends, `native` among them; all of this build if none is named
    #[arg(long, value_name = "BACKEND", value_delimiter = ',')]
    backend: Vec<Engine>,
    /// Instances to measure with
    #[arg(long, value_enum, default_value_t = Instances::Both)]
    instances: Instances,
    #[command(flatten)]
    filter: FilterArgs,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    seconds: f64,
    /// Measure that many rounds instead
    #[arg(long, conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..=MAX_ROUNDS))]
    rounds: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// Which instances are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Instances {
    /// A new one for each request
    Fresh,
    /// One that is used again
    Pooled,
    /// Both, each a lane of its own
    Both,
}

/// Runs the command; errors go to standard error.
pub fn run(args: Args) -> ExitCode {
    match bench(&args) {
        Ok(measured) => {
            let text = if args.json {
                format!("{:#}\n", show::json(&measured))
            } else {
                show::text(&measured, super::table::colour())
            };
            // A reader that has gone away changes nothing about the measurement.
            std::io::stdout().write_all(text.as_bytes()).ok();
            match measured.disagreement() {
                None => ExitCode::SUCCESS,
                Some(request) => {
                    eprintln!("picket: the lanes disagree on {request}");
                    ExitCode::from(1)
                }
            }
        }
        Err(error) => {
            eprintln!("picket: {}", super::with_causes(&error));
            ExitCode::from(crate::EXIT_ERROR)
        }
    }
}

/// One engine with one kind of instances, and what was measured on it.
struct Lane {
    engine: Engine,
    isolation: Isolation,
    judge: Box<dyn Judge>,
    load: Option<Load>,
    results: Vec<Measured>,
}

impl Lane {
    /// `fresh`, `pooled`; empty natively.
    fn instances(&self) -> &'static str {
        match (self.engine, self.isolation) {
            #[cfg(feature = "native")]
            (Engine::Native, _) => "",
            (_, Isolation::Fresh) => "fresh",
            (_, Isolation::Pooled { .. }) => "pooled",
        }
    }
}

/// What it takes to bring up a module.
#[derive(Clone, Copy, Debug)]
struct Load {
    /// Median time from bytes to a filter with its first instance.
    load: Duration,
    /// Median time of an instance.
    instantiate: Duration,
    /// Bytes of compiled code, where the engine tells.
    compiled_bytes: Option<usize>,
}

/// One request on one lane.
#[derive(Clone, Debug, Default)]
struct Measured {
    samples: Samples,
    rule_ids: Vec<u32>,
    blocked: bool,
    score: u32,
    fuel: u64,
}

/// Everything that was measured.
struct Measurement {
    module: Option<(ModuleDigest, usize)>,
    names: Vec<String>,
    lanes: Vec<Lane>,
    rounds: u64,
    metering: Metering,
}

impl Measurement {
    /// The first request on which two lanes have different verdicts.
    fn disagreement(&self) -> Option<&str> {
        let (first, others) = self.lanes.split_first()?;
        let differ = |n: usize| {
            others.iter().any(|lane| {
                let (left, right) = (&first.results[n], &lane.results[n]);
                (&left.rule_ids, left.blocked, left.score) != (&right.rule_ids, right.blocked, right.score)
            })
        };
        (0..self.names.len()).find(|&n| differ(n)).map(|n| self.names[n].as_str())
    }
}

fn bench(args: &Args) -> anyhow::Result<Measurement> {
    if !(args.seconds.is_finite() && args.seconds > 0.0 && args.seconds <= 86_400.0) {
        bail!("--seconds: {} is not between 0 and 86400", args.seconds);
    }
    let mut engines = args.backend.clone();
    if engines.is_empty() {
        engines = Engine::all();
        if args.filter.names_a_module() {
            engines.retain(|engine| matches!(engine, Engine::Wasm(_)));
        }
    }
    let setup = args.filter.setup(&engines, false, Extent::UpToAnswer)?;
    let requests = requests(args)?;
    let mut lanes = lanes(&engines, args.instances, &setup, requests.len())?;

    let progress = Progress::new(args);
    progress.say(&format!("{} requests on {} lanes", requests.len(), lanes.len()));
    // Once without a clock: caches are filled, and what fails does so before anybody has waited.
    round(&mut lanes, &requests, 0, false)?;
    let start = Instant::now();
    let limit = Duration::from_secs_f64(args.seconds);
    let mut rounds = 0;
    loop {
        let done = match args.rounds {
            Some(wanted) => rounds as f64 / wanted as f64,
            None => start.elapsed().as_secs_f64() / limit.as_secs_f64(),
        };
        if done >= 1.0 || rounds == MAX_ROUNDS {
            break;
        }
        progress.show(done, rounds);
        round(&mut lanes, &requests, rounds, true)?;
        rounds += 1;
    }
    progress.end();
    let module = setup.module.as_deref().map(|wasm| (ModuleDigest::of(wasm), wasm.len()));
    let names = requests.into_iter().map(|(name, _)| name).collect();
    Ok(Measurement { module, names, lanes, rounds, metering: setup.limits.metering })
}

fn requests(args: &Args) -> anyhow::Result<Vec<(String, Prepared)>> {
    if args.files.is_empty() {
        let builtin = samples::builtin();
        return Ok(builtin.into_iter().map(|(name, exchange)| (name, Prepared::new(exchange))).collect());
    }
    read_requests(&args.files)?
        .into_iter()
        .map(|(name, exchange)| {
            let exchange = exchange.with_context(|| name.clone())?;
            Ok((name, Prepared::new(exchange)))
        })
        .collect()
}

fn lanes(
    engines: &[Engine],
    instances: Instances,
    setup: &Setup,
    requests: usize,
) -> anyhow::Result<Vec<Lane>> {
    let mut lanes = Vec::new();
    for &engine in engines {
        let (load, isolations) = match engine {
            #[cfg(feature = "native")]
            Engine::Native => (None, vec![Isolation::Pooled { max_idle: POOL }]),
            Engine::Wasm(kind) => {
                let load = load(kind, setup).with_context(|| kind.name())?;
                let mut isolations = Vec::new();
                if instances != Instances::Pooled {
                    isolations.push(Isolation::Fresh);
                }
                if instances != Instances::Fresh {
                    isolations.push(Isolation::Pooled { max_idle: POOL });
                }
                (Some(load), isolations)
            }
        };
        for isolation in isolations {
            let judge = setup.judge(engine, isolation).with_context(|| engine.name())?;
            let results = vec![Measured::default(); requests];
            lanes.push(Lane { engine, isolation, judge, load, results });
        }
    }
    Ok(lanes)
}

fn load(kind: BackendKind, setup: &Setup) -> anyhow::Result<Load> {
    let backend = kind.build()?;
    let wasm = setup.module()?;
    let policy = setup.policy(Isolation::Fresh)?;
    let environment = Arc::new(Environment::closed());
    let mut loads = Samples::default();
    for _ in 0..LOADS {
        let configure = ConfigureBuf { settings: setup.settings.clone(), data: Vec::new() };
        let source = Source { id: "bench", wasm };
        let start = Instant::now();
        let filter = Filter::load(&*backend, source, policy, configure, environment.clone())?;
        loads.push(nanos(start.elapsed()));
        drop(filter);
    }
    let prepared = prepare(wasm, &policy.limits, &environment.trusted)?;
    let module = backend.compile(&prepared, &policy.limits)?;
    let mut instantiations = Samples::default();
    for _ in 0..INSTANTIATIONS {
        let context = CallContext::new("bench".into(), &policy.limits, environment.clone());
        let start = Instant::now();
        let instance = module.instantiate(context, &policy.limits.setup)?;
        instantiations.push(nanos(start.elapsed()));
        drop(instance);
    }
    Ok(Load {
        load: Duration::from_nanos(loads.percentile(50)),
        instantiate: Duration::from_nanos(instantiations.percentile(50)),
        compiled_bytes: module.compiled_size(),
    })
}

/// Sends every request through every lane; which lane begins goes by the round.
fn round(
    lanes: &mut [Lane],
    requests: &[(String, Prepared)],
    number: u64,
    record: bool,
) -> anyhow::Result<()> {
    let count = lanes.len();
    for (n, (name, exchange)) in requests.iter().enumerate() {
        for turn in 0..count {
            let lane = &mut lanes[(turn + number as usize) % count];
            let judgement = lane
                .judge
                .judge(exchange)
                .with_context(|| format!("{name} on {} {}", lane.engine.name(), lane.instances()))?;
            let result = &mut lane.results[n];
            if record {
                result.samples.push(nanos(judgement.time));
            }
            result.rule_ids = judgement.rule_ids();
            result.blocked = judgement.blocked();
            result.score = judgement.score;
            result.fuel = judgement.fuel;
        }
    }
    Ok(())
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Progress on standard error: a line that changes on a terminal, otherwise only what begins.
struct Progress {
    quiet: bool,
    terminal: bool,
}

impl Progress {
    fn new(args: &Args) -> Self {
        Progress { quiet: args.quiet, terminal: std::io::stderr().is_terminal() }
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    fn show(&self, done: f64, rounds: u64) {
        // The terminal is written to between measurements, and seldom.
        if !self.quiet && self.terminal && rounds.is_multiple_of(16) {
            eprint!("\r{:3.0} %  {rounds} rounds", done.min(1.0) * 100.0);
        }
    }

    fn end(&self) {
        if !self.quiet && self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}
