//! Recursion ends at the same depth on every engine, by what is counted and not at a wall.

use picket_fuel_oracle::{Call, Ending, Lane, Limits, Outcome, Prepared};

const LIMITS: Limits = Limits::with_fuel(100_000_000);

fn prepared(text: &str, limits: Limits) -> Prepared {
    Prepared::new(&wat::parse_str(text).unwrap(), limits).unwrap_or_else(|error| panic!("{text}: {error:#}"))
}

/// The outcome of `run`, the same on both engines.
#[track_caller]
fn outcome(text: &str, limits: Limits) -> Outcome {
    let prepared = prepared(text, limits);
    let call = Call { export: "run", seed: 0 };
    let [wasmi, wasmtime] = [Lane::Wasmi, Lane::Wasmtime]
        .map(|lane| prepared.run(lane, &[(call, limits)]).unwrap().pop().unwrap());
    assert_eq!(wasmi, wasmtime, "wasmi on the left, wasmtime on the right");
    wasmi
}

/// A module whose state holds how deep it came: `deeper` is to add one to it and call itself.
fn counting(deeper: &str) -> String {
    format!(
        r#"(module (global $depth (export "depth") (mut i32) (i32.const 0)) (memory (export "memory") 1)
          (table 4 funcref) (elem (i32.const 0) func $deeper $other) {deeper}
          (func (export "run") (call $deeper)))"#
    )
}

/// The state of a module that came so deep.
fn state_at(depth: u32) -> u64 {
    let text = format!(
        r#"(module (global $depth (export "depth") (mut i32) (i32.const {depth})) (memory (export "memory") 1)
          (func (export "run")))"#
    );
    outcome(&text, LIMITS).state
}

const ONE_MORE: &str = "(global.set $depth (i32.add (global.get $depth) (i32.const 1)))";

#[test]
fn frames_end_a_recursion() {
    let text = counting(&format!("(func $deeper {ONE_MORE} (call $deeper)) (func $other)"));
    for frames in [1, 10, 100, 1_000] {
        let limits = Limits { frames, ..LIMITS };
        let outcome = outcome(&text, limits);
        assert_eq!((outcome.ending, outcome.state), (Ending::Stack, state_at(frames)), "{frames} frames");
    }
}

#[test]
fn bytes_end_a_recursion_of_large_frames() {
    let locals = "i64 ".repeat(1_000);
    let text = counting(&format!("(func $deeper (local {locals}) {ONE_MORE} (call $deeper)) (func $other)"));
    let outcome = outcome(&text, LIMITS);
    // 1,000 locals, two operands at most, three locals of the pass.
    let frame = 96 + 8 * (1_000 + 2 + 3);
    assert_eq!((outcome.ending, outcome.state), (Ending::Stack, state_at(LIMITS.bytes / frame)));
}

#[test]
fn recursion_through_a_table_is_counted() {
    let text = counting(&format!(
        "(func $deeper {ONE_MORE} (call_indirect (i32.const 1))) (func $other {ONE_MORE} (call $deeper))"
    ));
    let outcome = outcome(&text, LIMITS);
    assert_eq!((outcome.ending, outcome.state), (Ending::Stack, state_at(1_000)));
}

#[test]
fn a_recursion_with_many_live_values_ends_before_the_walls() {
    // What machine code keeps on its stack is what is needed behind the call: here, a lot of it.
    let values = 60;
    let loads: String = (0..values).map(|at| format!("(i64.load (i32.const {}))", at * 8)).collect();
    let uses = "(i64.add)".repeat(values - 1);
    let text =
        counting(&format!("(func $deeper {ONE_MORE} {loads} (call $deeper) {uses} (drop)) (func $other)"));
    assert_eq!(outcome(&text, LIMITS).ending, Ending::Stack);
    let parameters = "i64 ".repeat(100);
    let arguments: String =
        (0..100).map(|at| format!("(i64.add (local.get {at}) (i64.const {at}))")).collect();
    let text = counting(&format!(
        "(func $many (param {parameters}) {ONE_MORE} (call $many {arguments}))
         (func $deeper (call $many {})) (func $other)",
        "(i64.const 1)".repeat(100)
    ));
    assert_eq!(outcome(&text, LIMITS).ending, Ending::Stack);
}

#[test]
fn a_recursion_that_comes_back_leaves_nothing_counted() {
    let text = r#"(module (memory (export "memory") 1)
      (func $down (param $n i32) (result i32)
        (if (i32.eqz (local.get $n)) (then (return (i32.const 7))))
        (block $b
          (br_if $b (i32.and (local.get $n) (i32.const 1)))
          (return (call $down (i32.sub (local.get $n) (i32.const 1)))))
        (call $down (i32.sub (local.get $n) (i32.const 1))))
      (func (export "run") (result i32) (local $round i32)
        (loop $again
          (drop (call $down (i32.const 900)))
          (local.set $round (i32.add (local.get $round) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $round) (i32.const 50))))
        (call $down (i32.const 999))))"#;
    assert!(matches!(outcome(text, LIMITS).ending, Ending::Finished(_)));
    let deeper = text.replace("(i32.const 999)", "(i32.const 1000)");
    assert_eq!(outcome(&deeper, LIMITS).ending, Ending::Stack);
}

#[test]
fn a_long_chain_without_recursion_stays_off_the_walls() {
    let mut text = String::from(r#"(module (memory (export "memory") 1) (func $f0 (local i64 i64 i64))"#);
    for index in 1..1_000 {
        text += &format!("(func $f{index} (local i64 i64) (call $f{}))", index - 1);
    }
    text += r#"(func (export "run") (call $f999)))"#;
    assert!(matches!(outcome(&text, LIMITS).ending, Ending::Finished(_)));
    // 64 of them are not counted.
    let few = Limits { frames: 900, ..LIMITS };
    assert_eq!(outcome(&text, few).ending, Ending::Stack);
}
