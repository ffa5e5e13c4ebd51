//! What a configuration may say, and what is said of one that is wrong.

use std::time::Duration;

use picket_abi::Capability;
use picket_host::{Fuel, Isolation, Limits, Metering, Micros, ModuleDigest, OnFailure, Trusted};

use super::*;

const MINIMAL: &str = "
[upstream.app]
urls = ['http://127.0.0.1:3000']
[[route]]
upstream = 'app'
";

/// The errors of a text, one a line.
fn errors(text: &str) -> String {
    Config::parse(text, "picket.toml").expect_err("the text is right").to_string()
}

/// The errors of the minimal text with something behind it.
fn errors_of(more: &str) -> String {
    errors(&format!("{MINIMAL}{more}"))
}

#[test]
fn the_minimal_configuration_has_safe_defaults() {
    let config = Config::parse(MINIMAL, "picket.toml").unwrap();
    assert_eq!(config.listeners, [Listener::new(DEFAULT_LISTEN)]);
    assert_eq!(config.routes[0].path, "/");
    assert_eq!(config.routes[0].chain, None);
    assert_eq!(config.admin, None);
    assert!(config.upstreams[0].preserve_host);
}

#[test]
fn everything_that_can_be_said_is_understood() {
    let text = r#"
[server]
drain_timeout = "5s"
watch = false

[log]
format = "json"
level = "picket=debug"
access = false

[audit]
file = "audit.jsonl"

[admin]
listen = "127.0.0.1:9901"

[kv]
entries = 10
bytes = "1MiB"
value_bytes = 100

[[listener]]
addr = "[::1]:8443"
http2 = false
header_timeout = "3s"
body_timeout = "4s"
max_header_bytes = "16KiB"
max_headers = 50
max_uri_bytes = 4096
trusted_proxies = ["10.0.0.0/8", "::1"]

[upstream.app]
urls = ["http://a:1", "http://b:2"]
http2 = "always"
connect_timeout = "1s"
response_timeout = "2s"
body_timeout = "3s"
tunnel_timeout = "10m"
pool_idle_timeout = "1h"
pool_max_idle = 3
upgrades = ["WebSocket"]

[filter.waf]
module = "builtin:waf"
limits = { tier = "edge-function", fuel = 1_000, time = "2ms", memory = "1MiB", instances = 7 }
isolation = "pooled"
max_idle = 5
capabilities = ["kv", "http_fetch"]
fetch_hosts = ["API.example.org:8080"]
fetch_timeout = "100ms"
on_failure = "fail-closed"
metering = "native"
trusted = ["00000000000000000000000000000000000000000000000000000000000000fF"]
failure_status = 500
data = "rules.blob"

[filter.waf.config]
mode = "detect"
threshold = 7
allow = [{ rule = 942100, path = "/admin/*" }]

[filter.own]
module = "own.wasm"
on_failure = "fail-open"

[chain.guard]
filters = ["own", "waf"]
body_window = "8KiB"
rewrites_bodies = true
strip_accept_encoding = true

[[route]]
name = "api"
host = "*.Example.org"
path = "/api"
upstream = "app"
chain = "guard"

[[route]]
upstream = "app"
chain = "none"
"#;
    let config = Config::parse(text, "etc/picket.toml").unwrap();
    let [waf, own] = &config.filters[..] else { panic!("two filters") };
    assert_eq!(waf.module, ModuleSource::Builtin(Builtin::Waf));
    assert_eq!(own.module, ModuleSource::File("etc/own.wasm".into()));
    assert_eq!(waf.data.as_deref(), Some(Path::new("etc/rules.blob")));
    let limits = waf.policy.limits;
    assert_eq!(limits.call.fuel, Fuel(1_000));
    assert_eq!(limits.call.deadline, Micros(2_000));
    assert_eq!((limits.memory_bytes, limits.instances), (1 << 20, 7));
    assert_eq!(limits.chunk_bytes, Limits::EDGE_FUNCTION.chunk_bytes);
    assert_eq!(waf.policy.isolation, Isolation::Pooled { max_idle: 5 });
    assert_eq!((limits.metering, own.policy.limits.metering), (Metering::Native, Metering::Canonical));
    let mut digest = [0; 32];
    digest[31] = 0xff;
    assert!(waf.trusted.contains(&ModuleDigest::from_bytes(digest)));
    assert_eq!(own.trusted, Trusted::NONE);
    assert_eq!(waf.policy.on_failure, OnFailure::FailClosed { status: 500 });
    assert_eq!(own.policy.on_failure, OnFailure::FailOpen);
    assert!(waf.policy.capabilities.contains(Capability::HttpFetch));
    assert!(!waf.policy.capabilities.contains(Capability::Log));
    assert_eq!(waf.fetch_hosts, ["api.example.org:8080"]);
    let keys: Vec<String> = settings(&waf.settings).iter().map(|setting| setting.key.to_string()).collect();
    assert_eq!(keys, ["mode", "threshold", "allow.0.rule", "allow.0.path"]);

    assert_eq!(config.chains[0].filters, ["own", "waf"]);
    assert_eq!(config.routes[0].host, "*.example.org".parse().unwrap());
    assert_eq!(config.routes[1].chain, None);
    assert_eq!(config.listeners[0].trusted_proxies.len(), 2);
    assert_eq!(config.upstreams[0].tunnel_timeout, Duration::from_secs(600));
    assert!(!config.upstreams[0].preserve_host);
    assert_eq!(config.upstreams[0].upgrades, ["websocket"]);
    assert_eq!(
        config.log,
        LogConfig { format: LogFormat::Json, level: "picket=debug".into(), access: false }
    );
    assert_eq!(config.audit, AuditSink::File("etc/audit.jsonl".into()));
}

#[test]
fn errors_name_file_line_column_and_key() {
    let text = "\
[upstream.app]
urls = ['http://127.0.0.1:3000']
conect_timeout = '1s'
response_timeout = 5

[[route]]
upstream = 'ap'
path = '/a/../b'
";
    assert_eq!(
        errors(text),
        "picket.toml:3:1: upstream.app.conect_timeout: unknown key `conect_timeout` (did you mean `connect_timeout`?)\n\
         picket.toml:4:20: upstream.app.response_timeout: expected a time with its unit, such as \"10s\" or \"250ms\", found a whole number\n\
         picket.toml:7:12: route.0.upstream: unknown upstream `ap` (did you mean `app`?)\n\
         picket.toml:8:8: route.0.path: \"/a/../b\": write it as \"/b\""
    );
}

#[test]
fn what_is_no_toml_is_said_where_it_is() {
    let message = errors("[upstream.app]\nurls = [\n");
    assert!(message.starts_with("picket.toml:2:"), "{message}");
}

#[test]
fn unknown_keys_are_found_everywhere() {
    for (text, expected) in [
        ("[sever]\n", "sever: unknown key `sever` (did you mean `server`?)"),
        ("[server]\nwach = true\n", "server.wach"),
        ("[log]\nlevels = 'info'\n", "log.levels: unknown key `levels` (did you mean `level`?)"),
        ("[audit]\nfile = '-'\npath = 'x'\n", "audit.path"),
        ("[admin]\nlisten = '127.0.0.1:1'\ntoken = 1\n", "admin.token"),
        ("[kv]\nentry = 1\n", "kv.entry"),
        ("[[listener]]\naddr = '127.0.0.1:1'\nadress = 1\n", "listener.0.adress"),
        (
            "[filter.f]\nmodule = 'f'\nlimits = { tier = 'waf', feul = 1 }\n",
            "filter.f.limits.feul: unknown key `feul` (did you mean `fuel`?)",
        ),
        ("[chain.default]\nfilters = []\nwindow = 1\n", "chain.default.window"),
    ] {
        let message = errors_of(text);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn values_that_cannot_be_are_refused() {
    for (text, expected) in [
        ("[admin]\nlisten = 'localhost'\n", "admin.listen: \"localhost\""),
        ("[admin]\n", "admin: `listen` is missing"),
        ("[[listener]]\naddr = '127.0.0.1:1'\nmax_headers = 0\n", "0 is not between 1 and 10000"),
        ("[[listener]]\naddr = '127.0.0.1:1'\nheader_timeout = '0s'\n", "must be longer than nothing"),
        (
            "[[listener]]\naddr = '127.0.0.1:1'\ntrusted_proxies = ['10.0.0.0/40']\n",
            "longer than the address",
        ),
        ("[upstream.b]\nurls = []\n", "at least one URL"),
        ("[upstream.b]\nurls = ['ftp://x']\n", "must begin with http:// or https://"),
        ("[upstream.b]\nurls = ['http://x/path']\n", "paths pass through as they are"),
        ("[upstream.b]\nurls = ['http://u@x']\n", "must not name a user"),
        ("[upstream.b]\nurls = ['http://x']\nupgrades = ['h2c']\n", "would not be inspected"),
        (
            "[upstream.b]\nurls = ['http://x']\nhttp2 = 'always'\npreserve_host = true\n",
            "HTTP/2 names the upstream itself",
        ),
        ("[upstream.'b c']\nurls = ['http://x']\n", "a name is made of letters"),
        ("[filter.f]\n", "filter.f: `module` is missing"),
        ("[filter.f]\nmodule = 'builtin:wat'\n", "did you mean `builtin:waf`?"),
        ("[filter.f]\nmodule = 'f'\nbackend = 'v8'\n", "no backend `v8` in this build"),
        ("[filter.f]\nmodule = 'f'\nlimits = 'wav'\n", "did you mean `waf`?"),
        ("[filter.f]\nmodule = 'f'\nlimits = { time = '10 days' }\n", "a time is a whole number and a unit"),
        ("[filter.f]\nmodule = 'f'\nlimits = { memory = '1KiB' }\n", "1024 bytes are not between"),
        ("[filter.f]\nmodule = 'f'\ncapabilities = ['filesystem']\n", "unknown value `filesystem`"),
        ("[filter.f]\nmodule = 'f'\nisolation = 'none'\n", "unknown value `none`"),
        ("[filter.f]\nmodule = 'f'\nmetering = 'canonic'\n", "unknown value `canonic`"),
        ("[filter.f]\nmodule = 'f'\ntrusted = ['abc']\n", "not a SHA-256 in hexadecimal"),
        ("[filter.f]\nmodule = 'f'\nmax_idle = 3\n", "only means something with"),
        ("[filter.f]\nmodule = 'f'\non_failure = 'fail-open'\nfailure_status = 500\n", "has no meaning with"),
        ("[filter.f]\nmodule = 'f'\nfailure_status = 200\n", "200 is not between 400 and 599"),
        ("[filter.f]\nmodule = 'f'\nfetch_hosts = ['x']\n", "without the capability `http_fetch`"),
        ("[filter.f]\nmodule = 'f'\nconfig = 1\n", "expected a table"),
        ("[filter.f]\nmodule = 'f'\nconfig = { n = 99999999999999999999 }\n", "more than 64 bits hold"),
        ("[chain.default]\nfilters = ['f']\n", "unknown filter `f` (there is none)"),
        ("[filter.f]\nmodule = 'f'\n[chain.default]\nfilters = ['f', 'f']\n", "stands in this chain already"),
        ("[chain.none]\nfilters = []\n[chain.default]\nfilters = []\n", "what a route without a chain says"),
        ("[[route]]\nupstream = 'app'\npath = 'api'\n", "write it as \"/api\""),
        ("[[route]]\nupstream = 'app'\nhost = 'a:80'\n", "a host is a name without port"),
        ("[[route]]\nupstream = 'app'\n", "take the same requests"),
        ("[[route]]\nupstream = 'app'\npath = '/x'\nname = 'route-0'\n", "two routes are called `route-0`"),
        ("[log]\nlevel = 'picket=loud'\n", "log.level"),
        // What names something that is wrong is not wrong itself.
        (
            "[filter.f]\nmodule = 'f'\nbackend = 'v8'\n[chain.default]\nfilters = ['f']\n",
            "no backend `v8` in this build",
        ),
        ("[upstream.u]\n[[route]]\nupstream = 'u'\nhost = 'u.example'\n", "upstream.u: `urls` is missing"),
        (
            "[chain.c]\n[chain.default]\nfilters = []\n[[route]]\nupstream = 'app'\npath = '/c'\nchain = 'c'\n",
            "chain.c: `filters` is missing",
        ),
    ] {
        let message = errors_of(text);
        assert!(message.contains(expected), "{text}\n{message}");
        assert_eq!(message.lines().count(), 1, "{text}\n{message}");
    }
}

#[test]
fn a_route_does_not_go_unguarded_by_mistake() {
    let chain = "[filter.f]\nmodule = 'f'\n[chain.strict]\nfilters = ['f']\n";
    assert!(errors_of(chain).contains("route.0: `chain` is missing"));
    let renamed = format!("{MINIMAL}{}", chain.replace("strict", "default"));
    assert_eq!(Config::parse(&renamed, "x").unwrap().routes[0].chain.as_deref(), Some("default"));
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let error = Config::load(Path::new("no/such/picket.toml")).unwrap_err();
    assert!(error.to_string().contains("no/such/picket.toml cannot be read"));
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn the_example_is_right_and_its_comments_are_the_defaults() {
    let text = include_str!("../../picket.example.toml");
    let written = Config::parse(text, "picket.toml").unwrap();

    // The commented-out keys that have one default everywhere, put in.
    let spelled_out: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(key) if key.contains(" = ") && is_plain_default(key) => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(spelled_out.lines().any(|line| line.starts_with("pool_max_idle = 64")));
    let spelled_out = Config::parse(&spelled_out, "picket.toml").unwrap();
    assert_eq!(format!("{written:?}"), format!("{spelled_out:?}"));
}

/// Not those that need a file or a feature, say a second form, or only name what is computed.
fn is_plain_default(key: &str) -> bool {
    let name = key.split(' ').next().unwrap_or_default();
    !matches!(
        name,
        "tls"
            | "ca"
            | "data"
            | "rules"
            | "base"
            | "lenient"
            | "backend"
            | "fetch_hosts"
            | "fetch_timeout"
            | "device"
            | "body_window"
            | "limits"
    ) || key.starts_with("limits = {")
}

#[test]
fn a_filter_on_a_device_needs_no_module_and_takes_no_backend() {
    let config =
        Config::parse(&format!("{MINIMAL}[filter.box]\ndevice = 'tcp://10.0.0.7:7700'\n"), "picket.toml");
    let filter = &config.unwrap().filters[0];
    assert_eq!(filter.device, Some("tcp://10.0.0.7:7700".parse().unwrap()));
    assert_eq!(filter.module, ModuleSource::OnDevice);
    assert_eq!(filter.policy.limits.call.deadline, DEVICE_DEADLINE);
    assert_eq!(filter.policy.on_failure, OnFailure::FailClosed { status: 503 });

    let text = "[filter.box]\ndevice = 'serial:/dev/ttyS0@9600'\nmodule = 'builtin:waf'\nlimits = { time = '50ms' }\n";
    let config = Config::parse(&format!("{MINIMAL}{text}"), "picket.toml").unwrap();
    assert_eq!(config.filters[0].module, ModuleSource::Builtin(Builtin::Waf));
    assert_eq!(config.filters[0].policy.limits.call.deadline, Micros::from_millis(50));

    let errors = errors_of("[filter.box]\ndevice = 'tcp://10.0.0.7'\nisolation = 'pooled'\n");
    assert!(errors.contains("filter.box.device") && errors.contains("the port is missing"), "{errors}");
    assert!(errors.contains("filter.box.isolation: has no meaning with `device`"), "{errors}");
}
