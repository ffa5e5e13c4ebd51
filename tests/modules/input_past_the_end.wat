;; Offers an input buffer that begins in its memory and ends outside.
(module
  (memory (export "memory") 1)
  (func (export "picket_abi") (result i32) (i32.const 0x10000))
  (func (export "picket_input") (param i32) (result i32) (i32.const 0xfff0))
  (func (export "picket_request_head") (param i32) (result i64) (i64.const 0))
)
