;; Counts its requests in a global: lets the first pass, answers the second with 204.
(module
  (memory (export "memory") 1)
  (func (export "picket_abi") (result i32) (i32.const 0x10000))
  (func (export "picket_input") (param i32) (result i32) (i32.const 1024))
  (global $count (mut i32) (i32.const 0))
  (data (i32.const 16) "\02\cc\01\00\00\00\00\00")
  (func (export "picket_request_head") (param i32) (result i64)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (if (result i64) (i32.gt_u (global.get $count) (i32.const 1))
      (then (i64.const 0x1000000008))
      (else (i64.const 0))))
)
