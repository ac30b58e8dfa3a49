/* fully_connected_s8 for the ESP32-S3: lanes are 16 columns, every MAC broadcasts one element of x.
 *
 * Reads `blocks`: see record.inc.
 *
 * Contract: that of layers.h for `blocks`; rows of x and y start at multiples of 16 bytes, surplus lanes of the last
 * block of y are written, x is read up to the next multiple of 16 bytes (its surplus counts as 0), and up to 48 bytes
 * are read beyond x and the records.
 *
 * Slots per 16 columns of one row: 25 + depth * (1 + 1/16).
 *
 * Registers
 *     a2 x           a3 y           a4 weights           a5 first weight    a6 QACC image
 *     a7 shift       a8 record      a9 rows left         a11 step of x      a12 step of y
 *     a13 in x       a14 bytes of the run                a10, a15 temporary
 *     q0, q1 weights    q2, q3 input    q4 mask    q6, q7 clamp
 */
#include "pie.inc"
#include "record.inc"

#define FRAME_X 0
#define FRAME_Y 4
#define FRAME_ROWS 8
#define FRAME_BLOCKS 12
#define FRAME_BYTES 48

FUNCTION pienn_fully_connected_s8_s3
    entry a1, FRAME_BYTES
    s32i a2, a1, FRAME_X
    s32i a3, a1, FRAME_Y
    l32i a8, a4, PIENN_FULLY_CONNECTED_S8_BLOCKS
    l32i a9, a4, PIENN_FULLY_CONNECTED_S8_ROWS
    l32i a10, a4, PIENN_FULLY_CONNECTED_S8_COLUMNS
    l32i a11, a4, PIENN_FULLY_CONNECTED_S8_X_ROW_STRIDE
    l32i a12, a4, PIENN_FULLY_CONNECTED_S8_Y_ROW_STRIDE
    s32i a9, a1, FRAME_ROWS
    addi a10, a10, 15
    srli a10, a10, 4
    s32i a10, a1, FRAME_BLOCKS
.Lblock:
    movi a5, RECORD_CLAMP
    l32i a7, a8, RECORD_SHIFT
    add a5, a5, a8
    addi a6, a8, RECORD_ACCUMULATORS
    ee.vld.128.ip q6, a5, PIE_BYTES
    ee.vld.128.ip q7, a5, PIE_BYTES
    l32i a2, a1, FRAME_X
    l32i a3, a1, FRAME_Y
    l32i a9, a1, FRAME_ROWS
.Lrow:
    mov a4, a5
    LOAD_ACCUMULATORS a6
    ee.vld.128.ip q0, a4, PIE_BYTES
    ee.vld.128.ip q1, a4, PIE_BYTES
    l32i a14, a8, RECORD_RUN
    mov a13, a2
    .set turn, 0
.Lpass:
    ee.vld.128.ip q2, a13, PIE_BYTES
    srli a10, a14, 5
    loopnez a10, .Lpair
    VECTOR q2, 16, q3, a13
    VECTOR q3, 16, q2, a13
.Lpair:
    bbci a14, 4, .Leven
    STREAM q2, 0, 16
.Leven:
    bltz a7, .Lgeneral
    ee.srcmb.s8.qacc q2, a7, 0
.Ldone:
    ee.vmax.s8 q2, q2, q6
    ee.vmin.s8 q2, q2, q7
    ee.vst.128.ip q2, a3, 0
    add a2, a2, a11
    add a3, a3, a12
    addi a9, a9, -1
    bnez a9, .Lrow
    l32i a3, a1, FRAME_Y
    l32i a10, a8, RECORD_BYTES
    l32i a13, a1, FRAME_BLOCKS
    addi a3, a3, PIE_BYTES
    add a8, a8, a10
    addi a13, a13, -1
    s32i a3, a1, FRAME_Y
    s32i a13, a1, FRAME_BLOCKS
    bnez a13, .Lblock
    retw

/* Two digits and several shifts: see record.inc and MORE_SHIFTS. */
.Lgeneral:
    l32i a10, a8, RECORD_PASS_BYTES
    add a10, a10, a5
    bne a4, a10, .Lshifts
    SECOND_DIGIT a8, a15, a10, 2
    l32i a14, a8, RECORD_HIGH_RUN
    mov a13, a2
    j .Lpass
.Lshifts:
    l32i a10, a8, RECORD_FIRST_SHIFT
    l16ui a15, a8, RECORD_MORE_SHIFTS
    ee.srcmb.s8.qacc q2, a10, 0
    beqz a15, .Ldone
    l32i a14, a8, RECORD_LIST
    l16ui a10, a8, RECORD_SHIFT_STEP
    add a14, a14, a8
    MORE_SHIFTS q2, q3, q4, a14, a15, a10
    j .Ldone
