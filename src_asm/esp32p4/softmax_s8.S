/* softmax_s8 for the ESP32-P4. PIE has no gather, so this is integer code, 35 cycles an element in all, with one division a
 * row.
 *
 *     y = min(255, (512 * E + S) / (2 * S)) - 128, E = table[maximum - x], S = sum of E
 *
 * The quotient by D = 2 * S is the upper half of the product with floor((2^32 - 1) / D), or one more.
 *
 * Contract: any bases and strides. In place as layers.h says.
 *
 * Registers
 *     a0 x   a1 y   a2 p   a3 table   a4 maximum   a5 S   a6 D   a7 reciprocal of D   t0 in x   t1 end of x   t2-t4 temporary
 *     t5 in y   t6 rows left
 */
#include "pie.inc"

/* t2 = E of the element at t0, which moves on */
.macro EXPONENTIAL
    lb t2, 0(t0)
    addi t0, t0, 1
    sub t2, a4, t2
    slli t2, t2, 1
    add t2, t2, a3
    lhu t2, 0(t2)
.endm

/* void pienn_softmax_s8_p4(const int8_t *x, int8_t *y, const pienn_softmax_s8_params *p) */
FUNCTION pienn_softmax_s8_p4
    lw a3, PIENN_SOFTMAX_S8_TABLE(a2)
    lw t6, PIENN_SOFTMAX_S8_ROWS(a2)
.Lrow:
    lw t1, PIENN_SOFTMAX_S8_CHANNELS(a2)
    mv t0, a0
    li a4, -128
    add t1, a0, t1
.Lmaximum:
    lb t2, 0(t0)
    addi t0, t0, 1
    bge a4, t2, .Lsmaller
    mv a4, t2
.Lsmaller:
    bne t0, t1, .Lmaximum
    mv t0, a0
    li a5, 0
.Lsum:
    EXPONENTIAL
    add a5, a5, t2
    bne t0, t1, .Lsum
    slli a6, a5, 1
    li a7, -1
    divu a7, a7, a6
    mv t0, a0
    mv t5, a1
.Lresult:
    EXPONENTIAL
    addi t5, t5, 1
    slli t2, t2, 9
    add t2, t2, a5
    mulhu t3, t2, a7
    mul t4, t3, a6
    sub t2, t2, t4
    sltu t2, t2, a6
    xori t2, t2, 1
    add t3, t3, t2
    sltiu t2, t3, 256
    bnez t2, .Lfits
    li t3, 255
.Lfits:
    addi t3, t3, -128
    sb t3, -1(t5)
    bne t0, t1, .Lresult
    lw t2, PIENN_SOFTMAX_S8_X_ROW_STRIDE(a2)
    lw t3, PIENN_SOFTMAX_S8_Y_ROW_STRIDE(a2)
    addi t6, t6, -1
    add a0, a0, t2
    add a1, a1, t3
    bnez t6, .Lrow
    ret
