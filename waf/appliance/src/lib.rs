//! # The Picket WAF for boards
//!
//! The same engine and the same rules as `picket-waf-guest`, with the same verdicts, in as little
//! memory as they can live in: small buffers, no text for panics, few tables unpacked. `cargo xtask
//! guests` builds it for size and with pages of one byte.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![deny(missing_docs)]

extern crate alloc;

use picket_guest::{BodyChunk, ConfigError, Configure, Filter, OutcomeBuf, RequestHead};
use picket_waf::{RuleSet, Waf};

/// Bytes for tables that are unpacked because they run often; more would only be faster.
const UNPACKED: usize = 2 * 1024;

struct Guard(Waf);

impl Filter for Guard {
    fn configure(config: &Configure<'_>) -> Result<Self, ConfigError> {
        if !config.data.is_empty() {
            return Err(ConfigError::new("this edition has its rules built in and takes no others"));
        }
        let rules = RuleSet::from_trusted(picket_waf_rules::COMPACT)
            .map_err(|_| ConfigError::new("the built-in rules are damaged"))?;
        let mut waf =
            Waf::configure(rules, config).map_err(|_| ConfigError::new("a setting is not understood"))?;
        waf.limit_unpacked(UNPACKED);
        Ok(Guard(waf))
    }

    fn request_head(&mut self, head: &RequestHead<'_>) -> OutcomeBuf {
        self.0.request_head(head)
    }

    fn request_body(&mut self, chunk: &BodyChunk<'_>) -> OutcomeBuf {
        self.0.request_body(chunk)
    }
}

picket_guest::export! {
    Guard {
        name: "picket-waf",
        version: env!("CARGO_PKG_VERSION"),
        kind: "waf",
        phases: [request_head, request_body],
        body_window: 65536,
        input: 4096,
        heap: 14 * 1024,
        panic: silent,
    }
}
