/* lut_s8 for the ESP32-S3: y = table[x + 128]. PIE has no gather of bytes; four elements are in flight, 5.5 slots each.
 *
 * Contract: any bases and strides with block strides of 16. In place as layers.h says.
 *
 * Registers
 *     a2, a3 rows of x, y   a4 p   a5 table + 128   a6, a7 pixels of x, y   a8 rows left   a9 pixels left
 *     a10, a11 x, y   a12-a15 elements
 */
#include "pie.inc"

.macro INDEX t
    sext \t, \t, 7
    add \t, \t, a5
.endm

/* void pienn_lut_s8_s3(const int8_t *x, int8_t *y, const pienn_lut_s8_params *p) */
FUNCTION pienn_lut_s8_s3
    entry a1, 32
    l32i a5, a4, PIENN_LUT_S8_TABLE
    l32i a8, a4, PIENN_LUT_S8_Y_HEIGHT
    addmi a5, a5, 256
    addi a5, a5, -128
.Lrow:
    l32i a9, a4, PIENN_LUT_S8_Y_WIDTH
    mov a6, a2
    mov a7, a3
.Lpixel:
    l32i a12, a4, PIENN_LUT_S8_Y_CHANNELS
    mov a10, a6
    mov a11, a7
    srli a13, a12, 2
    extui a14, a12, 0, 2
    loopnez a14, .Lone_end
    l8ui a12, a10, 0
    addi a10, a10, 1
    INDEX a12
    l8ui a12, a12, 0
    nop                         /* the load's slot */
    s8i a12, a11, 0
    addi a11, a11, 1
.Lone_end:
    loopnez a13, .Lfour_end
    l8ui a12, a10, 0
    l8ui a13, a10, 1
    l8ui a14, a10, 2
    l8ui a15, a10, 3
    INDEX a12
    INDEX a13
    INDEX a14
    INDEX a15
    l8ui a12, a12, 0
    l8ui a13, a13, 0
    l8ui a14, a14, 0
    l8ui a15, a15, 0
    addi a10, a10, 4
    s8i a12, a11, 0
    s8i a13, a11, 1
    s8i a14, a11, 2
    s8i a15, a11, 3
    addi a11, a11, 4
.Lfour_end:
    l32i a12, a4, PIENN_LUT_S8_X_PIXEL_STRIDE
    l32i a13, a4, PIENN_LUT_S8_Y_PIXEL_STRIDE
    addi a9, a9, -1
    add a6, a6, a12
    add a7, a7, a13
    bnez a9, .Lpixel
    l32i a12, a4, PIENN_LUT_S8_X_ROW_STRIDE
    l32i a13, a4, PIENN_LUT_S8_Y_ROW_STRIDE
    addi a8, a8, -1
    add a2, a2, a12
    add a3, a3, a13
    bnez a8, .Lrow
    retw
