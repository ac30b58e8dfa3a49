/* transpose_s8 for the ESP32-S3: bytes one by one along the last axis of x, 4 slots each; PIE has no byte scatter.
 *
 * Contract: any bases, strides and sizes; nothing outside the operands is touched.
 *
 * Registers
 *     a2, a3 rows of x, y   a4 p   a5, a6 steps of x, y in a row   a7 elements of a row
 *     a8, a9, a10 rows left on axes 0, 1, 2 of x   a11, a12 x, y   a13-a15 temporary
 */
#include "pie.inc"

#define FRAME_Y_STRIDES 0     /* by axis of x */
#define FRAME_BYTES 48

#define NEXT_SHAPE PIENN_TRANSPOSE_S8_SHAPE
#define NEXT_X_STRIDES PIENN_TRANSPOSE_S8_X_STRIDES
#define NEXT_Y_STRIDES FRAME_Y_STRIDES
#define NEXT_Y_BASE a1
#include "next_row.inc"

/* What axis `axis` of y is in x gets its stride. */
.macro TRANSPOSE_AXIS axis
    l32i a13, a4, (PIENN_TRANSPOSE_S8_PERMUTATION + 4 * \axis)
    l32i a14, a4, (PIENN_TRANSPOSE_S8_Y_STRIDES + 4 * \axis)
    addx4 a13, a13, a1
    s32i a14, a13, FRAME_Y_STRIDES
.endm

/* void pienn_transpose_s8_s3(const int8_t *x, int8_t *y, const pienn_transpose_s8_params *p) */
FUNCTION pienn_transpose_s8_s3
    entry a1, FRAME_BYTES
    TRANSPOSE_AXIS 0
    TRANSPOSE_AXIS 1
    TRANSPOSE_AXIS 2
    TRANSPOSE_AXIS 3
    l32i a5, a4, (PIENN_TRANSPOSE_S8_X_STRIDES + 12)
    l32i a6, a1, (FRAME_Y_STRIDES + 12)
    l32i a7, a4, (PIENN_TRANSPOSE_S8_SHAPE + 12)
    l32i a8, a4, PIENN_TRANSPOSE_S8_SHAPE
.Laxis0:
    l32i a9, a4, (PIENN_TRANSPOSE_S8_SHAPE + 4)
.Laxis1:
    l32i a10, a4, (PIENN_TRANSPOSE_S8_SHAPE + 8)
.Laxis2:
    mov a11, a2
    mov a12, a3
    loop a7, .Lrow_end
    l8ui a13, a11, 0
    add a11, a11, a5
    s8i a13, a12, 0
    add a12, a12, a6
.Lrow_end:
    NEXT_ROW 2, a10, .Laxis2
    NEXT_ROW 1, a9, .Laxis1
    NEXT_ROW 0, a8, .Laxis0
    retw
