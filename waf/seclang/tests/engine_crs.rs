//! The Core Rule Set's own regression tests, in process. Skipped where the rule set is not at hand
//! (`CRS_DIR`). `CRS_ONLY` names tests, or beginnings of their names, separated by blanks; `CRS_SHOW`
//! prints what was logged.

use std::path::Path;
use std::time::Instant;

use picket_abi::{Header, HttpVersion, Peer, RequestHead, ResponseHead, SeqBuf};
use picket_ftw::{Engine, Exchange, Filter, LoggedRule, Observed, Runner, Scores, Setup, Suite};
use picket_seclang::{NoServices, RuleSet, Settings, Transaction};
use picket_waf_compiler::seclang::{Options, compile, syntax};

/// Tests that are about the server in front of the engine, not about the engine.
const SERVERS: [&str; 3] = [
    // Apache drops `Content-Length` where there is `Transfer-Encoding`.
    "920181-1", // Apache joins two headers of one name.
    "920620-1", // Apache refuses a carriage return in a header's value.
    "921140-1",
];

struct Seclang<'r> {
    rules: RuleSet<'r>,
    show: bool,
}

fn headers(from: &picket_ftw::Headers) -> SeqBuf<Header<'static>> {
    let mut headers = SeqBuf::new();
    for (name, value) in from {
        headers.push(Header { name: name[..].into(), value: value[..].into() });
    }
    headers
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Engine for Seclang<'_> {
    fn run(&mut self, exchange: &Exchange) -> Result<Observed, String> {
        let mut transaction = Transaction::begin(self.rules, Settings::default(), Box::new(NoServices));
        let request = &exchange.request;
        let list = headers(&request.headers);
        transaction.request_head(&RequestHead {
            client: Peer { addr: exchange.client.ip().into(), port: exchange.client.port() },
            method: request.method[..].into(),
            target: request.target[..].into(),
            protocol: request.version[..].into(),
            headers: list.as_seq(),
            end: false,
            ..RequestHead::default()
        });
        transaction.request_body(&request.body, true);
        let response = &exchange.response;
        let list = headers(&response.headers);
        transaction.response_head(&ResponseHead {
            status: response.status,
            version: HttpVersion::Http11,
            headers: list.as_seq(),
            end: false,
        });
        transaction.response_body(&response.body, true);
        transaction.log();
        if self.show {
            eprintln!("{:?}\n{:#?}", request, transaction);
        }
        let rules = transaction.matches().iter().map(|matched| LoggedRule {
            id: matched.id,
            msg: text(&matched.message),
            data: text(&matched.data),
            var_name: text(&matched.location),
            var_value: text(&matched.matched),
            severity: Some(matched.severity).filter(|severity| *severity < 8),
            tags: self.rules.tags(&self.rules.rule(matched.rule)).map(text).collect(),
            line: None,
        });
        Ok(Observed {
            rules: rules.collect(),
            interruption: transaction.interruption().map(|interruption| interruption.status),
            scores: Some(Scores {
                blocking_inbound: transaction.inbound_score(),
                blocking_outbound: transaction.outbound_score(),
            }),
            error: None,
        })
    }
}

/// The configuration includes files of the rule set, so it must be one itself.
fn parse(text: &str) -> syntax::Configuration {
    let path = std::env::temp_dir().join(format!("picket-seclang-crs-{}.conf", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let configuration = syntax::parse_files(std::slice::from_ref(&path), &syntax::FileSystem).unwrap();
    std::fs::remove_file(&path).unwrap();
    configuration
}

#[test]
fn core_rule_set() {
    let fallback = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs");
    let Some(crs) = picket_ftw::crs_dir(&fallback) else {
        println!("skipped: no Core Rule Set (CRS_DIR)");
        return;
    };
    let setup = Setup::regression(&crs);
    let start = Instant::now();
    let configuration = parse(&setup.text().unwrap());
    let compiled = compile(configuration, &Options::default()).unwrap();
    println!("{} bytes, compiled in {:?}", compiled.blob.len(), start.elapsed());
    let rules = RuleSet::load(&compiled.blob).unwrap();
    let suite = Suite::load(&crs.join("tests")).unwrap();
    let only = std::env::var("CRS_ONLY").unwrap_or_default();
    let filter = Filter::ids(only.split_whitespace());
    let runner = Runner::new(&suite, filter);
    let show = std::env::var_os("CRS_SHOW").is_some();
    let start = Instant::now();
    let report = runner.run(&mut Seclang { rules, show }, |_| {});
    println!("{}in {:?}", report.table, start.elapsed());
    let mut failures = Vec::new();
    for (id, reason) in report.failures() {
        println!("{id}: {reason}");
        failures.push(id);
    }
    if only.is_empty() {
        assert_eq!(failures, SERVERS);
    }
}
