;; Starts with 4 GiB.
(module
  (memory (export "memory") 65536)
  (func (export "picket_abi") (result i32) (i32.const 0x10000))
  (func (export "picket_input") (param i32) (result i32) (i32.const 1024))
  (func (export "picket_request_head") (param i32) (result i64) (i64.const 0))
)
