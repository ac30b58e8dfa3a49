/* copy_s8 for the ESP32-P4: a box of bytes.
 *
 * Contract: any bases, strides and sizes; nothing outside x is read. Rows of the last axis that are dense in both
 * operands are copied in vectors (2 slots each where x and y lie alike in theirs, else 5, through the byte shifter),
 * the bytes before the first whole vector of y and behind the last one by one, 3.5 slots each, as are rows with steps.
 * Rounding does not matter; the shifter's amount is set by a register, not by a load.
 *
 * Registers
 *     s3, s4 rows of x, y     s7 p   s6 bytes of a row   s8, s9 steps in a row
 *     t0, t1, t2 rows left on axes 0, 1, 2
 *     a0 x   a1 y   a2-a5, t3-t5 temporary
 */
#include "pie.inc"
#include "row.inc"

#define NEXT_SHAPE PIENN_COPY_S8_SHAPE
#define NEXT_X_STRIDES PIENN_COPY_S8_X_STRIDES
#define NEXT_Y_STRIDES PIENN_COPY_S8_Y_STRIDES
#define NEXT_Y_BASE s7
#define NEXT_X s3
#define NEXT_Y s4
#include "next_row.inc"

/* void pienn_copy_s8_p4(const int8_t *x, int8_t *y, const pienn_copy_s8_params *p) */
FUNCTION pienn_copy_s8_p4
    ENTER
    mv s3, a0
    mv s4, a1
    mv s7, a2
    lw s6, PIENN_COPY_S8_SHAPE+12(s7)
    lw s8, PIENN_COPY_S8_X_STRIDES+12(s7)
    lw s9, PIENN_COPY_S8_Y_STRIDES+12(s7)
    lw t0, PIENN_COPY_S8_SHAPE(s7)
.Laxis0:
    lw t1, PIENN_COPY_S8_SHAPE+4(s7)
.Laxis1:
    lw t2, PIENN_COPY_S8_SHAPE+8(s7)
.Laxis2:
    mv a0, s3
    mv a1, s4
    li a3, 1
    bne s8, a3, .Lsteps
    bne s9, a3, .Lsteps
    COPY_ROW s6
.Lnext_row:
    NEXT_ROW 2, t2, .Laxis2
    NEXT_ROW 1, t1, .Laxis1
    NEXT_ROW 0, t0, .Laxis0
    LEAVE
.Lsteps:
    mv a4, s6
.Lstep:
    lb a5, 0(a0)
    add a0, a0, s8
    addi a4, a4, -1
    sb a5, 0(a1)
    add a1, a1, s9
    bnez a4, .Lstep
    j .Lnext_row
