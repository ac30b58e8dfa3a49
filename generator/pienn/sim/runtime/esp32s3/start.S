# Start of a windowed program, the host's services, and the arithmetic that xtensa-lx106-elf-gcc takes from its library:
# its own copy follows the call0 convention, so windowed programs get this one, which uses the S3's instructions.

    .text
    .literal_position
    .global _start
    .align 4
_start:                             # the simulator enters here with the first window live
    movi    a1, _stack
    addi    a2, a1, -16
    s32i    a1, a2, 4               # where a window overflow of the first frame finds its caller's stack pointer
    movi    a2, __init_array_start
    movi    a3, __init_array_end
1:  bgeu    a2, a3, 2f              # constructors
    l32i    a8, a2, 0
    callx8  a8
    addi    a2, a2, 4
    j       1b
2:  movi    a10, 0
    movi    a11, 0
    call8   main
    call8   exit

    .global _exit
    .align 4
_exit:                              # void _exit(int code)
    entry   a1, 32
    mov     a3, a2
    movi    a2, 1
    simcall
1:  j       1b

    .global write
    .align 4
write:                              # int write(int file, const void *data, unsigned size)
    entry   a1, 32
    mov     a5, a4
    mov     a4, a3
    mov     a3, a2
    movi    a2, 4
    simcall
    retw

    .global read
    .align 4
read:                               # int read(int file, void *data, unsigned size)
    entry   a1, 32
    mov     a5, a4
    mov     a4, a3
    mov     a3, a2
    movi    a2, 3
    simcall
    retw

# ---------------------------------------------------------------- integers

    .macro  binary name, instruction
    .global \name
    .align  4
\name:
    entry   a1, 32
    \instruction a2, a2, a3
    retw
    .endm
    binary  __divsi3, quos
    binary  __modsi3, rems
    binary  __udivsi3, quou
    binary  __umodsi3, remu
    binary  __mulsi3, mull

    .global __clzsi2
    .align 4
__clzsi2:
    entry   a1, 32
    nsau    a2, a2
    retw

    .global __muldi3                # a3:a2 * a5:a4
    .align 4
__muldi3:
    entry   a1, 32
    mull    a6, a3, a4
    mull    a7, a2, a5
    muluh   a3, a2, a4
    mull    a2, a2, a4
    add     a6, a6, a7
    add     a3, a3, a6
    retw

    .global __ashldi3               # a3:a2 << a4
    .align 4
__ashldi3:
    entry   a1, 32
    bbsi    a4, 5, 1f
    ssl     a4
    src     a3, a3, a2
    sll     a2, a2
    retw
1:  ssl     a4
    sll     a3, a2
    movi    a2, 0
    retw

    .global __lshrdi3               # a3:a2 >> a4, zeros from above
    .align 4
__lshrdi3:
    entry   a1, 32
    ssr     a4
    bbsi    a4, 5, 1f
    src     a2, a3, a2
    srl     a3, a3
    retw
1:  srl     a2, a3
    movi    a3, 0
    retw

    .global __ashrdi3               # a3:a2 >> a4, the sign from above
    .align 4
__ashrdi3:
    entry   a1, 32
    ssr     a4
    bbsi    a4, 5, 1f
    src     a2, a3, a2
    sra     a3, a3
    retw
1:  sra     a2, a3
    srai    a3, a3, 31
    retw

# ---------------------------------------------------------------- single precision

    .macro  float2 name, instruction
    .global \name
    .align  4
\name:
    entry   a1, 32
    wfr     f0, a2
    wfr     f1, a3
    \instruction f0, f0, f1
    rfr     a2, f0
    retw
    .endm
    float2  __addsf3, add.s
    float2  __subsf3, sub.s
    float2  __mulsf3, mul.s

    .global __divsf3                # the vendor's sequence: refine a coarse reciprocal, then the quotient
    .align 4
__divsf3:
    entry   a1, 32
    wfr     f1, a2
    wfr     f2, a3
    div0.s  f3, f2
    nexp01.s f4, f2
    const.s f5, 1
    maddn.s f5, f4, f3
    mov.s   f6, f3
    mov.s   f7, f2
    nexp01.s f8, f1
    maddn.s f6, f5, f6
    const.s f5, 1
    const.s f0, 0
    neg.s   f9, f8
    maddn.s f5, f4, f6
    maddn.s f0, f9, f3
    mkdadj.s f7, f1
    maddn.s f6, f5, f6
    maddn.s f9, f4, f0
    const.s f5, 1
    maddn.s f5, f4, f6
    maddn.s f0, f9, f6
    neg.s   f9, f8
    maddn.s f6, f5, f6
    maddn.s f9, f4, f0
    addexpm.s f0, f7
    addexp.s f6, f7
    divn.s  f0, f9, f6
    rfr     a2, f0
    retw

    .global sqrtf                   # as above, from a coarse reciprocal root
    .align 4
sqrtf:
    entry   a1, 32
    wfr     f1, a2
    sqrt0.s f2, f1
    const.s f3, 0
    maddn.s f3, f2, f2
    nexp01.s f4, f1
    const.s f0, 3
    addexp.s f4, f0
    maddn.s f0, f3, f4
    nexp01.s f3, f1
    neg.s   f5, f3
    maddn.s f2, f0, f2
    const.s f0, 0
    const.s f6, 0
    const.s f7, 0
    maddn.s f0, f5, f2
    maddn.s f6, f2, f4
    const.s f4, 3
    maddn.s f7, f4, f2
    maddn.s f3, f0, f0
    maddn.s f4, f6, f2
    neg.s   f2, f7
    maddn.s f0, f3, f2
    maddn.s f7, f4, f7
    mksadj.s f2, f1
    nexp01.s f1, f1
    maddn.s f1, f0, f0
    neg.s   f3, f7
    addexpm.s f0, f2
    addexp.s f3, f2
    divn.s  f0, f1, f3
    rfr     a2, f0
    retw

    # Comparisons: \yes where `first \instruction second` holds, else \no (also for not-a-number).
    .macro  compare name, instruction, first, second, yes, no
    .global \name
    .align  4
\name:
    entry   a1, 32
    wfr     f0, a2
    wfr     f1, a3
    \instruction b0, \first, \second
    movi    a2, \no
    movi    a3, \yes
    movt    a2, a3, b0
    retw
    .endm
    compare __eqsf2, oeq.s, f0, f1, 0, 1
    compare __nesf2, oeq.s, f0, f1, 0, 1
    compare __ltsf2, olt.s, f0, f1, -1, 0
    compare __lesf2, ole.s, f0, f1, 0, 1
    compare __gtsf2, olt.s, f1, f0, 1, 0
    compare __gesf2, ole.s, f1, f0, 0, -1
    compare __unordsf2, un.s, f0, f1, 1, 0

    .macro  to_integer name, instruction
    .global \name
    .align  4
\name:
    entry   a1, 32
    wfr     f0, a2
    \instruction a2, f0, 0
    retw
    .endm
    to_integer __fixsfsi, trunc.s
    to_integer __fixunssfsi, utrunc.s

    .macro  from_integer name, instruction
    .global \name
    .align  4
\name:
    entry   a1, 32
    \instruction f0, a2, 0
    rfr     a2, f0
    retw
    .endm
    from_integer __floatsisf, float.s
    from_integer __floatunsisf, ufloat.s

    .global __negsf2
    .align 4
__negsf2:
    entry   a1, 32
    wfr     f0, a2
    neg.s   f0, f0
    rfr     a2, f0
    retw
