//! Percent decoding.

use alloc::vec::Vec;

use super::{encode, hex, hex_number};

/// Attackers stack encodings for each proxy on the way; more than four are not seen to work.
const ROUNDS: usize = 4;

pub(super) fn decode_deep(input: &[u8], out: &mut Vec<u8>) -> bool {
    if !input.contains(&b'%') {
        return false;
    }
    out.extend_from_slice(input);
    let mut changed = false;
    for _ in 0..ROUNDS {
        if !decode_in_place(out) {
            break;
        }
        changed = true;
    }
    changed
}

/// One round. No escape is shorter than what it stands for, so the value shrinks where it lies.
fn decode_in_place(value: &mut Vec<u8>) -> bool {
    let mut write = 0;
    let mut read = 0;
    while read < value.len() {
        let byte = value[read];
        if byte == b'%' {
            let rest = &value[read + 1..];
            if let [high, low, ..] = *rest
                && let (Some(high), Some(low)) = (hex(high), hex(low))
            {
                value[write] = high << 4 | low;
                write += 1;
                read += 3;
                continue;
            }
            if matches!(rest.first(), Some(b'u' | b'U'))
                && let Some(code) = hex_number(&rest[1..], 4)
            {
                let mut utf8 = [0; 4];
                let len = encode(code, &mut utf8);
                value[write..write + len].copy_from_slice(&utf8[..len]);
                write += len;
                read += 6;
                continue;
            }
        }
        value[write] = byte;
        write += 1;
        read += 1;
    }
    let changed = write < read;
    value.truncate(write);
    changed
}
