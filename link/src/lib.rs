//! # Picket link
//!
//! The transport between a Picket host and a device that judges for it: a board on a serial line, a box
//! on the network. `SPEC.md` beside this crate gives the byte layout.
//!
//! ```text
//! Client ── Request ─▶ frames ─▶ any line of bytes ─▶ frames ─▶ Device ─▶ Evaluate
//!        ◀─ Answer ──         ◀─                   ◀─        ◀─        ◀─ (a chain of filters)
//! ```
//!
//! 1. **A line is not trusted.** Frames carry a CRC; after garbage the next frame is found at the next
//!    delimiter; garbage is answered with a [`Fault`] and changes nothing.
//! 2. **A device has little memory.** [`Device`] allocates nothing and works in two buffers that its
//!    owner gives it. Requests fit into one of them; answers of any length pass through the other.
//! 3. **One question, one answer.** A client waits for the answer to a request before the next. What is
//!    lost ends a transaction, never a session.
//! 4. **An answer says all.** Decision, score, matches, tags, failures, fuel and memory of each phase: a
//!    case can be judged from the answers alone.
//! 5. **Nothing is put to work unchecked.** What is transferred has a length and a digest, and is
//!    installed as a whole or not at all.
//!
//! The crate is `no_std`. The device's side is there without any feature; `host` adds `Appliance`, the
//! judge over `picket-host`; `async` adds `Device::serve_async`; `std` adds `Client` for TCP and serial
//! lines.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(feature = "host")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod answer;
#[cfg(feature = "host")]
mod appliance;
#[cfg(feature = "std")]
mod client;
mod device;
mod evaluate;
mod fault;
mod frame;
#[cfg(feature = "std")]
mod line;
mod message;

pub use answer::{
    Answer, AnsweredBy, Cause, Counts, Decision, Description, Failure, Finding, Finished, Installed, Judged,
    Refused, Spent, Status, Vitals, Welcome,
};
#[cfg(feature = "host")]
pub use appliance::{Appliance, InstallError, Profile, Shelf};
#[cfg(all(feature = "std", unix))]
pub use client::open_serial;
#[cfg(feature = "std")]
pub use client::{Address, AddressError, Client, ClientError, DeviceInfo, InstalledInfo, Options};
pub use device::{BufferTooShort, Device};
pub use evaluate::{Evaluate, NotInstalled};
pub use fault::Fault;
pub use frame::{
    DELIMITER, Emission, Frame, Kind, MIN_BUFFER, Receiver, UNASKED, frame_length, max_payload, request_frame,
};
#[cfg(feature = "std")]
pub use line::Line;
pub use message::{Artifact, Hello, PhaseMessage, Request, Sha256, Transfer, Version};
