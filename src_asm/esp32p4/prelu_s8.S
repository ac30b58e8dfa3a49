/* prelu_s8 for the ESP32-P4: y = (max(X, 0) * 2^left_shift + min(X, 0) * slope + constant) >> shift, X = x - x_zero_point,
 * constant = rounding + (y_zero_point << shift). Where x_zero_point is -128 nothing is negative: the slope is 0 then, and
 * max is taken of x, with 128 * 2^left_shift in the constant.
 *
 * QACC starts as 16 constants in memory; 13 slots per 16 elements. Blocks of 16 channels outermost, each with its slopes.
 *
 * Contract: bases and strides are multiples of 16, block strides 16; the surplus lanes of a pixel's last vector are
 * written. left_shift <= 6, shift <= 22. In place as layers.h says.
 *
 * Registers
 *     a0 x   a1 y   a2 vector of slopes   t4, t3 steps of x, y   t1 pixels left   t0 rows left   s3, s4 rows of x, y
 *     s5, s6 blocks of x, y   s7 p   s8 constants   s9 shift   s10 end of y's blocks   s11 x_zero_point
 *     a3, a4, a5 temporary   q0 2^left_shift   q1 x, negative part   q2 positive part, y   q4 zero point   q5 slope
 */
#include "pie.inc"

#define LOCAL_CFG 64(sp) /* behind the 16 constants */
#define LOCAL_BYTES 80

/* void pienn_prelu_s8_p4(const int8_t *x, int8_t *y, const pienn_prelu_s8_params *p) */
FUNCTION pienn_prelu_s8_p4
    ENTER
    addi sp, sp, -LOCAL_BYTES
    SAVE_ROUNDING LOCAL_CFG, a4
    ROUND_DOWN a4
    mv s5, a0
    mv s6, a1
    mv s7, a2
    lw a2, PIENN_PRELU_S8_SLOPE(s7)
    lw s9, PIENN_PRELU_S8_SHIFT(s7)
    lw s11, PIENN_PRELU_S8_X_ZERO_POINT(s7)
    lw t0, PIENN_PRELU_S8_LEFT_SHIFT(s7)
    lw a4, PIENN_PRELU_S8_Y_ZERO_POINT(s7)
    lw s10, PIENN_PRELU_S8_Y_CHANNELS(s7)
    lw t4, PIENN_PRELU_S8_X_PIXEL_STRIDE(s7)
    lw t3, PIENN_PRELU_S8_Y_PIXEL_STRIDE(s7)
    addi s10, s10, 15
    andi s10, s10, -PIE_BYTES
    add s10, s10, s6
    li t1, 1
    sll a5, t1, t0              /* factor */
    sll t1, t1, s9
    srli t1, t1, 1              /* rounding */
    sll a4, a4, s9
    mul a3, s11, a5
    add t1, t1, a4
    sub t1, t1, a3              /* the constant */
    esp.movi.8.q q0, a5, 0
    addi a3, s7, PIENN_PRELU_S8_X_ZERO_POINT
    li a4, 0
    esp.vldbc.8.xp q4, a3, a4
    mv s8, sp
    addi a5, sp, 64
.Lfill:
    sw t1, 0(s8)
    addi s8, s8, 4
    bne s8, a5, .Lfill
    mv s8, sp
.Lblock:
    esp.vld.128.ip q5, a2, 16
    beqz s11, .Lslopes
    esp.zero.q q5
.Lslopes:
    lw t0, PIENN_PRELU_S8_Y_HEIGHT(s7)
    mv s3, s5
    mv s4, s6
.Lrow:
    lw t1, PIENN_PRELU_S8_Y_WIDTH(s7)
    mv a0, s3
    mv a1, s4
.Lpixel:
    esp.vld.128.xp q1, a0, t4
    LOAD_BIAS s8
    esp.vmax.s8 q2, q1, q4
    esp.vmin.s8 q1, q1, q4
    esp.vsmulas.s8.qacc q2, q0, 0
    esp.vmulas.s8.qacc q1, q5
    REQUANTIZE q2, s9
#if PIE_ROUNDS_BY_CFG
    esp.movx.r.cfg a5
    andi a5, a5, PIE_CFG_MODES
    bnez a5, .Lagain
#endif
    esp.vst.128.xp q2, a1, t3
    addi t1, t1, -1
    bnez t1, .Lpixel
    lw a3, PIENN_PRELU_S8_X_ROW_STRIDE(s7)
    lw a4, PIENN_PRELU_S8_Y_ROW_STRIDE(s7)
    addi t0, t0, -1
    add s3, s3, a3
    add s4, s4, a4
    bnez t0, .Lrow
    addi s5, s5, PIE_BYTES
    addi s6, s6, PIE_BYTES
    bne s6, s10, .Lblock
    RESTORE_ROUNDING LOCAL_CFG, a4
    addi sp, sp, LOCAL_BYTES
    LEAVE
#if PIE_ROUNDS_BY_CFG
.Lagain:
    ROUND_DOWN a5
    sub a0, a0, t4
    j .Lpixel
#endif
