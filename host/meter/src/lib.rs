//! # Picket meter
//!
//! Canonical fuel: a load-time pass that makes a module count its own fuel, time and stack, so that the
//! amounts are the same on every engine, at every optimisation, on every machine.
//!
//! ```text
//! module ── scan ─▶ facts of each function ── call graph ─▶ who may recurse ── instrument ─▶ module
//! ```
//!
//! - **What is charged** is the path that was executed: each operator as wasmtime charges it by default
//!   (one; none for `nop`, `drop`, `block`, `loop`, `else`, `end`, `return`, `unreachable`), one for
//!   the entry of a function, one for each byte or element of a bulk operation.
//! - **The counter** is a global of 64 bits that the guest has no index for. It counts up from a
//!   negative number; at zero the fuel that was handed out is used up. A function keeps it in a local,
//!   writes it back before it calls or returns and reads it again after a call.
//! - **It is looked at** where a function begins, where a loop does, and before a bulk operation
//!   whose length is not a small constant: from one look to the next no path is longer than a function.
//!   At zero or above, an imported function is called with the counter; it hands out more
//!   ([`Gauge::refuel`]) or stops the guest. As that function also looks at the clock, fuel and time
//!   have one mechanism.
//! - **The stack** is counted only where it can grow without bound: in functions that may call
//!   themselves through others, and in those from which a longer chain of calls starts than
//!   [`UNCOUNTED_FRAMES`] and [`UNCOUNTED_BYTES`] leave room for. Such a function takes its frame off a
//!   second global when it begins and puts it back when it returns; below zero, an imported function
//!   stops the guest.
//!
//! Charges are not made where they arise. The amount that is outstanding is a constant at each place of
//! the code, and where paths meet that do not agree on it, the one that is likely to be executed least
//! settles the difference: few charges, and few of them where it is hot.
//!
//! The pass is a pure function of the module's bytes: linear in their length, the same result
//! everywhere. Operators are copied as they are; only indices of functions change. It is for modules
//! that a validator has passed, but no bytes make it panic.
//!
//! `wasm-encoder` 0.228 goes with the parser used here, but encoding every operator anew costs most of the
//! time of such a pass and makes its result depend on the encoder's version; copied bytes do neither.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(feature = "pass")]
extern crate alloc;

mod gauge;
mod names;

#[cfg(feature = "pass")]
mod binary;
#[cfg(feature = "pass")]
mod error;
#[cfg(feature = "pass")]
mod graph;
#[cfg(feature = "pass")]
mod instrument;
#[cfg(feature = "pass")]
mod module;
#[cfg(feature = "pass")]
mod nodes;
#[cfg(feature = "pass")]
mod operators;
#[cfg(feature = "pass")]
mod plan;
#[cfg(feature = "pass")]
mod scan;

#[cfg(all(test, feature = "pass"))]
mod tests;

pub use gauge::{Exhausted, Gauge, stack_level};
pub use names::{
    EXPORT_FUEL, EXPORT_STACK, EXPORT_START, FRAME_BYTES, IMPORT_FUEL, IMPORT_MODULE, IMPORT_STACK,
    RESERVED_PREFIX, UNCOUNTED_BYTES, UNCOUNTED_FRAMES,
};

#[cfg(feature = "pass")]
pub use error::MeterError;
#[cfg(feature = "pass")]
pub use module::{Metered, meter, meter_module};
