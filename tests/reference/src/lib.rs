//! # libmodsecurity as a reference
//!
//! The library that most installations of the Core Rule Set run on, behind the interface of
//! `picket-ftw`: the same tests, the same table, decisions and times to compare other engines with.
//!
//! Everything is behind the feature `libmodsecurity`, which links the C library
//! (`apt-get install libmodsecurity-dev`; `LIBMODSECURITY_DIR` names another folder to link from).
//!
//! ```text
//! cargo run --release -p picket-reference --features libmodsecurity -- suite
//! cargo run --release -p picket-reference --features libmodsecurity -- decisions --out decisions.jsonl
//! cargo run --release -p picket-reference --features libmodsecurity --bin picket-decisions
//! ```
#![deny(unsafe_code, missing_docs)]

#[cfg(feature = "libmodsecurity")]
mod differences;
#[cfg(feature = "libmodsecurity")]
mod engine;
#[cfg(feature = "libmodsecurity")]
mod ffi;
#[cfg(feature = "libmodsecurity")]
mod line;

#[cfg(feature = "libmodsecurity")]
pub use differences::{Difference, Group, Known, Tally, Tests};
#[cfg(feature = "libmodsecurity")]
pub use engine::{Decision, Error, LibModSecurity, decide, time_request};
