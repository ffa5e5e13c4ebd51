//! What the engine asks of whoever runs it.

use alloc::vec::Vec;

/// Storage, time and chance. Nothing of it is needed to inspect a request: collections that outlive
/// a transaction, the clock's variables and identifiers rest on it.
pub trait Services {
    /// Writes what is stored under `key` to `value` (which is empty) and tells whether there is
    /// anything.
    fn kv_get(&mut self, key: &[u8], value: &mut Vec<u8>) -> bool {
        let _ = (key, value);
        false
    }

    /// Stores `value` for `ttl_ms` milliseconds; an empty value removes the key.
    fn kv_set(&mut self, key: &[u8], value: &[u8], ttl_ms: i64) {
        let _ = (key, value, ttl_ms);
    }

    /// Microseconds since 1970-01-01T00:00Z; 0 if that is not known.
    fn now_us(&mut self) -> u64 {
        0
    }

    /// Fills `out` with random bytes, or leaves it.
    fn random(&mut self, out: &mut [u8]) {
        let _ = out;
    }
}

/// None of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoServices;

impl Services for NoServices {}
