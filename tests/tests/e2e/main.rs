//! The real binary on loopback, with real clients before it and a real upstream behind it.

mod cli;
mod device;
mod failures;
mod operations;
mod protocol;
mod reload;
mod rules;
mod streaming;
mod verdicts;

use picket_tests::{Gateway, Upstream, guest_module};

/// Both backends; what a client sees must not depend on which it is.
const BACKENDS: [&str; 2] = ["wasmi", "wasmtime"];

/// A request that no rule has anything against.
const CLEAN: &str = "/search?q=garden+hose&page=2";

/// A request that the WAF blocks.
const ATTACK: &str = "/item?id=1%27%20UNION%20SELECT%20login,password%20FROM%20users--%20-";

/// The path and query of [`ATTACK`] as a form.
const ATTACK_FORM: &str = "id=1%27%20UNION%20SELECT%20login,password%20FROM%20users--%20-";

/// A `picket.toml` under construction: one listener, an admin listener, one upstream, and one route
/// through one chain.
struct Config {
    upstream: String,
    filters: String,
    names: Vec<String>,
    chain: String,
    listener: String,
}

impl Config {
    fn before(upstream: &Upstream) -> Config {
        Config {
            upstream: upstream.url(),
            filters: String::new(),
            names: Vec::new(),
            chain: String::new(),
            listener: String::new(),
        }
    }

    /// Appends a filter to the chain: a guest on a backend, and further lines of its section.
    fn filter(mut self, name: &str, guest: &str, backend: &str, lines: &str) -> Config {
        let module = guest_module(guest);
        self.filters.push_str(&filter(name, &module.display().to_string(), backend, lines));
        self.names.push(format!("{name:?}"));
        self
    }

    /// Appends a filter on a device, with further lines of its section.
    fn device(mut self, name: &str, address: &str, lines: &str) -> Config {
        self.filters.push_str(&format!(
            "[filter.{name}]\ndevice = {address:?}\nlimits = {{ time = \"20s\", setup_time = \"20s\" }}\n{lines}\n"
        ));
        self.names.push(format!("{name:?}"));
        self
    }

    /// The WAF, alone.
    fn waf(self, backend: &str) -> Config {
        self.filter("waf", "picket_waf_guest", backend, "")
    }

    /// The puppet, with further lines of its section.
    fn puppet(self, backend: &str, lines: &str) -> Config {
        self.filter("puppet", "test_puppet", backend, &format!("capabilities = [\"log\"]\n{lines}"))
    }

    /// Further lines of the chain's section.
    fn chain(mut self, lines: &str) -> Config {
        self.chain.push_str(lines);
        self
    }

    /// Further lines of the listener's section.
    fn listener(mut self, lines: &str) -> Config {
        self.listener.push_str(lines);
        self
    }

    fn text(&self) -> String {
        let Config { upstream, filters, chain, listener, .. } = self;
        let names = self.names.join(", ");
        format!(
            r#"
[admin]
listen = "127.0.0.1:0"
[audit]
file = "audit.jsonl"
[[listener]]
addr = "127.0.0.1:0"
{listener}
[upstream.app]
urls = ["{upstream}"]
{filters}
[chain.default]
filters = [{names}]
{chain}
[[route]]
name = "all"
upstream = "app"
"#
        )
    }

    fn start(&self) -> Gateway {
        Gateway::start(self.text())
    }
}

/// A filter's section, on that backend from its first request on. The time limit is out of the way: a
/// machine that runs all suites at once is slow, and what a test asserts must not depend on it.
fn filter(name: &str, module: &str, backend: &str, lines: &str) -> String {
    let start = if backend == "wasmtime" { "quick_start = false" } else { "" };
    format!(
        "[filter.{name}]\nmodule = {module:?}\nbackend = {backend:?}\n{start}\nlimits = {{ time = \"20s\", setup_time = \"20s\" }}\n{lines}\n"
    )
}
