//! The pass by itself: what it writes is valid and short, and what is no module is refused. What the
//! metered code counts is shown where it is run: `tests/fuel`.

extern crate std;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use wasmparser::{Validator, WasmFeatures};

use crate::{MeterError, Metered, meter, meter_module};

const AMPLE: usize = 1 << 24;

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[track_caller]
fn metered(text: &str) -> Metered {
    let metered = meter_module(&wasm(text), AMPLE).unwrap();
    Validator::new_with_features(WasmFeatures::default()).validate_all(&metered.wasm).unwrap();
    metered
}

#[test]
fn a_module_without_anything_gets_a_counter() {
    let metered = metered("(module)");
    assert_eq!((metered.functions, metered.counted), (0, 0));
}

#[test]
fn every_section_finds_its_place() {
    metered(
        r#"(module
          (import "a" "f" (func $f (param i32) (result i64)))
          (import "a" "g" (global $g i32))
          (table 3 funcref) (memory 1)
          (global $own (mut funcref) (ref.func $defined))
          (export "f" (func $f)) (export "d" (func $defined)) (export "own" (global $own))
          (start $start)
          (elem (i32.const 0) func $f $defined)
          (elem funcref (ref.func $defined) (ref.null func) (item (ref.func $f)))
          (elem declare func $start)
          (func $defined (result i64) (call $f (i32.const 1)))
          (func $start (drop (ref.func $start)) (drop (call $defined)))
          (data (i32.const 0) "x")
          (@custom "kept" "as it is"))"#,
    );
}

#[test]
fn control_flow_of_every_kind_stays_valid() {
    metered(
        r#"(module (memory 1)
          (func (param i32) (result i32 i64)
            (block (result i32 i64)
              (i32.const 1) (i64.const 2)
              (br_if 0 (local.get 0))
              (br_if 1 (local.get 0))
              (br_table 0 1 0 (local.get 0))))
          (func (param i32) (result i32)
            (loop $l (result i32)
              (block $b
                (br_table $l $b $l (local.get 0)))
              (if (result i32) (local.get 0)
                (then (br $l))
                (else (return (i32.const 7))))))
          (func (param i32)
            (if (local.get 0) (then (return) (unreachable)))
            (block (br 0) (br_if 0 (i32.const 1)) (block (loop (br 0))))
            (loop (br_if 0 (local.get 0)) (br_if 1 (local.get 0)))
            (unreachable) (call 0) (drop) (drop))
          (func (param i32 i32 i32)
            (memory.copy (local.get 0) (local.get 1) (local.get 2))
            (memory.fill (local.get 0) (local.get 1) (i32.const 1000))
            (drop (memory.grow (local.get 0)))
            (call 3 (local.get 0) (local.get 1) (local.get 2))))"#,
    );
}

#[test]
fn only_what_can_recurse_is_counted() {
    let text = r#"(module (table 2 funcref) (elem (i32.const 0) func $dispatch)
      (func $leaf) (func $caller (call $leaf) (call $leaf))
      (func $self (call $self))
      (func $ping (call $pong)) (func $pong (call $ping) (call $leaf))
      (func $dispatch (call_indirect (i32.const 0)))
      (func $other (param i32) (call_indirect (param i32) (i32.const 0) (i32.const 0))))"#;
    assert_eq!(metered(text).counted, 4);
}

#[test]
fn a_long_chain_of_calls_is_counted_from_where_it_is_too_long() {
    let mut text = String::from("(module (func $f0)");
    for index in 1..200 {
        text += &format!("(func $f{index} (call $f{}))", index - 1);
    }
    assert_eq!(metered(&(text + ")")).counted, 200 - 64);
}

#[test]
fn straight_code_is_charged_once() {
    let text = format!("(module (func {}))", "(drop (i32.const 1))".repeat(500));
    let long = wasm(&text).len();
    let short = wasm("(module (func))").len();
    let grown = |text: &str| metered(text).wasm.len();
    assert!(grown(&text) - long <= grown("(module (func))") - short + 4);
}

#[test]
fn reserved_names_are_refused() {
    for text in [
        r#"(module (import "picket:meter" "fuel" (func)))"#,
        r#"(module (import "a" "picket:fuel" (func)))"#,
        r#"(module (func (export "picket:start")))"#,
    ] {
        let error = meter(&wasm(text), AMPLE).unwrap_err();
        assert!(matches!(error, MeterError::ReservedName { offset } if offset > 8), "{text}: {error}");
    }
    let once = meter(&wasm("(module (func))"), AMPLE).unwrap();
    assert!(matches!(meter(&once, AMPLE), Err(MeterError::ReservedName { .. })));
}

#[test]
fn what_has_no_price_is_refused() {
    for text in [
        "(module (func $f (return_call $f)))",
        "(module (memory i64 1))",
        "(module (table i64 1 funcref))",
        "(module (tag))",
        "(module (type (struct (field i32))))",
        "(module (memory 1 1 shared) (func (drop (i32.atomic.load (i32.const 0)))))",
        "(module (func (drop (v128.const i32x4 0 0 0 0))))",
    ] {
        let error = meter(&wasm(text), AMPLE).unwrap_err();
        assert!(
            matches!(error, MeterError::Unsupported { .. } | MeterError::Parse(_)) && error.offset() >= 8,
            "{text}: {error}"
        );
    }
}

#[test]
fn what_would_become_too_long_is_refused() {
    let module = wasm(&format!("(module (func {}))", "(loop)".repeat(10_000)));
    let error = meter(&module, 100_000).unwrap_err();
    assert!(matches!(error, MeterError::TooLarge { limit: 100_000, .. }), "{error}");
    assert!(meter(&module, AMPLE).unwrap().len() < module.len() * 8);
}

#[test]
fn no_room_for_locals_is_an_error() {
    let with = |locals: u32| {
        // wat would write one declaration for each.
        let mut module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a".to_vec();
        let mut body = std::vec![1];
        crate::binary::leb(&mut body, locals);
        body.extend([0x7f, 0x0b]);
        module.extend([body.len() as u8 + 2, 1, body.len() as u8]);
        module.extend(body);
        module
    };
    assert!(meter(&with(49_997), AMPLE).is_ok());
    let error = meter(&with(49_998), AMPLE).unwrap_err();
    assert!(matches!(error, MeterError::TooManyLocals { limit: 49_997, .. }), "{error}");
}

/// A body's worth of everything, to cut and to bend.
fn rich() -> Vec<u8> {
    wasm(
        r#"(module (import "a" "f" (func $f (param i32) (result i64))) (memory 1) (table 2 funcref)
          (global (mut funcref) (ref.func $g)) (export "g" (func $g)) (start $s) (elem (i32.const 0) func $g $f)
          (func $g (param i32) (result i64)
            (loop $l (block $b (br_table $l $b (local.get 0))) (br_if $l (local.get 0)))
            (if (local.get 0) (then (return (call $f (i32.const 1)))) (else (drop (call $g (local.get 0)))))
            (memory.copy (local.get 0) (local.get 0) (local.get 0))
            (call_indirect (param i32) (result i64) (local.get 0) (local.get 0)))
          (func $s (drop (call $g (i32.const 0)))) (data (i32.const 0) "abc"))"#,
    )
}

#[test]
fn no_beginning_of_a_module_panics() {
    let module = rich();
    for length in 0..module.len() {
        if let Err(error) = meter(&module[..length], AMPLE) {
            assert!(error.offset() <= length, "{length}: {error}");
        }
    }
}

#[test]
fn no_bent_module_panics() {
    let module = rich();
    for at in 8..module.len() {
        for value in [0, 1, 2, 0x0b, 0x40, 0x7f, 0x80, 0xff] {
            let mut bent = module.clone();
            bent[at] = value;
            if let Ok(metered) = meter(&bent, AMPLE)
                && Validator::new().validate_all(&bent).is_ok()
            {
                let valid = Validator::new().validate_all(&metered).map(drop);
                assert!(valid.is_ok(), "byte {at} as {value:#x}: {valid:?}");
            }
        }
    }
}

#[test]
fn the_result_is_the_same_every_time() {
    assert_eq!(meter(&rich(), AMPLE).unwrap(), meter(&rich(), AMPLE).unwrap());
}

#[test]
fn errors_stay_small() {
    assert!(size_of::<MeterError>() <= 32);
}

/// A module of one function of one parameter, without locals of its own, that has this code.
fn one_function(code: &[u8]) -> Vec<u8> {
    use crate::binary::{leb, section};
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(&mut module, 1, &[1, 0x60, 1, 0x7f, 0]);
    section(&mut module, 3, &[1, 0]);
    let mut bodies = std::vec![1];
    leb(&mut bodies, code.len() as u32 + 2);
    bodies.push(0);
    bodies.extend_from_slice(code);
    bodies.push(0x0b);
    section(&mut module, 10, &bodies);
    module
}

/// What a validator takes, the pass takes; what comes of it is valid and not much longer.
#[track_caller]
fn hostile(module: &[u8], times: usize) {
    Validator::new().validate_all(module).unwrap();
    let metered = meter(module, AMPLE).unwrap();
    Validator::new().validate_all(&metered).unwrap();
    let limit = module.len() * times + 1_000;
    assert!(metered.len() <= limit, "{} of {} bytes, more than {limit}", metered.len(), module.len());
}

#[test]
fn a_branch_table_as_long_as_may_be() {
    // 65,000 targets, to 100 blocks that do not agree on what is outstanding.
    let mut code = [0x02, 0x40].repeat(100);
    code.extend([0x20, 0x00, 0x0e]);
    crate::binary::leb(&mut code, 65_000);
    code.extend((0..65_000).map(|at| (at % 101) as u8));
    code.push(100);
    for _ in 0..100 {
        code.extend([0x0b, 0x20, 0x00, 0x0d, 0x00]);
    }
    hostile(&one_function(&code), 2);
}

#[test]
fn many_branch_tables() {
    let mut code = [0x02, 0x40, 0x03, 0x40].repeat(50);
    for _ in 0..20_000 {
        code.extend([0x02, 0x40, 0x20, 0x00, 0x0e, 0x03, 0x00, 0x01, 0x02, 0x63, 0x0b]);
    }
    code.extend([0x0b; 100]);
    hostile(&one_function(&code), 2);
}

#[test]
fn blocks_as_deep_as_may_be() {
    let depth = 100_000;
    for opening in [&[0x02, 0x40][..], &[0x03, 0x40], &[0x20, 0x00, 0x04, 0x40]] {
        let mut code = opening.repeat(depth);
        for branch in 0..1_000 {
            code.extend([0x20, 0x00, 0x0d]);
            crate::binary::leb(&mut code, branch * 97);
        }
        code.extend(std::vec![0x0b; depth]);
        hostile(&one_function(&code), 10);
    }
}

#[test]
fn a_megabyte_of_conditional_branches() {
    // All to one block; each to a block of its own; back in loops.
    let mut code = std::vec![0x02, 0x40];
    code.extend([0x20, 0x00, 0x0d, 0x00].repeat(250_000));
    code.push(0x0b);
    hostile(&one_function(&code), 6);
    hostile(&one_function(&[0x02, 0x40, 0x20, 0x00, 0x0d, 0x00, 0x0b].repeat(140_000)), 6);
    hostile(&one_function(&[0x03, 0x40, 0x20, 0x00, 0x0d, 0x00, 0x0b].repeat(140_000)), 6);
    let mut code = [0x03, 0x40].repeat(100);
    for branch in 0..250_000_u32 {
        code.extend([0x20, 0x00, 0x0d, (branch % 100) as u8]);
    }
    code.extend([0x0b; 100]);
    hostile(&one_function(&code), 6);
}

#[test]
fn as_many_locals_as_may_be() {
    let locals = |count: u32| {
        use crate::binary::{leb, section};
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        section(&mut module, 1, &[1, 0x60, 0, 0]);
        section(&mut module, 3, &[1, 0]);
        let mut body = std::vec![];
        leb(&mut body, count);
        body.extend([1, 0x7f].repeat(count as usize));
        body.push(0x0b);
        let mut bodies = std::vec![1];
        leb(&mut bodies, body.len() as u32);
        bodies.extend(body);
        section(&mut module, 10, &bodies);
        module
    };
    hostile(&locals(49_997), 1);
    assert!(matches!(meter(&locals(50_000), AMPLE), Err(MeterError::TooManyLocals { .. })));
}

#[test]
fn many_tiny_functions() {
    use crate::binary::{leb, section};
    let count = 100_000_u32;
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(&mut module, 1, &[1, 0x60, 0, 0]);
    let mut functions = std::vec![];
    leb(&mut functions, count);
    let mut bodies = functions.clone();
    for index in 0..count {
        functions.push(0);
        // Each calls the next one.
        let mut body = std::vec![0, 0x10];
        leb(&mut body, (index + 1) % count);
        body.push(0x0b);
        leb(&mut bodies, body.len() as u32);
        bodies.extend(body);
    }
    section(&mut module, 3, &functions);
    section(&mut module, 10, &bodies);
    hostile(&module, 20);
}
