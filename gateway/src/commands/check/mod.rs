//! `picket check`: requests judged without a network, from files or as JSON lines.
//!
//! ```text
//! raw files ─ raw ──┐
//!                   ├─▶ Exchange ─ judge | remote ─▶ Judgement ─ show ─▶ table | JSON | JSON lines
//! JSON lines ─ lines┘
//! ```

pub(crate) mod exchange;
pub(crate) mod judge;
mod lines;
pub(crate) mod raw;
mod remote;
mod show;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use picket::config::{RULES_LIMITS, RulesConfig};
use picket::embedded::Builtin;
use picket::rules::Rules;
use picket_abi::{SeqBuf, Setting};
use picket_host::{Isolation, Limits, Metering};
use picket_link::Address;

use self::exchange::{Exchange, Prepared};
pub(crate) use self::judge::Engine;
use self::judge::{Extent, Failed, Judge, Judgement, Setup};

/// Exit code when a request is blocked and nothing failed.
const EXIT_BLOCKED: u8 = 1;

/// Arguments of `picket check`.
#[derive(clap::Args)]
#[command(after_help = "\
The verdict is the gateway's. Matches are collected over the whole request, also behind the point
at which the gateway would have answered it; fuel and time count that too.

Exit code: 0 all requests pass, 1 one is blocked, 2 something failed.")]
pub struct Args {
    /// Files with one raw HTTP/1.1 request each, or folders of such files; `-` is standard input
    files: Vec<PathBuf>,
    /// Read requests as JSON lines from standard input and answer each with a line
    ///
    /// In: {"id":1,"method":"GET","uri":"/?q=x","version":"HTTP/1.1","headers":[["Host","a"]],
    /// "body_base64":""}, with a "response" {"status","headers","body_base64"} if wanted. Out:
    /// {"id":1,"rule_ids":[],"blocked":false,"score":0,"fuel":0,"micros":0}, or {"id","error"}.
    #[arg(long, conflicts_with_all = ["files", "json"])]
    jsonl: bool,
    /// What judges: a backend, or `native` for the built-in WAF without a sandbox
    #[arg(long, value_name = "BACKEND")]
    backend: Option<Engine>,
    /// A device judges: `tcp://HOST:PORT` or `serial:/dev/ttyX[@BAUD]`
    ///
    /// Where a module, rules or settings are given, the device has them from then on: what differs from
    /// what it has is transferred. Where none are, it judges with what it has.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "backend")]
    device: Option<Address>,
    /// Longest wait for a device's answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "device")]
    timeout: u64,
    /// Bytes of a body that are shown at once, at most 16 KiB; a device may take less
    #[arg(long, value_name = "BYTES", default_value_t = Limits::WAF.chunk_bytes, value_parser = piece)]
    chunk: usize,
    #[command(flatten)]
    filter: FilterArgs,
    /// Show for each match the value, what changed it, and the part that matched
    #[arg(long)]
    explain: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The filter and its settings, for `check` and `bench`.
#[derive(clap::Args)]
pub(crate) struct FilterArgs {
    /// The filter's module; the built-in WAF if none is named
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// Rules in SecLang in place of the built-in ones: rule files or patterns of them in their order, or
    /// one compiled ruleset; may be given again
    #[arg(long, value_name = "FILE", conflicts_with = "threshold")]
    rules: Vec<PathBuf>,
    /// The rules stand alone: without the recommended base configuration before them
    #[arg(long, requires = "rules")]
    no_base: bool,
    /// Rules that are faulty or not understood are left out; without this they are refused
    #[arg(long, requires = "rules")]
    lenient: bool,
    /// The filter's settings: a TOML file with the keys of a [filter.NAME.config] table
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Report matches and let every request pass (the WAF's `mode = "detect"`)
    #[arg(long)]
    detect: bool,
    /// Score at which the WAF blocks
    #[arg(long, value_name = "SCORE")]
    threshold: Option<u32>,
    /// Who counts fuel: the module itself, alike on every backend, or the engine, in its own way
    #[arg(long, value_enum, default_value_t = MeteringArg::Canonical)]
    metering: MeteringArg,
}

/// The modes of metering, as words of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum MeteringArg {
    /// The module itself
    Canonical,
    /// The engine
    Native,
}

impl From<MeteringArg> for Metering {
    fn from(metering: MeteringArg) -> Self {
        match metering {
            MeteringArg::Canonical => Metering::Canonical,
            MeteringArg::Native => Metering::Native,
        }
    }
}

fn piece(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes @ 1..) if bytes <= Limits::WAF.chunk_bytes => Ok(bytes),
        _ => Err(format!("not a number from 1 to {}", Limits::WAF.chunk_bytes)),
    }
}

/// What a filter is made of, each in the form in which a device takes it. `None` is what was not named.
pub(crate) struct Parts {
    pub(crate) module: Option<Vec<u8>>,
    pub(crate) ruleset: Option<Vec<u8>>,
    pub(crate) settings: Option<SeqBuf<Setting<'static>>>,
}

impl FilterArgs {
    /// Who counts fuel.
    pub(crate) fn metering(&self) -> Metering {
        self.metering.into()
    }

    /// Reads what was named. Rules without a module are for the engine that is meant for them.
    pub(crate) fn parts(&self, explain: bool) -> anyhow::Result<Parts> {
        let table = self.settings(explain)?;
        let rules = self.read_rules()?;
        let module = match (&self.module, &rules) {
            (Some(file), _) => Some(std::fs::read(file).with_context(|| file.display().to_string())?),
            (None, Some(_)) => Some(Builtin::SecLang.module()?.into_owned()),
            (None, None) => None,
        };
        let settings = (!table.is_empty()).then(|| picket::config::settings(&table));
        Ok(Parts { module, ruleset: rules.map(|rules| rules.blob), settings })
    }

    /// The settings, as a table of the configuration has them.
    fn settings(&self, explain: bool) -> anyhow::Result<toml::Table> {
        let mut table = toml::Table::new();
        if let Some(file) = &self.config {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            table = text.parse().with_context(|| file.display().to_string())?;
        }
        if self.detect {
            table.insert("mode".into(), "detect".into());
        }
        if let Some(threshold) = self.threshold {
            table.insert("threshold".into(), i64::from(threshold).into());
        }
        if explain {
            table.insert("explain".into(), true.into());
        }
        Ok(table)
    }

    fn read_rules(&self) -> anyhow::Result<Option<Rules>> {
        if self.rules.is_empty() {
            return Ok(None);
        }
        let files = self.rules.clone();
        let config = RulesConfig { files, base: !self.no_base, lenient: self.lenient };
        let rules = Rules::load(&config)?;
        rules.remarks.iter().for_each(|remark| eprintln!("{remark}"));
        Ok(Some(rules))
    }

    /// Reads the module, unless no engine of these needs one, and the settings.
    pub(crate) fn setup(&self, engines: &[Engine], explain: bool, extent: Extent) -> anyhow::Result<Setup> {
        let table = self.settings(explain)?;
        let native_only = !engines.iter().any(|engine| matches!(engine, Engine::Wasm(_)));
        let rules = self.read_rules()?;
        let module: Option<Cow<'static, [u8]>> = match &self.module {
            Some(_) if native_only => bail!("--module needs a backend that runs modules"),
            None if rules.is_some() && !native_only => Some(Builtin::SecLang.module()?),
            Some(file) => Some(std::fs::read(file).with_context(|| file.display().to_string())?.into()),
            None if native_only => None,
            None => Some(Builtin::Waf.module()?),
        };
        let module = match (module, &rules) {
            (Some(module), Some(rules)) => Some(rules.bake(&module)?.into()),
            (module, _) => module,
        };
        let limits = if rules.is_some() { RULES_LIMITS } else { Limits::WAF };
        let limits = Limits { metering: self.metering.into(), ..limits };
        Ok(Setup {
            module,
            #[cfg(feature = "native")]
            rules: rules.map(|rules| rules.blob),
            limits,
            settings: picket::config::settings(&table),
            extent,
            piece: Limits::WAF.chunk_bytes,
        })
    }

    /// Whether a module was named: the native engine then judges something else.
    pub(crate) fn names_a_module(&self) -> bool {
        self.module.is_some()
    }
}

/// Runs the command; errors go to standard error.
pub fn run(args: Args) -> ExitCode {
    match check(&args) {
        Ok(tally) => tally.exit_code(),
        Err(error) => {
            eprintln!("picket: {}", super::with_causes(&error));
            ExitCode::from(crate::EXIT_ERROR)
        }
    }
}

/// What happened over all requests.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    blocked: bool,
    failed: bool,
}

impl Tally {
    fn count(&mut self, outcome: &Result<Judgement, String>) {
        match outcome {
            Ok(judgement) => self.blocked |= judgement.blocked(),
            Err(_) => self.failed = true,
        }
    }

    fn exit_code(self) -> ExitCode {
        match self {
            Tally { failed: true, .. } => ExitCode::from(crate::EXIT_ERROR),
            Tally { blocked: true, .. } => ExitCode::from(EXIT_BLOCKED),
            Tally { .. } => ExitCode::SUCCESS,
        }
    }
}

fn check(args: &Args) -> anyhow::Result<Tally> {
    if !args.jsonl && args.files.is_empty() {
        bail!("no requests: name files, or feed --jsonl");
    }
    let (mut judge, place): (Box<dyn Judge>, _) = match &args.device {
        Some(address) => {
            let parts = args.filter.parts(args.explain)?;
            let timeout = Duration::from_secs(args.timeout);
            let judge = remote::Remote::new(address.clone(), timeout, parts, args.chunk)?;
            let info = judge.info();
            let (backend, metering) = (info.backend.clone(), Some(info.metering.clone()));
            let place = Place { backend, metering, device: Some(address.to_string()) };
            (Box::new(judge), place)
        }
        None => {
            let engine = match args.backend.or_else(Engine::default_backend) {
                Some(engine) => engine,
                None => bail!("this build has no backend"),
            };
            let mut setup = args.filter.setup(&[engine], args.explain, Extent::WholeRequest)?;
            setup.piece = args.chunk;
            let metering = matches!(engine, Engine::Wasm(_)).then(|| setup.limits.metering.name().to_owned());
            let place = Place { backend: engine.name().to_owned(), metering, device: None };
            (setup.judge(engine, Isolation::Fresh)?, place)
        }
    };
    let stdout = io::stdout().lock();
    if args.jsonl {
        return judge_lines(&mut *judge, io::stdin().lock(), stdout, args.explain);
    }
    judge_files(&mut *judge, &place, args, stdout)
}

/// Where requests are judged.
struct Place {
    /// The engine's name.
    backend: String,
    /// Who counts fuel, if anybody does.
    metering: Option<String>,
    /// The device's address, if it is on one.
    device: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.device {
            None => f.write_str(&self.backend),
            Some(device) => write!(f, "{} at {device}", self.backend),
        }
    }
}

/// Answers each line with a line, at once: whoever feeds them may wait for the answer.
fn judge_lines(
    judge: &mut dyn Judge,
    mut input: impl BufRead,
    mut output: impl Write,
    explain: bool,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut line = Vec::new();
    let mut answer = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line).context("standard input")? == 0 {
            return Ok(tally);
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (id, outcome) = match lines::parse(&line) {
            Ok((id, exchange)) => {
                let judged = judge.judge(&Prepared::new(exchange));
                (id, judged.map_err(|failed: Failed| failed.to_string()))
            }
            Err(bad) => (bad.id, Err(bad.message)),
        };
        tally.count(&outcome);
        answer.clear();
        show::line(&mut answer, id, &outcome, explain);
        match output.write_all(&answer).and_then(|()| output.flush()) {
            // Whoever read the answers has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(tally),
            written => written.context("standard output")?,
        }
    }
}

fn judge_files(
    judge: &mut dyn Judge,
    place: &Place,
    args: &Args,
    mut output: impl Write,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut outcomes = Vec::new();
    for (name, exchange) in read_requests(&args.files)? {
        let outcome = exchange
            .map_err(|error| super::with_causes(&error))
            .and_then(|exchange| judge.judge(&Prepared::new(exchange)).map_err(|failed| failed.to_string()));
        tally.count(&outcome);
        outcomes.push((name, outcome));
    }
    let text = if args.json {
        format!("{:#}\n", show::json(place, &outcomes))
    } else {
        show::text(place, &outcomes, args.explain, super::table::colour())
    };
    // A reader that has gone away (`| head`) changes nothing about the verdicts.
    output.write_all(text.as_bytes()).ok();
    Ok(tally)
}

/// A request by the name of its file, or why the file holds none.
pub(crate) type Named = (String, anyhow::Result<Exchange>);

/// Reads files, and the files of folders sorted by name. What cannot be read is listed with its
/// error: one bad file among many does not hide the verdicts of the others.
///
/// # Errors
/// If a path that was named does not exist, or a folder holds no file.
pub(crate) fn read_requests(paths: &[PathBuf]) -> anyhow::Result<Vec<Named>> {
    let mut requests = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).context("standard input")?;
            requests.push(("-".to_owned(), raw::parse(&bytes).map_err(anyhow::Error::from)));
            continue;
        }
        let metadata = std::fs::metadata(path).with_context(|| path.display().to_string())?;
        if metadata.is_dir() {
            let before = requests.len();
            read_folder(path, &mut requests).with_context(|| path.display().to_string())?;
            if requests.len() == before {
                bail!("{}: no files", path.display());
            }
        } else {
            requests.push(read_file(path));
        }
    }
    Ok(requests)
}

fn read_file(path: &Path) -> Named {
    let exchange = std::fs::read(path).map_err(anyhow::Error::from).and_then(|bytes| Ok(raw::parse(&bytes)?));
    (path.display().to_string(), exchange)
}

fn read_folder(folder: &Path, requests: &mut Vec<Named>) -> io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        // Hidden files are an editor's or a version control's, not requests.
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // Not through links: a folder may link to itself.
        match entry.file_type()? {
            kind if kind.is_dir() => read_folder(&entry.path(), requests)?,
            _ => requests.push(read_file(&entry.path())),
        }
    }
    Ok(())
}
