//! `picket.toml`: what it may say, read with every key checked.
//!
//! Reading goes on after a mistake, so that one run lists them all, each with file, line, column
//! and dotted key. Names are resolved here (a route's upstream, a chain's filters): a [`Config`]
//! that exists is consistent, though its files may still turn out to be missing or faulty.
//!
//! ```
//! use picket::config::Config;
//!
//! let error = Config::parse("[upstream.app]\nurl = \"http://127.0.0.1:3000\"\n", "picket.toml").unwrap_err();
//! assert!(error.to_string().contains("picket.toml:2:1: upstream.app.url: unknown key `url` (did you mean `urls`?)"));
//! ```

mod error;
mod read;
mod reader;
mod settings;
#[cfg(test)]
mod tests;
mod units;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use picket_abi::Capability;
use picket_host::{Budget, Fuel, Limits, Micros, Policy, Trusted};

use crate::backend::BackendKind;
use crate::embedded::Builtin;
use picket_link::Address;

pub use error::{ConfigError, Problem};
pub use read::upstream_url;
pub use settings::settings;
pub use units::{HostPattern, Network};

/// Everything that `picket serve` needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect. At least one.
    pub listeners: Vec<Listener>,
    /// Where requests go.
    pub upstreams: Vec<Upstream>,
    /// The filters, each loaded once, however many chains it stands in.
    pub filters: Vec<FilterConfig>,
    /// Ordered lists of filters.
    pub chains: Vec<ChainConfig>,
    /// Which request goes through which chain to which upstream. At least one.
    pub routes: Vec<Route>,
    /// Where health, metrics and reload are served.
    pub admin: Option<SocketAddr>,
    /// The log.
    pub log: LogConfig,
    /// Where audit lines go.
    pub audit: AuditSink,
    /// What they look like.
    pub audit_format: AuditFormat,
    /// Bounds of the key-value store of each filter.
    pub kv: KvLimits,
    /// How long requests may go on after the signal to stop.
    pub drain_timeout: Duration,
    /// Whether changed files are loaded by themselves.
    pub watch: bool,
}

/// A socket that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Address to bind; port 0 takes a free one.
    pub addr: SocketAddr,
    /// Certificate and key, if it speaks TLS.
    pub tls: Option<TlsFiles>,
    /// Whether it speaks HTTP/2 besides HTTP/1.1.
    pub http2: bool,
    /// Longest wait for a whole request head, idle time of a kept-alive connection included.
    pub header_timeout: Duration,
    /// Longest pause within a request body.
    pub body_timeout: Duration,
    /// Largest request head, in bytes.
    pub max_header_bytes: usize,
    /// Most header fields of a request.
    pub max_headers: usize,
    /// Longest request target, in bytes.
    pub max_uri_bytes: usize,
    /// Proxies whose `X-Forwarded-*` and `Forwarded` are believed and carried on.
    pub trusted_proxies: Vec<Network>,
}

impl Listener {
    /// A listener in clear text with the default bounds.
    pub fn new(addr: SocketAddr) -> Self {
        Listener {
            addr,
            tls: None,
            http2: true,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            max_header_bytes: 64 << 10,
            max_headers: 100,
            max_uri_bytes: 16 << 10,
            trusted_proxies: Vec::new(),
        }
    }
}

/// Files in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by its chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// One or more servers that are as good as each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in routes, logs and metrics.
    pub name: String,
    /// `http://host:port` or `https://host:port`, taken in turn. At least one.
    pub urls: Vec<Uri>,
    /// Which protocol it is spoken to in.
    pub http2: UpstreamHttp2,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the head of a response.
    pub response_timeout: Duration,
    /// Longest pause within the body of a response.
    pub body_timeout: Duration,
    /// Longest silence of an upgraded connection (WebSocket).
    pub tunnel_timeout: Duration,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// Unused connections kept a server.
    pub pool_max_idle: usize,
    /// Whether the client's `Host` is passed on; otherwise it is the upstream's own. Only where
    /// HTTP/1.1 is spoken.
    pub preserve_host: bool,
    /// Protocols that a connection may change to, in lower case. What follows is not inspected, so
    /// only those that are no HTTP: `h2c` would be a way around the filters.
    pub upgrades: Vec<String>,
    /// Certificates to trust instead of the public ones, in PEM form.
    pub ca: Option<PathBuf>,
}

impl Upstream {
    /// An upstream of one server with the default bounds.
    pub fn new(name: impl Into<String>, url: Uri) -> Self {
        Upstream {
            name: name.into(),
            preserve_host: url.scheme_str() != Some("https"),
            urls: vec![url],
            http2: UpstreamHttp2::Auto,
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
            tunnel_timeout: Duration::from_secs(3600),
            pool_idle_timeout: Duration::from_secs(90),
            pool_max_idle: 64,
            upgrades: vec!["websocket".into()],
            ca: None,
        }
    }
}

/// Which protocol an upstream is spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamHttp2 {
    /// What ALPN negotiates over TLS, HTTP/1.1 in clear text.
    #[default]
    Auto,
    /// HTTP/2 only, in clear text by prior knowledge.
    Always,
    /// HTTP/1.1 only.
    Never,
}

/// A filter: a module, what it may do, and what it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterConfig {
    /// Its name in chains, logs and metrics, and its namespace in the key-value store.
    pub name: String,
    /// The module.
    pub module: ModuleSource,
    /// The backend it runs on, if that is not a device's.
    pub backend: BackendKind,
    /// Whether it serves from [`BackendKind::early`] while its backend compiles it for the first time.
    pub quick_start: bool,
    /// Modules that are metered already, by their digests.
    pub trusted: Trusted,
    /// The device that it runs on, if it is not here.
    pub device: Option<Address>,
    /// Limits, capabilities, isolation, and what its failure means.
    pub policy: Policy,
    /// The table `config`, handed to the guest as settings.
    pub settings: toml::Table,
    /// A file that is handed to the guest as it is.
    pub data: Option<PathBuf>,
    /// Rules that become part of the module.
    pub rules: Option<RulesConfig>,
    /// Hosts that `http_fetch` may reach, `host` or `host:port`, in lower case.
    pub fetch_hosts: Vec<String>,
    /// Longest wait of an `http_fetch`.
    pub fetch_timeout: Duration,
}

impl FilterConfig {
    /// What a filter may do unless its configuration says otherwise: the tier of a firewall, and a word in
    /// the log.
    pub const DEFAULT_POLICY: Policy =
        Policy { capabilities: Policy::WAF.capabilities.with(Capability::Log), ..Policy::WAF };

    /// The built-in WAF with its own settings.
    pub fn builtin_waf(backend: BackendKind) -> Self {
        FilterConfig {
            name: "waf".into(),
            module: ModuleSource::Builtin(Builtin::Waf),
            backend,
            quick_start: true,
            device: None,
            policy: FilterConfig::DEFAULT_POLICY,
            trusted: Trusted::NONE,
            settings: toml::Table::new(),
            data: None,
            rules: None,
            fetch_hosts: Vec::new(),
            fetch_timeout: Duration::from_secs(5),
        }
    }

    /// The engine for SecLang with rules.
    pub fn with_rules(backend: BackendKind, rules: RulesConfig) -> Self {
        FilterConfig {
            module: ModuleSource::Builtin(Builtin::SecLang),
            policy: read::rules_policy(),
            rules: Some(rules),
            ..FilterConfig::builtin_waf(backend)
        }
    }
}

/// What a filter with rules may use unless told otherwise. A complete ruleset looks at whole bodies: a
/// large one takes its time under an interpreter, and has to be held.
pub const RULES_LIMITS: Limits = Limits {
    call: Budget { fuel: Fuel(4_000_000_000), deadline: Micros::from_millis(2_000), ..Limits::WAF.call },
    memory_bytes: 64 << 20,
    ..Limits::WAF
};

/// What one question to a device may take, with the wait for its turn: lines are slow, and there is one.
pub const DEVICE_DEADLINE: Micros = Micros::from_millis(1_000);

/// Rules in SecLang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesConfig {
    /// Files, or patterns of files, in their order; or one compiled ruleset.
    pub files: Vec<PathBuf>,
    /// Whether the recommended base configuration comes before them.
    pub base: bool,
    /// Whether what is faulty or not understood is left out and the rest is taken. A firewall with fewer
    /// rules than its operator thinks is no default.
    pub lenient: bool,
}

/// Where a module comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModuleSource {
    /// `builtin:waf` or `builtin:seclang`.
    Builtin(Builtin),
    /// A file.
    File(PathBuf),
    /// Whatever the filter's device has installed.
    OnDevice,
}

/// An ordered list of filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainConfig {
    /// Its name in routes.
    pub name: String,
    /// Names of its filters, in the order in which they see a request.
    pub filters: Vec<String>,
    /// Bytes of a body that are held back; `None` for what its filters ask for, at least 64 KiB.
    pub body_window: Option<usize>,
    /// Whether its filters change the length of bodies beyond the window, so that none is announced.
    pub rewrites_bodies: bool,
    /// Whether `Accept-Encoding` is kept from the upstream, so that responses can be read.
    pub strip_accept_encoding: bool,
}

/// Which requests go where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name in logs and metrics.
    pub name: String,
    /// Hosts it takes.
    pub host: HostPattern,
    /// Path prefix it takes, in whole segments.
    pub path: String,
    /// The upstream's name.
    pub upstream: String,
    /// The chain's name, if requests are filtered.
    pub chain: Option<String>,
}

/// How the log looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Lines for people or for programs.
    pub format: LogFormat,
    /// Filter in the syntax of `tracing_subscriber::EnvFilter`: `info`, `picket=debug`.
    pub level: String,
    /// Whether every request gets a line.
    pub access: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { format: LogFormat::Human, level: "info".into(), access: true }
    }
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text.
    Human,
    /// One JSON object a line.
    Json,
}

/// Where audit lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuditSink {
    /// Standard output.
    #[default]
    Stdout,
    /// A file, appended to; opened anew at every reload, so that it can be rotated.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// Form of the audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditFormat {
    /// Picket's own: what the filters found and what was done about it.
    #[default]
    Picket,
    /// The shape of ModSecurity v3's JSON log, with the header fields of request and response.
    ModSecurity,
}

/// Bounds of one filter's key-value store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvLimits {
    /// Most keys.
    pub entries: usize,
    /// Bytes of all keys and values.
    pub bytes: usize,
    /// Bytes of one value.
    pub value_bytes: usize,
}

impl Default for KvLimits {
    fn default() -> Self {
        KvLimits { entries: 65_536, bytes: 16 << 20, value_bytes: 64 << 10 }
    }
}

impl Config {
    /// Reads a file. Relative paths in it start from its folder.
    ///
    /// # Errors
    /// [`ConfigError`] if it cannot be read, or with everything that is wrong in it.
    pub fn load(file: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
        read::read(&text, file)
    }

    /// Reads a text; `file` is what errors call it and where relative paths start from.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with everything that is wrong in it.
    pub fn parse(text: &str, file: impl AsRef<Path>) -> Result<Config, ConfigError> {
        read::read(text, file.as_ref())
    }

    /// One listener, one upstream, and one filter before it.
    pub fn simple(listen: SocketAddr, upstream: Uri, filter: FilterConfig) -> Config {
        let chain = ChainConfig {
            name: "default".into(),
            filters: vec![filter.name.clone()],
            body_window: None,
            rewrites_bodies: false,
            strip_accept_encoding: false,
        };
        Config {
            listeners: vec![Listener::new(listen)],
            routes: vec![Route {
                name: "default".into(),
                host: HostPattern::Any,
                path: "/".into(),
                upstream: "default".into(),
                chain: Some(chain.name.clone()),
            }],
            upstreams: vec![Upstream::new("default", upstream)],
            filters: vec![filter],
            chains: vec![chain],
            admin: None,
            log: LogConfig::default(),
            audit: AuditSink::default(),
            audit_format: AuditFormat::default(),
            kv: KvLimits::default(),
            drain_timeout: Duration::from_secs(30),
            watch: true,
        }
    }
}

/// Where `picket serve` listens unless told otherwise.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
