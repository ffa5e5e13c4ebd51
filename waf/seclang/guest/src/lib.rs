//! # SecLang rules as one module
//!
//! Glue between the guest SDK and the engine. The ruleset is put into the module
//! (`picket rules bake`), so that an instance finds it in place; one in the configuration's data is
//! taken instead.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![deny(missing_docs)]

extern crate alloc;

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use picket_guest::{
    BodyChunk, ConfigError, Configure, Filter, OutcomeBuf, RequestHead, ResponseHead, Settings,
    TransactionLog, VerdictBuf, kv_get, kv_remove, kv_set, now,
};
use picket_seclang::{Guard, RuleSet, Services};

picket_guest::attached!(RULES);

/// The host, as the engine wants it.
#[derive(Clone, Copy)]
struct Host;

impl Services for Host {
    fn kv_get(&mut self, key: &[u8], value: &mut Vec<u8>) -> bool {
        match kv_get(key) {
            Ok(Some(stored)) => {
                *value = stored;
                true
            }
            // A store that does not answer holds nothing: a rule that counts begins anew.
            _ => false,
        }
    }

    fn kv_set(&mut self, key: &[u8], value: &[u8], ttl_ms: i64) {
        // What a full store does not take is lost, as ModSecurity's collections lose it.
        let ttl_ms = u32::try_from(ttl_ms.max(0)).unwrap_or(u32::MAX);
        let _ = if value.is_empty() { kv_remove(key) } else { kv_set(key, value, ttl_ms) };
    }

    fn now_us(&mut self) -> u64 {
        now()
    }
}

struct Filters(Guard<'static, Host>);

/// `mode` (`"block"`, as the ruleset says, or `"detect"`) and `explain`.
fn settings(config: &Configure<'_>) -> Result<picket_seclang::Settings, ConfigError> {
    config.allow_only(&["mode", "explain"])?;
    let detection_only = match config.text("mode")? {
        None | Some("block") => false,
        Some("detect") => true,
        Some(other) => {
            return Err(ConfigError::new(format!("mode: `{other}` is neither `block` nor `detect`")));
        }
    };
    let explain = config.flag("explain")?.unwrap_or(false);
    Ok(picket_seclang::Settings { detection_only, explain, ..picket_seclang::Settings::default() })
}

impl Filter for Filters {
    fn configure(config: &Configure<'_>) -> Result<Self, ConfigError> {
        let rules = if config.data.is_empty() {
            match RULES.get() {
                [] => {
                    return Err("no ruleset: put one into the module with `picket rules bake`".into());
                }
                rules => RuleSet::from_trusted(rules),
            }
        } else {
            // An instance keeps its ruleset as long as it lives, and it lives as long as its memory.
            RuleSet::load(config.data.to_vec().leak())
        };
        let rules = rules.map_err(|error| ConfigError::new(error.to_string()))?;
        Ok(Filters(Guard::new(rules, settings(config)?, Host)))
    }

    fn request_head(&mut self, head: &RequestHead<'_>) -> OutcomeBuf {
        self.0.request_head(head)
    }

    fn request_body(&mut self, chunk: &BodyChunk<'_>) -> OutcomeBuf {
        self.0.request_body(chunk)
    }

    fn response_head(&mut self, head: &ResponseHead<'_>) -> OutcomeBuf {
        self.0.response_head(head)
    }

    fn response_body(&mut self, chunk: &BodyChunk<'_>) -> OutcomeBuf {
        self.0.response_body(chunk)
    }

    fn close(&mut self, _: &TransactionLog) -> VerdictBuf {
        self.0.log().verdict
    }
}

picket_guest::export! {
    Filters {
        name: "picket-seclang",
        version: env!("CARGO_PKG_VERSION"),
        kind: "waf",
        phases: [request_head, request_body, response_head, response_body, log],
        capabilities: [kv, now],
        // The host that put the ruleset in knows how much it looks at; this is for one that does not.
        body_window: 131072,
        heap: 64 * 1024,
    }
}
