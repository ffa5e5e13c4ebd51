//! # The conformance cases of Picket, and what judges them
//!
//! Small enough for any target with `std`, so that the same cases are judged on a server, on an ARM box
//! and by a board: no gateway, no async runtime, no C. The suites in `picket-tests` are built upon it;
//! the program `picket-conformance` prints what one target says, and compares what several have said.
//!
//! - [`load_cases`] reads `tests/cases/*.toml`.
//! - `judge_on_device`, with the feature `device`, asks a device.
//! - [`Sandbox`] is a module on a backend, [`Sandbox::judge`] a [`Judgement`] and the fuel it took.

#![forbid(unsafe_code)]

mod cases;
#[cfg(feature = "device")]
mod device;
mod judge;
mod record;

pub use cases::{Case, CaseError, Expectation, Request, load_cases};
#[cfg(feature = "device")]
pub use device::judge_on_device;
pub use judge::{
    Answer, Judgement, RuleMatch, Sandbox, header_buf, pairs, policy, request_head, settings_buf,
};
pub use record::Record;
