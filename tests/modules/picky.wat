;; Refuses its configuration, with a reason.
(module
  (memory (export "memory") 1)
  (func (export "picket_abi") (result i32) (i32.const 0x10000))
  (func (export "picket_input") (param i32) (result i32) (i32.const 1024))
  ;; Respond 400 with a body.
  (data (i32.const 16) "\02\90\03\00\0amode: huh?\00\00\00")
  (func (export "picket_configure") (param i32) (result i64) (i64.const 0x1000000012))
  (func (export "picket_request_head") (param i32) (result i64) (i64.const 0))
)
