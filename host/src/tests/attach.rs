//! Data that are put into a module.

use alloc::vec;
use alloc::vec::Vec;

use wasmparser::{DataKind, Parser, Payload, Validator};

use crate::{AttachError, attach};

fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn takes(memory: &str, more: &str) -> Vec<u8> {
    module(&alloc::format!(
        "(module {memory} (global i32 (i32.const 7)) (global (export \"picket_data\") i32 (i32.const 1024))
           (func (export \"f\") (result i32) (i32.load (i32.const 1024))) {more})"
    ))
}

/// The active segments: address and bytes.
fn segments(wasm: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::DataSection(section) = payload.unwrap() {
            for segment in section {
                let segment = segment.unwrap();
                let DataKind::Active { offset_expr, .. } = segment.kind else { panic!("a passive segment") };
                let at = crate::attach::constant(&offset_expr).unwrap();
                found.push((at, segment.data.to_vec()));
            }
        }
    }
    found
}

#[test]
fn data_lie_behind_the_memory_and_the_slot_says_where() {
    let data = vec![0xab; 70_000];
    for (more, own) in [("", 0), ("(data (i32.const 16) \"own\")", 1)] {
        let made = attach(&takes("(memory (export \"memory\") 2)", more), &data).unwrap();
        Validator::new().validate_all(&made).unwrap();
        let segments = segments(&made);
        assert_eq!(segments.len(), own + 2);
        let [(start, put), (slot, words)] = &segments[own..] else { panic!("two segments") };
        assert_eq!((*start, put), (2 * 65536, &data));
        assert_eq!(*slot, 1024);
        assert_eq!(words[..4], start.to_le_bytes());
        assert_eq!(words[4..], 70_000u32.to_le_bytes());
        let info = crate::inspect(&made).unwrap();
        assert_eq!(info.memory.map(|memory| memory.initial_bytes), Some(4 * 65536));
        assert_eq!(attach(&made, b"again"), Err(AttachError::HasSome { length: 70_000 }));
    }
}

#[test]
fn high_addresses_are_written_as_the_format_wants_them() {
    let made = attach(&takes("(memory (export \"memory\") 40000)", ""), b"x").unwrap();
    Validator::new().validate_all(&made).unwrap();
    assert_eq!(segments(&made)[0].0, 40_000 * 65_536);
}

#[test]
fn what_takes_no_data_is_refused() {
    let refusals = [
        (module("(module (memory 1))"), AttachError::TakesNone),
        (module("(module (global (export \"picket_data\") i32 (i32.const 8)))"), AttachError::Memory),
        (
            module(
                "(module (import \"a\" \"b\" (memory 1)) (global (export \"picket_data\") i32 (i32.const 8)))",
            ),
            AttachError::Memory,
        ),
        (
            module("(module (memory 1) (global (export \"picket_data\") i32 (i32.const 65530)))"),
            AttachError::Memory,
        ),
        (takes("(memory 1 1)", ""), AttachError::TooLarge { pages: 2, limit: 1 }),
        (b"\0asm\x01\0\0\0\xff".to_vec(), AttachError::NotAModule { offset: 8 }),
    ];
    for (wasm, expected) in refusals {
        match (attach(&wasm, b"data"), expected) {
            (Err(AttachError::NotAModule { .. }), AttachError::NotAModule { .. }) => {}
            (found, expected) => assert_eq!(found, Err(expected)),
        }
    }
}

/// No prefix and no change of a byte makes it panic or gives a module that is none where there was one.
#[test]
fn damaged_modules_are_refused_or_stay_modules() {
    let whole = takes("(memory (export \"memory\") 1 9)", "(data (i32.const 16) \"own\")");
    for end in 0..whole.len() {
        let _ = attach(&whole[..end], b"data");
    }
    for at in 8..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        if let Ok(made) = attach(&damaged, b"data")
            && Validator::new().validate_all(&damaged).is_ok()
        {
            Validator::new().validate_all(&made).unwrap();
        }
    }
}
