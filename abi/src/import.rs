//! What a guest may ask of its host: functions of the import module `picket`.

use serde::{Deserialize, Serialize};

use crate::codec::{DecodeError, decode_exact, decode_prefix};
use crate::message::Header;
use crate::octets::Octets;
use crate::seq::Seq;

/// Name of the one module a guest may import from.
pub const IMPORT_MODULE: &str = "picket";

/// A right that a policy grants to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Capability {
    /// Report a panic's text. Every policy grants it unless it says otherwise.
    Panic = 0,
    /// Write to the host's log.
    Log = 1,
    /// Emit a counter.
    Emit = 2,
    /// Read and write the host's key-value store, in a namespace of the filter's own.
    Kv = 3,
    /// Send HTTP requests to the hosts that the policy names.
    HttpFetch = 4,
    /// Read the wall clock.
    Now = 5,
    /// Random bytes.
    Random = 6,
}

impl Capability {
    /// All capabilities.
    pub const ALL: [Capability; 7] = [
        Capability::Panic,
        Capability::Log,
        Capability::Emit,
        Capability::Kv,
        Capability::HttpFetch,
        Capability::Now,
        Capability::Random,
    ];

    /// The name in manifests, configuration and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Capability::Panic => "panic",
            Capability::Log => "log",
            Capability::Emit => "emit",
            Capability::Kv => "kv",
            Capability::HttpFetch => "http_fetch",
            Capability::Now => "now",
            Capability::Random => "random",
        }
    }

    /// The capability of that [name](Capability::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.name() == name)
    }
}

/// A set of capabilities. On the wire: a varint, bit `n` for the capability with number `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CapabilitySet(u16);

impl CapabilitySet {
    /// No capability.
    pub const EMPTY: CapabilitySet = CapabilitySet(0);
    /// Every capability.
    pub const ALL: CapabilitySet = CapabilitySet((1 << Capability::ALL.len()) - 1);

    /// This set and `capability`.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        CapabilitySet(self.0 | 1 << capability as u8)
    }

    /// Whether `capability` is in the set.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & 1 << capability as u8 != 0
    }

    /// The capabilities in the set.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |&capability| self.contains(capability))
    }

    pub(crate) const fn check(self) -> Result<(), DecodeError> {
        if self.0 & !Self::ALL.0 == 0 {
            Ok(())
        } else {
            Err(DecodeError::OutOfRange { what: "capability set", value: self.0 as u32 })
        }
    }
}

/// A function of the import module [`IMPORT_MODULE`]. `ptr, len` pairs are `u32` addresses and
/// lengths in the guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum HostFn {
    /// `panic(ptr, len)`: the panic's text, UTF-8; the guest traps next.
    Panic,
    /// `log(level, ptr, len)`: a line for the host's log; `level` is a [`LogLevel`].
    Log,
    /// `emit(name_ptr, name_len, value: i64)`: adds `value` to a counter.
    Emit,
    /// `kv_get(key_ptr, key_len, out_ptr, out_len) -> i64`: the length of the value, which has been
    /// written to `out` if it fits; or a negative [`HostStatus`].
    KvGet,
    /// `kv_set(key_ptr, key_len, value_ptr, value_len, ttl_ms: i64) -> i64`: 0 or a negative
    /// [`HostStatus`]. A `ttl_ms` of 0 keeps the value for ever; an empty value removes the key.
    KvSet,
    /// `http_fetch(request_ptr, request_len, out_ptr, out_len) -> i64`: sends a [`FetchRequest`]; the
    /// length of the encoded [`FetchResponse`], written to `out` if it fits; or a negative [`HostStatus`].
    HttpFetch,
    /// `now() -> i64`: microseconds since 1970-01-01T00:00Z.
    Now,
    /// `random(out_ptr, out_len)`: fills `out`.
    Random,
}

impl HostFn {
    /// All host functions.
    pub const ALL: [HostFn; 8] = [
        HostFn::Panic,
        HostFn::Log,
        HostFn::Emit,
        HostFn::KvGet,
        HostFn::KvSet,
        HostFn::HttpFetch,
        HostFn::Now,
        HostFn::Random,
    ];

    /// The import's name.
    pub const fn name(self) -> &'static str {
        match self {
            HostFn::Panic => "panic",
            HostFn::Log => "log",
            HostFn::Emit => "emit",
            HostFn::KvGet => "kv_get",
            HostFn::KvSet => "kv_set",
            HostFn::HttpFetch => "http_fetch",
            HostFn::Now => "now",
            HostFn::Random => "random",
        }
    }

    /// The host function of that import name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    /// The capability it needs.
    pub const fn capability(self) -> Capability {
        match self {
            HostFn::Panic => Capability::Panic,
            HostFn::Log => Capability::Log,
            HostFn::Emit => Capability::Emit,
            HostFn::KvGet | HostFn::KvSet => Capability::Kv,
            HostFn::HttpFetch => Capability::HttpFetch,
            HostFn::Now => Capability::Now,
            HostFn::Random => Capability::Random,
        }
    }
}

/// Importance of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum LogLevel {
    /// Something failed.
    Error = 1,
    /// Something is amiss.
    Warn = 2,
    /// Worth knowing.
    Info = 3,
    /// For whoever looks for a fault.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

impl LogLevel {
    /// The level of that number; a number above the last is [`LogLevel::Trace`].
    pub const fn from_number(level: u32) -> Self {
        match level {
            0 | 1 => LogLevel::Error,
            2 => LogLevel::Warn,
            3 => LogLevel::Info,
            4 => LogLevel::Debug,
            _ => LogLevel::Trace,
        }
    }
}

/// Why a host function did not do what it was asked: the negative numbers of its return value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(i8)]
#[non_exhaustive]
pub enum HostStatus {
    /// No such key.
    NotFound = -1,
    /// The policy does not allow this (another host than the named ones, for instance).
    Denied = -2,
    /// Too large, or too many.
    Quota = -3,
    /// The other side did not answer in time.
    Timeout = -4,
    /// It failed, and trying again may help.
    Unavailable = -5,
    /// The arguments are not what the function takes.
    Invalid = -6,
}

impl HostStatus {
    /// The status of that number; an unknown number is [`HostStatus::Unavailable`].
    pub const fn from_number(status: i64) -> Self {
        match status {
            -1 => HostStatus::NotFound,
            -2 => HostStatus::Denied,
            -3 => HostStatus::Quota,
            -4 => HostStatus::Timeout,
            -6 => HostStatus::Invalid,
            _ => HostStatus::Unavailable,
        }
    }
}

impl core::fmt::Display for HostStatus {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            HostStatus::NotFound => "not found",
            HostStatus::Denied => "denied by the host's policy",
            HostStatus::Quota => "quota exceeded",
            HostStatus::Timeout => "timed out",
            HostStatus::Unavailable => "unavailable",
            HostStatus::Invalid => "invalid arguments",
        })
    }
}

impl core::error::Error for HostStatus {}

/// What [`HostFn::HttpFetch`] sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FetchRequest<'a> {
    /// Method.
    #[serde(borrow)]
    pub method: Octets<'a>,
    /// Absolute URI.
    #[serde(borrow)]
    pub uri: Octets<'a>,
    /// Header fields.
    #[serde(borrow)]
    pub headers: Seq<'a, Header<'a>>,
    /// Body.
    #[serde(borrow)]
    pub body: Octets<'a>,
    /// Longest wait, in milliseconds; the host's own limit if that is shorter or if this is 0.
    pub timeout_ms: u32,
}

impl<'a> FetchRequest<'a> {
    /// Decodes what an untrusted guest wrote; the headers are proved.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no fetch request.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let request: FetchRequest<'a> = decode_exact(bytes, "fetch request")?;
        request.headers.check()?;
        Ok(request)
    }
}

/// What [`HostFn::HttpFetch`] brings back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FetchResponse<'a> {
    /// Status code.
    pub status: u16,
    /// Header fields.
    #[serde(borrow)]
    pub headers: Seq<'a, Header<'a>>,
    /// Body.
    #[serde(borrow)]
    pub body: Octets<'a>,
}

impl<'a> FetchResponse<'a> {
    /// Decodes a response that the host wrote.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no fetch response.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        decode_prefix(bytes, "fetch response")
    }
}
