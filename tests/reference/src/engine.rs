//! libmodsecurity as an engine under test.

use std::{
    fmt,
    time::{Duration, Instant},
};

use picket_ftw::{Engine, Exchange, Observed, Request, Scores};
use serde::{Deserialize, Serialize};

use crate::{
    ffi::{Library, Rules, Transaction},
    line,
};

/// The number of the rule that reports the scores. No rule set uses it; the library logs no larger ones
/// right.
const SCORES_ID: u32 = 999_999_999;

/// Why the library could not be set up.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The library could not be initialised.
    Init,
    /// It does not take the rules; the text is its own.
    Rules(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Init => f.write_str("libmodsecurity could not be initialised"),
            Error::Rules(problem) => write!(f, "libmodsecurity does not take the rules: {problem}"),
        }
    }
}

impl std::error::Error for Error {}

/// libmodsecurity with a set of rules.
pub struct LibModSecurity {
    // Fields are dropped in this order: the rules before the library they were made by.
    rules: Rules,
    library: Library,
}

impl LibModSecurity {
    /// Loads a SecLang configuration, such as that of [`picket_ftw::Setup::text`].
    ///
    /// A last rule of phase 5 is added, which logs the two anomaly scores and is kept out of what is
    /// reported.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn new(configuration: &str) -> Result<Self, Error> {
        let scores = format!(
            "SecAction \"id:{SCORES_ID},phase:5,t:none,pass,log,auditlog,msg:'%{{tx.blocking_inbound_anomaly_score}} \
             %{{tx.blocking_outbound_anomaly_score}}'\"\n"
        );
        let rules = Rules::parse(&[configuration, "\n", &scores].concat()).map_err(Error::Rules)?;
        Ok(LibModSecurity { rules, library: Library::new().ok_or(Error::Init)? })
    }

    /// The library's name and version.
    pub fn name(&self) -> String {
        self.library.name()
    }

    /// What becomes of an exchange, for comparison with other engines.
    ///
    /// # Errors
    ///
    /// As [`Engine::run`].
    pub fn decide(&mut self, exchange: &Exchange) -> Result<Decision, String> {
        decide(self, exchange)
    }

    fn begin(&self) -> Result<Transaction<'_>, String> {
        Transaction::begin(&self.library, &self.rules).ok_or_else(|| "no transaction".to_owned())
    }
}

/// What becomes of an exchange with any engine.
///
/// # Errors
///
/// As [`Engine::run`].
pub fn decide(engine: &mut dyn Engine, exchange: &Exchange) -> Result<Decision, String> {
    let observed = engine.run(exchange)?;
    let scores = observed.scores.unwrap_or_default();
    let mut rules: Vec<u32> = observed.rules.iter().map(|rule| rule.id).collect();
    rules.sort_unstable();
    rules.dedup();
    Ok(Decision {
        status: observed.interruption,
        inbound: scores.blocking_inbound,
        outbound: scores.blocking_outbound,
        rules,
    })
}

/// What became of an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Decision {
    /// The status of the interruption, if there was one.
    pub status: Option<u16>,
    /// `TX:blocking_inbound_anomaly_score`.
    pub inbound: u32,
    /// `TX:blocking_outbound_anomaly_score`.
    pub outbound: u32,
    /// The rules logged, in the order of their numbers.
    pub rules: Vec<u32>,
}

impl Engine for LibModSecurity {
    fn run(&mut self, exchange: &Exchange) -> Result<Observed, String> {
        let mut transaction = self.begin()?;
        let interruption = phases(&mut transaction, exchange);
        let mut observed = Observed { interruption, ..Observed::default() };
        for line in transaction.finish() {
            let Some(rule) = line::parse(line) else { continue };
            if rule.id == SCORES_ID {
                observed.scores = scores(&rule.msg);
            } else {
                observed.rules.push(rule);
            }
        }
        Ok(observed)
    }
}

/// The two numbers of the scores' message. What was never set is empty.
fn scores(msg: &str) -> Option<Scores> {
    let (inbound, outbound) = msg.split_once(' ')?;
    let number = |text: &str| text.trim().parse().unwrap_or(0);
    Some(Scores { blocking_inbound: number(inbound), blocking_outbound: number(outbound) })
}

/// All phases up to the interruption, if there is one.
fn phases(transaction: &mut Transaction<'_>, exchange: &Exchange) -> Option<u16> {
    transaction.connection(exchange.client, exchange.server);
    request_phases(transaction, &exchange.request).or_else(|| {
        let response = &exchange.response;
        for (name, value) in &response.headers {
            transaction.response_header(name, value);
        }
        let status = transaction.response_headers(response.status);
        status.or_else(|| transaction.response_body(&response.body))
    })
}

/// Phases 1 and 2.
fn request_phases(transaction: &mut Transaction<'_>, request: &Request) -> Option<u16> {
    // The library puts `HTTP/` in front itself, as its connectors cut it off.
    let version = request.version.strip_prefix(b"HTTP/").unwrap_or(&request.version);
    transaction.request_line(&request.method, &request.target, version);
    for (name, value) in &request.headers {
        transaction.request_header(name, value);
    }
    transaction.request_headers().or_else(|| transaction.request_body(&request.body))
}

/// The time that `engine` takes for phases 1 and 2 of an exchange, from a new transaction to the verdict:
/// the median of `rounds` runs after one that is not counted. Freeing the transaction is not counted
/// either.
///
/// # Errors
///
/// As [`Engine::run`].
pub fn time_request(
    engine: &mut LibModSecurity,
    exchange: &Exchange,
    rounds: usize,
) -> Result<Duration, String> {
    let mut times = Vec::with_capacity(rounds + 1);
    for _ in 0..=rounds {
        let start = Instant::now();
        let mut transaction = engine.begin()?;
        transaction.connection(exchange.client, exchange.server);
        std::hint::black_box(request_phases(&mut transaction, &exchange.request));
        times.push(start.elapsed());
    }
    let counted = &mut times[1..];
    counted.sort_unstable();
    Ok(counted.get(counted.len() / 2).copied().unwrap_or_default())
}
