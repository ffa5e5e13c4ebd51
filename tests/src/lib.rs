//! # The suites of Picket
//!
//! What a user would notice, over every backend, from the same files.
//!
//! - [`guest_module`] builds the guests once and says where they are.
//! - [`load_cases`] reads the conformance cases of `cases/*.toml`; an [`Engine`] judges them: the
//!   native engine, wasmi and wasmtime, with fresh and with pooled instances.
//! - [`Gateway`] starts the real binary; [`Upstream`] is what it is put ahead of.

#![forbid(unsafe_code)]

pub mod client;
mod device;
mod engines;
mod gateway;
mod guests;
mod upstream;

pub use device::DeviceProcess;
pub use engines::{Engine, backends, engines, sandboxes, sandboxes_metered};
pub use gateway::{Folder, Gateway, GatewayOptions, WAIT, binary};
pub use guests::{guest_module, workspace};
pub use picket_conformance::{
    Answer, Case, CaseError, Expectation, Judgement, Request, RuleMatch, Sandbox, header_buf, load_cases,
    pairs, policy, request_head, settings_buf,
};
pub use upstream::{Received, Upstream};
