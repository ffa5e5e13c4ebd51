//! # Picket on wasmtime
//!
//! [`WasmtimeBackend`] runs filters as machine code.
//!
//! | file | what it does |
//! |---|---|
//! | `engine` | configuration, compilation, the linker of host functions |
//! | `instance` | one instance and its calls |
//! | `memory` | the guest's memory, and the glue between host functions and it |
//! | `meter` | canonical metering: the counters of a module that counts for itself |
//! | `limits` | the ticker behind deadlines under native metering; growth |
//! | `error` | what wasmtime says, in Picket's words |
//!
//! Instances come from a pool with their memory mapped copy-on-write, so that a fresh one for each
//! transaction costs microseconds. Where so much address space cannot be had, instances are made on
//! demand: slower, and otherwise the same.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod engine;
mod error;
mod instance;
mod limits;
mod memory;
mod meter;

pub use engine::WasmtimeBackend;
