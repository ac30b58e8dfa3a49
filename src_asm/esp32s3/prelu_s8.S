/* prelu_s8 for the ESP32-S3: y = (max(X, 0) * 2^left_shift + min(X, 0) * slope + constant) >> shift, X = x - x_zero_point,
 * constant = rounding + (y_zero_point << shift). Where x_zero_point is -128 nothing is negative: the slope is 0 then, and
 * max is taken of x, with 128 * 2^left_shift in the constant.
 *
 * QACC starts as 16 constants in memory; 12 slots per 16 elements. Blocks of 16 channels outermost, each with its slopes.
 * Products are below 2^15: a shift beyond 16 gives no other result than 16, and with a zero point of -128 all sums that
 * leave 20 bits at shifts up to 12 are -128 anyway.
 *
 * Contract: bases and strides are multiples of 16, block strides 16; the surplus lanes of a pixel's last vector are
 * written. left_shift <= 6; shift <= 12 where y_zero_point is -128. In place as layers.h says.
 *
 * Registers
 *     a2, a3 blocks of x, y   a4 p   a5 constants   a6 vector of slopes   a7 shift   a8 rows left   a9 pixels
 *     a10, a11 rows of x, y   a12, a13 x, y   a14, a15 steps of x, y, temporary
 *     q0 2^left_shift   q1 x, negative part   q2 positive part, y   q4 zero point   q5 slope
 */
#include "accumulators.inc"
#include "pie.inc"

#define FRAME_IMAGE 0
#define FRAME_FACTOR 40
#define FRAME_BLOCKS 44
#define FRAME_BYTES 80

#define LARGEST_SHIFT 16

/* void pienn_prelu_s8_s3(const int8_t *x, int8_t *y, const pienn_prelu_s8_params *p) */
FUNCTION pienn_prelu_s8_s3
    entry a1, FRAME_BYTES
    l32i a6, a4, PIENN_PRELU_S8_SLOPE
    l32i a7, a4, PIENN_PRELU_S8_SHIFT
    l32i a8, a4, PIENN_PRELU_S8_LEFT_SHIFT
    l32i a9, a4, PIENN_PRELU_S8_X_ZERO_POINT
    l32i a10, a4, PIENN_PRELU_S8_Y_ZERO_POINT
    l32i a11, a4, PIENN_PRELU_S8_Y_CHANNELS
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
    addi a11, a11, PIE_BYTES - 1
    srli a11, a11, 4
    s32i a8, a1, FRAME_FACTOR
    s32i a11, a1, FRAME_BLOCKS
    addi a14, a1, FRAME_FACTOR
    ee.vldbc.8 q0, a14
    addi a14, a4, PIENN_PRELU_S8_X_ZERO_POINT
    ee.vldbc.8 q4, a14
    IMAGE a15, a1, FRAME_IMAGE, a9, a10
    addi a5, a1, FRAME_IMAGE
.Lblock:
    l32i a8, a4, PIENN_PRELU_S8_X_ZERO_POINT
    ee.vld.128.ip q5, a6, PIE_BYTES
    beqz a8, .Lslopes
    ee.zero.q q5
.Lslopes:
    l32i a8, a4, PIENN_PRELU_S8_Y_HEIGHT
    l32i a9, a4, PIENN_PRELU_S8_Y_WIDTH
    mov a10, a2
    mov a11, a3
.Lrow:
    l32i a14, a4, PIENN_PRELU_S8_X_PIXEL_STRIDE
    l32i a15, a4, PIENN_PRELU_S8_Y_PIXEL_STRIDE
    mov a12, a10
    mov a13, a11
    loop a9, .Lrow_end
    ee.vld.128.xp q1, a12, a14
    LOAD_ACCUMULATORS a5
    ee.vmax.s8 q2, q1, q4
    ee.vmin.s8 q1, q1, q4
    ee.vsmulas.s8.qacc q2, q0, 0
    ee.vmulas.s8.qacc q1, q5
    nop                         /* srcmb's wait */
    ee.srcmb.s8.qacc q2, a7, 0
    ee.vst.128.xp q2, a13, a15
.Lrow_end:
    l32i a14, a4, PIENN_PRELU_S8_X_ROW_STRIDE
    l32i a15, a4, PIENN_PRELU_S8_Y_ROW_STRIDE
    addi a8, a8, -1
    add a10, a10, a14
    add a11, a11, a15
    bnez a8, .Lrow
    l32i a8, a1, FRAME_BLOCKS
    addi a2, a2, PIE_BYTES
    addi a3, a3, PIE_BYTES
    addi a8, a8, -1
    s32i a8, a1, FRAME_BLOCKS
    bnez a8, .Lblock
    retw
