//! # The Picket WAF as one module
//!
//! Glue between the guest SDK and the engine; the ruleset is a constant of the module. A ruleset in
//! the configuration's data replaces it.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![deny(missing_docs)]

extern crate alloc;

use alloc::string::ToString;

use picket_guest::{BodyChunk, ConfigError, Configure, Filter, OutcomeBuf, RequestHead};
use picket_waf::{RuleSet, Waf};

struct Guard(Waf);

impl Filter for Guard {
    fn configure(config: &Configure<'_>) -> Result<Self, ConfigError> {
        let rules = if config.data.is_empty() {
            RuleSet::from_trusted(picket_waf_rules::BUILTIN)
        } else {
            // An instance keeps its ruleset as long as it lives, and it lives as long as its memory.
            let blob: &'static [u8] = config.data.to_vec().leak();
            RuleSet::load(blob)
        };
        let rules = rules.map_err(|error| ConfigError::new(error.to_string()))?;
        Waf::configure(rules, config).map(Guard).map_err(|error| ConfigError::new(error.to_string()))
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
    }
}
