/* lut_s8 for the ESP32-P4: y = table[x + 128]. PIE has no gather of bytes; four elements are in flight, 4.75 slots each.
 *
 * Contract: any bases and strides with block strides of 16. In place as layers.h says.
 *
 * Registers
 *     a0 x   a1 y   a2 p   a3 table + 128   a4 end of y in the pixel   a5, a6 rows of x, y   a7 rows left
 *     t0 pixels left   t5, t6 pixels of x, y   t1-t4 elements
 */
#include "pie.inc"

.macro ENTRY t
    add \t, \t, a3
.endm

/* void pienn_lut_s8_p4(const int8_t *x, int8_t *y, const pienn_lut_s8_params *p) */
FUNCTION pienn_lut_s8_p4
    lw a3, PIENN_LUT_S8_TABLE(a2)
    lw a7, PIENN_LUT_S8_Y_HEIGHT(a2)
    mv a5, a0
    mv a6, a1
    addi a3, a3, 128
.Lrow:
    lw t0, PIENN_LUT_S8_Y_WIDTH(a2)
    mv t5, a5
    mv t6, a6
.Lpixel:
    lw t1, PIENN_LUT_S8_Y_CHANNELS(a2)
    mv a0, t5
    mv a1, t6
    add a4, a1, t1
    andi t2, t1, 3
    beqz t2, .Lfour
.Lone:
    lb t1, 0(a0)
    addi a0, a0, 1
    ENTRY t1
    lb t1, 0(t1)
    addi a1, a1, 1
    addi t2, t2, -1
    sb t1, -1(a1)
    bnez t2, .Lone
    beq a1, a4, .Lnext
.Lfour:
    lb t1, 0(a0)
    lb t2, 1(a0)
    lb t3, 2(a0)
    lb t4, 3(a0)
    ENTRY t1
    ENTRY t2
    ENTRY t3
    ENTRY t4
    lb t1, 0(t1)
    lb t2, 0(t2)
    lb t3, 0(t3)
    lb t4, 0(t4)
    addi a0, a0, 4
    sb t1, 0(a1)
    sb t2, 1(a1)
    sb t3, 2(a1)
    sb t4, 3(a1)
    addi a1, a1, 4
    bne a1, a4, .Lfour
.Lnext:
    lw t1, PIENN_LUT_S8_X_PIXEL_STRIDE(a2)
    lw t2, PIENN_LUT_S8_Y_PIXEL_STRIDE(a2)
    addi t0, t0, -1
    add t5, t5, t1
    add t6, t6, t2
    bnez t0, .Lpixel
    lw t1, PIENN_LUT_S8_X_ROW_STRIDE(a2)
    lw t2, PIENN_LUT_S8_Y_ROW_STRIDE(a2)
    addi a7, a7, -1
    add a5, a5, t1
    add a6, a6, t2
    bnez a7, .Lrow
    ret
