//! `application/x-www-form-urlencoded`: splitting and decoding (WHATWG URL, section 5.1).

use alloc::vec::Vec;

use crate::transform::hex;

/// Decodes `raw` once: `+` is a blank, `%41` is `A`, anything else stays. Returns `raw` itself when
/// there is nothing to decode, otherwise what it wrote to `buffer`.
pub(crate) fn decode<'a>(raw: &'a [u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    let Some(first) = raw.iter().position(|byte| matches!(byte, b'%' | b'+')) else { return raw };
    buffer.clear();
    buffer.reserve(raw.len());
    buffer.extend_from_slice(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        buffer.push(match byte {
            b'+' => b' ',
            b'%' => match tail {
                [high, low, after @ ..] => match (hex(*high), hex(*low)) {
                    (Some(high), Some(low)) => {
                        rest = after;
                        high << 4 | low
                    }
                    _ => b'%',
                },
                _ => b'%',
            },
            other => other,
        });
    }
    buffer
}

/// The `name=value` pairs of a string, raw. A pair without `=` is a name with an empty value; empty
/// pairs are left out.
pub(crate) fn pairs(raw: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    raw.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        match pair.iter().position(|&byte| byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &pair[pair.len()..]),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_once_and_keeps_broken_escapes() {
        let mut buffer = Vec::new();
        for (raw, decoded) in [
            (&b"plain"[..], &b"plain"[..]),
            (b"a+b%20c", b"a b c"),
            (b"%2527", b"%27"),
            (b"100%", b"100%"),
            (b"%4", b"%4"),
            (b"%zz%41", b"%zzA"),
            (b"%u0027", b"%u0027"),
        ] {
            assert_eq!(decode(raw, &mut buffer), decoded);
        }
    }

    #[test]
    fn splits_pairs() {
        let found: Vec<_> = pairs(b"a=1&&b&=c&d=e=f&").collect();
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", b""), (b"", b"c"), (b"d", b"e=f")];
        assert_eq!(found, expected);
    }
}
