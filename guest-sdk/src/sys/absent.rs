//! No host: everything is unavailable.

use picket_abi::{HostStatus, LogLevel};

pub(crate) fn log(_: LogLevel, _: &[u8]) {}

pub(crate) fn emit(_: &[u8], _: i64) {}

pub(crate) fn kv_get(_: &[u8], _: &mut [u8]) -> i64 {
    HostStatus::Unavailable as i64
}

pub(crate) fn kv_set(_: &[u8], _: &[u8], _: i64) -> i64 {
    HostStatus::Unavailable as i64
}

pub(crate) fn http_fetch(_: &[u8], _: &mut [u8]) -> i64 {
    HostStatus::Unavailable as i64
}

pub(crate) fn now() -> i64 {
    0
}

pub(crate) fn random(_: &mut [u8]) {}
