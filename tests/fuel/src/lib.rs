//! # The fuel oracle
//!
//! Runs one module in three ways, and lets tests and the fuzz target compare them:
//!
//! | lane | module | who counts |
//! |---|---|---|
//! | [`Lane::Wasmi`] | metered by `picket-meter` | the module, interpreted |
//! | [`Lane::Wasmtime`] | metered by `picket-meter` | the module, as machine code |
//! | [`Lane::Native`] | as it was | wasmtime |
//!
//! Modules import nothing, or functions that do nothing; every function is exported and called by name.
#![forbid(unsafe_code)]

mod cost;
mod generate;
mod lanes;
mod wasmi_lane;
mod wasmtime_lane;

pub use cost::{Counting, Guest, on_wasmi, on_wasmtime};
pub use generate::{arguments, module, small};
pub use lanes::{Call, Ending, Lane, Limits, Outcome, Prepared};
