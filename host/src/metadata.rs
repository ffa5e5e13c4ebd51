//! Who a filter is: names, digests, time of loading.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use picket_abi::{CapabilitySet, PhaseSet};
use sha2::{Digest as _, Sha256};

use crate::metering::Metering;

/// What is known of a loaded filter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// Id within its registry and in every report.
    pub id: Arc<str>,
    /// Name, from the manifest; the id where there is none.
    pub name: String,
    /// Version, from the manifest.
    pub version: String,
    /// Kind, from the manifest: `waf`, `auth`, `headers`, …
    pub kind: String,
    /// SHA-256 of the module.
    pub sha256: ModuleDigest,
    /// Content identifier of the module: CIDv1, codec `raw`, SHA-256, base 32.
    pub cid: String,
    /// When it was loaded, in microseconds since 1970-01-01T00:00Z, by the embedder's wall clock.
    pub loaded_at_us: u64,
    /// Length of the module, in bytes.
    pub module_bytes: usize,
    /// Name of the backend it runs on.
    pub backend: &'static str,
    /// How its fuel is counted.
    pub metering: Metering,
    /// Phases it is called for.
    pub phases: PhaseSet,
    /// Capabilities it uses.
    pub capabilities: CapabilitySet,
    /// Bytes of a body it wants held back.
    pub body_window: u32,
    /// Whether it runs at another place, so that its calls wait for a line.
    pub remote: bool,
}

/// What is known of a filter that runs at another place: see [`Filter::remote`](crate::Filter::remote).
#[derive(Clone, Copy, Debug)]
pub struct Remote<'a> {
    /// Id within its registry and in every report.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// SHA-256 of its module.
    pub sha256: ModuleDigest,
    /// Length of its module, in bytes; 0 where that is not known here.
    pub module_bytes: usize,
    /// What is said of where it runs, in the place of a backend's name.
    pub backend: &'static str,
    /// Phases it is called for.
    pub phases: PhaseSet,
    /// Bytes of a body it wants held back.
    pub body_window: u32,
}

/// The SHA-256 of a module. Shown in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModuleDigest([u8; 32]);

impl ModuleDigest {
    /// The digest of a module's bytes.
    pub fn of(wasm: &[u8]) -> Self {
        ModuleDigest(Sha256::digest(wasm).into())
    }

    /// The digest with these 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        ModuleDigest(bytes)
    }

    /// The digest that is written as these 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
            *byte = (high? << 4 | low?) as u8;
        }
        Some(ModuleDigest(bytes))
    }

    /// The 32 bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The content identifier of the same bytes: [CIDv1] with codec `raw` (0x55) and the multihash of
    /// this digest (0x12, 32 bytes), in base 32 behind the multibase prefix `b`.
    ///
    /// ```
    /// let cid = picket_host::ModuleDigest::of(b"").cid();
    /// assert_eq!(cid, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
    /// ```
    ///
    /// [CIDv1]: https://github.com/multiformats/cid
    pub fn cid(&self) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut cid = String::with_capacity(59);
        cid.push('b');
        let (mut bits, mut count) = (0_u32, 0);
        for &byte in [0x01, 0x55, 0x12, 0x20].iter().chain(&self.0) {
            bits = bits << 8 | u32::from(byte);
            count += 8;
            while count >= 5 {
                count -= 5;
                cid.push(char::from(ALPHABET[(bits >> count & 31) as usize]));
            }
        }
        if count > 0 {
            cid.push(char::from(ALPHABET[(bits << (5 - count) & 31) as usize]));
        }
        cid
    }
}

impl fmt::Display for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for ModuleDigest {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=[u8; 32]:02x}", self.0);
    }
}

impl fmt::Debug for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModuleDigest({self})")
    }
}
