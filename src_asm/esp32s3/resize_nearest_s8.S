/* resize_nearest_s8 for the ESP32-S3: y(i, j) = x(rows[i], columns[j]), pixels copied in vectors, 3 slots each.
 *
 * Contract: bases and strides are multiples of 16, block strides 16; the surplus lanes of a pixel's last vector are
 * copied too.
 *
 * Registers
 *     a2 x   a3 row of y   a4 p   a5 in rows   a6 rows left   a7 vectors of a pixel   a8 pixel stride of x
 *     a9 pixel stride of y   a10 row of x   a11 pixels left   a12 in columns   a13 pixel of y   a14, a15 x, y   q0
 */
#include "pie.inc"

/* void pienn_resize_nearest_s8_s3(const int8_t *x, int8_t *y, const pienn_resize_nearest_s8_params *p) */
FUNCTION pienn_resize_nearest_s8_s3
    entry a1, 32
    l32i a5, a4, PIENN_RESIZE_NEAREST_S8_ROWS
    l32i a6, a4, PIENN_RESIZE_NEAREST_S8_Y_HEIGHT
    l32i a7, a4, PIENN_RESIZE_NEAREST_S8_Y_CHANNELS
    l32i a8, a4, PIENN_RESIZE_NEAREST_S8_X_PIXEL_STRIDE
    l32i a9, a4, PIENN_RESIZE_NEAREST_S8_Y_PIXEL_STRIDE
    addi a7, a7, PIE_BYTES - 1
    srli a7, a7, 4
.Lrow:
    l32i a10, a5, 0
    l32i a14, a4, PIENN_RESIZE_NEAREST_S8_X_ROW_STRIDE
    l32i a11, a4, PIENN_RESIZE_NEAREST_S8_Y_WIDTH
    l32i a12, a4, PIENN_RESIZE_NEAREST_S8_COLUMNS
    addi a5, a5, 4
    mull a10, a10, a14
    mov a13, a3
    add a10, a10, a2
.Lpixel:
    l32i a14, a12, 0
    mov a15, a13
    addi a12, a12, 4
    mull a14, a14, a8
    addi a11, a11, -1
    add a13, a13, a9
    add a14, a14, a10
    loop a7, .Lvector_end
    ee.vld.128.ip q0, a14, PIE_BYTES
    nop                         /* the load's slot */
    ee.vst.128.ip q0, a15, PIE_BYTES
.Lvector_end:
    bnez a11, .Lpixel
    l32i a14, a4, PIENN_RESIZE_NEAREST_S8_Y_ROW_STRIDE
    addi a6, a6, -1
    add a3, a3, a14
    bnez a6, .Lrow
    retw
