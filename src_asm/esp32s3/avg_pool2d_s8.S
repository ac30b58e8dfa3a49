/* avg_pool2d_s8 for the ESP32-S3: lanes are 16 channels.
 *
 * Contract: that of average.inc; all windows lie in x (padding_top = padding_left = 0) and count all their elements, or
 * the divisor. Strides of y are multiples of 16, block strides 16; surplus lanes of the last block of y are written.
 * Registers as in average.inc.
 */
#include "average.inc"

#define FRAME_X_ROW AVERAGE_FREE
#define FRAME_Y_ROW (AVERAGE_FREE + 4)
#define FRAME_X_PIXEL (AVERAGE_FREE + 8)
#define FRAME_Y_PIXEL (AVERAGE_FREE + 12)
#define FRAME_X_VECTOR (AVERAGE_FREE + 16)
#define FRAME_ROWS (AVERAGE_FREE + 20)
#define FRAME_COLUMNS (AVERAGE_FREE + 24)
#define FRAME_CHANNELS (AVERAGE_FREE + 28)

/* slot += steps * stride; a13-a15 are used */
.macro MOVE slot, steps, stride
    l32i a13, a4, \steps
    l32i a14, a4, \stride
    l32i a15, a1, \slot
    mull a13, a13, a14
    add a15, a15, a13
    s32i a15, a1, \slot
.endm

/* void pienn_avg_pool2d_s8_s3(const int8_t *x, int8_t *y, const pienn_avg_pool2d_s8_params *p) */
FUNCTION pienn_avg_pool2d_s8_s3
    entry a1, AVERAGE_FRAME
    s32i a2, a1, FRAME_X_ROW
    s32i a3, a1, FRAME_Y_ROW
    l32i a7, a4, PIENN_AVG_POOL2D_S8_KERNEL_HEIGHT
    l32i a8, a4, PIENN_AVG_POOL2D_S8_KERNEL_WIDTH
    l32i a11, a4, PIENN_AVG_POOL2D_S8_DIVISOR
    l32i a10, a4, PIENN_AVG_POOL2D_S8_SHIFT
    mull a12, a7, a8
    moveqz a11, a12, a11        /* no divisor: the number of elements */
    l32i a13, a4, PIENN_AVG_POOL2D_S8_X_ZERO_POINT
    l32i a14, a4, PIENN_AVG_POOL2D_S8_Y_ZERO_POINT
    AVERAGE_PREPARE
    l32i a5, a4, PIENN_AVG_POOL2D_S8_X_PIXEL_STRIDE
    l32i a6, a4, PIENN_AVG_POOL2D_S8_X_ROW_STRIDE
    AVERAGE_COLUMNS
    l32i a13, a4, PIENN_AVG_POOL2D_S8_Y_HEIGHT
.Lrow:
    s32i a13, a1, FRAME_ROWS
    l32i a13, a1, FRAME_X_ROW
    l32i a14, a1, FRAME_Y_ROW
    l32i a15, a4, PIENN_AVG_POOL2D_S8_Y_WIDTH
    s32i a13, a1, FRAME_X_PIXEL
    s32i a14, a1, FRAME_Y_PIXEL
.Lpixel:
    s32i a15, a1, FRAME_COLUMNS
    l32i a2, a1, FRAME_X_PIXEL
    l32i a3, a1, FRAME_Y_PIXEL
    l32i a13, a4, PIENN_AVG_POOL2D_S8_Y_CHANNELS
.Lvector:
    s32i a13, a1, FRAME_CHANNELS
    s32i a2, a1, FRAME_X_VECTOR
    AVERAGE
    l32i a13, a1, FRAME_CHANNELS
    l32i a2, a1, FRAME_X_VECTOR
    addi a13, a13, -PIE_BYTES
    addi a2, a2, PIE_BYTES
    bgei a13, 1, .Lvector
    MOVE FRAME_X_PIXEL, PIENN_AVG_POOL2D_S8_STRIDE_X, PIENN_AVG_POOL2D_S8_X_PIXEL_STRIDE
    l32i a13, a1, FRAME_Y_PIXEL
    l32i a14, a4, PIENN_AVG_POOL2D_S8_Y_PIXEL_STRIDE
    l32i a15, a1, FRAME_COLUMNS
    add a13, a13, a14
    s32i a13, a1, FRAME_Y_PIXEL
    addi a15, a15, -1
    bnez a15, .Lpixel
    MOVE FRAME_X_ROW, PIENN_AVG_POOL2D_S8_STRIDE_Y, PIENN_AVG_POOL2D_S8_X_ROW_STRIDE
    l32i a14, a1, FRAME_Y_ROW
    l32i a15, a4, PIENN_AVG_POOL2D_S8_Y_ROW_STRIDE
    l32i a13, a1, FRAME_ROWS
    add a14, a14, a15
    s32i a14, a1, FRAME_Y_ROW
    addi a13, a13, -1
    bnez a13, .Lrow
    retw
