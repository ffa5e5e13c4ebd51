//! # The built-in ruleset
//!
//! `builtin.toml` beside this crate, compiled when the crate is built. It is a constant: in a guest
//! it is a data segment, and a fresh instance has no table to build.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

/// The built-in ruleset, for [`RuleSet::from_trusted`](https://docs.rs/picket-waf).
pub static BUILTIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/builtin.blob"));

/// The same rules with the same verdicts in less room, for boards.
pub static COMPACT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/compact.blob"));
