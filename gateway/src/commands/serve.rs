//! `picket serve`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use http::Uri;
use picket::backend::BackendKind;
use picket::config::{self, Config, FilterConfig, ModuleSource, RulesConfig};
use picket::{Bound, Demo, Server};
use serde_json::json;

/// Arguments of `picket serve`.
#[derive(clap::Args)]
pub struct Args {
    /// Configuration; without one, a WAF stands before one upstream
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value_t = config::DEFAULT_LISTEN, conflicts_with = "config")]
    listen: SocketAddr,

    /// Where requests go; without one, a built-in demo answers them
    #[arg(long, value_name = "URL", value_parser = config::upstream_url, conflicts_with = "config")]
    upstream: Option<Uri>,

    /// Engine that runs the filter
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    backend: Option<BackendKind>,

    /// Report attacks and let them pass
    #[arg(long, conflicts_with = "config")]
    detect: bool,

    /// Filter to run in place of the built-in WAF
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    module: Option<PathBuf>,

    /// Rules in SecLang in place of the built-in ones, such as the OWASP Core Rule Set: rule files or
    /// patterns of them in their order, or one compiled ruleset; may be given again
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    rules: Vec<PathBuf>,

    /// The rules stand alone: without the recommended base configuration before them
    #[arg(long, requires = "rules")]
    no_base: bool,

    /// Rules that are faulty or not understood are left out; without this they are refused
    #[arg(long, requires = "rules")]
    lenient: bool,

    /// Address of health, metrics and reload
    #[arg(long, value_name = "ADDR", conflicts_with = "config")]
    admin: Option<SocketAddr>,

    /// File to write the bound addresses to, as JSON, when all are bound
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

/// Serves until SIGINT or SIGTERM.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
    let result = runtime.block_on(serve(args));
    // Tunnels and idle connections go with the process; they were given their time.
    runtime.shutdown_background();
    result.map(|()| ExitCode::SUCCESS)
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let config = match &args.config {
        Some(file) => Config::load(file)?,
        None => simple(&args).await?,
    };
    picket::init_logging(&config.log);
    let server = Server::bind(config, args.config.clone()).await?;
    let bound = server.bound()?;
    for (addr, tls) in &bound.listeners {
        let scheme = if *tls { "https" } else { "http" };
        eprintln!("picket: listening on {scheme}://{addr}");
    }
    if let Some(addr) = bound.admin {
        eprintln!("picket: admin on http://{addr}");
    }
    // From here on a signal shuts down in order, and whoever waits for the file may send one.
    let stop = stop_signal().context("no signals")?;
    if let Some(file) = &args.ready_file {
        announce(&bound, file).with_context(|| format!("cannot write {}", file.display()))?;
    }
    server.run(stop).await;
    Ok(())
}

/// One filter before one upstream, from the command line.
async fn simple(args: &Args) -> anyhow::Result<Config> {
    let backend =
        args.backend.or_else(|| BackendKind::ALL.first().copied()).context("this build has no backend")?;
    let mut filter = match args.rules.is_empty() {
        true => FilterConfig::builtin_waf(backend),
        false => {
            let files = args.rules.clone();
            let rules = RulesConfig { files, base: !args.no_base, lenient: args.lenient };
            FilterConfig::with_rules(backend, rules)
        }
    };
    if let Some(module) = &args.module {
        filter.module = ModuleSource::File(module.clone());
        filter.name = "filter".into();
    }
    if args.detect {
        filter.settings.insert("mode".into(), "detect".into());
    }
    let upstream = match &args.upstream {
        Some(url) => url.clone(),
        None => {
            let demo = Demo::start().await.context("the demo upstream cannot listen")?;
            eprintln!("picket: no upstream given, the built-in demo answers on http://{}", demo.addr());
            config::upstream_url(&format!("http://{}", demo.addr())).map_err(anyhow::Error::msg)?
        }
    };
    let mut config = Config::simple(args.listen, upstream, filter);
    if args.upstream.is_none() {
        config.upstreams.iter_mut().for_each(|upstream| upstream.upgrades.push(Demo::PROTOCOL.into()));
    }
    config.admin = args.admin;
    Ok(config)
}

/// Waits for the first signal that asks to stop.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Waits for the first signal that asks to stop.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// Writes the addresses, in one step: a reader sees all of it or nothing.
fn announce(bound: &Bound, file: &Path) -> std::io::Result<()> {
    let text = json!({
        "listeners": bound.listeners.iter().map(|(addr, _)| addr.to_string()).collect::<Vec<_>>(),
        "admin": bound.admin.map(|addr| addr.to_string()),
    });
    let mut draft = file.as_os_str().to_owned();
    draft.push(".new");
    fs::write(&draft, format!("{text}\n"))?;
    fs::rename(&draft, file)
}
