//! HTML character references.

use alloc::vec::Vec;

use super::{encode, hex};

pub(super) const TRIGGERS: &[&[u8]] = &[
    b"&#",
    b"&lt",
    b"&gt",
    b"&amp",
    b"&quot",
    b"&nbsp",
    b"&apos;",
    b"&tab;",
    b"&newline;",
    b"&colon;",
    b"&semi;",
    b"&lpar;",
    b"&rpar;",
    b"&sol;",
    b"&bsol;",
    b"&equals;",
    b"&period;",
    b"&grave;",
    b"&excl;",
    b"&num;",
    b"&lbrace;",
    b"&rbrace;",
    b"&lsqb;",
    b"&rsqb;",
    b"&comma;",
    b"&dollar;",
    b"&lcub;",
    b"&rcub;",
];

/// Browsers take these without the semicolon.
const OPEN: &[(&[u8], u8)] =
    &[(b"lt", b'<'), (b"gt", b'>'), (b"amp", b'&'), (b"quot", b'"'), (b"nbsp", b' ')];

const CLOSED: &[(&[u8], u8)] = &[
    (b"apos;", b'\''),
    (b"tab;", b'\t'),
    (b"newline;", b'\n'),
    (b"colon;", b':'),
    (b"semi;", b';'),
    (b"lpar;", b'('),
    (b"rpar;", b')'),
    (b"sol;", b'/'),
    (b"bsol;", b'\\'),
    (b"equals;", b'='),
    (b"period;", b'.'),
    (b"grave;", b'`'),
    (b"excl;", b'!'),
    (b"num;", b'#'),
    (b"lbrace;", b'{'),
    (b"rbrace;", b'}'),
    (b"lcub;", b'{'),
    (b"rcub;", b'}'),
    (b"lsqb;", b'['),
    (b"rsqb;", b']'),
    (b"comma;", b','),
    (b"dollar;", b'$'),
];

pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    if !input.contains(&b'&') {
        return false;
    }
    out.extend_from_slice(input);
    // Twice: what a template has escaped once comes out of the first round as `&lt;`.
    let changed = decode_in_place(out);
    if changed {
        decode_in_place(out);
    }
    changed
}

/// One round. No reference is shorter than what it stands for.
fn decode_in_place(value: &mut Vec<u8>) -> bool {
    let mut write = 0;
    let mut read = 0;
    while read < value.len() {
        let byte = value[read];
        if byte == b'&'
            && let Some((len, code)) = reference(&value[read + 1..])
        {
            let mut utf8 = [0; 4];
            let encoded = encode(code, &mut utf8);
            value[write..write + encoded].copy_from_slice(&utf8[..encoded]);
            write += encoded;
            read += 1 + len;
        } else {
            value[write] = byte;
            write += 1;
            read += 1;
        }
    }
    let changed = write < read;
    value.truncate(write);
    changed
}

/// The reference that `rest` starts with, after its `&`: how many bytes, and for what character.
fn reference(rest: &[u8]) -> Option<(usize, u32)> {
    if let [b'#', number @ ..] = rest {
        return numeric(number).map(|(len, code)| (1 + len, code));
    }
    for &(name, byte) in OPEN {
        if starts_with(rest, name) {
            let closed = rest.get(name.len()) == Some(&b';');
            return Some((name.len() + usize::from(closed), u32::from(byte)));
        }
    }
    let (name, byte) = CLOSED.iter().find(|(name, _)| starts_with(rest, name))?;
    Some((name.len(), u32::from(*byte)))
}

fn starts_with(rest: &[u8], name: &[u8]) -> bool {
    rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

fn numeric(number: &[u8]) -> Option<(usize, u32)> {
    let (prefix, radix) = match number {
        [b'x' | b'X', ..] => (1, 16),
        _ => (0, 10),
    };
    let mut code: u32 = 0;
    let mut len = prefix;
    while let Some(digit) = number.get(len).and_then(|d| hex(*d)).filter(|d| u32::from(*d) < radix) {
        code = code.saturating_mul(radix).saturating_add(u32::from(digit));
        len += 1;
    }
    if len == prefix {
        return None;
    }
    let closed = number.get(len) == Some(&b';');
    // NUL vanishes, as it does everywhere here.
    Some((len + usize::from(closed), if code == 0 { u32::MAX } else { code }))
}
