;; Offers an input buffer at an odd address, over its own data.
(module
  (memory (export "memory") 1)
  (func (export "picket_abi") (result i32) (i32.const 0x10000))
  (func (export "picket_input") (param i32) (result i32) (i32.const 17))
  (data (i32.const 16) "\02\cc\01\00\00\00\00\00")
  (func (export "picket_request_head") (param i32) (result i64) (i64.const 0))
)
