//! # Picket
//!
//! A reverse proxy that shows every request and response to a chain of WebAssembly filters, and does
//! what they say.
//!
//! ```text
//! client ─▶ listener ─▶ route ─▶ layer (filters) ─▶ forward ─▶ upstream
//!              │                    │
//!             tls      picket-host, on wasmi or wasmtime
//! ```
//!
//! 1. **A request is inspected before it is passed on.** What is refused never reaches the upstream
//!    whole; what a filter did not see does not pass.
//! 2. **Bodies flow.** Memory is bounded by the window that a chain asks for, never by the body.
//! 3. **One reading.** Framing is decoded and written anew, heads that can be read in two ways are
//!    refused, hop-by-hop fields stay where they belong.
//! 4. **A mistake changes nothing.** A configuration or a module that cannot be put to work is
//!    reported with its place, and what runs goes on.
//!
//! The [`layer`] needs nothing else of this crate: it guards any `tower` service of HTTP.

#![forbid(unsafe_code)]

pub mod backend;
pub mod config;
pub mod embedded;
pub mod layer;

mod admin;
mod audit;
mod demo;
mod device;
mod gateway;
mod logging;
mod metrics;
mod modsecurity;
mod observe;
mod proxy;
#[cfg(feature = "rules")]
pub mod regression;
mod reload;
pub mod rules;
mod server;
mod services;
mod tls;

pub use config::Config;
pub use demo::Demo;
pub use gateway::BuildError;
pub use logging::init as init_logging;
pub use server::{Bound, ServeError, Server};
pub use tls::TlsError;
