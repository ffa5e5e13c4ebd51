//! # Picket host
//!
//! The neutral runtime of Picket filters: everything between a request and a WebAssembly engine.
//!
//! ```text
//! bytes ── inspect ─▶ ModuleInfo ── check(Policy) ─▶ Backend::compile ─▶ Filter ─▶ Registry
//!                                                                          │
//! request ─▶ Chain::begin ─▶ Transaction ── encode ─▶ guest memory ── call ─▶ GuestSlice ── decode ─▶ decision
//! ```
//!
//! 1. **A guest's word is an allegation.** Pointers and lengths become bytes through [`GuestSlice`]
//!    only, outcomes are proved before they are used, header fields are checked to be HTTP.
//! 2. **One meaning, many engines.** A [`Backend`] compiles, instantiates and calls. What a limit
//!    means, what a host function does and which module is refused is decided here, once.
//! 3. **Every limit that is declared is enforced**: [`Limits`].
//! 4. **A failure has an owner and a consequence**: [`Error::culprit`], [`Error::consequence`].
//! 5. **Nothing is held longer than its transaction.** An old filter is freed with the last
//!    transaction that began on it.
//!
//! The crate is `no_std` and needs `alloc`. The feature `std` adds `StdClock`, which also
//! tells processor time, locks that sleep, and `Tiered`, which starts a module on one engine while
//! another compiles it. `defmt` is for microcontrollers: `defmt::Format` on limits, errors and counters,
//! `DefmtServices` for what guests log, and lines of its own about filters that load and that fail.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod attach;
mod backend;
mod chain;
mod clock;
mod context;
mod counters;
mod error;
mod field;
mod filter;
mod guest;
mod guest_slice;
mod hostcall;
mod inspect;
mod limits;
#[cfg(feature = "defmt")]
mod logging;
mod metadata;
mod metering;
mod place;
mod policy;
mod registry;
mod report;
mod rewrite;
mod services;
mod start;
mod sync;
#[cfg(feature = "std")]
mod tiered;
mod transaction;

#[cfg(test)]
mod tests;

pub use picket_abi as abi;
pub use picket_meter as meter;

pub use attach::{AttachError, attach};
pub use backend::{Backend, CompiledModule, Instance};
pub use chain::Chain;
pub use clock::Clock;
#[cfg(feature = "std")]
pub use clock::StdClock;
pub use context::{CallContext, Stop};
pub use counters::CountersSnapshot;
pub use error::{
    Consequence, Culprit, Error, FailureKind, GuestFault, HostFault, Limit, LoadError, RemoteFault, Trap,
};
pub use field::is_reserved;
pub use filter::{ConfigureBuf, Filter, Source};
pub use guest_slice::{GuestSlice, OutOfBounds};
pub use hostcall::{Halt, Signature, ValueType, host_call, signature};
pub use inspect::{
    ExportInfo, ImportInfo, ManifestInfo, MemoryInfo, ModuleInfo, SectionInfo, TableInfo, inspect,
};
pub use limits::{Budget, Fuel, GrowthMeter, Limits, Micros};
#[cfg(feature = "defmt")]
pub use logging::DefmtServices;
pub use metadata::{Metadata, ModuleDigest, Remote};
#[cfg(feature = "meter")]
pub use metering::meter_offline;
pub use metering::{Metering, Trusted, prepare};
pub use place::{InPlace, data_in_place};
pub use policy::{Isolation, OnFailure, Policy};
pub use registry::{Registry, RegistryError};
pub use report::{BodyDecision, FailureRecord, FilterVerdict, HeadDecision, Reply, ReplyCause, Report};
pub use services::{Environment, FetchReply, HostServices, NoServices};
pub use start::start_as_export;
#[cfg(feature = "std")]
pub use tiered::{OnPromotion, Promotion, Tiered};
pub use transaction::Transaction;
