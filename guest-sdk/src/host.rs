//! What a filter can ask of its host. Each function needs the capability that is named with it, in
//! [`export!`](crate::export!) and in the host's policy.

use alloc::vec;
use alloc::vec::Vec;

use picket_abi::{FetchRequest, FetchResponse, HostStatus, LogLevel, encode, encoded_len};

use crate::sys;

/// Writes a line to the host's log. Capability `log`.
pub fn log(level: LogLevel, text: &str) {
    sys::log(level, text.as_bytes());
}

/// Adds `value` to the counter `name` among the host's metrics. Capability `emit`.
pub fn emit(name: &str, value: i64) {
    sys::emit(name.as_bytes(), value);
}

/// The value of `key` in the filter's own part of the host's store. Capability `kv`.
///
/// # Errors
/// [`HostStatus`], but a key that is not there is `None`.
pub fn kv_get(key: &[u8]) -> Result<Option<Vec<u8>>, HostStatus> {
    // Most values are small; a longer one tells its length. Another writer may make it longer
    // still in the meantime, but not for ever.
    let mut value = vec![0; 256];
    for _ in 0..4 {
        match length(sys::kv_get(key, &mut value)) {
            Err(HostStatus::NotFound) => return Ok(None),
            Err(status) => return Err(status),
            Ok(len) if len <= value.len() => {
                value.truncate(len);
                return Ok(Some(value));
            }
            Ok(len) => value.resize(len, 0),
        }
    }
    Err(HostStatus::Unavailable)
}

/// Stores `value` under `key` for `ttl_ms` milliseconds; 0 keeps it for ever. Capability `kv`.
///
/// # Errors
/// [`HostStatus`]. An empty value is [`HostStatus::Invalid`]: to the host it would mean
/// [`kv_remove`].
pub fn kv_set(key: &[u8], value: &[u8], ttl_ms: u32) -> Result<(), HostStatus> {
    if value.is_empty() {
        return Err(HostStatus::Invalid);
    }
    length(sys::kv_set(key, value, ttl_ms.into())).map(drop)
}

/// Removes `key`, if it is there. Capability `kv`.
///
/// # Errors
/// [`HostStatus`]
pub fn kv_remove(key: &[u8]) -> Result<(), HostStatus> {
    match length(sys::kv_set(key, &[], 0)) {
        Ok(_) | Err(HostStatus::NotFound) => Ok(()),
        Err(status) => Err(status),
    }
}

/// Sends an HTTP request and waits for the answer, of which the filter takes at most `max_len`
/// encoded bytes. Capability `http_fetch`; the policy names the hosts that can be reached.
///
/// # Errors
/// [`HostStatus`]; [`HostStatus::Quota`] if the answer is longer than `max_len`. The request has
/// been sent then: it is not repeated with a larger buffer, for it may have had an effect.
pub fn http_fetch(request: &FetchRequest<'_>, max_len: usize) -> Result<FetchReply, HostStatus> {
    let mut message = vec![0; encoded_len(request)];
    encode(request, &mut message).map_err(|_| HostStatus::Invalid)?;
    let mut encoded = vec![0; max_len];
    let len = length(sys::http_fetch(&message, &mut encoded))?;
    if len > max_len {
        return Err(HostStatus::Quota);
    }
    encoded.truncate(len);
    // Proved once here, so that `FetchReply::response` cannot fail.
    FetchResponse::decode(&encoded).map_err(|_| HostStatus::Unavailable)?;
    Ok(FetchReply { encoded })
}

/// The wall clock: microseconds since 1970-01-01T00:00Z. Capability `now`.
pub fn now() -> u64 {
    sys::now().max(0) as u64
}

/// Fills `out` with random bytes, fit for keys. Capability `random`.
pub fn random(out: &mut [u8]) {
    sys::random(out);
}

/// What [`http_fetch`] brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchReply {
    encoded: Vec<u8>,
}

impl FetchReply {
    /// Status, headers and body, borrowed from this.
    pub fn response(&self) -> FetchResponse<'_> {
        // Checked when the reply was made; the default is never seen.
        FetchResponse::decode(&self.encoded).unwrap_or_default()
    }
}

/// A host function's return value: a length, or a negative status.
fn length(returned: i64) -> Result<usize, HostStatus> {
    usize::try_from(returned).map_err(|_| HostStatus::from_number(returned))
}
