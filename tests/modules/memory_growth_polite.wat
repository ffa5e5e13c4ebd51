;; Takes page after page, and lives with it when it gets no more.
(module
  (memory (export "memory") 1)
  (func (export "picket_abi") (result i32) (i32.const 0x10000))
  (func (export "picket_input") (param i32) (result i32) (i32.const 1024))
  (func (export "picket_request_head") (param i32) (result i64)
    ;; A request without an id is served; one with an id sets it off.
    (if (i32.eqz (i32.load8_u (i32.const 1024))) (then (return (i64.const 0))))
    (loop $more
      (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (i64.const 0))
)
