;; Calls itself without an end.
(module
  (memory (export "memory") 1)
  (func (export "picket_abi") (result i32) (i32.const 0x10000))
  (func (export "picket_input") (param i32) (result i32) (i32.const 1024))
  (func $deeper (param i64) (result i64)
    (i64.add (i64.const 1) (call $deeper (i64.add (local.get 0) (i64.const 1)))))
  (func (export "picket_request_head") (param i32) (result i64)
    ;; A request without an id is served; one with an id sets it off.
    (if (i32.eqz (i32.load8_u (i32.const 1024))) (then (return (i64.const 0))))
    (drop (call $deeper (i64.const 0)))
    (i64.const 0))
)
