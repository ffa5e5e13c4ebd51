;; Panics as a Rust guest does: the text first, then `unreachable`.
(module
  (import "picket" "panic" (func $panic (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "picket_abi") (result i32) (i32.const 0x10000))
  (func (export "picket_input") (param i32) (result i32) (i32.const 1024))
  (data (i32.const 16) "src/lib.rs:17:5: index 9 out of range for 4!")
  (func (export "picket_request_head") (param i32) (result i64)
    ;; A request without an id is served; one with an id sets it off.
    (if (i32.eqz (i32.load8_u (i32.const 1024))) (then (return (i64.const 0))))
    (call $panic (i32.const 16) (i32.const 44))
    unreachable)
)
