//! Runs compiled rules over a transaction.
//!
//! ```text
//! phase ─ intake ─▶ store (entries) ─ screen (variants, prefilter) ─▶ candidates, rules to run
//! rules, in order ─ evaluate (targets ─ confirm) ─▶ matches ─ actions ─▶ TX, scores, interruption
//! ```
//!
//! The semantics are libmodsecurity 3.0's, but where this says otherwise:
//! - `MATCHED_VARS` begin anew with every chain, whatever the rule before it did.
//! - A capture leaves none of an earlier rule's groups behind.
//! - A body that is too long is refused with 413. `SecRequestBodyNoFilesLimit` is enforced.
//! - `msg` and `logdata` are put together when the whole chain has matched, as ModSecurity 2 does it and
//!   the Core Rule Set is written for it: their macros see what the last link left. The variable that a
//!   report names is the first link's.
//! - REQUEST_BODY is there unless the body is multipart or XML (or a rule forces it), as the Core Rule
//!   Set's tests want it: of XML, rules see text and attributes and not the names of elements.
//! - Phase 2 runs without a body too, and phase 4 whatever the response's media type.
//! - Numbers have 64 bits and do not overflow.
//!
//! Everything is bounded: the bodies by the ruleset's limits (and [`MAX_BODY`]), the values by
//! number (65,536) and bytes (32 MiB), candidates (65,536), variables that rules make up (4,096),
//! matches ([`Settings::max_matches`]). What exceeds a bound is left out;
//! [`Transaction::dropped`] counts it, and the request's body counts as not read (`REQBODY_ERROR`).

mod actions;
mod confirm;
mod evaluate;
mod expand;
mod guard;
mod intake;
mod persist;
mod report;
mod response;
mod screen;
mod services;
mod shared;
mod store;
mod transaction;
mod values;

pub use guard::Guard;
pub use report::{Interruption, Matched, Verb};
pub use services::{NoServices, Services};
pub use transaction::{MAX_BODY, Settings, Transaction};
