/* requantize_s8 for the ESP32-P4: y = clamp((x * factor + constant) >> shift),
 * factor = 2^left_shift, constant = rounding + (y_zero_point << shift) - x_zero_point * factor.
 *
 * QACC starts as 16 constants in memory; 10 slots per 16 elements.
 *
 * Contract: bases and strides are multiples of 16, block strides 16; the surplus lanes of a pixel's last vector are
 * written. left_shift <= 6, shift <= 22. In place as layers.h says.
 *
 * Registers
 *     a0 x   a1 y   a2 end of y in the pixel   s3, s4 rows of x, y   s5, s6 pixels of x, y   s7 p   s8 constants   s9 shift
 *     s10 bytes of a pixel   t0 rows left   t1 pixels left   t5, t6 clamp   a3, a4, a5 temporary   q0 factor   q1 x   q2 y
 */
#include "pie.inc"

#define LOCAL_CFG 64(sp) /* behind the 16 constants */
#define LOCAL_BYTES 80

/* void pienn_requantize_s8_p4(const int8_t *x, int8_t *y, const pienn_requantize_s8_params *p) */
FUNCTION pienn_requantize_s8_p4
    ENTER
    addi sp, sp, -LOCAL_BYTES
    SAVE_ROUNDING LOCAL_CFG, a4
    ROUND_DOWN a4
    mv s3, a0
    mv s4, a1
    mv s7, a2
    lw s9, PIENN_REQUANTIZE_S8_SHIFT(s7)
    lw t5, PIENN_REQUANTIZE_S8_MINIMUM(s7)
    lw t6, PIENN_REQUANTIZE_S8_MAXIMUM(s7)
    lw a2, PIENN_REQUANTIZE_S8_LEFT_SHIFT(s7)
    lw a3, PIENN_REQUANTIZE_S8_X_ZERO_POINT(s7)
    lw a4, PIENN_REQUANTIZE_S8_Y_ZERO_POINT(s7)
    lw s10, PIENN_REQUANTIZE_S8_Y_CHANNELS(s7)
    lw t0, PIENN_REQUANTIZE_S8_Y_HEIGHT(s7)
    li t1, 1
    sll a5, t1, a2              /* factor */
    sll t1, t1, s9
    srli t1, t1, 1              /* rounding */
    sll a4, a4, s9
    mul a3, a3, a5
    add t1, t1, a4
    sub t1, t1, a3              /* the constant */
    esp.movi.8.q q0, a5, 0
    mv s8, sp
    addi a5, sp, 64
.Lfill:
    sw t1, 0(s8)
    addi s8, s8, 4
    bne s8, a5, .Lfill
    mv s8, sp
    addi s10, s10, 15
    andi s10, s10, -PIE_BYTES
.Lrow:
    lw t1, PIENN_REQUANTIZE_S8_Y_WIDTH(s7)
    mv s5, s3
    mv s6, s4
.Lpixel:
    mv a0, s5
    mv a1, s6
    add a2, s6, s10
.Lvector:
    esp.vld.128.ip q1, a0, 16
    LOAD_BIAS s8
    esp.vsmulas.s8.qacc q1, q0, 0
    REQUANTIZE q2, s9
    esp.vsat.s8 q2, q2, t5, t6
#if PIE_ROUNDS_BY_CFG
    esp.movx.r.cfg a5
    andi a5, a5, PIE_CFG_MODES
    bnez a5, .Lagain
#endif
    esp.vst.128.ip q2, a1, 16
    bne a1, a2, .Lvector
    lw a3, PIENN_REQUANTIZE_S8_X_PIXEL_STRIDE(s7)
    lw a4, PIENN_REQUANTIZE_S8_Y_PIXEL_STRIDE(s7)
    addi t1, t1, -1
    add s5, s5, a3
    add s6, s6, a4
    bnez t1, .Lpixel
    lw a3, PIENN_REQUANTIZE_S8_X_ROW_STRIDE(s7)
    lw a4, PIENN_REQUANTIZE_S8_Y_ROW_STRIDE(s7)
    addi t0, t0, -1
    add s3, s3, a3
    add s4, s4, a4
    bnez t0, .Lrow
    RESTORE_ROUNDING LOCAL_CFG, a4
    addi sp, sp, LOCAL_BYTES
    LEAVE
#if PIE_ROUNDS_BY_CFG
.Lagain:
    ROUND_DOWN a5
    addi a0, a0, -PIE_BYTES
    j .Lvector
#endif
