//! The manifest as bytes, computed by the compiler: a custom section must be a constant.
//!
//! `const fn` cannot call serde, so this is postcard's encoding of [`Manifest`] once more; a test
//! holds the two against each other.

use picket_abi::{Capability, CapabilitySet, MAX_NAME_LEN, Manifest, Phase, PhaseSet};

/// Length in bytes of the encoded manifest.
pub const fn manifest_len(manifest: &Manifest<'_>) -> usize {
    text_len(manifest.name.bytes())
        + text_len(manifest.version.bytes())
        + text_len(manifest.kind.bytes())
        + 1
        + varint_len(capability_bits(manifest.capabilities))
        + varint_len(manifest.body_window)
}

/// The encoded manifest. `N` is its [`manifest_len`].
///
/// # Panics
/// At compile time: if a text is not what [`Manifest::decode`] takes, if no phase beside
/// `configure` is declared, or if `N` is wrong.
pub const fn encode_manifest<const N: usize>(manifest: &Manifest<'_>) -> [u8; N] {
    check_text(manifest.name.bytes());
    check_text(manifest.version.bytes());
    check_text(manifest.kind.bytes());
    let phases = phase_bits(manifest.phases);
    assert!(phases & !(1 << Phase::Configure as u8) != 0, "a filter has at least one phase");

    let mut out = [0; N];
    let mut at = 0;
    at = put_text(&mut out, at, manifest.name.bytes());
    at = put_text(&mut out, at, manifest.version.bytes());
    at = put_text(&mut out, at, manifest.kind.bytes());
    out[at] = phases;
    at = put_varint(&mut out, at + 1, capability_bits(manifest.capabilities));
    at = put_varint(&mut out, at, manifest.body_window);
    assert!(at == N, "N is not the length of this manifest");
    out
}

const fn check_text(text: &[u8]) {
    assert!(!text.is_empty(), "name, version and kind of a filter are not empty");
    assert!(text.len() <= MAX_NAME_LEN, "name, version and kind of a filter have at most 64 bytes");
    let mut at = 0;
    while at < text.len() {
        assert!(
            text[at] >= b' ' && text[at] <= b'~',
            "name, version and kind of a filter are printable ASCII"
        );
        at += 1;
    }
}

const fn phase_bits(set: PhaseSet) -> u8 {
    let mut bits = 0;
    let mut at = 0;
    while at < Phase::ALL.len() {
        if set.contains(Phase::ALL[at]) {
            bits |= 1 << Phase::ALL[at] as u8;
        }
        at += 1;
    }
    bits
}

const fn capability_bits(set: CapabilitySet) -> u32 {
    let mut bits = 0;
    let mut at = 0;
    while at < Capability::ALL.len() {
        if set.contains(Capability::ALL[at]) {
            bits |= 1 << Capability::ALL[at] as u8;
        }
        at += 1;
    }
    bits
}

const fn text_len(text: &[u8]) -> usize {
    varint_len(text.len() as u32) + text.len()
}

const fn varint_len(mut value: u32) -> usize {
    let mut len = 1;
    while value > 0x7f {
        value >>= 7;
        len += 1;
    }
    len
}

const fn put_varint(out: &mut [u8], mut at: usize, mut value: u32) -> usize {
    while value > 0x7f {
        out[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    out[at] = value as u8;
    at + 1
}

const fn put_text(out: &mut [u8], at: usize, text: &[u8]) -> usize {
    let start = put_varint(out, at, text.len() as u32);
    let mut copied = 0;
    while copied < text.len() {
        out[start + copied] = text[copied];
        copied += 1;
    }
    start + text.len()
}

#[cfg(test)]
mod tests {
    use picket_abi::Octets;

    use super::*;

    /// Encodes `$manifest` both ways.
    macro_rules! both {
        ($manifest:expr) => {{
            const MANIFEST: Manifest<'static> = $manifest;
            const BYTES: [u8; manifest_len(&MANIFEST)] = encode_manifest(&MANIFEST);
            assert_eq!(BYTES.as_slice(), postcard::to_allocvec(&MANIFEST).unwrap());
            assert_eq!(Manifest::decode(&BYTES), Ok(MANIFEST));
        }};
    }

    #[test]
    fn section_bytes_are_what_postcard_writes() {
        both!(Manifest {
            name: Octets(b"a"),
            version: Octets(b"1"),
            kind: Octets(b"k"),
            phases: PhaseSet::EMPTY.with(Phase::RequestHead),
            capabilities: CapabilitySet::EMPTY,
            body_window: 0,
        });
        both!(Manifest {
            name: Octets(&[b'n'; MAX_NAME_LEN]),
            version: Octets(b"1.2.3-rc.1"),
            kind: Octets(b"waf"),
            phases: PhaseSet::EMPTY
                .with(Phase::Configure)
                .with(Phase::RequestHead)
                .with(Phase::RequestBody)
                .with(Phase::ResponseHead)
                .with(Phase::ResponseBody)
                .with(Phase::Error)
                .with(Phase::Log),
            capabilities: CapabilitySet::ALL,
            body_window: u32::MAX,
        });
        both!(Manifest {
            name: Octets(b"window"),
            version: Octets(b"1"),
            kind: Octets(b"k"),
            phases: PhaseSet::EMPTY.with(Phase::Log),
            capabilities: CapabilitySet::EMPTY.with(Capability::Panic).with(Capability::Random),
            body_window: 0x80,
        });
    }

    #[test]
    #[should_panic(expected = "at least one phase")]
    fn a_filter_that_only_configures_itself_is_refused() {
        encode_manifest::<16>(&Manifest {
            name: Octets(b"n"),
            version: Octets(b"1"),
            kind: Octets(b"k"),
            phases: PhaseSet::EMPTY.with(Phase::Configure),
            ..Manifest::default()
        });
    }

    #[test]
    #[should_panic(expected = "printable ASCII")]
    fn a_name_that_no_host_takes_is_refused() {
        encode_manifest::<16>(&Manifest {
            name: Octets("né".as_bytes()),
            version: Octets(b"1"),
            kind: Octets(b"k"),
            phases: PhaseSet::EMPTY.with(Phase::Log),
            ..Manifest::default()
        });
    }
}
