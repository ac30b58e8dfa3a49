/* pad_s8 for the ESP32-P4: a box of bytes with one value around it.
 *
 * Contract: any bases, strides and sizes; nothing outside x is read. Rows of the last axis that are dense are copied and
 * filled in vectors, see row.inc; rows with steps byte by byte, 5 slots each. Rounding does not matter.
 *
 * Registers
 *     s0 x   s1, s2, s3 y by axis   s4, s5, s6 index in x by axis   s7 p   s8, s9 steps of x, y in a row
 *     s10 bytes of a row   s11 value, and every lane of q3
 *     t6 return   a0 x   a1 y   a2-a5, t3-t5 temporary   t0, t1 bytes before and behind the row
 */
#include "pie.inc"
#include "row.inc"

/* bit = whether the index is one of x */
.macro PAD_INSIDE bit, index, axis
    lw a3, PIENN_PAD_S8_SHAPE+4*\axis(s7)
    sltu \bit, \index, a3
.endm

/* a0 = row of x; the index of each axis counts its stride */
.macro PAD_ADD index, axis
    lw a3, PIENN_PAD_S8_X_STRIDES+4*\axis(s7)
    mul a3, a3, \index
    add a0, a0, a3
.endm

/* index = -low, so that it is 0 where x begins */
.macro PAD_BEGIN index, y, outer, axis
    lw \index, PIENN_PAD_S8_LOW+4*\axis(s7)
    mv \y, \outer
    neg \index, \index
.endm

.macro PAD_NEXT index, y, axis, again
    lw a3, PIENN_PAD_S8_Y_STRIDES+4*\axis(s7)
    lw a4, PIENN_PAD_S8_SHAPE+4*\axis(s7)
    lw a5, PIENN_PAD_S8_HIGH+4*\axis(s7)
    add \y, \y, a3
    add a4, a4, a5
    addi \index, \index, 1
    bne \index, a4, \again
.endm

/* void pienn_pad_s8_p4(const int8_t *x, int8_t *y, const pienn_pad_s8_params *p) */
FUNCTION pienn_pad_s8_p4
    ENTER
    mv s0, a0
    mv s7, a2
    lw s8, PIENN_PAD_S8_X_STRIDES+12(s7)
    lw s9, PIENN_PAD_S8_Y_STRIDES+12(s7)
    lw s10, PIENN_PAD_S8_SHAPE+12(s7)
    lw s11, PIENN_PAD_S8_VALUE(s7)
    addi a3, s7, PIENN_PAD_S8_VALUE
    li a4, 0
    esp.vldbc.8.xp q3, a3, a4
    PAD_BEGIN s4, s1, a1, 0
.Laxis0:
    PAD_BEGIN s5, s2, s1, 1
.Laxis1:
    PAD_BEGIN s6, s3, s2, 2
.Laxis2:
    mv a1, s3
    PAD_INSIDE t0, s4, 0
    PAD_INSIDE t1, s5, 1
    PAD_INSIDE t2, s6, 2
    and t2, t2, t0
    and t2, t2, t1
    lw t0, PIENN_PAD_S8_LOW+12(s7)
    lw t1, PIENN_PAD_S8_HIGH+12(s7)
    beqz t2, .Loutside
    jal t6, .Lfill
    mv a0, s0
    PAD_ADD s4, 0
    PAD_ADD s5, 1
    PAD_ADD s6, 2
    li a3, 1
    bne s8, a3, .Lsteps
    bne s9, a3, .Lsteps
    COPY_ROW s10
.Lbehind:
    mv t0, t1
    j .Llast
.Loutside:
    add t0, t0, t1
    add t0, t0, s10
.Llast:
    jal t6, .Lfill
    PAD_NEXT s6, s3, 2, .Laxis2
    PAD_NEXT s5, s2, 1, .Laxis1
    PAD_NEXT s4, s1, 0, .Laxis0
    LEAVE

/* t0 elements of y at a1 */
.Lfill:
    mv a5, s11
    li a3, 1
    beq s9, a3, .Ldense
    beqz t0, .Lfilled
.Lfill_step:
    sb a5, 0(a1)
    addi t0, t0, -1
    add a1, a1, s9
    bnez t0, .Lfill_step
.Lfilled:
    jr t6
.Ldense:
    FILL t0
    jr t6

.Lsteps:
    mv a4, s10
.Lstep:
    lb a5, 0(a0)
    addi a4, a4, -1
    add a0, a0, s8
    sb a5, 0(a1)
    add a1, a1, s9
    bnez a4, .Lstep
    j .Lbehind
