//! # Picket on wasmi
//!
//! [`WasmiBackend`] runs filters on the wasmi interpreter: no code is generated, so it runs wherever
//! there is `alloc`, a microcontroller included.
//!
//! | file | what it does |
//! |---|---|
//! | `engine` | configuration, compilation, the linker of host functions |
//! | `instance` | one instance and its calls |
//! | `memory` | the guest's memory, and the glue between host functions and it |
//! | `meter` | canonical metering: the counters of a module that counts for itself |
//! | `limits` | native metering: fuel in slices with a look at the clock between them; growth |
//! | `error` | what wasmi says, in Picket's words |
//!
//! wasmi compiles eagerly here: its lazy mode would charge the first caller of a function for its
//! translation, and the fuel of equal requests would differ.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod engine;
mod error;
mod instance;
mod limits;
mod memory;
mod meter;

pub use engine::{Loader, WasmiBackend};
