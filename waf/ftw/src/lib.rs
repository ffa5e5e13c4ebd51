//! # Regression tests of the OWASP Core Rule Set
//!
//! Tests for rules in ModSecurity's language come as YAML files: each says which request to send and
//! which rules must, or must not, appear in the log. This crate runs them against any engine, in
//! process, without a server between.
//!
//! ```text
//! YAML ─ Suite::load ─▶ Test ─ build ─▶ Request ─ respond ─▶ Exchange ─ Engine::run ─▶ Observed
//!                         └───────────── expectations ───────────── judge ◀─────────────┘
//! ```
//!
//! 1. `model`, `suite`: the files, as [go-ftw] reads them.
//! 2. `build`, `template`, `wire`: the request, as go-ftw writes it and a lenient server reads it.
//! 3. `backend`: the response, as the test backend [albedo] answers.
//! 4. `judge`, `log`: what was logged against what was expected.
//! 5. `runner`: all of it, and a table by rule family.
//! 6. `setup`: the SecLang configuration of such a run.
//!
//! A test without the files at hand is a few lines:
//!
//! ```
//! use picket_ftw::{Observed, Outcome, Suite};
//!
//! let yaml = "
//! rule_id: 100
//! tests:
//!   - test_id: 1
//!     stages:
//!       - input: { uri: /, headers: { Host: localhost } }
//!         output: { log: { no_expect_ids: [100] } }
//! ";
//! let suite = Suite::parse("100.yaml", yaml)?;
//! let stage = &suite.tests[0].stages[0];
//! let exchange = picket_ftw::exchange(&stage.input)?;
//! assert_eq!(exchange.request.line(), b"GET / HTTP/1.1");
//! assert_eq!(picket_ftw::judge(&stage.output, &Observed::default()), Outcome::Pass);
//! # Ok::<(), picket_ftw::Error>(())
//! ```
//!
//! [go-ftw]: https://github.com/coreruleset/go-ftw
//! [albedo]: https://github.com/coreruleset/albedo
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod backend;
mod build;
mod error;
mod judge;
mod log;
mod message;
mod model;
mod runner;
mod setup;
mod suite;
mod template;
mod wire;

pub use backend::respond;
pub use build::{build, exchange};
pub use error::Error;
pub use judge::{Outcome, judge};
pub use log::log_line;
pub use message::{Exchange, Headers, LoggedRule, Observed, Request, Response, Scores};
pub use model::{HeaderList, Input, Log, Output, Stage, Test};
pub use runner::{Count, Engine, Filter, Report, Runner, Table, TestResult};
pub use setup::{Mode, Setup};
pub use suite::{Suite, crs_dir};
