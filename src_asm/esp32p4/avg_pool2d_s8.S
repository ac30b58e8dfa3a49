/* avg_pool2d_s8 for the ESP32-P4: lanes are 16 channels.
 *
 * Contract: that of average.inc; all windows lie in x (padding_top = padding_left = 0) and count all their elements, or
 * the divisor. Strides of y are multiples of 16, block strides 16; surplus lanes of the last block of y are written.
 *
 *     s6 p   s7 columns left   s10 blocks left   others in average.inc
 */
#include "average.inc"

#define FRAME_X AVERAGE_FREE(sp)
#define FRAME_Y AVERAGE_FREE+4(sp)
#define FRAME_X_ROW AVERAGE_FREE+8(sp)
#define FRAME_Y_ROW AVERAGE_FREE+12(sp)
#define FRAME_X_PIXEL AVERAGE_FREE+16(sp)
#define FRAME_Y_PIXEL AVERAGE_FREE+20(sp)
#define FRAME_X_VECTOR AVERAGE_FREE+24(sp)
#define FRAME_ROWS AVERAGE_FREE+28(sp)

/* slot += steps * stride */
.macro MOVE slot, steps, stride
    lw a3, \steps(s6)
    lw a4, \stride(s6)
    lw a5, \slot
    mul a3, a3, a4
    add a5, a5, a3
    sw a5, \slot
.endm

/* void pienn_avg_pool2d_s8_p4(const int8_t *x, int8_t *y, const pienn_avg_pool2d_s8_params *p) */
FUNCTION pienn_avg_pool2d_s8_p4
    ENTER
    addi sp, sp, -AVERAGE_BYTES
    SAVE_ROUNDING AVERAGE_CFG, a3
    mv s6, a2
    sw a0, FRAME_X
    sw a1, FRAME_Y
    lw s2, PIENN_AVG_POOL2D_S8_KERNEL_HEIGHT(s6)
    lw s3, PIENN_AVG_POOL2D_S8_KERNEL_WIDTH(s6)
    lw t3, PIENN_AVG_POOL2D_S8_X_PIXEL_STRIDE(s6)
    lw t4, PIENN_AVG_POOL2D_S8_X_ROW_STRIDE(s6)
    lw a0, PIENN_AVG_POOL2D_S8_DIVISOR(s6)
    bnez a0, .Ldivisor
    mul a0, s2, s3
.Ldivisor:
    lw a3, PIENN_AVG_POOL2D_S8_SHIFT(s6)
    lw a4, PIENN_AVG_POOL2D_S8_X_ZERO_POINT(s6)
    lw a5, PIENN_AVG_POOL2D_S8_Y_ZERO_POINT(s6)
    mul t2, s2, s3
    AVERAGE_PREPARE
    AVERAGE_COLUMNS
.Lagain:
    ROUND_DOWN a3
    lw a3, FRAME_X
    lw a4, FRAME_Y
    lw a5, PIENN_AVG_POOL2D_S8_Y_HEIGHT(s6)
    sw a3, FRAME_X_ROW
    sw a4, FRAME_Y_ROW
    sw a5, FRAME_ROWS
.Lrow:
    lw a3, FRAME_X_ROW
    lw a4, FRAME_Y_ROW
    lw s7, PIENN_AVG_POOL2D_S8_Y_WIDTH(s6)
    sw a3, FRAME_X_PIXEL
    sw a4, FRAME_Y_PIXEL
.Lpixel:
    lw a3, FRAME_X_PIXEL
    lw a1, FRAME_Y_PIXEL
    lw s10, PIENN_AVG_POOL2D_S8_Y_CHANNELS(s6)
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
    MOVE FRAME_X_PIXEL, PIENN_AVG_POOL2D_S8_STRIDE_X, PIENN_AVG_POOL2D_S8_X_PIXEL_STRIDE
    lw a3, FRAME_Y_PIXEL
    lw a4, PIENN_AVG_POOL2D_S8_Y_PIXEL_STRIDE(s6)
    addi s7, s7, -1
    add a3, a3, a4
    sw a3, FRAME_Y_PIXEL
    bnez s7, .Lpixel
    MOVE FRAME_X_ROW, PIENN_AVG_POOL2D_S8_STRIDE_Y, PIENN_AVG_POOL2D_S8_X_ROW_STRIDE
    lw a3, FRAME_Y_ROW
    lw a4, PIENN_AVG_POOL2D_S8_Y_ROW_STRIDE(s6)
    lw a5, FRAME_ROWS
    add a3, a3, a4
    addi a5, a5, -1
    sw a3, FRAME_Y_ROW
    sw a5, FRAME_ROWS
    bnez a5, .Lrow
    UNLESS_ROUNDED_DOWN a3, .Lagain
    RESTORE_ROUNDING AVERAGE_CFG, a3
    addi sp, sp, AVERAGE_BYTES
    LEAVE
