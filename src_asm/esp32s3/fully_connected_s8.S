/* fully_connected_s8 for the ESP32-S3: lanes are 16 columns, every MAC broadcasts one element of x.
 *
 * Reads `blocks`: see record.inc.
 *
 * Contract: that of layers.h for `blocks`; rows of x and y start at multiples of 16 bytes, surplus lanes of the last
 * block of y are written, x is read up to the next multiple of 16 bytes (its surplus counts as 0), and up to 48 bytes
 * are read beyond x and the records.
 *
 * Slots per 16 columns of one row: 27 + depth * (1 + 1/16); of several shifts 14 and 5 per further one.
 *
 * Registers
 *     a2 x           a3 y           a4 weights           a5 blocks left    a6 QACC image
 *     a7 shift       a8 record      a9 rows but one      a10 pairs of vectors in the run
 *     a11 step of x  a12 step of y  a13 in x             a14 bytes of the run    a15 temporary
 *     q0, q1 weights    q2, q3 input    q4 mask    q6, q7 clamp
 */
#include "pie.inc"
#include "record.inc"

#define FRAME_X 0
#define FRAME_Y 4
#define FRAME_ROWS_LEFT 8
#define FRAME_BYTES 48
#define WEIGHTS (RECORD_WEIGHTS - RECORD_ACCUMULATORS)

FUNCTION pienn_fully_connected_s8_s3
    entry a1, FRAME_BYTES
    l32i a8, a4, PIENN_FULLY_CONNECTED_S8_BLOCKS
    l32i a9, a4, PIENN_FULLY_CONNECTED_S8_ROWS
    l32i a5, a4, PIENN_FULLY_CONNECTED_S8_COLUMNS
    l32i a11, a4, PIENN_FULLY_CONNECTED_S8_X_ROW_STRIDE
    l32i a12, a4, PIENN_FULLY_CONNECTED_S8_Y_ROW_STRIDE
    l32i a14, a8, RECORD_RUN
    s32i a2, a1, FRAME_X
    s32i a3, a1, FRAME_Y
    addi a9, a9, -1
    addi a5, a5, 15
    srli a5, a5, 4
    srli a10, a14, 5
    s32i a9, a1, FRAME_ROWS_LEFT
.Lblock:
    addi a6, a8, RECORD_ACCUMULATORS
    l32i a7, a8, RECORD_SHIFT
    addi a4, a6, RECORD_CLAMP - RECORD_ACCUMULATORS
    ee.vld.128.ip q6, a4, PIE_BYTES
    ee.vld.128.ip q7, a4, PIE_BYTES
.Lrow:
    LOAD_ACCUMULATORS a6
    ee.vld.128.ip q0, a4, PIE_BYTES
    ee.vld.128.ip q1, a4, PIE_BYTES
    mov a13, a2
    .set turn, 0
.Lpass:
    ee.vld.128.ip q2, a13, PIE_BYTES
    l32i a15, a8, RECORD_BYTES
    loopnez a10, .Lpair
    VECTOR q2, 16, q3, a13
    VECTOR q3, 16, q2, a13
.Lpair:
    bbsi a14, 4, .Lodd
.Leven:
    bgeui a7, RECORD_SEVERAL_SHIFTS, .Lgeneral
    ee.srcmb.s8.qacc q2, a7, 0
.Ldone:
    ee.vmax.s8 q2, q2, q6
    ee.vmin.s8 q2, q2, q7
    ee.vst.128.ip q2, a3, PIE_BYTES
    bnez a9, .Lnext_row
.Lnext_block:
    addi a5, a5, -1
    add a8, a8, a15
    bnez a5, .Lblock
    retw

.Lnext_row:
    l32i a13, a1, FRAME_ROWS_LEFT
    beqz a13, .Llast_row
    addi a13, a13, -1
    add a3, a3, a12
    s32i a13, a1, FRAME_ROWS_LEFT
    addi a3, a3, -PIE_BYTES
    add a2, a2, a11
    addi a4, a6, WEIGHTS
    j .Lrow
.Llast_row:
    l32i a3, a1, FRAME_Y
    l32i a2, a1, FRAME_X
    addi a3, a3, PIE_BYTES
    s32i a9, a1, FRAME_ROWS_LEFT
    s32i a3, a1, FRAME_Y
    j .Lnext_block

.Lodd:
    STREAM q2, 0, 16
    j .Leven

/* Two digits and several shifts: see record.inc and MORE_SHIFTS. */
.Lgeneral:
    bgez a7, .Lseveral
    l32i a15, a8, RECORD_PASS_BYTES
    addi a13, a6, WEIGHTS
    add a15, a15, a13
    bne a4, a15, .Lshifts
    SECOND_DIGIT a8, a15, a13, 2
    l32i a14, a8, RECORD_HIGH_RUN
    mov a13, a2
    srli a10, a14, 5
    j .Lpass
.Lshifts:
    l32i a14, a8, RECORD_RUN
    l32i a15, a8, RECORD_FIRST_SHIFT
    l16ui a13, a8, RECORD_MORE_SHIFTS
    srli a10, a14, 5
    ee.srcmb.s8.qacc q2, a15, 0
    bnez a13, .Llist
    l32i a15, a8, RECORD_BYTES
    j .Ldone
.Lseveral:
    l16ui a13, a8, RECORD_MORE_SHIFTS
    ee.srcmb.s8.qacc q2, a7, 0
.Llist:
    l32i a4, a8, RECORD_LIST
    l16ui a15, a8, RECORD_SHIFT_STEP
    add a4, a4, a8
    MORE_SHIFTS q2, q3, q4, a4, a13, a15
    l32i a15, a8, RECORD_BYTES
    j .Ldone
