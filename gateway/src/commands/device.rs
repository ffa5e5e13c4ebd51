//! `picket device`: this machine as a device that judges for others, over TCP or a serial line.

use std::borrow::Cow;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use picket::backend::BackendKind;
use picket::config::RULES_LIMITS;
use picket::embedded::Builtin;
use picket_abi::CapabilitySet;
use picket_host::{Backend, Environment, Limits, Micros, Policy};
use picket_link::{Address, Appliance, Device, Line, Profile, Shelf, Vitals};
use serde_json::json;

use super::check::FilterArgs;

/// Bytes that a frame may have: the heads of any request that the gateway takes.
const INPUT: usize = 256 << 10;
/// Bytes of an answer's frames.
const OUTPUT: usize = 16 << 10;
/// Sessions at the same time. Each has its buffers and its thread.
const SESSIONS: usize = 64;
/// Bytes of the largest module and ruleset that are taken.
const MAX_ARTIFACT: u32 = 16 << 20;
/// Bytes of the longest settings.
const MAX_SETTINGS: u32 = 64 << 10;

/// Arguments of `picket device`.
#[derive(clap::Args)]
#[command(after_help = "\
Whoever reaches the address can have requests judged and install other modules: it belongs on a serial
line, on loopback, or on a network of its own. `picket check --device ADDRESS` speaks to it, and a filter
of the gateway with `device = \"ADDRESS\"`.")]
pub struct Args {
    /// Where to listen: `tcp://ADDR:PORT`, port 0 for a free one, or `serial:/dev/ttyX[@BAUD]`
    #[arg(long, value_name = "ADDRESS")]
    listen: Address,

    /// Engine that runs the filter
    #[arg(long, value_name = "NAME")]
    backend: Option<BackendKind>,

    #[command(flatten)]
    filter: FilterArgs,

    /// Begin without a filter, and wait for a module
    #[arg(long, conflicts_with_all = ["module", "rules"])]
    empty: bool,

    /// Do not take modules, rulesets and settings from clients
    #[arg(long)]
    fixed: bool,

    /// Transactions of a session at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = clap::value_parser!(u8).range(1..))]
    slots: u8,

    /// File to write the address to, as JSON, when the device listens
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

/// Judges until the process ends.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let kind =
        args.backend.or_else(|| BackendKind::ALL.first().copied()).context("this build has no backend")?;
    let backend: Arc<dyn Backend> = kind.build()?.into();
    let environment = Arc::new(Environment::closed());
    let shelf = Shelf::empty();
    let profile = profile(&args);
    let appliance =
        move || Appliance::new(profile, Some(backend.clone()), environment.clone(), shelf.clone());
    if !args.empty {
        let parts = args.filter.parts(false)?;
        let module = match parts.module {
            Some(module) => Cow::Owned(module),
            None => Builtin::Waf.module()?,
        };
        let settings = parts.settings.map(|settings| settings.encoded().to_vec());
        appliance().install_parts(module.into_owned(), parts.ruleset, settings)?;
    }
    started();
    match &args.listen {
        Address::Tcp { authority } => {
            let listener = TcpListener::bind(authority).with_context(|| args.listen.to_string())?;
            let address = Address::Tcp { authority: listener.local_addr()?.to_string() };
            announce(&address, args.ready_file.as_deref())?;
            serve_tcp(&listener, &appliance)
        }
        #[cfg(unix)]
        Address::Serial { path, baud } => {
            let line = picket_link::open_serial(path, *baud).with_context(|| args.listen.to_string())?;
            announce(&args.listen, args.ready_file.as_deref())?;
            serve(appliance(), line).with_context(|| args.listen.to_string())?;
            bail!("{}: the line has ended", args.listen)
        }
        #[cfg(not(unix))]
        Address::Serial { .. } => bail!("serial lines need a Unix system"),
    }
}

fn profile(args: &Args) -> Profile {
    let policy = |limits| {
        let limits = Limits { metering: args.filter.metering(), ..limits };
        let mut policy = Policy { limits, capabilities: CapabilitySet::ALL, ..Policy::WAF };
        // What bounds a call is its fuel, which repeats; a client that waits has its own patience.
        for budget in [&mut policy.limits.call, &mut policy.limits.setup] {
            budget.deadline = Micros::from_millis(10_000);
        }
        policy
    };
    let most = |bytes| if args.fixed { 0 } else { bytes };
    let mut profile = Profile::new("picket device");
    profile.target = TARGET;
    profile.metering = args.filter.metering().name();
    profile.max_module = most(MAX_ARTIFACT);
    profile.max_ruleset = most(MAX_ARTIFACT);
    profile.max_settings = most(MAX_SETTINGS);
    profile.slots = args.slots;
    profile.policy = policy(Limits::WAF);
    profile.rules_policy = policy(RULES_LIMITS);
    profile.vitals = vitals;
    profile
}

/// What this program was built for, as far as it is known to itself.
const TARGET: &str =
    match (cfg!(target_arch = "x86_64"), cfg!(target_arch = "aarch64"), cfg!(target_arch = "arm")) {
        (true, _, _) => "x86_64",
        (_, true, _) => "aarch64",
        (_, _, true) => "arm",
        _ => "other",
    };

/// When the device was started.
fn started() -> Instant {
    static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *STARTED.get_or_init(Instant::now)
}

/// What the system tells of this process.
fn vitals() -> Vitals {
    let kibibytes = |name: &str| -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse().ok()
    };
    Vitals {
        uptime_us: u64::try_from(started().elapsed().as_micros()).ok(),
        heap_used: kibibytes("VmData").map(|size| size << 10),
        heap_peak: kibibytes("VmHWM").map(|size| size << 10),
        ..Vitals::default()
    }
}

fn serve_tcp(
    listener: &TcpListener,
    appliance: &(impl Fn() -> Appliance + Sync),
) -> anyhow::Result<ExitCode> {
    let sessions = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, usually: they come back when a session ends.
                    eprintln!("picket: cannot accept: {error}");
                    std::thread::sleep(Duration::from_millis(100));
                    continue;
                }
            };
            if sessions.fetch_add(1, Ordering::Relaxed) >= SESSIONS {
                sessions.fetch_sub(1, Ordering::Relaxed);
                eprintln!("picket: {SESSIONS} sessions are open, another one was refused");
                continue;
            }
            let (appliance, sessions) = (appliance(), &sessions);
            scope.spawn(move || {
                // A client that breaks off ends its session, which is nothing to report.
                let _ = session(appliance, stream);
                sessions.fetch_sub(1, Ordering::Relaxed);
            });
        }
    })
}

fn session(appliance: Appliance, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    serve(appliance, Buffered { reader: BufReader::new(stream.try_clone()?), writer: stream })
}

/// A connection that is read in large pieces: a device reads small ones.
struct Buffered {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Read for Buffered {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buf)
    }
}

impl Write for Buffered {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.writer.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn serve<S: Read + Write>(appliance: Appliance, line: S) -> io::Result<()> {
    let (mut input, mut output) = (vec![0; INPUT], vec![0; OUTPUT]);
    match Device::new(appliance, &mut input, &mut output) {
        Ok(mut device) => device.serve(&mut Line(line)),
        Err(short) => Err(io::Error::other(short)),
    }
}

/// Says where the device is; the file in one step, so that a reader sees all of it or nothing.
fn announce(address: &Address, file: Option<&Path>) -> anyhow::Result<()> {
    eprintln!("picket: device on {address}");
    let Some(file) = file else { return Ok(()) };
    let mut draft = file.as_os_str().to_owned();
    draft.push(".new");
    let text = json!({ "device": address.to_string() });
    std::fs::write(&draft, format!("{text}\n"))
        .and_then(|()| std::fs::rename(&draft, file))
        .with_context(|| format!("cannot write {}", file.display()))
}
