//! From TOML to [`Config`].

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use picket_abi::{Capability, CapabilitySet};
use picket_host::{Fuel, Isolation, Limits, Metering, Micros, ModuleDigest, OnFailure, Policy};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::reader::{Entry, Reader, Section};
use super::{
    AuditFormat, AuditSink, ChainConfig, Config, DEFAULT_LISTEN, DEVICE_DEADLINE, FilterConfig, HostPattern,
    KvLimits, Listener, LogConfig, LogFormat, ModuleSource, RULES_LIMITS, Route, RulesConfig, TlsFiles,
    Upstream, UpstreamHttp2,
};
use crate::backend::BackendKind;
use crate::embedded::Builtin;

/// [`FilterConfig::DEFAULT_POLICY`] for a filter with rules, with what SecLang can ask for: persistent collections and the time.
pub(super) fn rules_policy() -> Policy {
    let policy = FilterConfig::DEFAULT_POLICY;
    let capabilities = policy.capabilities.with(Capability::Kv).with(Capability::Now);
    Policy { capabilities, limits: RULES_LIMITS, ..policy }
}

pub(super) fn read(text: &str, file: &Path) -> Result<Config, ConfigError> {
    let invalid = |problems| ConfigError::Invalid { file: file.to_owned(), problems };
    let reader = Reader::new(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        reader.problem(offset, "", error.message());
    }
    if !errors.is_empty() {
        return Err(invalid(reader.finish()));
    }
    // A bare file name has the parent "", which joins like the working directory.
    let base = file.parent().unwrap_or(Path::new(""));
    let config = config(&reader, &root, base);
    let problems = reader.finish();
    if problems.is_empty() { Ok(config) } else { Err(invalid(problems)) }
}

fn config<'a>(reader: &'a Reader<'a>, root: &'a Spanned<DeTable<'a>>, base: &Path) -> Config {
    let mut root = Section::root(reader, root);

    let mut listeners: Vec<Listener> =
        tables(&mut root, "listener").filter_map(|section| listener(section, base)).collect();
    if listeners.is_empty() {
        listeners.push(Listener::new(DEFAULT_LISTEN));
    }

    let upstreams = named(&mut root, "upstream", |name, section| upstream(name, section, base));
    let filters = named(&mut root, "filter", |name, section| filter(name, section, base));
    // Also those that have mistakes: whoever names them makes no other.
    let filter_names = names(&mut root, "filter");
    let chains = named(&mut root, "chain", |name, section| chain(name, section, &filter_names));
    let (upstream_names, chain_names) = (names(&mut root, "upstream"), names(&mut root, "chain"));

    let mut routes: Vec<Route> = Vec::new();
    for (n, section) in tables(&mut root, "route").enumerate() {
        routes.extend(route(n, section, &upstream_names, &chain_names, &routes));
    }
    if root.entry("route").is_none() {
        root.problem("no `[[route]]`: requests would go nowhere");
    }

    let mut drain_timeout = Duration::from_secs(30);
    let mut watch = true;
    if let Some(mut server) = root.entry("server").and_then(|entry| entry.section()) {
        set(&mut drain_timeout, server.entry("drain_timeout").and_then(|entry| entry.duration()));
        set(&mut watch, server.entry("watch").and_then(|entry| entry.boolean()));
        server.finish();
    }
    let admin = root.entry("admin").and_then(|entry| entry.section()).and_then(|mut admin| {
        let addr = admin.required("listen").and_then(|entry| entry.parsed());
        admin.finish();
        addr
    });
    let log = root.entry("log").and_then(|entry| entry.section()).map(log).unwrap_or_default();
    let (audit, audit_format) =
        root.entry("audit").and_then(|entry| entry.section()).map(|s| audit(s, base)).unwrap_or_default();
    let kv = root.entry("kv").and_then(|entry| entry.section()).map(kv).unwrap_or_default();
    root.finish();

    Config {
        listeners,
        upstreams,
        filters,
        chains,
        routes,
        admin,
        log,
        audit,
        audit_format,
        kv,
        drain_timeout,
        watch,
    }
}

/// The tables of a list, `[[key]]`.
fn tables<'a>(root: &mut Section<'a>, key: &'static str) -> impl Iterator<Item = Section<'a>> {
    root.entry(key)
        .map(|entry| entry.list())
        .unwrap_or_default()
        .into_iter()
        .filter_map(|entry| entry.section())
}

/// The tables under a key, `[key.name]`.
fn named<'a, T>(
    root: &mut Section<'a>,
    key: &'static str,
    mut read: impl FnMut(&str, Section<'a>) -> Option<T>,
) -> Vec<T> {
    let Some(section) = root.entry(key).and_then(|entry| entry.section()) else { return Vec::new() };
    section
        .named()
        .filter_map(|(name, entry)| {
            if !is_name(name) {
                entry.problem("a name is made of letters, digits, `-`, `_` and `.`, at most 64");
                return None;
            }
            read(name, entry.section()?)
        })
        .collect()
}

/// The names of the tables under a key.
fn names<'a>(root: &mut Section<'a>, key: &'static str) -> Vec<&'a str> {
    let section = root.entry(key).filter(Entry::is_table).and_then(|entry| entry.section());
    section.map(|section| section.named().map(|(name, _)| name).collect()).unwrap_or_default()
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn set_size(place: &mut usize, section: &mut Section<'_>, key: &'static str, least: u64, most: u64) {
    // What the machine cannot address it cannot have either.
    let most = most.min(usize::MAX as u64);
    let size = section.entry(key).and_then(|entry| entry.size(least, most));
    set(place, size.map(|size| size as usize));
}

fn set_time(place: &mut Duration, section: &mut Section<'_>, key: &'static str) {
    let Some(entry) = section.entry(key) else { return };
    match entry.duration() {
        Some(Duration::ZERO) => entry.problem("must be longer than nothing"),
        time => set(place, time),
    }
}

fn path(entry: Entry<'_>, base: &Path) -> Option<PathBuf> {
    match entry.text()? {
        "" => {
            entry.problem("a path is missing");
            None
        }
        path => Some(base.join(path)),
    }
}

fn listener(mut section: Section<'_>, base: &Path) -> Option<Listener> {
    let addr: Option<SocketAddr> = section.required("addr").and_then(|entry| entry.parsed());
    let mut listener = Listener::new(addr.unwrap_or(DEFAULT_LISTEN));
    listener.tls = section.entry("tls").and_then(|entry| {
        if !cfg!(feature = "tls") {
            entry.problem("this build has no TLS");
        }
        let mut tls = entry.section()?;
        let cert = tls.required("cert").and_then(|entry| path(entry, base));
        let key = tls.required("key").and_then(|entry| path(entry, base));
        tls.finish();
        Some(TlsFiles { cert: cert?, key: key? })
    });
    set(&mut listener.http2, section.entry("http2").and_then(|entry| entry.boolean()));
    set_time(&mut listener.header_timeout, &mut section, "header_timeout");
    set_time(&mut listener.body_timeout, &mut section, "body_timeout");
    // hyper reads into a buffer of 8 KiB at least, and into one of this size at most.
    set_size(&mut listener.max_header_bytes, &mut section, "max_header_bytes", 8 << 10, 1 << 20);
    set_size(&mut listener.max_headers, &mut section, "max_headers", 1, 10_000);
    // `http::Uri` takes no more.
    set_size(&mut listener.max_uri_bytes, &mut section, "max_uri_bytes", 1, 65_534);
    if let Some(entry) = section.entry("trusted_proxies") {
        listener.trusted_proxies = entry.list().iter().filter_map(|entry| entry.parsed()).collect();
    }
    section.finish();
    addr.map(|_| listener)
}

fn upstream(name: &str, mut section: Section<'_>, base: &Path) -> Option<Upstream> {
    let mut urls = Vec::new();
    if let Some(entry) = section.required("urls") {
        let entries = entry.list();
        if entries.is_empty() && matches!(entry.value(), DeValue::Array(_)) {
            entry.problem("at least one URL is needed");
        }
        urls.extend(entries.iter().filter_map(|entry| entry.with(upstream_url)));
    }
    let mut upstream = Upstream::new(name, Uri::from_static("http://unset"));
    upstream.urls = urls;
    set(
        &mut upstream.http2,
        section.entry("http2").and_then(|entry| {
            entry.word(&[
                ("auto", UpstreamHttp2::Auto),
                ("always", UpstreamHttp2::Always),
                ("never", UpstreamHttp2::Never),
            ])
        }),
    );
    set_time(&mut upstream.connect_timeout, &mut section, "connect_timeout");
    set_time(&mut upstream.response_timeout, &mut section, "response_timeout");
    set_time(&mut upstream.body_timeout, &mut section, "body_timeout");
    set_time(&mut upstream.tunnel_timeout, &mut section, "tunnel_timeout");
    set_time(&mut upstream.pool_idle_timeout, &mut section, "pool_idle_timeout");
    set_size(&mut upstream.pool_max_idle, &mut section, "pool_max_idle", 0, 100_000);
    // In HTTP/2 the client's host would stand beside the upstream's `:authority`, and differ from it.
    let may_be_http2 = match upstream.http2 {
        UpstreamHttp2::Always => true,
        UpstreamHttp2::Never => false,
        UpstreamHttp2::Auto => upstream.urls.iter().any(|url| url.scheme_str() == Some("https")),
    };
    upstream.preserve_host = !may_be_http2;
    if let Some(entry) = section.entry("preserve_host")
        && let Some(preserve) = entry.boolean()
    {
        if preserve && may_be_http2 {
            entry.problem("needs `http2 = \"never\"`: HTTP/2 names the upstream itself");
        }
        upstream.preserve_host = preserve;
    }
    if let Some(entry) = section.entry("upgrades") {
        upstream.upgrades = entry.list().iter().filter_map(|entry| entry.with(upgrade)).collect();
    }
    upstream.ca = section.entry("ca").and_then(|entry| path(entry, base));
    section.finish();
    Some(upstream)
}

/// Reads an upstream's URL: scheme and authority, nothing else.
///
/// # Errors
/// What is wrong with it, for people.
pub fn upstream_url(text: &str) -> Result<Uri, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "not a URL")?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") if cfg!(feature = "tls") => {}
        Some("https") => return Err("this build has no TLS"),
        _ => return Err("the URL must begin with http:// or https://"),
    }
    match uri.authority() {
        None => Err("the URL names no host"),
        Some(authority) if authority.as_str().contains('@') => Err("the URL must not name a user"),
        Some(_) if uri.path() != "/" || uri.query().is_some() => {
            Err("the URL must end with the host and its port: paths pass through as they are")
        }
        Some(_) => Ok(uri),
    }
}

fn upgrade(text: &str) -> Result<String, &'static str> {
    let protocol = text.to_ascii_lowercase();
    if protocol.is_empty()
        || !protocol.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&byte))
    {
        return Err("not the name of a protocol");
    }
    if protocol.starts_with("h2") || protocol.starts_with("http") {
        return Err("requests inside an upgraded connection would not be inspected");
    }
    Ok(protocol)
}

fn filter(name: &str, mut section: Section<'_>, base: &Path) -> Option<FilterConfig> {
    let rules = section.entry("rules").map(|entry| match entry.value() {
        DeValue::String(_) => Vec::from_iter(path(entry, base)),
        _ => {
            let files = entry.list();
            if files.is_empty() {
                entry.problem("names no file");
            }
            files.into_iter().filter_map(|entry| path(entry, base)).collect()
        }
    });
    let mut switch = |key, default| match section.entry(key) {
        Some(entry) if rules.is_none() => {
            entry.problem("has no meaning without `rules`");
            default
        }
        entry => entry.and_then(|entry| entry.boolean()).unwrap_or(default),
    };
    let (base_rules, lenient) = (switch("base", true), switch("lenient", false));
    let rules = rules.map(|files| RulesConfig { files, base: base_rules, lenient });
    let device_entry = section.entry("device");
    let device = device_entry.as_ref().and_then(|entry| entry.parsed());
    let entry = match (&rules, &device_entry) {
        // Rules need an engine, and there is one that is meant for them. A device has what it has.
        (Some(_), _) | (_, Some(_)) => section.entry("module"),
        (None, None) => section.required("module"),
    };
    let module = match entry {
        None if rules.is_some() => Some(ModuleSource::Builtin(Builtin::SecLang)),
        None => device_entry.is_some().then_some(ModuleSource::OnDevice),
        Some(entry) => entry.text().and_then(|text| {
            if let Some(builtin) = Builtin::ALL.into_iter().find(|builtin| builtin.name() == text) {
                return Some(ModuleSource::Builtin(builtin));
            }
            if text.starts_with("builtin:") {
                entry.unknown_name("module", text, Builtin::ALL.into_iter().map(Builtin::name));
                return None;
            }
            path(entry, base).map(ModuleSource::File)
        }),
    };
    let default_backend = BackendKind::ALL.first().copied();
    let backend = match section.entry("backend") {
        Some(entry) => entry.parsed(),
        None => {
            if default_backend.is_none() {
                section.problem("this build has no backend");
            }
            default_backend
        }
    };

    let quick_start = section.entry("quick_start").and_then(|entry| entry.boolean());

    if device_entry.is_some() {
        for key in [
            "backend",
            "quick_start",
            "capabilities",
            "isolation",
            "max_idle",
            "data",
            "fetch_hosts",
            "fetch_timeout",
        ] {
            if let Some(entry) = section.entry(key) {
                entry.problem("has no meaning with `device`: the device decides");
            }
        }
    }

    let mut policy = if rules.is_some() { rules_policy() } else { FilterConfig::DEFAULT_POLICY };
    if device_entry.is_some() {
        policy.limits.call.deadline = policy.limits.call.deadline.max(DEVICE_DEADLINE);
        policy.capabilities = CapabilitySet::EMPTY;
    }
    if let Some(entry) = section.entry("limits") {
        set(&mut policy.limits, limits(&entry));
    }
    if let Some(entry) = section.entry("capabilities") {
        let words = Capability::ALL.map(|capability| (capability.name(), capability));
        policy.capabilities = entry
            .list()
            .iter()
            .filter_map(|entry| entry.word(&words))
            .fold(CapabilitySet::EMPTY.with(Capability::Panic), CapabilitySet::with);
    }
    if let Some(entry) = section.entry("metering") {
        set(&mut policy.limits.metering, entry.word(&Metering::ALL.map(|mode| (mode.name(), mode))));
    }
    let trusted = section
        .entry("trusted")
        .map(|entry| entry.list())
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| {
            entry.with(|text| ModuleDigest::parse(text).ok_or("not a SHA-256 in hexadecimal"))
        })
        .collect();
    let mut max_idle = 64;
    let max_idle_entry = section.entry("max_idle");
    set(&mut max_idle, max_idle_entry.as_ref().and_then(|entry| entry.number(0, 100_000)));
    let pooled = Isolation::Pooled { max_idle: max_idle as usize };
    set(
        &mut policy.isolation,
        section
            .entry("isolation")
            .and_then(|entry| entry.word(&[("fresh", Isolation::Fresh), ("pooled", pooled)])),
    );
    if let (Some(entry), Isolation::Fresh) = (max_idle_entry, policy.isolation) {
        entry.problem("only means something with `isolation = \"pooled\"`");
    }
    let mut status = 503;
    let status_entry = section.entry("failure_status");
    set(
        &mut status,
        status_entry.as_ref().and_then(|entry| entry.number(400, 599)).map(|status| status as u16),
    );
    policy.on_failure = section
        .entry("on_failure")
        .and_then(|entry| {
            entry.word(&[
                ("fail-closed", OnFailure::FailClosed { status }),
                ("fail-open", OnFailure::FailOpen),
            ])
        })
        .unwrap_or(OnFailure::FailClosed { status });
    if let (Some(entry), OnFailure::FailOpen) = (status_entry, policy.on_failure) {
        entry.problem("has no meaning with `on_failure = \"fail-open\"`");
    }

    let settings = section
        .entry("config")
        .map(|entry| match entry.value() {
            DeValue::Table(table) => table_of(table, &entry),
            _ => {
                entry.section();
                toml::Table::new()
            }
        })
        .unwrap_or_default();
    let data = section.entry("data").and_then(|entry| path(entry, base));
    let fetch_hosts_entry = section.entry("fetch_hosts");
    if let (Some(entry), false) = (&fetch_hosts_entry, policy.capabilities.contains(Capability::HttpFetch)) {
        entry.problem("has no meaning without the capability `http_fetch`");
    }
    let fetch_hosts = fetch_hosts_entry
        .map(|entry| entry.list())
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| entry.with(fetch_host))
        .collect();
    let mut fetch_timeout = Duration::from_secs(5);
    set_time(&mut fetch_timeout, &mut section, "fetch_timeout");
    section.finish();
    // What was written and is none must not turn the filter into one that runs here.
    if device_entry.is_some() && device.is_none() {
        return None;
    }
    Some(FilterConfig {
        name: name.to_owned(),
        module: module?,
        backend: backend?,
        quick_start: quick_start.unwrap_or(true),
        device,
        policy,
        trusted,
        settings,
        data,
        rules,
        fetch_hosts,
        fetch_timeout,
    })
}

fn fetch_host(text: &str) -> Result<String, &'static str> {
    let authority: http::uri::Authority = text.parse().map_err(|_| "not a host or host:port")?;
    if text.contains('@') {
        return Err("not a host or host:port");
    }
    Ok(authority.as_str().to_ascii_lowercase())
}

fn limits(entry: &Entry<'_>) -> Option<Limits> {
    const TIERS: [(&str, Limits); 2] = [("waf", Limits::WAF), ("edge-function", Limits::EDGE_FUNCTION)];
    if !entry.is_table() {
        return entry.word(&TIERS);
    }
    let mut section = entry.section()?;
    let mut limits = section.entry("tier").and_then(|entry| entry.word(&TIERS)).unwrap_or(Limits::WAF);

    let most = u64::MAX >> 1;
    let fuel =
        |section: &mut Section<'_>, key| section.entry(key).and_then(|entry| entry.number(1, most)).map(Fuel);
    let time = |section: &mut Section<'_>, key| {
        let mut time = Duration::ZERO;
        set_time(&mut time, section, key);
        (time != Duration::ZERO).then(|| Micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
    };
    let count = |section: &mut Section<'_>, key| {
        section.entry(key).and_then(|entry| entry.number(0, u32::MAX.into())).map(|count| count as u32)
    };
    set(&mut limits.call.fuel, fuel(&mut section, "fuel"));
    set(&mut limits.call.deadline, time(&mut section, "time"));
    set(&mut limits.setup.fuel, fuel(&mut section, "setup_fuel"));
    set(&mut limits.setup.deadline, time(&mut section, "setup_time"));
    if let Some(calls) = count(&mut section, "host_calls") {
        limits.call.host_calls = calls;
        limits.setup.host_calls = calls;
    }
    let mut bytes = limits.call.host_call_bytes;
    set_size(&mut bytes, &mut section, "host_call_bytes", 0, 1 << 30);
    limits.call.host_call_bytes = bytes;
    limits.setup.host_call_bytes = bytes;
    // One page is the least a linear memory can be useful with.
    set_size(&mut limits.memory_bytes, &mut section, "memory", 64 << 10, u32::MAX.into());
    set_size(&mut limits.table_elements, &mut section, "table_elements", 0, 10_000_000);
    set(&mut limits.tables, count(&mut section, "tables"));
    set(&mut limits.call_depth, count(&mut section, "call_depth"));
    set_size(&mut limits.stack_bytes, &mut section, "stack", 16 << 10, 64 << 20);
    set(
        &mut limits.instances,
        section.entry("instances").and_then(|entry| entry.number(1, 1_000_000)).map(|n| n as u32),
    );
    set_size(&mut limits.output_bytes, &mut section, "output", 64, 1 << 30);
    set_size(&mut limits.module_bytes, &mut section, "module", 64, 1 << 30);
    set_size(&mut limits.chunk_bytes, &mut section, "chunk", 1 << 10, 16 << 20);
    section.finish();
    Some(limits)
}

fn chain(name: &str, mut section: Section<'_>, filters: &[&str]) -> Option<ChainConfig> {
    let mut seen = HashSet::new();
    let names = section
        .required("filters")
        .map(|entry| entry.list())
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| {
            let filter = entry.text()?;
            if !filters.contains(&filter) {
                entry.unknown_name("filter", filter, filters.iter().copied());
                return None;
            }
            if !seen.insert(filter) {
                entry.problem(format!("`{filter}` stands in this chain already"));
            }
            Some(filter.to_owned())
        })
        .collect();
    let body_window =
        section.entry("body_window").and_then(|entry| entry.size(0, 64 << 20)).map(|size| size as usize);
    let rewrites_bodies = section.entry("rewrites_bodies").and_then(|entry| entry.boolean()).unwrap_or(false);
    let strip_accept_encoding =
        section.entry("strip_accept_encoding").and_then(|entry| entry.boolean()).unwrap_or(false);
    if name == NO_CHAIN {
        section.problem(format!("`{NO_CHAIN}` is what a route without a chain says"));
    }
    section.finish();
    Some(ChainConfig {
        name: name.to_owned(),
        filters: names,
        body_window,
        rewrites_bodies,
        strip_accept_encoding,
    })
}

/// What a route says that wants no filters although there are chains.
const NO_CHAIN: &str = "none";
/// The chain of routes that name none.
const DEFAULT_CHAIN: &str = "default";

fn route(
    n: usize,
    mut section: Section<'_>,
    upstreams: &[&str],
    chains: &[&str],
    before: &[Route],
) -> Option<Route> {
    let host = section.entry("host").map_or(Some(HostPattern::Any), |entry| entry.parsed());
    let path = section.entry("path").map_or(Some("/".to_owned()), |entry| {
        entry.with(|text| {
            let normal = crate::proxy::normal_path(text);
            if normal == text { Ok(text.to_owned()) } else { Err(format!("write it as {normal:?}")) }
        })
    });
    let upstream = section.required("upstream").and_then(|entry| {
        let name = entry.text()?;
        if upstreams.contains(&name) {
            return Some(name.to_owned());
        }
        entry.unknown_name("upstream", name, upstreams.iter().copied());
        None
    });
    let chain = match section.entry("chain") {
        Some(entry) => match entry.text()? {
            NO_CHAIN => None,
            name if chains.contains(&name) => Some(name.to_owned()),
            name => {
                entry.unknown_name("chain", name, chains.iter().copied().chain([NO_CHAIN]));
                None
            }
        },
        None if chains.contains(&DEFAULT_CHAIN) => Some(DEFAULT_CHAIN.to_owned()),
        // Left out by mistake, a route would go unguarded.
        None if !chains.is_empty() => {
            section.problem(format!(
                "`chain` is missing: name one, or \"{NO_CHAIN}\", or call a chain `{DEFAULT_CHAIN}`"
            ));
            None
        }
        None => None,
    };
    let name = match section.entry("name") {
        Some(entry) => {
            let name = entry.text()?;
            if !is_name(name) {
                entry.problem("a name is made of letters, digits, `-`, `_` and `.`, at most 64");
            }
            name.to_owned()
        }
        None => format!("route-{n}"),
    };
    if before.iter().any(|other| other.name == name) {
        section.problem(format!("two routes are called `{name}`"));
    }
    let twin =
        before.iter().find(|other| host.as_ref() == Some(&other.host) && path.as_ref() == Some(&other.path));
    if let Some(twin) = twin {
        section.problem(format!("`{}` and `{name}` take the same requests: same host, same path", twin.name));
    }
    section.finish();
    Some(Route { name, host: host?, path: path?, upstream: upstream?, chain })
}

fn log(mut section: Section<'_>) -> LogConfig {
    let mut log = LogConfig::default();
    set(
        &mut log.format,
        section
            .entry("format")
            .and_then(|entry| entry.word(&[("human", LogFormat::Human), ("json", LogFormat::Json)])),
    );
    set(
        &mut log.level,
        section.entry("level").and_then(|entry| {
            entry.with(|text| tracing_subscriber::EnvFilter::try_new(text).map(|_| text.to_owned()))
        }),
    );
    set(&mut log.access, section.entry("access").and_then(|entry| entry.boolean()));
    section.finish();
    log
}

fn audit(mut section: Section<'_>, base: &Path) -> (AuditSink, AuditFormat) {
    let sink = section.required("file").and_then(|entry| match entry.text()? {
        "-" => Some(AuditSink::Stdout),
        "off" => Some(AuditSink::Off),
        _ => path(entry, base).map(AuditSink::File),
    });
    let mut format = AuditFormat::default();
    set(
        &mut format,
        section.entry("format").and_then(|entry| {
            entry.word(&[("picket", AuditFormat::Picket), ("modsecurity", AuditFormat::ModSecurity)])
        }),
    );
    section.finish();
    (sink.unwrap_or_default(), format)
}

fn kv(mut section: Section<'_>) -> KvLimits {
    let mut kv = KvLimits::default();
    set_size(&mut kv.entries, &mut section, "entries", 0, 100_000_000);
    set_size(&mut kv.bytes, &mut section, "bytes", 0, 1 << 40);
    set_size(&mut kv.value_bytes, &mut section, "value_bytes", 0, 1 << 30);
    section.finish();
    kv
}

/// The table as values of its own, for the guest.
fn table_of(table: &DeTable<'_>, entry: &Entry<'_>) -> toml::Table {
    table
        .iter()
        .filter_map(|(key, value)| Some((key.get_ref().to_string(), value_of(value, entry)?)))
        .collect()
}

fn value_of(value: &Spanned<DeValue<'_>>, entry: &Entry<'_>) -> Option<toml::Value> {
    Some(match value.get_ref() {
        DeValue::String(text) => toml::Value::String(text.to_string()),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => toml::Value::Integer(number),
            Err(_) => {
                entry.problem_at(value.span().start, format!("{digits} is more than 64 bits hold"));
                return None;
            }
        },
        DeValue::Float(digits) => match digits.as_str().parse() {
            Ok(number) => toml::Value::Float(number),
            Err(_) => {
                entry.problem_at(value.span().start, format!("{digits} is no number"));
                return None;
            }
        },
        DeValue::Boolean(value) => toml::Value::Boolean(*value),
        DeValue::Datetime(date) => toml::Value::Datetime(*date),
        DeValue::Array(elements) => {
            toml::Value::Array(elements.iter().filter_map(|value| value_of(value, entry)).collect())
        }
        DeValue::Table(table) => toml::Value::Table(table_of(table, entry)),
    })
}
