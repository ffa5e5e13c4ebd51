//! The subcommands: each has its `Args` and a `run` that returns the exit code.

pub mod bench;
pub mod check;
pub mod inspect;
pub mod serve;
mod table;
