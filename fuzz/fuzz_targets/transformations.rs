//! Every transformation, alone and in chains: `false` says that nothing changed, the trigger says when
//! nothing can, and nothing grows without bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use picket_seclang::transform::{Transformation, Trigger};

/// Bytes that `bytes` bytes can become.
fn bound(transformation: Transformation, bytes: usize) -> usize {
    match transformation {
        Transformation::Md5 => 16,
        Transformation::Sha1 => 20,
        Transformation::Length => 20,
        Transformation::Base64Encode => bytes.div_ceil(3) * 4,
        Transformation::HexEncode => 2 * bytes,
        Transformation::UrlEncode => 3 * bytes,
        // A NUL is a character of one byte.
        Transformation::Utf8ToUnicode => 6 * bytes,
        _ => bytes,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&[count, a, b, c, d], value)) = data.split_first_chunk() else { return };
    let mut value = value.to_vec();
    // What is in the buffer must not matter.
    let mut out = b"left from before".to_vec();
    for number in &[a, b, c, d][..usize::from(count % 4) + 1] {
        let all = Transformation::ALL;
        let Some(transformation) = all.get(usize::from(*number) % all.len()).copied() else { return };
        assert_eq!(Transformation::from_name(transformation.name()), Some(transformation));
        assert_eq!(Transformation::from_u8(transformation as u8), Some(transformation));
        let changed = transformation.apply(&value, &mut out);
        let context = || format!("{transformation:?} of {:?}", value.escape_ascii().to_string());
        if !changed {
            // Unspecified if nothing changed; the same question once more has the same answer.
            assert!(!transformation.apply(&value, &mut Vec::new()), "{}", context());
            continue;
        }
        assert_ne!(out, value, "changed to itself: {}", context());
        if let Trigger::Bytes(set) = transformation.trigger() {
            let triggered = value.iter().any(|&byte| set[usize::from(byte / 64)] >> (byte % 64) & 1 != 0);
            assert!(triggered, "changed without a trigger: {}", context());
        }
        let bound = bound(transformation, value.len());
        assert!(out.len() <= bound, "{} bytes, not {bound}: {}", out.len(), context());
        let mut again = Vec::new();
        assert!(transformation.apply(&value, &mut again));
        assert_eq!(out, again, "{}", context());
        std::mem::swap(&mut value, &mut out);
        if value.len() > 1 << 16 {
            return;
        }
    }
});
