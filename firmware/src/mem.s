// Copying and filling, 32 bytes at a time: fresh instances are little else. Those of the compiler's
// library go word by word.
//
// The names are the C library's and those of Arm's run-time ABI (RTABI32, section 4.3.4). Words may lie
// anywhere (ARMv7-M, section A3.2.1), but for the instructions that move several.

    .syntax unified
    .thumb

    .section .text.memcpy, "ax", %progbits
    .balign 4
    .global memcpy
    .global __aeabi_memcpy
    .global __aeabi_memcpy4
    .global __aeabi_memcpy8
    .type memcpy, %function
    .type __aeabi_memcpy, %function
    .type __aeabi_memcpy4, %function
    .type __aeabi_memcpy8, %function
memcpy:
__aeabi_memcpy:
__aeabi_memcpy4:
__aeabi_memcpy8:
    // r0 is handed back; r12 goes through the destination, r1 through the source, r2 counts.
    mov     r12, r0
    cmp     r2, #16
    bhs     1f
    subs    r2, r2, #4
    bpl     66f
    b       7f
1:  tst     r12, #3
    beq     2f
    ldrb    r3, [r1], #1
    strb    r3, [r12], #1
    subs    r2, r2, #1
    b       1b
2:  subs    r2, r2, #32
    blo     6f
    push    {r4-r10}
    tst     r1, #3
    bne     4f
3:  ldmia   r1!, {r3-r10}
    stmia   r12!, {r3-r10}
    subs    r2, r2, #32
    bhs     3b
    b       5f
4:  ldr     r3, [r1]
    ldr     r4, [r1, #4]
    ldr     r5, [r1, #8]
    ldr     r6, [r1, #12]
    ldr     r7, [r1, #16]
    ldr     r8, [r1, #20]
    ldr     r9, [r1, #24]
    ldr     r10, [r1, #28]
    adds    r1, r1, #32
    stmia   r12!, {r3-r10}
    subs    r2, r2, #32
    bhs     4b
5:  pop     {r4-r10}
6:  adds    r2, r2, #28
    bmi     7f
66: ldr     r3, [r1], #4
    str     r3, [r12], #4
    subs    r2, r2, #4
    bpl     66b
7:  adds    r2, r2, #4
8:  subs    r2, r2, #1
    blo     9f
    ldrb    r3, [r1], #1
    strb    r3, [r12], #1
    b       8b
9:  bx      lr
    .size memcpy, . - memcpy

    .section .text.memset, "ax", %progbits
    .balign 4
    .global memset
    .global __aeabi_memset
    .global __aeabi_memset4
    .global __aeabi_memset8
    .global __aeabi_memclr
    .global __aeabi_memclr4
    .global __aeabi_memclr8
    .type memset, %function
    .type __aeabi_memset, %function
    .type __aeabi_memset4, %function
    .type __aeabi_memset8, %function
    .type __aeabi_memclr, %function
    .type __aeabi_memclr4, %function
    .type __aeabi_memclr8, %function
__aeabi_memclr:
__aeabi_memclr4:
__aeabi_memclr8:
    movs    r2, #0
__aeabi_memset:
__aeabi_memset4:
__aeabi_memset8:
    // The length comes before the byte here.
    mov     r3, r1
    mov     r1, r2
    mov     r2, r3
memset:
    mov     r12, r0
    uxtb    r1, r1
    orr     r1, r1, r1, lsl #8
    orr     r1, r1, r1, lsl #16
    cmp     r2, #16
    bhs     1f
    subs    r2, r2, #4
    bpl     66f
    b       7f
1:  tst     r12, #3
    beq     2f
    strb    r1, [r12], #1
    subs    r2, r2, #1
    b       1b
2:  subs    r2, r2, #32
    blo     6f
    push    {r4-r9}
    mov     r3, r1
    mov     r4, r1
    mov     r5, r1
    mov     r6, r1
    mov     r7, r1
    mov     r8, r1
    mov     r9, r1
3:  stmia   r12!, {r1, r3-r9}
    subs    r2, r2, #32
    bhs     3b
    pop     {r4-r9}
6:  adds    r2, r2, #28
    bmi     7f
66: str     r1, [r12], #4
    subs    r2, r2, #4
    bpl     66b
7:  adds    r2, r2, #4
8:  subs    r2, r2, #1
    blo     9f
    strb    r1, [r12], #1
    b       8b
9:  bx      lr
    .size memset, . - memset
