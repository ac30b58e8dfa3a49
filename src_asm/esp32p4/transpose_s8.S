/* transpose_s8 for the ESP32-P4: rows of the last axis of x, in vectors where they are rows of y as well (see row.inc),
 * else bytes one by one, 4.5 slots each; PIE has no byte scatter.
 *
 * Contract: any bases, strides and sizes; nothing outside the operands is touched. Rounding does not matter.
 *
 * Registers
 *     s0, s1 rows of x, y   s7 p   s8, s9 steps of x, y in a row   s10 elements of a row
 *     t0, t1, t2 rows left on axes 0, 1, 2 of x   a0 x   a1 y   a2-a5, t3-t5 temporary
 */
#include "pie.inc"
#include "row.inc"

#define FRAME_Y_STRIDES 0 /* by axis of x */

#define NEXT_SHAPE PIENN_TRANSPOSE_S8_SHAPE
#define NEXT_X_STRIDES PIENN_TRANSPOSE_S8_X_STRIDES
#define NEXT_Y_STRIDES FRAME_Y_STRIDES
#define NEXT_Y_BASE sp
#define NEXT_X s0
#define NEXT_Y s1
#include "next_row.inc"

/* What axis `axis` of y is in x gets its stride. */
.macro TRANSPOSE_AXIS axis
    lw a3, PIENN_TRANSPOSE_S8_PERMUTATION+4*\axis(s7)
    lw a4, PIENN_TRANSPOSE_S8_Y_STRIDES+4*\axis(s7)
    slli a3, a3, 2
    add a3, a3, sp
    sw a4, FRAME_Y_STRIDES(a3)
.endm

/* void pienn_transpose_s8_p4(const int8_t *x, int8_t *y, const pienn_transpose_s8_params *p) */
FUNCTION pienn_transpose_s8_p4
    ENTER
    mv s0, a0
    mv s1, a1
    mv s7, a2
    TRANSPOSE_AXIS 0
    TRANSPOSE_AXIS 1
    TRANSPOSE_AXIS 2
    TRANSPOSE_AXIS 3
    lw s8, PIENN_TRANSPOSE_S8_X_STRIDES+12(s7)
    lw s9, FRAME_Y_STRIDES+12(sp)
    lw s10, PIENN_TRANSPOSE_S8_SHAPE+12(s7)
    lw t0, PIENN_TRANSPOSE_S8_SHAPE(s7)
.Laxis0:
    lw t1, PIENN_TRANSPOSE_S8_SHAPE+4(s7)
.Laxis1:
    lw t2, PIENN_TRANSPOSE_S8_SHAPE+8(s7)
.Laxis2:
    mv a0, s0
    mv a1, s1
    li a3, 1
    bne s8, a3, .Lsteps
    bne s9, a3, .Lsteps
    COPY_ROW s10
.Lnext_row:
    NEXT_ROW 2, t2, .Laxis2
    NEXT_ROW 1, t1, .Laxis1
    NEXT_ROW 0, t0, .Laxis0
    LEAVE
.Lsteps:
    andi a4, s10, 3
    sub a3, s10, a4
    beqz a4, .Lfours
.Lone:
    lb a5, 0(a0)
    addi a4, a4, -1
    add a0, a0, s8
    sb a5, 0(a1)
    add a1, a1, s9
    bnez a4, .Lone
.Lfours:
    beqz a3, .Lnext_row
.Lfour:
    lb a2, 0(a0)
    add a0, a0, s8
    lb a5, 0(a0)
    add a0, a0, s8
    lb t3, 0(a0)
    add a0, a0, s8
    lb t4, 0(a0)
    add a0, a0, s8
    sb a2, 0(a1)
    add a1, a1, s9
    sb a5, 0(a1)
    add a1, a1, s9
    sb t3, 0(a1)
    add a1, a1, s9
    sb t4, 0(a1)
    addi a3, a3, -4
    add a1, a1, s9
    bnez a3, .Lfour
    j .Lnext_row
