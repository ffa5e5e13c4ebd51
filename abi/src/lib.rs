//! # Picket ABI
//!
//! The wire between a Picket host and a Picket guest, version [`AbiVersion::CURRENT`].
//!
//! ```text
//! host ──encode──▶ message in the guest's input buffer ──decode──▶ guest
//! host ◀─decode──  Outcome in the guest's output buffer ◀─encode── guest
//! ```
//!
//! 1. **One crossing per phase.** A message is a [postcard] value that is written once and read in
//!    place: decoding borrows from the buffer and allocates nothing.
//! 2. **Lists are decoded when asked for.** A [`Seq`] is a length and bytes; a guest that never
//!    looks at the headers never pays for them.
//! 3. **A guest's word is an allegation.** What comes out of a guest goes through
//!    [`Outcome::decode`], which proves every nested element before it hands out a value.
//! 4. **HTTP is bytes.** Names and values are [`Octets`]; order and duplicates are kept.
//!
//! `SPEC.md` beside this crate gives the byte layout. The crate is `no_std`; the feature `alloc`
//! adds the owned builders, `defmt` adds `defmt::Format`.
//!
//! [postcard]: https://postcard.jamesmunns.com/wire-format
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod codec;
mod front;
mod import;
mod manifest;
mod message;
mod octets;
mod outcome;
#[cfg(feature = "alloc")]
mod owned;
mod phase;
mod seq;
mod settings;
mod version;

pub use codec::{DecodeError, EncodeError, encode, encoded_len};
pub use import::{
    Capability, CapabilitySet, FetchRequest, FetchResponse, HostFn, HostStatus, IMPORT_MODULE, LogLevel,
};
pub use manifest::{MANIFEST_SECTION, MAX_NAME_LEN, Manifest};
pub use message::{
    BodyChunk, FailureReport, FailureSource, Header, HttpVersion, Peer, PeerAddr, RequestHead, ResponseHead,
    Scheme, TransactionLog,
};
pub use octets::Octets;
pub use outcome::{Action, HeaderOp, Match, Outcome, Severity, Verdict};
#[cfg(feature = "alloc")]
pub use owned::{ActionBuf, Family, OutcomeBuf, SeqBuf, VerdictBuf};
pub use phase::{EXPORT_ABI, EXPORT_INPUT, EXPORT_MEMORY, PackedSlice, Phase, PhaseSet};
pub use seq::{Element, Seq, SeqIter};
pub use settings::{Configure, Setting, Value};
pub use version::{AbiVersion, Incompatible};
