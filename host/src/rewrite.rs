//! Pieces of the binary format, for the passes that write a module anew.

use alloc::vec::Vec;

/// Appends a section with its header.
pub(crate) fn push_section(module: &mut Vec<u8>, id: u8, contents: &[u8]) {
    module.push(id);
    leb128(module, contents.len() as u32);
    module.extend_from_slice(contents);
}

/// Appends an unsigned number.
pub(crate) fn leb128(bytes: &mut Vec<u8>, mut value: u32) {
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Appends a signed number.
pub(crate) fn sleb128(bytes: &mut Vec<u8>, mut value: i32) {
    loop {
        let low = value as u8 & 0x7f;
        value >>= 7;
        let sign = low & 0x40 != 0;
        if value == 0 && !sign || value == -1 && sign {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// What stands behind the count that a section of a vector begins with.
pub(crate) fn behind_count(contents: &[u8]) -> Option<&[u8]> {
    let count_len = contents.iter().position(|byte| byte & 0x80 == 0)? + 1;
    contents.get(count_len..)
}
