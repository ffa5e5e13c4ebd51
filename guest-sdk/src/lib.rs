//! # Picket guest
//!
//! Write an HTTP filter that runs as a WebAssembly module in any Picket host.
//!
//! ```
//! use picket_guest::{ConfigError, Configure, Filter, OutcomeBuf, RequestHead, export, proceed, respond};
//!
//! struct Teapot;
//!
//! impl Filter for Teapot {
//!     fn configure(_: &Configure<'_>) -> Result<Self, ConfigError> {
//!         Ok(Teapot)
//!     }
//!
//!     fn request_head(&mut self, head: &RequestHead<'_>) -> OutcomeBuf {
//!         match head.path() {
//!             b"/coffee" => respond(418).header("Content-Type", "text/plain").body("I am a teapot").into(),
//!             _ => proceed(),
//!         }
//!     }
//! }
//!
//! export! {
//!     Teapot {
//!         name: "teapot",
//!         version: "1.0.0",
//!         kind: "example",
//!         phases: [request_head],
//!     }
//! }
//! ```
//!
//! 1. **A filter is a type.** [`Filter`] has one method a phase; [`export!`] turns the type into a
//!    module. An instance lives for one transaction, or for many if the host pools instances.
//! 2. **Views, not copies.** A phase sees the host's bytes where the host wrote them. Headers are
//!    decoded when they are iterated over, so a filter that looks at the path pays for the path.
//! 3. **A fresh instance is cheap.** Nothing runs at start: buffers and heap are zeroed memory of
//!    the module, the allocator sets itself up with the first allocation.
//! 4. **What is not called is not imported.** Host functions ([`log()`], [`kv_get`], …) end up in the
//!    module only if the filter calls them, so a module's imports are what it really uses.
//! 5. **Tests need no WebAssembly.** Off wasm32 the same filter runs against a mock host (module
//!    `mock`), through the same encoding, by plain `cargo test`.
//!
//! The flow of one phase call:
//!
//! ```text
//! host: picket_input(len) ─▶ writes the message ─▶ picket_<phase>(len)
//!                                                       │ decode, borrowing
//!                                                       ▼
//!                                                  Filter::<phase>
//!                                                       │ OutcomeBuf
//! host: reads ptr << 32 | len, or 0 ◀─ output buffer ◀──┘ encode, unless silent
//! ```
//!
//! A guest is a `cdylib` crate with this one dependency and `#![cfg_attr(target_arch = "wasm32",
//! no_std)]` at its top.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(not(any(target_arch = "wasm32", target_os = "none")))]
extern crate std;

mod answer;
mod export;
mod filter;
mod host;
mod manifest;
#[cfg(not(any(target_arch = "wasm32", target_os = "none")))]
pub mod mock;
mod settings;
mod sys;

pub use picket_abi as abi;

pub use answer::{Modify, Redirect, Respond, modify, proceed, redirect, respond};
pub use export::Exported;
pub use filter::{ConfigError, Filter};
pub use host::{FetchReply, emit, http_fetch, kv_get, kv_remove, kv_set, log, now, random};
pub use picket_abi::{
    BodyChunk, Capability, Configure, FailureReport, FailureSource, FetchRequest, FetchResponse, Header,
    HeaderOp, HostStatus, HttpVersion, LogLevel, Match, Octets, OutcomeBuf, Peer, PeerAddr, RequestHead,
    ResponseHead, Scheme, Seq, SeqBuf, Setting, Severity, TransactionLog, Value, VerdictBuf,
};
pub use settings::Settings;

/// What [`export!`] expands to. Not for filters.
#[doc(hidden)]
pub mod __private {
    pub use crate::manifest::{encode_manifest, manifest_len};
    pub use crate::sys::DataSlot;
    #[cfg(target_arch = "wasm32")]
    pub use crate::sys::{FirstInput, Heap, Runtime, abi_version, first_input_len, panic};
}

/// The filters of the README are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
