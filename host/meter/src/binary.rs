//! Pieces of the binary format.

use alloc::vec::Vec;

pub(crate) const BLOCK: u8 = 0x02;
pub(crate) const IF: u8 = 0x04;
pub(crate) const END: u8 = 0x0b;
pub(crate) const BR: u8 = 0x0c;
pub(crate) const RETURN: u8 = 0x0f;
pub(crate) const CALL: u8 = 0x10;
pub(crate) const LOCAL_GET: u8 = 0x20;
pub(crate) const LOCAL_SET: u8 = 0x21;
pub(crate) const LOCAL_TEE: u8 = 0x22;
pub(crate) const GLOBAL_GET: u8 = 0x23;
pub(crate) const GLOBAL_SET: u8 = 0x24;
pub(crate) const I64_CONST: u8 = 0x42;
pub(crate) const I64_NE: u8 = 0x52;
pub(crate) const I64_GE_S: u8 = 0x59;
pub(crate) const I64_ADD: u8 = 0x7c;
pub(crate) const I64_AND: u8 = 0x83;
pub(crate) const I64_EXTEND_I32_U: u8 = 0xad;
pub(crate) const REF_FUNC: u8 = 0xd2;

/// The type of a block without parameters and results.
pub(crate) const EMPTY: u8 = 0x40;
/// The head of a function type.
pub(crate) const FUNC: u8 = 0x60;
pub(crate) const I32: u8 = 0x7f;
pub(crate) const I64: u8 = 0x7e;
/// A global that may be written.
pub(crate) const MUTABLE: u8 = 1;

/// Kinds of imports and exports.
pub(crate) const KIND_FUNC: u8 = 0;
pub(crate) const KIND_GLOBAL: u8 = 3;

/// Appends an unsigned number.
pub(crate) fn leb(bytes: &mut Vec<u8>, mut value: u32) {
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Appends a signed number.
pub(crate) fn sleb(bytes: &mut Vec<u8>, mut value: i64) {
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

/// Appends an instruction with an index.
pub(crate) fn op(bytes: &mut Vec<u8>, opcode: u8, index: u32) {
    bytes.push(opcode);
    leb(bytes, index);
}

/// Appends `i64.const`.
pub(crate) fn i64_const(bytes: &mut Vec<u8>, value: i64) {
    bytes.push(I64_CONST);
    sleb(bytes, value);
}

/// Appends a name.
pub(crate) fn name(bytes: &mut Vec<u8>, name: &str) {
    leb(bytes, name.len() as u32);
    bytes.extend_from_slice(name.as_bytes());
}

/// Appends a section with its header.
pub(crate) fn section(module: &mut Vec<u8>, id: u8, contents: &[u8]) {
    module.push(id);
    leb(module, contents.len() as u32);
    module.extend_from_slice(contents);
}
