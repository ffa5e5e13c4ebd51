//! Leaves the data of a module where they lie.

use alloc::vec::Vec;
use core::ops::Range;

use wasmparser::{DataKind, Operator, Parser, Payload};

use crate::rewrite::{leb128, push_section};

/// A module whose active data segments have been emptied, and what they held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InPlace {
    /// The module, byte by byte the same but for its data section: as many segments at the same
    /// addresses, of no length.
    pub wasm: Vec<u8>,
    /// For each segment the address of its first byte in the guest's memory, and where in the old module
    /// the bytes lie, in the order in which they are to be written.
    pub segments: Vec<(u32, Range<usize>)>,
}

/// Takes the data out of a module that lies where it can be read at any time, in the flash of a
/// board: an engine would keep a copy of them beside the guest's memory. The backend writes them to the
/// memory of each new instance instead, before anything of it runs.
///
/// `None` for a module without data, with passive segments, or with addresses that are no constants.
pub fn data_in_place(wasm: &[u8]) -> Option<InPlace> {
    let mut module = wasm.get(..8)?.to_vec();
    let mut segments = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        let Some((id, range)) = payload.as_section() else { continue };
        let Payload::DataSection(data) = payload else {
            push_section(&mut module, id, wasm.get(range)?);
            continue;
        };
        let mut section = Vec::new();
        leb128(&mut section, data.count());
        for segment in data {
            let segment = segment.ok()?;
            let DataKind::Active { memory_index: 0, offset_expr } = segment.kind else { return None };
            let Ok(Operator::I32Const { value }) = offset_expr.get_operators_reader().read() else {
                return None;
            };
            // Its head: flags, address.
            let length = leb128_length(segment.data.len() as u32);
            let bytes = segment.range.end.checked_sub(segment.data.len())?..segment.range.end;
            let head = segment.range.start..bytes.start.checked_sub(length)?;
            section.extend_from_slice(wasm.get(head)?);
            leb128(&mut section, 0);
            segments.push((value as u32, bytes));
        }
        push_section(&mut module, id, &section);
    }
    (!segments.is_empty()).then_some(InPlace { wasm: module, segments })
}

/// Bytes of a number in its shortest form, which is what linkers write.
fn leb128_length(value: u32) -> usize {
    (32 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_stay_where_they_are() {
        let wasm = wat::parse_str(
            r#"(module (memory (export "memory") 1)
                (data (i32.const 8) "abc") (data (i32.const 300) "d"))"#,
        )
        .unwrap();
        let placed = data_in_place(&wasm).unwrap();
        let held: Vec<_> =
            placed.segments.iter().map(|(address, bytes)| (*address, &wasm[bytes.clone()])).collect();
        assert_eq!(held, [(8, &b"abc"[..]), (300, b"d")]);
        let emptied = wat::parse_str(
            r#"(module (memory (export "memory") 1)
                (data (i32.const 8) "") (data (i32.const 300) ""))"#,
        )
        .unwrap();
        assert_eq!(placed.wasm, emptied);
    }

    #[test]
    fn passive_data_stay_in_the_module() {
        let wasm = wat::parse_str(r#"(module (memory 1) (data "abc"))"#).unwrap();
        assert_eq!(data_in_place(&wasm), None);
        assert_eq!(data_in_place(b"no module"), None);
    }
}
