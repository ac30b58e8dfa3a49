/* mean_s8 for the ESP32-P4: lanes are 16 of the kept elements.
 *
 * Contract: that of average.inc; `inner` is filled up to a multiple of 16 in x, and in y, where the fill is written.
 * y_outer_stride is a multiple of 16 or outer is 1.
 *
 *     s6 p   s7 outer left   s10 elements of inner left   others in average.inc
 */
#include "average.inc"

#define FRAME_X AVERAGE_FREE(sp)
#define FRAME_Y AVERAGE_FREE+4(sp)
#define FRAME_X_OUTER AVERAGE_FREE+8(sp)
#define FRAME_Y_OUTER AVERAGE_FREE+12(sp)
#define FRAME_X_VECTOR AVERAGE_FREE+16(sp)

/* void pienn_mean_s8_p4(const int8_t *x, int8_t *y, const pienn_mean_s8_params *p) */
FUNCTION pienn_mean_s8_p4
    ENTER
    addi sp, sp, -AVERAGE_BYTES
    SAVE_ROUNDING AVERAGE_CFG, a3
    mv s6, a2
    sw a0, FRAME_X
    sw a1, FRAME_Y
    lw s2, PIENN_MEAN_S8_ROWS(s6)
    lw s3, PIENN_MEAN_S8_COLUMNS(s6)
    lw t3, PIENN_MEAN_S8_X_COLUMN_STRIDE(s6)
    lw t4, PIENN_MEAN_S8_X_ROW_STRIDE(s6)
    mul a0, s2, s3
    mv t2, a0
    lw a3, PIENN_MEAN_S8_SHIFT(s6)
    lw a4, PIENN_MEAN_S8_X_ZERO_POINT(s6)
    lw a5, PIENN_MEAN_S8_Y_ZERO_POINT(s6)
    AVERAGE_PREPARE
    AVERAGE_COLUMNS
.Lagain:
    ROUND_DOWN a3
    lw a3, FRAME_X
    lw a4, FRAME_Y
    lw s7, PIENN_MEAN_S8_OUTER(s6)
    sw a3, FRAME_X_OUTER
    sw a4, FRAME_Y_OUTER
.Louter:
    lw a3, FRAME_X_OUTER
    lw a1, FRAME_Y_OUTER
    lw s10, PIENN_MEAN_S8_INNER(s6)
    sw a3, FRAME_X_VECTOR
.Lvector:
    lw a2, FRAME_X_VECTOR
    AVERAGE
    lw a3, FRAME_X_VECTOR
    addi a1, a1, PIE_BYTES
    addi s10, s10, -PIE_BYTES
    addi a3, a3, PIE_BYTES
    sw a3, FRAME_X_VECTOR
    bgtz s10, .Lvector
    lw a3, FRAME_X_OUTER
    lw a4, FRAME_Y_OUTER
    lw a5, PIENN_MEAN_S8_X_OUTER_STRIDE(s6)
    lw t0, PIENN_MEAN_S8_Y_OUTER_STRIDE(s6)
    addi s7, s7, -1
    add a3, a3, a5
    add a4, a4, t0
    sw a3, FRAME_X_OUTER
    sw a4, FRAME_Y_OUTER
    bnez s7, .Louter
    UNLESS_ROUNDED_DOWN a3, .Lagain
    RESTORE_ROUNDING AVERAGE_CFG, a3
    addi sp, sp, AVERAGE_BYTES
    LEAVE
