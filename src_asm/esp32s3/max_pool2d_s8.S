/* max_pool2d_s8 for the ESP32-S3: lanes are channels, 32 at a time, then 16.
 *
 * Contract: that of layers.h; padding_top = padding_left = 0, the padding is in memory; bases, row_stride and
 * pixel_stride are multiples of 16, block_stride is 16; surplus lanes of the last block are computed and written.
 * Nothing is read beyond the windows.
 *
 * Slots per pixel: 2x2 over 32 channels 12, else 10 + 6 per kernel row + 3 per tap for 16 channels.
 *
 * Registers
 *     a2 x   a3 y   a4 p   a9 pixels   a10 rows left   a11, a12 from a row of x, of y, to the next
 *     a5, a6, a7 from the second vector of a tap to the next tap, to the next kernel row, to the next pixel
 *     a8 from the second vector of y to the next pixel   a13-a15 temporary
 */
#include "pie.inc"

#define FRAME_X 0
#define FRAME_Y 4
#define FRAME_CHANNELS 8  /* left */
#define FRAME_TAP_STEP 12
#define FRAME_LINE 16
#define FRAME_PIXEL_STEP 20
#define FRAME_Y_STEP 24
#define FRAME_X_ROW_STEP 28
#define FRAME_Y_ROW_STEP 32
#define FRAME_HEIGHT 36
#define FRAME_WIDTH 40
#define FRAME_KERNEL_ROWS 44
#define FRAME_KERNEL_WIDTH 48
#define FRAME_BYTES 80

/* void pienn_max_pool2d_s8_s3(const int8_t *x, int8_t *y, const pienn_max_pool2d_s8_params *p) */
FUNCTION pienn_max_pool2d_s8_s3
    entry a1, FRAME_BYTES
    l32i a5, a4, PIENN_MAX_POOL2D_S8_X_PIXEL_STRIDE
    l32i a6, a4, PIENN_MAX_POOL2D_S8_X_ROW_STRIDE
    l32i a7, a4, PIENN_MAX_POOL2D_S8_DILATION_X
    l32i a8, a4, PIENN_MAX_POOL2D_S8_DILATION_Y
    l32i a9, a4, PIENN_MAX_POOL2D_S8_STRIDE_X
    l32i a10, a4, PIENN_MAX_POOL2D_S8_STRIDE_Y
    mull a7, a7, a5
    mull a8, a8, a6
    mull a9, a9, a5
    mull a10, a10, a6
    s32i a7, a1, FRAME_TAP_STEP
    s32i a8, a1, FRAME_LINE
    s32i a9, a1, FRAME_PIXEL_STEP
    s32i a10, a1, FRAME_X_ROW_STEP
    l32i a5, a4, PIENN_MAX_POOL2D_S8_Y_PIXEL_STRIDE
    l32i a6, a4, PIENN_MAX_POOL2D_S8_Y_ROW_STRIDE
    l32i a7, a4, PIENN_MAX_POOL2D_S8_Y_HEIGHT
    l32i a8, a4, PIENN_MAX_POOL2D_S8_Y_WIDTH
    l32i a9, a4, PIENN_MAX_POOL2D_S8_Y_CHANNELS
    l32i a10, a4, PIENN_MAX_POOL2D_S8_KERNEL_HEIGHT
    l32i a11, a4, PIENN_MAX_POOL2D_S8_KERNEL_WIDTH
    s32i a2, a1, FRAME_X
    s32i a3, a1, FRAME_Y
    s32i a5, a1, FRAME_Y_STEP
    s32i a6, a1, FRAME_Y_ROW_STEP
    s32i a7, a1, FRAME_HEIGHT
    s32i a8, a1, FRAME_WIDTH
    s32i a9, a1, FRAME_CHANNELS
    s32i a10, a1, FRAME_KERNEL_ROWS
    s32i a11, a1, FRAME_KERNEL_WIDTH
    bnei a10, 2, .Lsingle
    bnei a11, 2, .Lsingle
    movi a10, PIE_BYTES
    blt a10, a9, .Lpairs
    j .Lsingle

/* ---- 2x2, two vectors of channels ----
 *
 * Eight loads, six maxima, two stores; those of the last tap's maxima move into the next pixel, so that every load of
 * a first vector rides on a maximum. Taps a, b above, c, d below: q0 q1 a, q2 q3 b, q4 q5 c, q6 q7 d. */
.Lpairs:
    l32i a5, a1, FRAME_TAP_STEP
    l32i a6, a1, FRAME_LINE
    l32i a7, a1, FRAME_PIXEL_STEP
    l32i a8, a1, FRAME_Y_STEP
    l32i a9, a1, FRAME_WIDTH
    l32i a11, a1, FRAME_X_ROW_STEP
    l32i a12, a1, FRAME_Y_ROW_STEP
    /* The pointer to x ends a row where the next pixel would begin, that to y too. */
    mull a13, a7, a9
    mull a14, a8, a9
    sub a11, a11, a13
    sub a12, a12, a14
    sub a7, a7, a6
    sub a7, a7, a5              /* from d to the next a */
    sub a6, a6, a5              /* from b to c */
    addi a5, a5, -PIE_BYTES
    addi a6, a6, -PIE_BYTES
    addi a7, a7, -PIE_BYTES
    addi a8, a8, -PIE_BYTES
    addi a9, a9, -1
.Lpair:
    l32i a10, a1, FRAME_HEIGHT
.Lpair_row:
    ee.vld.128.ip q0, a2, PIE_BYTES
    ee.vld.128.xp q1, a2, a5
    ee.vld.128.ip q2, a2, PIE_BYTES
    ee.vld.128.xp q3, a2, a6
    ee.vmax.s8.ld.incp q4, a2, q2, q0, q2
    ee.vld.128.xp q5, a2, a5
    ee.vmax.s8.ld.incp q6, a2, q3, q1, q3
    ee.vld.128.xp q7, a2, a7
    ee.vmax.s8 q4, q2, q4
    ee.vmax.s8 q5, q3, q5
    loopnez a9, .Lpair_end
    ee.vmax.s8.ld.incp q0, a2, q6, q4, q6
    ee.vld.128.xp q1, a2, a5
    ee.vmax.s8.ld.incp q2, a2, q7, q5, q7
    ee.vld.128.xp q3, a2, a6
    ee.vst.128.ip q6, a3, PIE_BYTES
    ee.vmax.s8.ld.incp q4, a2, q2, q0, q2
    ee.vld.128.xp q5, a2, a5
    ee.vst.128.xp q7, a3, a8
    ee.vmax.s8.ld.incp q6, a2, q3, q1, q3
    ee.vld.128.xp q7, a2, a7
    ee.vmax.s8 q4, q2, q4
    ee.vmax.s8 q5, q3, q5
.Lpair_end:
    ee.vmax.s8 q6, q4, q6
    ee.vmax.s8 q7, q5, q7
    add a2, a2, a11
    ee.vst.128.ip q6, a3, PIE_BYTES
    addi a10, a10, -1
    ee.vst.128.xp q7, a3, a8
    add a3, a3, a12
    bnez a10, .Lpair_row
    l32i a2, a1, FRAME_X
    l32i a3, a1, FRAME_Y
    l32i a13, a1, FRAME_CHANNELS
    addi a2, a2, 2 * PIE_BYTES
    addi a3, a3, 2 * PIE_BYTES
    addi a13, a13, -2 * PIE_BYTES
    s32i a2, a1, FRAME_X
    s32i a3, a1, FRAME_Y
    s32i a13, a1, FRAME_CHANNELS
    movi a14, PIE_BYTES
    blt a14, a13, .Lpair_again
    bgei a13, 1, .Lsingle
    retw
.Lpair_again:
    j .Lpair

/* ---- any window, one vector of channels ---- */
.Lsingle:
    l32i a5, a1, FRAME_TAP_STEP
    l32i a6, a1, FRAME_LINE
    l32i a7, a1, FRAME_PIXEL_STEP
    l32i a8, a1, FRAME_Y_STEP
    l32i a10, a1, FRAME_HEIGHT
    l32i a14, a1, FRAME_KERNEL_WIDTH
.Lsingle_row:
    l32i a9, a1, FRAME_WIDTH
    mov a11, a2
    mov a12, a3
.Lpixel:
    ee.vld.128.ip q0, a2, 0
    l32i a15, a1, FRAME_KERNEL_ROWS
    mov a4, a2
.Lkernel_row:
    mov a13, a4
    loop a14, .Ltap
    ee.vld.128.xp q1, a13, a5
    ee.vmax.s8 q0, q0, q1
.Ltap:
    addi a15, a15, -1
    add a4, a4, a6
    bnez a15, .Lkernel_row
    add a2, a2, a7
    addi a9, a9, -1
    ee.vst.128.xp q0, a3, a8
    bnez a9, .Lpixel
    l32i a13, a1, FRAME_X_ROW_STEP
    l32i a15, a1, FRAME_Y_ROW_STEP
    add a2, a11, a13
    add a3, a12, a15
    addi a10, a10, -1
    bnez a10, .Lsingle_row
    l32i a2, a1, FRAME_X
    l32i a3, a1, FRAME_Y
    l32i a13, a1, FRAME_CHANNELS
    addi a2, a2, PIE_BYTES
    addi a3, a3, PIE_BYTES
    addi a13, a13, -PIE_BYTES
    s32i a2, a1, FRAME_X
    s32i a3, a1, FRAME_Y
    s32i a13, a1, FRAME_CHANNELS
    bgei a13, 1, .Lsingle_again
    retw
.Lsingle_again:
    j .Lsingle
