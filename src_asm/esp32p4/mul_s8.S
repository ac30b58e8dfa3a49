/* mul_s8 for the ESP32-P4.
 *
 *     y = clamp((a * b + a * a_factor + b * b_factor + constant) >> shift)
 *     a_factor = -b_zero_point and b_factor = -a_zero_point, each as twice a factor of 0 or 64,
 *     constant = a_zero_point * b_zero_point + rounding + (y_zero_point << shift)
 *
 * QACC starts as 16 constants in memory; 11 slots per 16 elements, and two for each zero point that is not 0.
 *
 * Contract and registers: as sum.inc, with shift <= 22; s10, s11 half the factors of a and b.
 */
#include "sum.inc"

.macro PRODUCT_ROW
    add a4, a2, s6
.Lvector\@:
    esp.vld.128.ip q3, a0, 16
    esp.vld.128.ip q2, a1, 16
    LOAD_BIAS s8
    esp.vmulas.s8.qacc q3, q2
    beqz s10, .Lb\@
    esp.vsmulas.s8.qacc q3, q0, 2
    esp.vsmulas.s8.qacc q3, q0, 2
.Lb\@:
    beqz s11, .Lsum\@
    esp.vsmulas.s8.qacc q2, q0, 0
    esp.vsmulas.s8.qacc q2, q0, 0
.Lsum\@:
    REQUANTIZE q4, s9
    esp.vsat.s8 q4, q4, t5, t6
#if PIE_ROUNDS_BY_CFG
    esp.movx.r.cfg a5
    andi a5, a5, PIE_CFG_MODES
    bnez a5, .Lagain\@
#endif
    esp.vst.128.ip q4, a2, 16
    bne a2, a4, .Lvector\@
#if PIE_ROUNDS_BY_CFG
    j .Ldone\@
.Lagain\@:
    ROUND_DOWN a5
    addi a0, a0, -PIE_BYTES
    addi a1, a1, -PIE_BYTES
    j .Lvector\@
.Ldone\@:
#endif
.endm

/* void pienn_mul_s8_p4(const int8_t *a, const int8_t *b, int8_t *y, const pienn_mul_s8_params *p) */
FUNCTION pienn_mul_s8_p4
    ENTER
    addi sp, sp, -SUM_BYTES
    SAVE_ROUNDING SUM_CFG, a4
    ROUND_DOWN a4
    mv s3, a0
    mv s4, a1
    mv s5, a2
    mv s7, a3
    lw s6, PIENN_MUL_S8_SHAPE+12(s7)
    lw s9, PIENN_MUL_S8_SHIFT(s7)
    lw t5, PIENN_MUL_S8_MINIMUM(s7)
    lw t6, PIENN_MUL_S8_MAXIMUM(s7)
    lw a2, PIENN_MUL_S8_A_ZERO_POINT(s7)
    lw a3, PIENN_MUL_S8_B_ZERO_POINT(s7)
    lw a4, PIENN_MUL_S8_Y_ZERO_POINT(s7)
    li t1, 1
    sll t1, t1, s9
    srli t1, t1, 1              /* rounding */
    sll a4, a4, s9
    add t1, t1, a4
    mul a4, a2, a3
    add t1, t1, a4              /* the constant */
    neg s10, a3
    neg s11, a2
    srai s10, s10, 1
    srai s11, s11, 1
    esp.movi.8.q q0, s11, 0
    esp.movi.8.q q0, s10, 2
    mv s8, sp
    addi a5, sp, 64
.Lfill:
    sw t1, 0(s8)
    addi s8, s8, 4
    bne s8, a5, .Lfill
    mv s8, sp
    addi t3, s7, PIENN_MUL_S8_A_STRIDES
    SUM_STEPS_OF t3, 0
    addi t3, s7, PIENN_MUL_S8_B_STRIDES
    SUM_STEPS_OF t3, 1
    addi t3, s7, PIENN_MUL_S8_Y_STRIDES
    SUM_STEPS_OF t3, 2
    lw t0, PIENN_MUL_S8_SHAPE(s7)
.Laxis0:
    lw t1, PIENN_MUL_S8_SHAPE+4(s7)
.Laxis1:
    lw t2, PIENN_MUL_S8_SHAPE+8(s7)
.Laxis2:
    mv a0, s3
    mv a1, s4
    mv a2, s5
    PRODUCT_ROW
    SUM_NEXT 2, t2, .Laxis2
    SUM_NEXT 1, t1, .Laxis1
    SUM_NEXT 0, t0, .Laxis0
    RESTORE_ROUNDING SUM_CFG, a4
    addi sp, sp, SUM_BYTES
    LEAVE
