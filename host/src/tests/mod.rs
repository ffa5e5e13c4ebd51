//! The host on a backend of plain Rust: what it does with answers, instances and failures, without an
//! engine.

mod attach;
mod chain;
mod guest;
mod hostcall;
mod mock;
mod registry;
#[cfg(feature = "std")]
mod tiered;
mod types;
