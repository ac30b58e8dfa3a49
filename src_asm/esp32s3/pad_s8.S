/* pad_s8 for the ESP32-S3: a box of bytes with one value around it.
 *
 * Contract: any bases, strides and sizes; nothing outside x is read. Rows of the last axis that are dense are copied and
 * filled in vectors, see row.inc; rows with steps byte by byte, 4 slots each.
 *
 * Registers
 *     a2 row of x   a3 bytes of a row   a4 p   a5 value, and every lane of q3   a6 x   a7 y   a8-a15 temporary
 */
#include "pie.inc"
#include "row.inc"

#define FRAME_X 0
#define FRAME_INDEX 4         /* in x, by axis */
#define FRAME_Y 16            /* by axis */
#define FRAME_BYTES 64

/* The index starts at -low, so that it is 0 where x begins; `y` is that of the axis outside. */
.macro PAD_BEGIN axis, y
    l32i a8, a4, (PIENN_PAD_S8_LOW + 4 * \axis)
    neg a8, a8
    s32i a8, a1, (FRAME_INDEX + 4 * \axis)
    s32i \y, a1, (FRAME_Y + 4 * \axis)
.endm

/* x moves by as many strides as the index says; on to `outside` where x has no such index. */
.macro PAD_ADD axis, outside
    l32i a8, a1, (FRAME_INDEX + 4 * \axis)
    l32i a9, a4, (PIENN_PAD_S8_SHAPE + 4 * \axis)
    l32i a10, a4, (PIENN_PAD_S8_X_STRIDES + 4 * \axis)
    bgeu a8, a9, \outside
    mull a8, a8, a10
    add a2, a2, a8
.endm

/* a7 = y of the next index */
.macro PAD_NEXT axis, again
    l32i a8, a1, (FRAME_INDEX + 4 * \axis)
    l32i a7, a1, (FRAME_Y + 4 * \axis)
    l32i a9, a4, (PIENN_PAD_S8_Y_STRIDES + 4 * \axis)
    l32i a10, a4, (PIENN_PAD_S8_SHAPE + 4 * \axis)
    l32i a11, a4, (PIENN_PAD_S8_HIGH + 4 * \axis)
    addi a8, a8, 1
    add a7, a7, a9
    add a10, a10, a11
    s32i a8, a1, (FRAME_INDEX + 4 * \axis)
    s32i a7, a1, (FRAME_Y + 4 * \axis)
    bne a8, a10, \again
.endm

.macro FILL_STEPS count, step
    loopnez \count, .Lend\@
    s8i a5, a7, 0
    add a7, a7, \step
.Lend\@:
.endm

/* void pienn_pad_s8_s3(const int8_t *x, int8_t *y, const pienn_pad_s8_params *p) */
FUNCTION pienn_pad_s8_s3
    entry a1, FRAME_BYTES
    s32i a2, a1, FRAME_X
    mov a7, a3
    l32i a3, a4, (PIENN_PAD_S8_SHAPE + 12)
    l32i a5, a4, PIENN_PAD_S8_VALUE
    addi a8, a4, PIENN_PAD_S8_VALUE
    ee.vldbc.8.ip q3, a8, 0
    PAD_BEGIN 0, a7
.Laxis0:
    PAD_BEGIN 1, a7
.Laxis1:
    PAD_BEGIN 2, a7
.Laxis2:
    l32i a2, a1, FRAME_X
    l32i a13, a4, (PIENN_PAD_S8_X_STRIDES + 12)
    l32i a14, a4, (PIENN_PAD_S8_Y_STRIDES + 12)
    PAD_ADD 0, .Loutside
    PAD_ADD 1, .Loutside
    PAD_ADD 2, .Loutside
    mov a6, a2
    l32i a11, a4, (PIENN_PAD_S8_LOW + 12)
    bnei a13, 1, .Lsteps
    bnei a14, 1, .Lsteps
    FILL a7, a11, a5
    COPY_ROW a2, a3
    l32i a11, a4, (PIENN_PAD_S8_HIGH + 12)
.Lrest:
    FILL a7, a11, a5
.Lnext_row:
    PAD_NEXT 2, .Laxis2
    PAD_NEXT 1, .Laxis1
    PAD_NEXT 0, .Laxis0
    retw
.Lsteps:
    FILL_STEPS a11, a14
    loop a3, .Lstep_end
    l8ui a15, a6, 0
    add a6, a6, a13
    s8i a15, a7, 0
    add a7, a7, a14
.Lstep_end:
    l32i a11, a4, (PIENN_PAD_S8_HIGH + 12)
.Lrest_steps:
    FILL_STEPS a11, a14
    j .Lnext_row
.Loutside:
    l32i a11, a4, (PIENN_PAD_S8_LOW + 12)
    l32i a12, a4, (PIENN_PAD_S8_HIGH + 12)
    add a11, a11, a3
    add a11, a11, a12
    bnei a14, 1, .Lrest_steps
    j .Lrest
