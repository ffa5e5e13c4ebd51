//! # The suites of Picket
//!
//! What a user would notice, over every backend, from the same files.
//!
//! - [`guest_module`] builds the guests once and says where they are.
//! - [`load_cases`] reads the conformance cases of `cases/*.toml`; an [`Engine`] judges them: the
//!   native engine, wasmi and wasmtime, with fresh and with pooled instances.
//! - [`Gateway`] starts the real binary; [`Upstream`] is what it is put ahead of.

#![forbid(unsafe_code)]

mod cases;
pub mod client;
mod engines;
mod gateway;
mod guests;
mod upstream;

pub use cases::{Case, CaseError, Expectation, Request, load_cases};
pub use engines::{
    Answer, Engine, Judgement, RuleMatch, Sandbox, backends, engines, header_buf, pairs, policy,
    request_head, sandboxes, settings_buf,
};
pub use gateway::{Folder, Gateway, GatewayOptions, WAIT, binary};
pub use guests::{guest_module, workspace};
pub use upstream::{Received, Upstream};
