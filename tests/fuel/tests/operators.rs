//! wasmi passes from one operator to the next by tail calls. Where the compiler makes a plain call of one, a
//! loop that has it eats the host's stack, and with it the process: each operator has to be seen to return.

use std::fmt::Write as _;

use picket_fuel_oracle::{Call, Ending, Lane, Limits, Prepared};

/// Operators that each loop executes at least; a frame each would be a hundred times a thread's stack.
const FUEL: u64 = 3_000_000;

/// Code that takes and leaves nothing, for each operator and each kind of operands.
fn snippets() -> Vec<String> {
    let mut all = Vec::new();
    let operands = |ty: &str| [format!("(local.get ${ty})"), format!("({ty}.const 3)")];
    for ty in ["i32", "i64"] {
        for op in ["clz", "ctz", "popcnt", "eqz", "extend8_s", "extend16_s"] {
            all.push(format!("(drop ({ty}.{op} (local.get ${ty})))"));
        }
        for op in [
            "add", "sub", "mul", "div_s", "div_u", "rem_s", "rem_u", "and", "or", "xor", "shl", "shr_s",
            "shr_u", "rotl", "rotr", "eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s",
            "ge_u",
        ] {
            for one in operands(ty) {
                for other in operands(ty) {
                    all.push(format!("(drop ({ty}.{op} {one} {other}))"));
                    let compares =
                        matches!(op.split('_').next(), Some("eq" | "ne" | "lt" | "gt" | "le" | "ge"));
                    let result = if compares { "i32" } else { ty };
                    all.push(format!("(local.set ${result}x ({ty}.{op} {one} {other}))"));
                }
            }
        }
        for op in ["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"] {
            for other in operands(ty) {
                all.push(format!("(block (br_if 0 ({ty}.{op} (local.get ${ty}) {other})))"));
                all.push(format!("(if ({ty}.{op} (local.get ${ty}) {other}) (then) (else))"));
            }
        }
    }
    for ty in ["f32", "f64"] {
        for op in ["abs", "neg", "ceil", "floor", "trunc", "nearest", "sqrt"] {
            all.push(format!("(drop ({ty}.{op} (local.get ${ty})))"));
        }
        for op in ["add", "sub", "mul", "div", "min", "max", "copysign", "eq", "ne", "lt", "gt", "le", "ge"] {
            for one in operands(ty) {
                for other in operands(ty) {
                    all.push(format!("(drop ({ty}.{op} {one} {other}))"));
                }
            }
        }
    }
    for conversion in [
        "i32.wrap_i64",
        "i32.trunc_f32_s",
        "i32.trunc_f32_u",
        "i32.trunc_f64_s",
        "i32.trunc_f64_u",
        "i32.trunc_sat_f32_s",
        "i32.trunc_sat_f32_u",
        "i32.trunc_sat_f64_s",
        "i32.trunc_sat_f64_u",
        "i64.trunc_f32_s",
        "i64.trunc_f32_u",
        "i64.trunc_f64_s",
        "i64.trunc_f64_u",
        "i64.trunc_sat_f32_s",
        "i64.trunc_sat_f32_u",
        "i64.trunc_sat_f64_s",
        "i64.trunc_sat_f64_u",
        "i64.extend_i32_s",
        "i64.extend_i32_u",
        "f32.convert_i32_s",
        "f32.convert_i32_u",
        "f32.convert_i64_s",
        "f32.convert_i64_u",
        "f32.demote_f64",
        "f64.convert_i32_s",
        "f64.convert_i32_u",
        "f64.convert_i64_s",
        "f64.convert_i64_u",
        "f64.promote_f32",
        "i32.reinterpret_f32",
        "i64.reinterpret_f64",
        "f32.reinterpret_i32",
        "f64.reinterpret_i64",
    ] {
        // The type that it takes stands behind the last `_` but one of a sign.
        let from = ["i32", "i64", "f32", "f64"].into_iter().find(|ty| conversion[4..].contains(ty));
        all.push(format!("(drop ({conversion} (local.get ${})))", from.expect("each names it")));
    }
    for ty in ["i32", "i64", "f32", "f64"] {
        let mut loads = vec!["load"];
        let mut stores = vec!["store"];
        if ty.starts_with('i') {
            loads.extend(["load8_s", "load8_u", "load16_s", "load16_u"]);
            stores.extend(["store8", "store16"]);
        }
        if ty == "i64" {
            loads.extend(["load32_s", "load32_u"]);
            stores.push("store32");
        }
        for address in ["(local.get $i32)", "(i32.const 16)"] {
            for load in &loads {
                all.push(format!("(drop ({ty}.{load} offset=8 {address}))"));
            }
            for store in &stores {
                for value in operands(ty) {
                    all.push(format!("({ty}.{store} offset=8 {address} {value})"));
                }
            }
        }
        all.push(format!("(local.set ${ty}x (select (local.get ${ty}) ({ty}.const 1) (local.get $i32)))"));
        all.push(format!("(global.set ${ty} (global.get ${ty}))"));
        all.push(format!("(global.set ${ty} ({ty}.const 2))"));
        all.push(format!("(local.set ${ty}x (local.tee ${ty}x (local.get ${ty})))"));
    }
    let rest = [
        "(nop)",
        "(drop (memory.size))",
        "(drop (memory.grow (i32.const 0)))",
        "(memory.fill (i32.const 0) (i32.const 1) (i32.const 9))",
        "(memory.fill (local.get $i32) (local.get $i32) (local.get $i32))",
        "(memory.copy (i32.const 0) (i32.const 16) (i32.const 9))",
        "(memory.copy (local.get $i32) (local.get $i32) (local.get $i32))",
        "(memory.init $data (i32.const 0) (i32.const 0) (i32.const 0))",
        "(data.drop $data)",
        "(drop (table.size $table))",
        "(drop (table.grow $table (ref.null func) (i32.const 0)))",
        "(table.set $table (local.get $i32) (table.get $table (local.get $i32)))",
        "(table.set $table (i32.const 1) (table.get $table (i32.const 0)))",
        "(table.fill $table (i32.const 0) (ref.func $callee) (i32.const 1))",
        "(table.copy $table $table (i32.const 0) (i32.const 1) (i32.const 1))",
        "(table.init $table $elements (i32.const 0) (i32.const 0) (i32.const 0))",
        "(elem.drop $elements)",
        "(drop (ref.is_null (ref.func $callee)))",
        "(drop (ref.is_null (ref.null func)))",
        "(drop (call $callee (local.get $i32)))",
        "(drop (call_indirect $table (type $unary) (local.get $i32) (i32.const 0)))",
        "(drop (call_indirect $table (type $unary) (local.get $i32) (local.get $zero)))",
        "(call $nothing)",
        "(block (block (br_table 0 1 0 (local.get $i32))))",
        "(drop (block (result i32) (block (result i32) (br_table 0 1 0 (i32.const 7) (local.get $i32)))))",
        "(block (br 0))",
        "(block (br_if 0 (local.get $i32)))",
        "(block (br_if 0 (i32.eqz (local.get $i32))))",
        "(block (br_if 0 (i32.and (local.get $i32) (i32.const 2))))",
        "(drop (block (result i64) (br_if 0 (i64.const 5) (local.get $i32))))",
        "(call $many (local.get $i32) (local.get $i64)) (drop) (drop)",
    ];
    all.extend(rest.map(str::to_owned));
    all
}

#[test]
fn no_operator_takes_the_hosts_stack() {
    let mut module = String::from(
        r#"(module (memory 1 1) (table $table 4 8 funcref) (type $unary (func (param i32) (result i32)))
        (global $i32 (mut i32) (i32.const 1)) (global $i64 (mut i64) (i64.const 1))
        (global $f32 (mut f32) (f32.const 1)) (global $f64 (mut f64) (f64.const 1))
        (elem (table $table) (i32.const 0) func $callee $callee $callee $callee)
        (elem $elements func $callee) (data $data "abc")
        (func $callee (type $unary) (local.get 0)) (func $nothing)
        (func $many (param i32 i64) (result i64 i32) (local.get 1) (local.get 0))
        "#,
    );
    let snippets = snippets();
    for (number, snippet) in snippets.iter().enumerate() {
        write!(
            module,
            r#"(func (export "{number}") (local $i32 i32) (local $i64 i64) (local $f32 f32) (local $f64 f64)
            (local $i32x i32) (local $i64x i64) (local $f32x f32) (local $f64x f64) (local $zero i32)
            (local.set $i32 (i32.const 3)) (local.set $i64 (i64.const 3))
            (local.set $f32 (f32.const 3)) (local.set $f64 (f64.const 3))
            (loop $again {snippet} (br $again)))"#
        )
        .expect("a string takes what is written");
    }
    module.push(')');
    let wasm = wat::parse_str(&module).expect("the module is well formed");
    let limits = Limits::with_fuel(FUEL);
    let prepared = Prepared::new(&wasm, limits).expect("it is metered and compiled");
    for (number, snippet) in snippets.iter().enumerate() {
        let export = number.to_string();
        let outcomes = prepared.run(Lane::Wasmi, &[(Call { export: &export, seed: 1 }, limits)]);
        let ending = outcomes.expect("it comes up").pop().expect("there was a call").ending;
        assert_eq!(ending, Ending::Fuel, "{snippet}");
    }
}
