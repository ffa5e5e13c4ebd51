//! # Picket regular expressions
//!
//! Patterns that were compiled ahead of time, run in place from their bytes: linear in the input,
//! no parser and no construction at start.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;
