/* copy_s8 for the ESP32-S3: a box of bytes.
 *
 * Contract: any bases, strides and sizes; nothing outside x is read. Rows of the last axis that are dense in both
 * operands are copied in vectors (2 slots each where x and y lie alike in theirs, else 4, through the byte shifter),
 * the bytes before the first whole vector of y and behind the last one by one, 4 slots each, as are those of
 * rows with steps.
 *
 * Registers
 *     a2, a3 rows of x, y   a4 p   a5 bytes of a row   a6 x   a7 y   a8, a9, a10 rows left on axes 0, 1, 2
 *     a11-a15 temporary
 */
#include "pie.inc"
#include "row.inc"

#define NEXT_SHAPE PIENN_COPY_S8_SHAPE
#define NEXT_X_STRIDES PIENN_COPY_S8_X_STRIDES
#define NEXT_Y_STRIDES PIENN_COPY_S8_Y_STRIDES
#define NEXT_Y_BASE a4
#include "next_row.inc"

/* void pienn_copy_s8_s3(const int8_t *x, int8_t *y, const pienn_copy_s8_params *p) */
FUNCTION pienn_copy_s8_s3
    entry a1, 32
    l32i a5, a4, PIENN_COPY_S8_SHAPE+12
    l32i a8, a4, PIENN_COPY_S8_SHAPE
.Laxis0:
    l32i a9, a4, PIENN_COPY_S8_SHAPE+4
.Laxis1:
    l32i a10, a4, PIENN_COPY_S8_SHAPE+8
.Laxis2:
    l32i a13, a4, PIENN_COPY_S8_X_STRIDES+12
    l32i a14, a4, PIENN_COPY_S8_Y_STRIDES+12
    mov a6, a2
    mov a7, a3
    bnei a13, 1, .Lsteps
    bnei a14, 1, .Lsteps
    COPY_ROW a2, a5
.Lnext_row:
    NEXT_ROW 2, a10, .Laxis2
    NEXT_ROW 1, a9, .Laxis1
    NEXT_ROW 0, a8, .Laxis0
    retw
.Lsteps:
    loop a5, .Lstep_end
    l8ui a15, a6, 0
    add a6, a6, a13
    s8i a15, a7, 0
    add a7, a7, a14
.Lstep_end:
    j .Lnext_row
