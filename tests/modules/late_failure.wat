;; Serves the head of a request and traps in its body and in the log.
(module
  (memory (export "memory") 1)
  (func (export "picket_abi") (result i32) (i32.const 0x10000))
  (func (export "picket_input") (param i32) (result i32) (i32.const 1024))
  (func (export "picket_request_head") (param i32) (result i64) (i64.const 0))
  (func (export "picket_request_body") (param i32) (result i64) unreachable)
  (func (export "picket_log") (param i32) (result i64) unreachable)
)
