/* requantize_s8 for the ESP32-S3: y = clamp((x * factor + constant) >> shift),
 * factor = 2^left_shift, constant = rounding + (y_zero_point << shift) - x_zero_point * factor.
 *
 * QACC starts as 16 constants in memory; 10 slots per 16 elements. A shift beyond 10 gives no other result than 10,
 * because x - x_zero_point is at most 255: 20 bits hold every sum.
 *
 * Contract: bases and strides are multiples of 16, block strides 16; the surplus lanes of a pixel's last vector are
 * written. left_shift <= 6. In place as layers.h says. Reads up to 16 bytes beyond x.
 *
 * Registers
 *     a2, a3 rows of x, y   a4 p   a5 constants   a6 vectors of a pixel, less one   a7 shift   a8 rows left
 *     a9 pixels left   a10, a11 pixels of x, y   a12, a13 x, y   a14, a15 temporary
 *     q0 factor   q1 x   q2 y   q6, q7 minimum, maximum
 */
#include "accumulators.inc"
#include "pie.inc"

#define FRAME_IMAGE 0
#define FRAME_FACTOR 40
#define FRAME_BYTES 80

#define LARGEST_SHIFT 10

/* void pienn_requantize_s8_s3(const int8_t *x, int8_t *y, const pienn_requantize_s8_params *p) */
FUNCTION pienn_requantize_s8_s3
    entry a1, FRAME_BYTES
    l32i a7, a4, PIENN_REQUANTIZE_S8_SHIFT
    l32i a8, a4, PIENN_REQUANTIZE_S8_LEFT_SHIFT
    l32i a9, a4, PIENN_REQUANTIZE_S8_X_ZERO_POINT
    l32i a10, a4, PIENN_REQUANTIZE_S8_Y_ZERO_POINT
    l32i a6, a4, PIENN_REQUANTIZE_S8_Y_CHANNELS
    movi a15, LARGEST_SHIFT
    min a7, a7, a15
    movi a15, 1
    ssl a8
    sll a8, a15                 /* factor */
    ssl a7
    sll a15, a15
    srli a15, a15, 1            /* rounding */
    sll a10, a10
    mull a9, a9, a8
    add a15, a15, a10
    sub a15, a15, a9            /* the constant */
    s32i a8, a1, FRAME_FACTOR
    addi a14, a1, FRAME_FACTOR
    ee.vldbc.8 q0, a14
    addi a14, a4, PIENN_REQUANTIZE_S8_MINIMUM
    ee.vldbc.8 q6, a14
    addi a14, a4, PIENN_REQUANTIZE_S8_MAXIMUM
    ee.vldbc.8 q7, a14
    IMAGE a15, a1, FRAME_IMAGE, a9, a10
    addi a5, a1, FRAME_IMAGE
    addi a6, a6, PIE_BYTES - 1
    srli a6, a6, 4
    addi a6, a6, -1
    l32i a8, a4, PIENN_REQUANTIZE_S8_Y_HEIGHT
.Lrow:
    l32i a9, a4, PIENN_REQUANTIZE_S8_Y_WIDTH
    mov a10, a2
    mov a11, a3
.Lpixel:
    mov a12, a10
    mov a13, a11
    ee.vld.128.ip q1, a12, PIE_BYTES
    LOAD_ACCUMULATORS a5
    MAC_LOAD q1, a12, q1, q0, 0
    nop                         /* srcmb's wait */
    ee.srcmb.s8.qacc q2, a7, 0
    loopnez a6, .Lvector_end
    LOAD_ACCUMULATORS a5
    ee.vmax.s8 q2, q2, q6
    ee.vmin.s8 q2, q2, q7
    MAC_LOAD q1, a12, q1, q0, 0
    ee.vst.128.ip q2, a13, PIE_BYTES
    ee.srcmb.s8.qacc q2, a7, 0
.Lvector_end:
    ee.vmax.s8 q2, q2, q6
    ee.vmin.s8 q2, q2, q7
    l32i a14, a4, PIENN_REQUANTIZE_S8_X_PIXEL_STRIDE
    l32i a15, a4, PIENN_REQUANTIZE_S8_Y_PIXEL_STRIDE
    ee.vst.128.ip q2, a13, PIE_BYTES
    addi a9, a9, -1
    add a10, a10, a14
    add a11, a11, a15
    bnez a9, .Lpixel
    l32i a14, a4, PIENN_REQUANTIZE_S8_X_ROW_STRIDE
    l32i a15, a4, PIENN_REQUANTIZE_S8_Y_ROW_STRIDE
    addi a8, a8, -1
    add a2, a2, a14
    add a3, a3, a15
    bnez a8, .Lrow
    retw
