//! Plays the host for tests: each function works on the mock host of the running thread.

use picket_abi::{FetchRequest, HostStatus, LogLevel};

use crate::mock::{Capability, with_host};

pub(crate) fn log(level: LogLevel, text: &[u8]) {
    with_host(Capability::Log, |host| host.log(level, text));
}

pub(crate) fn emit(name: &[u8], value: i64) {
    with_host(Capability::Emit, |host| host.emit(name, value));
}

pub(crate) fn kv_get(key: &[u8], out: &mut [u8]) -> i64 {
    with_host(Capability::Kv, |host| match host.kv_get(key) {
        Ok(value) => hand_out(value, out),
        Err(status) => status as i64,
    })
}

pub(crate) fn kv_set(key: &[u8], value: &[u8], ttl_ms: i64) -> i64 {
    with_host(Capability::Kv, |host| host.kv_set(key, value, ttl_ms));
    0
}

pub(crate) fn http_fetch(request: &[u8], out: &mut [u8]) -> i64 {
    // Decoded as a real host would: a request it would refuse is refused here.
    let Ok(request) = FetchRequest::decode(request) else { return HostStatus::Invalid as i64 };
    // The answer is found outside of `with_host`: the test's function may look at the host.
    let answer = with_host(Capability::HttpFetch, |host| host.fetcher());
    match answer.as_deref() {
        None => HostStatus::Denied as i64,
        Some(answer) => match answer(&request) {
            Ok(reply) => hand_out(&reply.encode(), out),
            Err(status) => status as i64,
        },
    }
}

pub(crate) fn now() -> i64 {
    with_host(Capability::Now, |host| host.now() as i64)
}

pub(crate) fn random(out: &mut [u8]) {
    with_host(Capability::Random, |host| host.random(out));
}

/// The length of `value`, which is written to `out` if it fits.
fn hand_out(value: &[u8], out: &mut [u8]) -> i64 {
    if let Some(front) = out.get_mut(..value.len()) {
        front.copy_from_slice(value);
    }
    value.len() as i64
}
