//! Configuration, modules and data put in place while requests are served.
//!
//! Files are looked at once a second, by length and time of change. The alternative, notifications
//! of the kernel, brings a dependency a platform, sees nothing on network and overlay file systems,
//! and has to be told of every way in which editors and deployments replace a file; a few `stat`s a
//! second cost nothing that could be measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};
use std::{fmt, fs};

use tokio::sync::Mutex;

use crate::config::{Config, ConfigError};
use crate::gateway::{BuildError, Gateway, Reloaded};
use crate::proxy::error_chain;
use crate::server::Entrance;
use crate::tls::TlsError;

/// Why everything stayed as it was.
#[derive(Debug)]
pub(crate) enum ReloadError {
    Config(ConfigError),
    Build(BuildError),
    Tls(TlsError),
    /// The task that was to do it panicked.
    Panicked,
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReloadError::Config(error) => error.fmt(f),
            ReloadError::Build(error) => error.fmt(f),
            ReloadError::Tls(error) => error.fmt(f),
            ReloadError::Panicked => f.write_str("the reload panicked"),
        }
    }
}

impl std::error::Error for ReloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ReloadError::Config(error) => error.source(),
            ReloadError::Build(error) => error.source(),
            ReloadError::Tls(error) => error.source(),
            ReloadError::Panicked => None,
        }
    }
}

/// Reloads a gateway, one reload at a time.
pub(crate) struct Reloader {
    gateway: Arc<Gateway>,
    /// What the gateway was started with, where there is no file.
    started_with: Config,
    file: Option<PathBuf>,
    entrances: Vec<Arc<Entrance>>,
    /// When the gateway began to read its files.
    loading: SystemTime,
    turn: Mutex<()>,
    /// Listened for from the start: without that the signal would end the process.
    hangup: Mutex<Hangup>,
}

impl Reloader {
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        started_with: Config,
        file: Option<PathBuf>,
        entrances: Vec<Arc<Entrance>>,
        loading: SystemTime,
    ) -> Self {
        let hangup = Mutex::new(Hangup::new());
        Reloader { gateway, started_with, file, entrances, loading, turn: Mutex::new(()), hangup }
    }

    /// Reads the configuration and everything it names, and puts it in place if all of it is well.
    pub(crate) async fn reload(self: &Arc<Self>, why: &str) -> Result<Reloaded, ReloadError> {
        let _turn = self.turn.lock().await;
        let this = Arc::clone(self);
        // Compiling a module takes its time, which requests must not wait for.
        let result =
            tokio::task::spawn_blocking(move || this.replace()).await.unwrap_or(Err(ReloadError::Panicked));
        let metrics = &self.gateway.metrics;
        match &result {
            Ok(Reloaded { loaded, kept }) => {
                metrics.reloads.fetch_add(1, Relaxed);
                tracing::info!(why, loaded, kept, "reloaded");
            }
            Err(error) => {
                metrics.failed_reloads.fetch_add(1, Relaxed);
                tracing::error!(why, "not reloaded, everything stays as it was: {}", error_chain(error));
            }
        }
        result
    }

    fn replace(&self) -> Result<Reloaded, ReloadError> {
        let config = match &self.file {
            Some(file) => Config::load(file).map_err(ReloadError::Config)?,
            None => self.started_with.clone(),
        };
        let fixed = |config: &Config| {
            (config.listeners.clone(), config.admin, config.log.format, config.log.level.clone())
        };
        if fixed(&config) != fixed(&self.started_with) {
            tracing::warn!("changes of listeners, admin and log wait for a restart");
        }
        let audit = config.audit.clone();
        // Everything that can fail comes before the first change.
        let prepared = self
            .entrances
            .iter()
            .map(|entrance| entrance.prepare())
            .collect::<Result<Vec<_>, _>>()
            .map_err(ReloadError::Tls)?;
        let reloaded = self.gateway.reload(config).map_err(ReloadError::Build)?;
        for (entrance, acceptor) in self.entrances.iter().zip(prepared) {
            entrance.renew(acceptor);
        }
        self.gateway.audit.reopen(&audit);
        Ok(reloaded)
    }

    /// Reloads on SIGHUP and, unless the configuration says otherwise, when a file has changed.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut hangup = self.hangup.lock().await;
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // What has changed since the start may have been read before it did.
        let mut served: Vec<Stamp> =
            self.stamps().into_iter().map(|stamp| stamp.known_before(self.loading)).collect();
        let mut changed: Option<Vec<Stamp>> = None;
        loop {
            tokio::select! {
                () = hangup.recv() => {
                    let before = self.stamps();
                    // Whether it went well or not has been logged.
                    let _ = self.reload("SIGHUP").await;
                    (served, changed) = (self.stamps_since(before), None);
                }
                _ = ticks.tick() => {
                    if !self.gateway.state().config.watch {
                        continue;
                    }
                    let now = self.stamps();
                    if now == served {
                        changed = None;
                    } else if changed.as_ref() == Some(&now) {
                        // It has changed and has come to rest: nobody is in the middle of writing.
                        let _ = self.reload("a file has changed").await;
                        (served, changed) = (self.stamps_since(now), None);
                    } else {
                        changed = Some(now);
                    }
                }
            }
        }
    }

    /// The stamps of the files that are in use now, as they were before they were read: what has
    /// changed in the meantime is still to be noticed.
    fn stamps_since(&self, before: Vec<Stamp>) -> Vec<Stamp> {
        let known = |stamp: Stamp| before.iter().find(|old| old.path == stamp.path).cloned().unwrap_or(stamp);
        self.stamps().into_iter().map(known).collect()
    }

    fn stamps(&self) -> Vec<Stamp> {
        let state = self.gateway.state();
        self.file.iter().chain(&state.files).map(|path| Stamp::of(path)).collect()
    }
}

/// What tells one version of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    /// Length and time of change; `None` where there is no file.
    found: Option<(u64, Option<SystemTime>)>,
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let found = fs::metadata(path).ok().map(|file| (file.len(), file.modified().ok()));
        Stamp { path: path.to_owned(), found }
    }

    /// The same if the file has not changed since; else one that no file has.
    fn known_before(self, time: SystemTime) -> Self {
        let found = self.found.filter(|(_, changed)| changed.is_some_and(|changed| changed < time));
        Stamp { found, ..self }
    }
}

/// The signal that asks for a reload, where there are signals.
struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    fn new() -> Self {
        Hangup {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
                .inspect_err(|error| tracing::warn!(%error, "SIGHUP will not reload"))
                .ok(),
        }
    }

    async fn recv(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
