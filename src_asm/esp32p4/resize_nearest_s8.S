/* resize_nearest_s8 for the ESP32-P4: y(i, j) = x(rows[i], columns[j]), pixels copied in vectors, 3 slots each.
 *
 * Contract: bases and strides are multiples of 16, block strides 16; the surplus lanes of a pixel's last vector are
 * copied too. Rounding does not matter.
 *
 * Registers
 *     a0 x of the pixel   a1 y of the pixel   a2 p   a3 end of y in the pixel   a4 row of x   a5 in columns   a6 in rows   a7 x
 *     t0 rows left   t1 pixels left   t2 bytes of a pixel   t3 pixel stride of x   t4 pixel stride of y   t5 in y   t6 temporary
 *     q0
 */
#include "pie.inc"

/* void pienn_resize_nearest_s8_p4(const int8_t *x, int8_t *y, const pienn_resize_nearest_s8_params *p) */
FUNCTION pienn_resize_nearest_s8_p4
    lw a6, PIENN_RESIZE_NEAREST_S8_ROWS(a2)
    lw t0, PIENN_RESIZE_NEAREST_S8_Y_HEIGHT(a2)
    lw t2, PIENN_RESIZE_NEAREST_S8_Y_CHANNELS(a2)
    lw t3, PIENN_RESIZE_NEAREST_S8_X_PIXEL_STRIDE(a2)
    mv a7, a0
    addi t2, t2, 15
    andi t2, t2, -PIE_BYTES
.Lrow:
    lw a4, 0(a6)
    lw t6, PIENN_RESIZE_NEAREST_S8_X_ROW_STRIDE(a2)
    lw t1, PIENN_RESIZE_NEAREST_S8_Y_WIDTH(a2)
    lw a5, PIENN_RESIZE_NEAREST_S8_COLUMNS(a2)
    addi a6, a6, 4
    mul a4, a4, t6
    add a4, a4, a7
    mv t5, a1
.Lpixel:
    lw a0, 0(a5)
    lw t4, PIENN_RESIZE_NEAREST_S8_Y_PIXEL_STRIDE(a2)
    addi a5, a5, 4
    mul a0, a0, t3
    add a3, t5, t2
    addi t1, t1, -1
    add a0, a0, a4
.Lvector:
    esp.vld.128.ip q0, a0, 16
    esp.vst.128.ip q0, t5, 16
    bne t5, a3, .Lvector
    sub t5, t5, t2
    add t5, t5, t4
    bnez t1, .Lpixel
    lw t6, PIENN_RESIZE_NEAREST_S8_Y_ROW_STRIDE(a2)
    addi t0, t0, -1
    add a1, a1, t6
    bnez t0, .Lrow
    ret
