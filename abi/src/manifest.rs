//! The custom section in which a module says what it is.

use serde::{Deserialize, Serialize};

use crate::codec::{DecodeError, decode_exact};
use crate::import::CapabilitySet;
use crate::octets::Octets;
use crate::phase::PhaseSet;

/// Name of the custom section that holds the encoded [`Manifest`].
pub const MANIFEST_SECTION: &str = "picket.manifest";

/// Longest name, version or kind in a manifest, in bytes.
pub const MAX_NAME_LEN: usize = 64;

/// What a module says of itself. The host holds it to that: phases must be exported, capabilities
/// must be granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Manifest<'a> {
    /// Name of the filter, at most [`MAX_NAME_LEN`] bytes of printable ASCII.
    #[serde(borrow)]
    pub name: Octets<'a>,
    /// Version of the filter, likewise.
    #[serde(borrow)]
    pub version: Octets<'a>,
    /// What sort of filter it is, likewise: `waf`, `auth`, `headers`, …
    #[serde(borrow)]
    pub kind: Octets<'a>,
    /// Phases it implements.
    pub phases: PhaseSet,
    /// Capabilities it asks for.
    pub capabilities: CapabilitySet,
    /// How many bytes of a body it wants held back, so that what it blocks has not been sent on.
    pub body_window: u32,
}

impl<'a> Manifest<'a> {
    /// Decodes and checks what a module carries.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no manifest, a text is longer than [`MAX_NAME_LEN`] or not
    /// printable ASCII, or a bit of a set has no meaning.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let manifest: Manifest<'a> = decode_exact(bytes, "manifest")?;
        for (what, text) in [
            ("manifest name", manifest.name),
            ("manifest version", manifest.version),
            ("manifest kind", manifest.kind),
        ] {
            if text.len() > MAX_NAME_LEN {
                return Err(DecodeError::OutOfRange { what, value: text.len() as u32 });
            }
            if let Some(&byte) = text.iter().find(|byte| !matches!(byte, b' '..=b'~')) {
                return Err(DecodeError::OutOfRange { what, value: byte.into() });
            }
        }
        manifest.phases.check()?;
        manifest.capabilities.check()?;
        Ok(manifest)
    }
}
