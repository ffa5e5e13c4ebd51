//! UTF-8 to the escapes of Internet Information Services.

use alloc::vec::Vec;

use super::hex;

/// Each character beyond ASCII to `%u` and at least four digits. A character that should have been
/// encoded otherwise (overlong, a surrogate) leaves its first byte as well; a sequence that breaks
/// off loses its first byte. NUL bytes vanish, all as in ModSecurity.
pub(super) fn escape(input: &[u8], start: usize, out: &mut Vec<u8>) {
    let (head, rest) = input.split_at_checked(start).unwrap_or((&[], input));
    out.extend_from_slice(head);
    let mut at = 0;
    while let Some(rest @ [first, ..]) = rest.get(at..) {
        at += 1;
        let (len, bits) = match first {
            0 => continue,
            1..0x80 => {
                out.push(*first);
                continue;
            }
            0xc0..0xe0 => (2, 0x1f),
            0xe0..0xf0 => (3, 0x0f),
            0xf0..0xf8 => (4, 0x07),
            _ => {
                out.push(*first);
                continue;
            }
        };
        if *first >= 0xf5 {
            out.push(*first);
        }
        let Some(tail) = rest.get(1..len) else { continue };
        if tail.iter().any(|b| b & 0xc0 != 0x80) {
            continue;
        }
        at += tail.len();
        let code = tail.iter().fold(u32::from(first & bits), |n, b| n << 6 | u32::from(b & 0x3f));
        out.extend_from_slice(b"%u");
        let [_, top, high, low] = code.to_be_bytes();
        // As many digits as it takes: five or six beyond the first plane.
        if top >= 0x10 {
            out.push(hex::digit(top >> 4));
        }
        if top > 0 {
            out.push(hex::digit(top));
        }
        hex::push(high, out);
        hex::push(low, out);
        let shortest = match code {
            0..0x80 => 1,
            0x80..0x800 => 2,
            0x800..0x1_0000 => 3,
            _ => 4,
        };
        // Both reasons at once make two of it.
        if (0xd800..0xe000).contains(&code) {
            out.push(*first);
        }
        if len > shortest {
            out.push(*first);
        }
    }
}
