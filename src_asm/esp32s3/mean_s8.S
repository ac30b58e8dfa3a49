/* mean_s8 for the ESP32-S3: lanes are 16 of the kept elements.
 *
 * Contract: that of average.inc; `inner` is filled up to a multiple of 16 in x, and in y, where the fill is written.
 * y_outer_stride is a multiple of 16 or outer is 1. Registers as in average.inc.
 */
#include "average.inc"

#define FRAME_X_OUTER AVERAGE_FREE
#define FRAME_Y_OUTER (AVERAGE_FREE + 4)
#define FRAME_X_VECTOR (AVERAGE_FREE + 8)
#define FRAME_OUTER (AVERAGE_FREE + 12)
#define FRAME_INNER (AVERAGE_FREE + 16)

/* void pienn_mean_s8_s3(const int8_t *x, int8_t *y, const pienn_mean_s8_params *p) */
FUNCTION pienn_mean_s8_s3
    entry a1, AVERAGE_FRAME
    s32i a2, a1, FRAME_X_OUTER
    s32i a3, a1, FRAME_Y_OUTER
    l32i a7, a4, PIENN_MEAN_S8_ROWS
    l32i a8, a4, PIENN_MEAN_S8_COLUMNS
    l32i a10, a4, PIENN_MEAN_S8_SHIFT
    l32i a13, a4, PIENN_MEAN_S8_X_ZERO_POINT
    l32i a14, a4, PIENN_MEAN_S8_Y_ZERO_POINT
    mull a12, a7, a8
    mov a11, a12
    AVERAGE_PREPARE
    l32i a5, a4, PIENN_MEAN_S8_X_COLUMN_STRIDE
    l32i a6, a4, PIENN_MEAN_S8_X_ROW_STRIDE
    AVERAGE_COLUMNS
    l32i a13, a4, PIENN_MEAN_S8_OUTER
.Louter:
    s32i a13, a1, FRAME_OUTER
    l32i a2, a1, FRAME_X_OUTER
    l32i a3, a1, FRAME_Y_OUTER
    l32i a13, a4, PIENN_MEAN_S8_INNER
.Lvector:
    s32i a13, a1, FRAME_INNER
    s32i a2, a1, FRAME_X_VECTOR
    AVERAGE
    l32i a13, a1, FRAME_INNER
    l32i a2, a1, FRAME_X_VECTOR
    addi a13, a13, -PIE_BYTES
    addi a2, a2, PIE_BYTES
    bgei a13, 1, .Lvector
    l32i a2, a1, FRAME_X_OUTER
    l32i a3, a1, FRAME_Y_OUTER
    l32i a14, a4, PIENN_MEAN_S8_X_OUTER_STRIDE
    l32i a15, a4, PIENN_MEAN_S8_Y_OUTER_STRIDE
    l32i a13, a1, FRAME_OUTER
    add a2, a2, a14
    add a3, a3, a15
    s32i a2, a1, FRAME_X_OUTER
    s32i a3, a1, FRAME_Y_OUTER
    addi a13, a13, -1
    bnez a13, .Louter
    retw
