;; Answers with the request id (at most 127 bytes) as its outcome, for heads and bodies.
(module
  (memory (export "memory") 1)
  (func (export "picket_abi") (result i32) (i32.const 0x10000))
  (func (export "picket_input") (param i32) (result i32) (i32.const 1024))
  (func (export "picket_request_body") (param i32) (result i64)
    ;; Offset, end, length, then the bytes: a chunk at offset 0 of at most 127 bytes.
    (i64.or (i64.const 0x40300000000) (i64.load8_u (i32.const 1026))))
  (func (export "picket_request_head") (param i32) (result i64)
    ;; A request without an id is served; one with an id sets it off.
    (if (i32.eqz (i32.load8_u (i32.const 1024))) (then (return (i64.const 0))))
    (i64.or (i64.const 0x40100000000) (i64.load8_u (i32.const 1024))))
)
