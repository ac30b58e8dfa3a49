/* conv2d_s8 for the ESP32-S3: lanes are 16 output channels, every MAC broadcasts one lane of the input.
 *
 * A block of 16 output channels is outermost, then rows, then pixels. QACC starts from the folded bias, every
 * vsmulas loads the next weights while it multiplies, srcmb shifts and saturates.
 *
 * Reads `blocks`: see record.inc.
 *
 * Contract: that of layers.h for `blocks`; groups = 1. What more a body asks is written at the body; the packer and
 * the planner choose. Reads up to 48 bytes beyond x and the records.
 *
 * Registers of a body, which computes one row:
 *     a2 x           a3 y             a4 weights       a5 first streamed weight
 *     a6 QACC image  a7 shift         a8 step of y     a9 pixels
 *     a10-a15 free   q0, q1 weights   q2, q3 input     q4-q7 as in the record
 */
#include "pie.inc"
#include "record.inc"

#define FRAME_X 0
#define FRAME_Y 4
#define FRAME_ROWS 8
#define FRAME_PIXELS 12
#define FRAME_X_STEP 16
#define FRAME_Y_STEP 20
#define FRAME_ROW_X 24
#define FRAME_ROW_Y 28
#define FRAME_ROWS_LEFT 32
#define FRAME_BLOCKS 36
#define FRAME_RECORD 40
#define FRAME_BODY 44
#define FRAME_LINE 48         /* between kernel rows */
#define FRAME_PIXEL_STEP 52   /* of x */
#define FRAME_TAP_STEP 56
#define FRAME_KERNEL_WIDTH 60
#define FRAME_KERNEL_ROWS 64
#define FRAME_RUN 68
#define FRAME_PASS_END 72     /* weights pointer when the first of two passes is done */
#define FRAME_RELU 76
#define FRAME_BODIES 80
#define FRAME_BORDER 84       /* step of y between rows, where those of x follow each other without gaps; else 0 */
#define FRAME_RETURN 88
#define FRAME_LINK 92
#define FRAME_SHIFT_STEP 96
#define FRAME_PAIRS 100       /* of vectors in a run, and the step to the next run */
#define FRAME_STEP 104
#define FRAME_HIGH_PAIRS 108  /* the same of a second pass */
#define FRAME_HIGH_STEP 112
#define FRAME_BYTES 160

/* ---- Pixels unrolled, weights of the first two inputs in registers ----
 *
 * A loop over the pixels of a row: the MACs of a pixel end it, its begin requantises and stores the pixel before, so
 * that a block of several shifts only begins its loop earlier, at the first step of the list that it needs. The last
 * pixel of a row is finished behind the loop.
 *
 * several   1: blocks may have more than one shift, whose list a15 is behind, a12 being the difference; 1 and 2: q6 and
 *           q7 clamp
 * small_bias  the sum starts from 16 int8 at a6 and so often q6 times lane 0 of q7: of 1 two slots less, of 2 one
 * rows      all rows in one call where the rows of x follow each other without gaps: a13 is the step of y between
 *           rows, a14 rows left
 * Else a10 and a15 are what vrelu takes. a9 is the number of pixels less one. */
.macro CLAMP_PIXEL several
    .if \several
    ee.vmax.s8 q0, q0, q6
    ee.vmin.s8 q0, q0, q7
    .else
    ee.vrelu.s8 q0, a10, a15
    .endif
.endm

/* The loop is set, and the MACs of the first pixel begin with what the caller puts behind this: a10-a15 are free. */
.macro BEGIN_PIXELS id, several, small_bias=0
    movi a10, .Lfinish\id
    .if \several == 1
    l32i a15, a1, FRAME_RECORD
    l16ui a12, a15, RECORD_MORE_SHIFTS
    l32i a11, a15, RECORD_LIST
    beqz a12, .Lone_shift\id
    slli a13, a12, 4
    l16ui a14, a15, RECORD_SHIFT_STEP
    add a15, a15, a11
    add a15, a15, a13
    sub a13, a12, a13           /* a step of the list has 15 bytes, the resident weight's reload 3 */
    addi a10, a10, -3
    add a10, a10, a13
    mov a12, a14
.Lone_shift\id:
    .endif
    movi a11, .Lend\id
    addi a9, a9, -1
    wsr.lbeg a10
    wsr.lend a11
    wsr.lcount a9
    isync
    .if \small_bias
    ee.ldqa.s8.128.ip a6, 0
    ADD_BIAS \small_bias
    .else
    LOAD_ACCUMULATORS a6
    .endif
    .if \several == 0
    l32i a10, a1, FRAME_RELU
    movi a15, 0
    .endif
.endm

.macro ADD_BIAS times
    .rept \times
    MAC q6, q7, 0
    .endr
.endm
.macro BEGIN_SUM small_bias
    .if \small_bias
    ee.ldqa.s8.128.ip a6, 0
    .else
    ee.ld.qacc_l.l.128.ip a6, 16
    .endif
.endm

/* The begin of the loop, and where the first pixel enters it */
.macro FINISH_PIXEL id, several, small_bias=0
    j .Lmacs\id
    .if \several == 1
    .set step, MOST_FURTHER_SHIFTS
    .rept MOST_FURTHER_SHIFTS
    ld.qr q5, a15, (-16 * step)
    ee.srcmb.s8.qacc q1, a12, 0
    ee.xorq q1, q1, q0
    ee.andq q1, q1, q5
    ee.xorq q0, q0, q1
    .set step, step - 1
    .endr
    ld.qr q5, a5, -48
    .endif
.Lfinish\id:
    CLAMP_PIXEL \several
    BEGIN_SUM \small_bias
    ee.vst.128.xp q0, a3, a8
.Lstored\id:
    .if \small_bias
    ADD_BIAS \small_bias
    .else
    ee.ld.qacc_h.l.128.ip a6, 16
    ee.ld.qacc_l.h.32.ip a6, 4
    ee.ld.qacc_h.h.32.ip a6, -36
    .endif
.Lmacs\id:
.endm

/* The end of the loop; the weights' pointer goes back, which keeps srcmb from the last MAC. */
.macro END_PIXELS id, several, rows, small_bias=0
    mov a4, a5
    ee.srcmb.s8.qacc q0, a7, 0
.Lend\id:
    .if \several == 1
    bnez a12, .Lmerge\id
.Lmerged\id:
    .endif
    CLAMP_PIXEL \several
    .if \rows
    addi a14, a14, -1
    beqz a14, .Llast\id
    BEGIN_SUM \small_bias
    ee.vst.128.xp q0, a3, a13
    wsr.lcount a9
    isync
    j .Lstored\id
.Llast\id:
    .endif
    ee.vst.128.xp q0, a3, a8
    j .Lrow_done
    .if \several == 1
.Lmerge\id:
    movi a10, .Lmerged\id
    j .Lmerge_shifts
    .endif
.endm

/* ---- 1x1, few channels: the whole pixel unrolled ----
 *
 * Weights of lanes 0 and 1 stay in q4 and q5; without clamp those of lane 4 of the second and the third vector stay
 * in q6 and q7, where they are there; else the bias is in two parts. The load slots that they free load input; the next pixel's first two vectors are loaded by the last
 * MACs of this one. Pixels of x must follow each other without gaps (stride_x = 1, pixel_stride =
 * ceil16(channels)). Slots for K inputs: K + 8, each vector beyond the fourth one more, with clamp beyond the second
 * and one more; of several shifts 1 and 5 per further one. */
.macro ROWS_AT_ONCE
    movi a14, 1
    l32i a13, a1, FRAME_BORDER
    beqz a13, .Lrow_by_row\@
    l32i a11, a1, FRAME_ROWS_LEFT
    s32i a14, a1, FRAME_ROWS_LEFT
    mov a14, a11
.Lrow_by_row\@:
.endm
.macro POINTWISE lanes, clamp, small_bias=0
    POINTWISE_OF \lanes, \clamp, \small_bias, \@
.endm
.macro POINTWISE_OF lanes, clamp, small_bias, id
    .set turn, 0
    ee.vld.128.ip q2, a2, PIE_BYTES
    .if \lanes > 16
    ee.vld.128.ip q3, a2, PIE_BYTES
    .endif
    BEGIN_PIXELS \id, \clamp, \small_bias
    ROWS_AT_ONCE
    FINISH_PIXEL \id, \clamp, \small_bias
    MAC_LOAD q0, a4, q4, q2, 0
    MAC_LOAD q1, a4, q5, q2, 1
    .if \lanes <= 16
    STREAM q2, 2, (\lanes - 4)
    MAC q0, q2, (\lanes - 2)
    MAC_LOAD q2, a2, q1, q2, (\lanes - 1)
    .else
    STREAM q2, 2, 14
    .if \lanes > 32
    .if \clamp
    VECTOR q3, 16, q2, a2
    VECTOR q2, 16, q3, a2
    .else
    VECTOR_RESIDENT q3, 16, q2, a2, q6
    VECTOR_RESIDENT q2, 16, q3, a2, q7
    .endif
    .rept (\lanes + 31) / 32 - 2
    VECTOR q3, 16, q2, a2
    VECTOR q2, 16, q3, a2
    .endr
    .endif
    STREAM q3, 0, ((\lanes - 1) % 16 - 1)
    STREAM_END q2, a2, q3, ((\lanes - 2) % 16)
    STREAM_END q3, a2, q3, ((\lanes - 1) % 16)
    .endif
    END_PIXELS \id, \clamp, 1, \small_bias
.endm

/* 64 channels in two digits: a second pass over the last two vectors. 110 slots. */
.macro POINTWISE_64_TWO_DIGITS
    POINTWISE_64_TWO_DIGITS_OF \@
.endm
.macro POINTWISE_64_TWO_DIGITS_OF id
    .set turn, 0
    ee.vld.128.ip q2, a2, PIE_BYTES
    ee.vld.128.ip q3, a2, PIE_BYTES
    BEGIN_PIXELS \id, 2
    l32i a12, a1, FRAME_RECORD
    ROWS_AT_ONCE
    l32i a12, a12, RECORD_DIGIT_BITS
    FINISH_PIXEL \id, 2
    MAC_LOAD q0, a4, q4, q2, 0
    MAC_LOAD q1, a4, q5, q2, 1
    STREAM q2, 2, 14
    VECTOR q3, 16, q2, a2
    VECTOR q2, 16, q3, a2
    STREAM q3, 0, 16
    ee.srcmb.s8.qacc q3, a12, 0
    STREAM q2, 0, 14
    ld.qr q3, a2, -PIE_BYTES
    STREAM q2, 14, 2
    STREAM q3, 0, 14
    STREAM_END q2, a2, q3, 14
    STREAM_END q3, a2, q3, 15
    END_PIXELS \id, 2, 1
.endm

/* ---- 3x3 over 16 channels: all nine taps unrolled ----
 *
 * As above with one pointer per kernel row, whose last load steps back to the next pixel. pixel_stride = 16,
 * dilation 1. Lane 15 of vector 7 comes last, so that both input registers can be loaded for the next pixel.
 * 160 slots. */
.macro NINE_TAPS
    NINE_TAPS_OF \@
.endm
.macro NINE_TAPS_OF id
    .set turn, 0
    BEGIN_PIXELS \id, 1
    l32i a11, a1, FRAME_LINE
    add a13, a2, a11
    add a14, a13, a11
    l32i a11, a1, FRAME_PIXEL_STEP
    addi a11, a11, -32
    ee.vld.128.ip q2, a2, PIE_BYTES
    ee.vld.128.ip q3, a2, PIE_BYTES
    FINISH_PIXEL \id, 1
    MAC_LOAD q0, a4, q4, q2, 0
    MAC_LOAD q1, a4, q5, q2, 1
    STREAM q2, 2, 14
    VECTOR_STEP q3, 16, q2, a2, a11
    VECTOR q2, 16, q3, a13
    VECTOR q3, 16, q2, a13
    VECTOR_STEP q2, 16, q3, a13, a11
    VECTOR q3, 16, q2, a14
    VECTOR q2, 16, q3, a14
    VECTOR_STEP q3, 15, q2, a14, a11
    STREAM q2, 0, 15
    STREAM_END q2, a2, q2, 15
    STREAM_END q3, a2, q3, 15
    END_PIXELS \id, 1, 0
.endm

/* The same in two digits: a second pass over the last kernel row. 212 slots. */
.macro NINE_TAPS_TWO_DIGITS
    NINE_TAPS_TWO_DIGITS_OF \@
.endm
.macro NINE_TAPS_TWO_DIGITS_OF id
    .set turn, 0
    BEGIN_PIXELS \id, 2
    l32i a10, a1, FRAME_RECORD
    l32i a11, a1, FRAME_LINE
    l32i a12, a10, RECORD_DIGIT_BITS
    add a13, a2, a11
    add a14, a13, a11
    l32i a11, a1, FRAME_PIXEL_STEP
    movi a10, -32               /* back to the row's first vector */
    addi a11, a11, -32
    ee.vld.128.ip q2, a2, PIE_BYTES
    ee.vld.128.ip q3, a2, PIE_BYTES
    FINISH_PIXEL \id, 2
    MAC_LOAD q0, a4, q4, q2, 0
    MAC_LOAD q1, a4, q5, q2, 1
    STREAM q2, 2, 14
    VECTOR_STEP q3, 16, q2, a2, a11
    VECTOR q2, 16, q3, a13
    VECTOR q3, 16, q2, a13
    VECTOR_STEP q2, 16, q3, a13, a11
    VECTOR q3, 16, q2, a14
    VECTOR q2, 16, q3, a14
    VECTOR_STEP q3, 15, q2, a14, a10
    STREAM q2, 0, 16
    STREAM q3, 15, 1
    ee.srcmb.s8.qacc q2, a12, 0
    ee.vld.128.ip q2, a14, 32   /* the next one waits for it */
    STREAM q2, 0, 16
    VECTOR_STEP q3, 15, q2, a14, a11
    STREAM q2, 0, 15
    STREAM_END q2, a2, q2, 15
    STREAM_END q3, a2, q3, 15
    END_PIXELS \id, 2, 0
.endm

/* ---- 3x3 over 17 to 24 or 25 to 32 channels: all taps unrolled ----
 *
 * As above with two vectors per tap, of the second of which `second` lanes count; one pointer, whose load of a row's
 * last vector steps to the next row, or to the next pixel. pixel_stride = 32, dilation 1.
 * 25 + 9 * (16 + second) slots. */
.macro NINE_TAPS_OF_PAIRS second
    NINE_TAPS_OF_PAIRS_OF \second, \@
.endm
.macro NINE_TAPS_OF_PAIRS_OF second, id
    .set turn, 0
    BEGIN_PIXELS \id, 1
    l32i a13, a1, FRAME_LINE
    l32i a14, a1, FRAME_PIXEL_STEP
    sub a14, a14, a13
    sub a14, a14, a13
    addi a14, a14, -80          /* from the last vector of a window to the next window */
    addi a13, a13, -80          /* from the last vector of a row to the next row */
    ee.vld.128.ip q2, a2, PIE_BYTES
    ee.vld.128.ip q3, a2, PIE_BYTES
    FINISH_PIXEL \id, 1
    MAC_LOAD q0, a4, q4, q2, 0
    MAC_LOAD q1, a4, q5, q2, 1
    STREAM q2, 2, 14
    VECTOR q3, \second, q2, a2
    VECTOR q2, 16, q3, a2
    VECTOR q3, \second, q2, a2
    VECTOR_STEP q2, 16, q3, a2, a13
    .rept 2
    VECTOR q3, \second, q2, a2
    VECTOR q2, 16, q3, a2
    .endr
    VECTOR q3, \second, q2, a2
    VECTOR_STEP q2, 16, q3, a2, a13
    .rept 2
    VECTOR q3, \second, q2, a2
    VECTOR q2, 16, q3, a2
    .endr
    VECTOR q3, \second, q2, a2
    VECTOR_STEP q2, 16, q3, a2, a14
    STREAM q3, 0, (\second - 2)
    STREAM_END q2, a2, q3, (\second - 2)
    STREAM_END q3, a2, q3, (\second - 1)
    END_PIXELS \id, 1, 0
.endm

/* 17 to 24 channels in two digits: a loop over the kernel rows, the last one once more in a second pass. 350 slots.
 *
 *     a10 step from below the window to the next one   a11 from below a row to its begin
 *     a13 from a row's last vector to the next row     a14 kernel rows left   a15 passes left */
.macro NINE_TAPS_24_TWO_DIGITS
    NINE_TAPS_24_TWO_DIGITS_OF \@
.endm
.macro NINE_TAPS_24_TWO_DIGITS_OF id
    .set turn, 0
    BEGIN_PIXELS \id, 2
    l32i a12, a1, FRAME_RECORD
    l32i a11, a1, FRAME_LINE
    l32i a12, a12, RECORD_DIGIT_BITS
    l32i a10, a1, FRAME_PIXEL_STEP
    addi a13, a11, -80
    neg a11, a11
    add a10, a10, a11
    addx2 a10, a11, a10
    FINISH_PIXEL \id, 2
    ee.orq q0, q4, q4
    ee.orq q1, q5, q5
    movi a14, 3
    movi a15, 1
.Lkernel_row\id:
    ee.vld.128.ip q2, a2, PIE_BYTES
    addi a14, a14, -1
    .rept 2
    VECTOR q2, 16, q3, a2
    VECTOR q3, 8, q2, a2
    .endr
    VECTOR_STEP q2, 16, q3, a2, a13
    STREAM q3, 0, 8
    bnez a14, .Lkernel_row\id
    addi a15, a15, -1
    bltz a15, .Lsummed\id
    ee.srcmb.s8.qacc q2, a12, 0
    add a2, a2, a11
    movi a14, 1
    j .Lkernel_row\id
.Lsummed\id:
    add a2, a2, a10
    END_PIXELS \id, 2, 0
.endm

/* ---- 3x3 over 3 channels, pixels without gaps: pixels at any byte ----
 *
 * A kernel row's run of 9 bytes is shifted to lane 0; rows of x follow each other every multiple of 16 bytes, so that
 * one pixel's runs begin at the same byte of their vectors. The next pixel's first two vectors are loaded by this one.
 * 45 slots; of several shifts 1 and 5 per further one. */
.macro RGB
    RGB_OF \@
.endm
.macro RGB_OF id
    .set turn, 0
    BEGIN_PIXELS \id, 1
    l32i a11, a1, FRAME_LINE
    add a13, a2, a11
    add a14, a13, a11
    l32i a11, a1, FRAME_PIXEL_STEP
    addi a10, a11, -16
    addi a11, a11, -32
    ee.ld.128.usar.ip q3, a2, PIE_BYTES
    ee.ld.128.usar.ip q2, a2, PIE_BYTES
    FINISH_PIXEL \id, 1
    ee.src.q.ld.ip q2, a13, PIE_BYTES, q3, q2
    MAC_LOAD q0, a4, q4, q3, 0
    MAC_LOAD q1, a4, q5, q3, 1
    STREAM q3, 2, 7
    ee.ld.128.usar.xp q3, a13, a10
    add a2, a2, a11             /* the load's slot */
    ee.src.q.ld.ip q3, a14, PIE_BYTES, q2, q3
    STREAM q2, 0, 9
    ee.ld.128.usar.xp q2, a14, a10
    ee.src.q q2, q3, q2
    ee.ld.128.usar.ip q3, a2, PIE_BYTES
    STREAM q2, 0, 7
    MAC q1, q2, 7
    MAC q0, q2, 8
    ee.ld.128.usar.ip q2, a2, PIE_BYTES
    END_PIXELS \id, 1, 0
.endm

/* The same in two digits of all weights: a second pass over the runs, which stay in registers; no clamp but a relu.
 * 71 slots. */
.macro RGB_TWO_DIGITS
    RGB_TWO_DIGITS_OF \@
.endm
.macro RGB_TWO_DIGITS_OF id
    .set turn, 0
    BEGIN_PIXELS \id, 0
    l32i a12, a1, FRAME_RECORD
    l32i a11, a1, FRAME_LINE
    l32i a12, a12, RECORD_DIGIT_BITS
    add a13, a2, a11
    add a14, a13, a11
    l32i a11, a1, FRAME_PIXEL_STEP
    addi a11, a11, -16
    ee.ld.128.usar.ip q2, a2, PIE_BYTES
    ee.ld.128.usar.xp q7, a2, a11
    FINISH_PIXEL \id, 0
    ee.src.q.ld.ip q3, a13, PIE_BYTES, q2, q7
    MAC_LOAD q0, a4, q4, q2, 0
    MAC_LOAD q1, a4, q5, q2, 1
    ee.ld.128.usar.xp q7, a13, a11
    STREAM q2, 2, 7
    ee.src.q.ld.ip q6, a14, PIE_BYTES, q3, q7
    STREAM q3, 0, 2
    ee.ld.128.usar.xp q7, a14, a11
    STREAM q3, 2, 7
    ee.src.q q6, q6, q7
    STREAM q6, 0, 9
    ee.srcmb.s8.qacc q7, a12, 0
    STREAM q2, 0, 9
    ee.ld.128.usar.ip q2, a2, PIE_BYTES
    STREAM q3, 0, 9
    ee.ld.128.usar.xp q7, a2, a11
    STREAM q6, 0, 7
    MAC q0, q6, 7
    MAC q1, q6, 8
    END_PIXELS \id, 0, 0
.endm

/* ---- Any size ---- */

/* Weights from their start, bias into QACC, x from its start. */
.macro START_LONG
    LOAD_ACCUMULATORS a6
    mov a4, a5
    ee.vld.128.ip q0, a4, PIE_BYTES
    ee.vld.128.ip q1, a4, PIE_BYTES
    mov a13, a2
    l32i a15, a1, FRAME_KERNEL_ROWS
.endm

/* The result is in q2: clamp, store, next pixel. */
.macro FINISH_LONG pixel
    ee.vmax.s8 q2, q2, q6
    ee.vmin.s8 q2, q2, q7
    ee.vst.128.xp q2, a3, a8
    add a2, a2, a14
    addi a9, a9, -1
    bnez a9, \pixel
    j .Lrow_done
.endm

/* q2 = lanes of a block of any number of shifts, of which QACC holds the sums; then on to `done`. a10 is the record; a11
 * and a15 are used, a14 is the step of x again. */
.macro FURTHER_SHIFTS done
    l32i a11, a10, RECORD_FIRST_SHIFT
    l16ui a15, a10, RECORD_MORE_SHIFTS
    ee.srcmb.s8.qacc q2, a11, 0
    beqz a15, \done
    l32i a14, a10, RECORD_LIST
    l16ui a11, a10, RECORD_SHIFT_STEP
    add a14, a14, a10
    MORE_SHIFTS q2, q3, q4, a14, a15, a11
    l32i a14, a1, FRAME_PIXEL_STEP
.endm

/* What the shifts of a block need, when QACC holds its sum; `second` is where a second pass starts.
 *
 * Two digits: when the pass over the low ones is done, QACC is shifted by their bits, and a second pass adds the
 * high ones. Several shifts: see MORE_SHIFTS. The result goes to q2, and on to `done`; a10, a11 and a15 are used, a14 is
 * the step of x again. */
.macro GENERAL second, done, ahead=2
    l32i a10, a1, FRAME_PASS_END
    bne a4, a10, 2f
    l32i a10, a1, FRAME_RECORD
    SECOND_DIGIT a10, a15, a11, \ahead
    j \second
2:
    l32i a10, a1, FRAME_RECORD
    FURTHER_SHIFTS \done
    j \done
.endm

/* Pairs of vectors in a run of \bytes, and from where a run's loads end to the next run */
.macro RUN_OF bytes, odd, pairs, step
    l32i \step, a1, FRAME_LINE
    srli \pairs, \bytes, 5
    sub \step, \step, \bytes
    .if \odd == 0
    addi \step, \step, -PIE_BYTES
    .endif
.endm

/* Kernel rows are runs of packed vectors: dilation_x = 1, pixel_stride = ceil16(channels) or kernel_width = 1.
 * `odd` says whether a run has an odd number of vectors. A second pass covers the first part of each run, odd as the
 * runs are. a12 is where the weights of the first of two passes end. Slots: 19 + 17 per vector + 7 per run, less one
 * where odd; a second pass 36, and as much per vector and run. */
.macro RUNS odd
    .set turn, 0
    l32i a13, a1, FRAME_RECORD
    l32i a14, a1, FRAME_PIXEL_STEP
    l32i a12, a1, FRAME_PASS_END
    l32i a15, a13, RECORD_HIGH_RUN
    RUN_OF a15, \odd, a10, a11
    s32i a10, a1, FRAME_HIGH_PAIRS
    s32i a11, a1, FRAME_HIGH_STEP
    l32i a15, a1, FRAME_RUN
    RUN_OF a15, \odd, a10, a11
    s32i a10, a1, FRAME_PAIRS
    s32i a11, a1, FRAME_STEP
.Lpixel\@:
    START_LONG
.Lrun\@:
    ee.vld.128.ip q2, a13, PIE_BYTES
    addi a15, a15, -1
    loopnez a10, .Lpair\@
    VECTOR q2, 16, q3, a13
    VECTOR q3, 16, q2, a13
.Lpair\@:
    .if \odd
    STREAM q2, 0, 16
    .endif
    add a13, a13, a11
    bnez a15, .Lrun\@
    bltz a7, .Lgeneral\@
    ee.srcmb.s8.qacc q2, a7, 0
    FINISH_LONG .Lpixel\@
.Lgeneral\@:
    l32i a10, a1, FRAME_RECORD
    bne a4, a12, .Lshifts\@
    SECOND_DIGIT a10, a15, a11, 2
    l32i a10, a1, FRAME_HIGH_PAIRS
    l32i a11, a1, FRAME_HIGH_STEP
    l32i a15, a1, FRAME_KERNEL_ROWS
    mov a13, a2
    j .Lrun\@
.Lshifts\@:
    FURTHER_SHIFTS .Lmerged\@
.Lmerged\@:
    l32i a10, a1, FRAME_PAIRS
    l32i a11, a1, FRAME_STEP
    FINISH_LONG .Lpixel\@
.endm

/* Taps anywhere: any pixel_stride, any dilation. A tap has a run of whole vectors, and with `half` a vector more,
 * of which 8 lanes count. A second pass covers all taps. */
.macro TAPS whole, half
    .set turn, 0
.Lpixel\@:
    START_LONG
.Lpass\@:
    l32i a10, a1, FRAME_RUN
    l32i a11, a1, FRAME_TAP_STEP
    sub a11, a11, a10
    srli a10, a10, 4
    .if \half
    addi a11, a11, -PIE_BYTES
    .endif
.Lrow\@:
    l32i a14, a1, FRAME_KERNEL_WIDTH
    mov a12, a13
.Ltap\@:
    .if \whole
    loop a10, .Lvector\@
    ee.vld.128.ip q2, a13, PIE_BYTES
    STREAM q2, 0, 16
.Lvector\@:
    .endif
    .if \half
    ee.vld.128.ip q2, a13, PIE_BYTES
    addi a14, a14, -1
    STREAM q2, 0, 8
    .else
    addi a14, a14, -1
    .endif
    add a13, a13, a11
    bnez a14, .Ltap\@
    l32i a13, a1, FRAME_LINE
    addi a15, a15, -1
    add a13, a13, a12
    bnez a15, .Lrow\@
    l32i a14, a1, FRAME_PIXEL_STEP
    bltz a7, .Lgeneral\@
    ee.srcmb.s8.qacc q2, a7, 0
.Ldone\@:
    FINISH_LONG .Lpixel\@
.Lgeneral\@:
    GENERAL .Lsecond\@, .Ldone\@
.Lsecond\@:
    mov a13, a2
    l32i a15, a1, FRAME_KERNEL_ROWS
    j .Lpass\@
.endm

/* ---- First layers: few channels, pixels without gaps (pixel_stride = channels) ----
 *
 * The first window starts at a multiple of 16 bytes, and so does every row; dilation_x = 1. A kernel row is one run of
 * bytes, whose place in its vectors depends on the pixel alone: it is the same again after 16 / gcd(16, step) pixels,
 * which are unrolled, each with the lanes named. */

/* The last pixel of a row, and every one of a block of several shifts, calls a part of the kernel that finishes the row,
 * or merges the lanes of further shifts: a11 is its address, a12 the pixels left, a9 1 for a call by every pixel, else
 * the pixels too. a6 is behind the list of shifts, a0 is where to go on. */
.macro BEGIN_FIRST_LAYER end_of_row
    s32i a0, a1, FRAME_LINK
    l32i a15, a1, FRAME_RECORD
    mov a12, a9
    l16ui a0, a15, RECORD_MORE_SHIFTS
    movi a11, \end_of_row
    s32i a11, a1, FRAME_RETURN
    beqz a0, .Lone_shift\@
    l32i a6, a15, RECORD_LIST
    slli a9, a0, 4
    add a6, a6, a15
    add a6, a6, a9
    sub a0, a0, a9              /* a step of the list has 15 bytes */
    movi a11, .Lall_steps
    add a11, a11, a0
    l16ui a0, a15, RECORD_SHIFT_STEP
    movi a9, 1
.Lone_shift\@:
    s32i a0, a1, FRAME_SHIFT_STEP
.endm
.macro CALL id
.Lcall\id:
    l32i a15, a1, FRAME_SHIFT_STEP
    callx0 a11
    j .Lgo_on\id
.endm

/* 3x3 over 3 channels: 9 bytes a run. Three registers hold the vectors in which the runs of the three kernel rows
 * begin, the fourth takes those in which runs end. Two weights are resident, a second QACC image follows the others,
 * so that loading it resets the pointer; no clamp but a relu.
 *
 * mode   NOTHING    the runs lie in one vector
 *        BORROW     they end in the next one, which is dropped
 *        KEEP       they end in the next one, which replaces the first
 *        KEEP_HERE  as KEEP; the pointers stay
 *        TURN       as NOTHING; the vectors are loaded anew, so that after four changes all lie where they began */
#define NOTHING 0
#define BORROW 1
#define KEEP 2
#define KEEP_HERE 3
#define TURN 4

/* `count` bytes of a run from its byte number `first` on */
.macro RUN_STREAM first, count, lane, x, next
    .set byte, \first
    .rept \count
    .if \lane + byte < 16
    STREAM \x, (\lane + byte), 1
    .else
    STREAM \next, (\lane + byte - 16), 1
    .endif
    .set byte, byte + 1
    .endr
.endm
.macro RUN_MAC weight, byte, lane, x, next
    .if \lane + \byte < 16
    MAC \weight, \x, (\lane + \byte)
    .else
    MAC \weight, \next, (\lane + \byte - 16)
    .endif
.endm
.macro RUN_LOAD mode, next, pointer
    .if \mode == BORROW || \mode == KEEP_HERE
    ee.vld.128.ip \next, \pointer, 0
    .elseif \mode != NOTHING
    ee.vld.128.ip \next, \pointer, PIE_BYTES
    .endif
.endm
/* A pixel, or of `pair` two neighbours of up to 8 outputs, whose runs of 15 bytes overlap; `run` bytes a row */
.macro RGB_PIXEL lane, mode, row0, row1, row2, next0, next1, next2, id
    RUN_LOAD \mode, \next0, a2
    .set turn, 0
    MAC_LOAD q0, a4, q4, \row0, \lane
    .if \lane + 1 < 16
    MAC_LOAD q1, a4, q5, \row0, (\lane + 1)
    .else
    MAC_LOAD q1, a4, q5, \next0, (\lane + 1 - 16)
    .endif
    RUN_STREAM 2, (run - 2), \lane, \row0, \next0
    RUN_LOAD \mode, \next1, a13
    RUN_STREAM 0, run, \lane, \row1, \next1
    RUN_LOAD \mode, \next2, a14
    RUN_STREAM 0, (run - 2), \lane, \row2, \next2
    RUN_MAC q1, (run - 2), \lane, \row2, \next2
    RUN_MAC q0, (run - 1), \lane, \row2, \next2
    addi a9, a9, -1             /* keeps srcmb from the last MAC */
    ee.srcmb.s8.qacc q0, a7, 0
    beqz a9, .Lcall\id
.Lgo_on\id:
    ee.vrelu.s8 q0, a10, a15
    .if pair
    ee.ld.qacc_l.h.32.ip a4, 4
    ee.vst.l.64.xp q0, a3, a8
    ee.ld.qacc_h.h.32.ip a4, 12
    ee.vst.h.64.xp q0, a3, a8
    ee.ld.qacc_l.l.128.ip a4, 16
    ee.ld.qacc_h.l.128.ip a4, -(32 + 43 * PIE_BYTES)
    .else
    ee.ld.qacc_l.l.128.ip a4, 16
    ee.vst.128.xp q0, a3, a8
    ee.ld.qacc_h.l.128.ip a4, 16
    ee.ld.qacc_l.h.32.ip a4, 4
    ee.ld.qacc_h.h.32.ip a4, -(36 + 25 * PIE_BYTES)
    .endif
.endm

/* The registers after none, one, two and three changes */
.macro RGB_0 lane, mode, id
    .if \mode == BORROW
    RGB_PIXEL \lane, \mode, q2, q3, q6, q7, q7, q7, \id
    .else
    RGB_PIXEL \lane, \mode, q2, q3, q6, q7, q2, q3, \id
    .endif
.endm
.macro RGB_1 lane, mode, id
    .if \mode == BORROW
    RGB_PIXEL \lane, \mode, q7, q2, q3, q6, q6, q6, \id
    .else
    RGB_PIXEL \lane, \mode, q7, q2, q3, q6, q7, q2, \id
    .endif
.endm
.macro RGB_2 lane, mode, id
    .if \mode == BORROW
    RGB_PIXEL \lane, \mode, q6, q7, q2, q3, q3, q3, \id
    .else
    RGB_PIXEL \lane, \mode, q6, q7, q2, q3, q6, q7, \id
    .endif
.endm
.macro RGB_3 lane, mode, id
    .if \mode == BORROW
    RGB_PIXEL \lane, \mode, q3, q6, q7, q2, q2, q2, \id
    .else
    RGB_PIXEL \lane, \mode, q3, q6, q7, q2, q3, q6, \id
    .endif
.endm

.macro RGB_START
    LOAD_ACCUMULATORS a6
    BEGIN_FIRST_LAYER .Lend_of_rgb_row
    l32i a15, a1, FRAME_LINE
    add a13, a2, a15
    add a14, a13, a15
    ee.vld.128.ip q2, a2, PIE_BYTES
    ee.vld.128.ip q3, a13, PIE_BYTES
    ee.vld.128.ip q6, a14, PIE_BYTES
    l32i a10, a1, FRAME_RELU
    movi a15, 0
.endm

/* stride_x = 2: lane 6 n mod 16. 38 slots. The loop has turns to spare: the row's last pixel leaves it. */
.macro RGB_STEP_6
    .set run, 9
    .set pair, 0
    RGB_START
    loop a12, .Lend\@
    RGB_0 0, NOTHING, \@_0
    RGB_0 6, NOTHING, \@_1
    RGB_0 12, KEEP_HERE, \@_2
    RGB_1 2, TURN, \@_3
    RGB_2 8, BORROW, \@_4
    RGB_2 14, KEEP, \@_5
    RGB_3 4, NOTHING, \@_6
    RGB_3 10, KEEP, \@_7
.Lend\@:
    CALL \@_0
    CALL \@_1
    CALL \@_2
    CALL \@_3
    CALL \@_4
    CALL \@_5
    CALL \@_6
    CALL \@_7
.endm

/* stride_x = 2, an even number of columns, up to 8 outputs: two pixels at once, of which lanes 0-7 and 8-15
 * are the outputs, begin at lane 12 n mod 16. The weights of the inputs that only one of them reads are 0 for the other.
 * What lies behind the outputs of a pixel is not written. 57 slots for both. */
.macro RGB_PAIRS_STEP_6
    .set run, 15
    .set pair, 1
    srli a9, a9, 1
    LOAD_ACCUMULATORS a6
    BEGIN_FIRST_LAYER .Lend_of_pairs
    l32i a15, a1, FRAME_LINE
    add a13, a2, a15
    add a14, a13, a15
    ee.vld.128.ip q3, a2, 0
    ee.vld.128.ip q6, a13, 0
    ee.vld.128.ip q7, a14, 0
    l32i a10, a1, FRAME_RELU
    movi a15, 0
    loop a12, .Lend\@
    RGB_3 0, TURN, \@_0
    RGB_0 12, KEEP, \@_1
    RGB_1 8, KEEP, \@_2
    RGB_2 4, KEEP_HERE, \@_3
.Lend\@:
    CALL \@_0
    CALL \@_1
    CALL \@_2
    CALL \@_3
.Lend_of_pairs:
    addi a6, a5, -(RECORD_WEIGHTS - RECORD_ACCUMULATORS)
    movi a15, 0
    ee.vrelu.s8 q0, a10, a15
    l32i a0, a1, FRAME_LINK
    mov a4, a5
    ee.vst.l.64.xp q0, a3, a8
    ee.vst.h.64.xp q0, a3, a8
    j .Lrow_done
.endm

/* An even kernel height, runs of `bytes`, an even number, one pixel every 2: a loop over pairs of kernel rows.
 * a5 is where QACC's image is. Slots: 15 + kernel rows * (1 + bytes), those one more where the run ends in the next
 * vector. */
.macro SHORT_RUNS bytes
    BEGIN_FIRST_LAYER .Lend_of_row
    .set turn, 0
    l32i a10, a1, FRAME_KERNEL_ROWS
    l32i a14, a1, FRAME_LINE
    srli a10, a10, 1
    addi a5, a5, -(RECORD_WEIGHTS - RECORD_ACCUMULATORS)
.Lagain\@:
    .set begin, 0
    SHORT_PIXEL \bytes, \@_0
    SHORT_PIXEL \bytes, \@_1
    SHORT_PIXEL \bytes, \@_2
    SHORT_PIXEL \bytes, \@_3
    SHORT_PIXEL \bytes, \@_4
    SHORT_PIXEL \bytes, \@_5
    SHORT_PIXEL \bytes, \@_6
    SHORT_PIXEL \bytes, \@_7
    j .Lagain\@
    CALL \@_0
    CALL \@_1
    CALL \@_2
    CALL \@_3
    CALL \@_4
    CALL \@_5
    CALL \@_6
    CALL \@_7
.endm
.macro SHORT_PIXEL bytes, id
    LOAD_ACCUMULATORS a5
    addi a4, a5, (RECORD_WEIGHTS - RECORD_ACCUMULATORS)
    mov a13, a2
    ee.vld.128.ip q0, a4, PIE_BYTES
    ee.vld.128.ip q1, a4, PIE_BYTES
    .if begin + \bytes <= 16
    ee.vld.128.xp q2, a13, a14
    loop a10, 1f
    SHORT_RUN begin, \bytes, q2, q3
    SHORT_RUN begin, \bytes, q3, q2
1:
    .else
    addi a0, a14, -PIE_BYTES
    loop a10, 1f
    .rept 2
    ee.vld.128.ip q2, a13, PIE_BYTES
    ee.vld.128.xp q3, a13, a0
    STREAM q2, begin, (16 - begin)
    STREAM q3, 0, (begin + \bytes - 16)
    .endr
1:
    .endif
    .set begin, begin + 2
    .if begin >= 16
    .set begin, begin - 16
    addi a2, a2, PIE_BYTES
    .endif
    addi a9, a9, -1             /* keeps srcmb from the last MAC */
    ee.srcmb.s8.qacc q0, a7, 0
    beqz a9, .Lcall\id
.Lgo_on\id:
    ee.vmax.s8 q0, q0, q6
    ee.vmin.s8 q0, q0, q7
    ee.vst.128.xp q0, a3, a8
.endm
.macro SHORT_RUN first, count, x, loaded
    STREAM \x, \first, (\count / 2)
    ee.vld.128.xp \loaded, a13, a14
    STREAM \x, (\first + \count / 2), (\count / 2)
.endm

/* Ten kernel rows of 4 bytes, rows of x a vector each, five pixels a row, one every 2 bytes: of keyword spotting.
 * All rows in one call. The weights of the first two inputs are resident; the last MACs load the next pixel's first
 * vectors. Slots: 57 a pixel, 4 a row.
 *
 *     a10 step of y at a row's end   a13 of x   a14 rows left */
.macro TEN_ROWS_OF_4
    l32i a14, a1, FRAME_ROWS_LEFT
    movi a10, 1
    l32i a13, a1, FRAME_X_STEP
    s32i a10, a1, FRAME_ROWS_LEFT
    l32i a10, a1, FRAME_Y_STEP
    slli a11, a8, 2
    movi a12, -9 * PIE_BYTES    /* from the last row of taps to the first */
    sub a10, a10, a11
    add a13, a13, a12
    ee.vld.128.ip q2, a2, PIE_BYTES
    ee.vld.128.ip q3, a2, PIE_BYTES
    LOAD_ACCUMULATORS a6
.Lagain\@:
    TEN_ROWS_PIXEL 0, a12, a8
    TEN_ROWS_PIXEL 2, a12, a8
    TEN_ROWS_PIXEL 4, a12, a8
    TEN_ROWS_PIXEL 6, a12, a8
    TEN_ROWS_PIXEL 8, a13, a10
    addi a14, a14, -1
    bnez a14, .Lagain\@
    j .Lrow_done
.endm
.macro TEN_ROWS_PIXEL first, x_step, y_step
    .set turn, 0
    MAC_LOAD q0, a4, q4, q2, \first
    MAC_LOAD q1, a4, q5, q2, (\first + 1)
    STREAM q2, (\first + 2), 2
    .rept 3
    TEN_ROWS_PAIR \first
    .endr
    STREAM q3, \first, 2
    ee.vld.128.ip q2, a2, PIE_BYTES
    STREAM q3, (\first + 2), 2
    STREAM q2, \first, 2
    ee.vld.128.xp q3, a2, \x_step
    STREAM q2, (\first + 2), 2
    STREAM q3, \first, 2
    STREAM_END q2, a2, q3, (\first + 2)
    STREAM_END q3, a2, q3, (\first + 3)
    mov a4, a5                  /* keeps srcmb from the last MAC */
    ee.srcmb.s8.qacc q0, a7, 0
    ee.ld.qacc_l.l.128.ip a6, 16
    ee.vmax.s8 q0, q0, q6
    ee.ld.qacc_h.l.128.ip a6, 16
    ee.vmin.s8 q0, q0, q7
    ee.ld.qacc_l.h.32.ip a6, 4
    ee.ld.qacc_h.h.32.ip a6, -36
    ee.vst.128.xp q0, a3, \y_step
.endm
.macro TEN_ROWS_PAIR first
    STREAM q3, \first, 2
    ee.vld.128.ip q2, a2, PIE_BYTES
    STREAM q3, (\first + 2), 2
    STREAM q2, \first, 2
    ee.vld.128.ip q3, a2, PIE_BYTES
    STREAM q2, (\first + 2), 2
.endm

/* Any window of packed pixels, any number of shifts or digits: each byte of a run is loaded into all lanes. A second
 * pass covers all taps. Slots: 22 + 6 per kernel row + 3 per byte. */
.macro PACKED_RUNS
.Lpixel\@:
    LOAD_ACCUMULATORS a6
    mov a4, a5
    ee.vld.128.ip q0, a4, PIE_BYTES
.Lpass\@:
    mov a13, a2
    l32i a15, a1, FRAME_KERNEL_ROWS
    l32i a11, a1, FRAME_RUN
.Lrow\@:
    mov a12, a13
    ee.vldbc.8.ip q2, a12, 1
    l32i a14, a1, FRAME_LINE
    loop a11, .Lbyte\@
    ee.vmulas.s8.qacc.ldbc.incp q2, a12, q2, q0
    ee.vld.128.ip q0, a4, PIE_BYTES
.Lbyte\@:
    addi a15, a15, -1
    add a13, a13, a14
    bnez a15, .Lrow\@
    l32i a14, a1, FRAME_PIXEL_STEP
    bltz a7, .Lgeneral\@
    ee.srcmb.s8.qacc q2, a7, 0
.Ldone\@:
    FINISH_LONG .Lpixel\@
.Lgeneral\@:
    GENERAL .Lpass\@, .Ldone\@, 1
.endm

/* Any size and any number of shifts or digits; the others take blocks of one shift in one digit. */
/* Conv2dBody of the packer */
BODY pienn_conv2d_s8_s3_pointwise_8
    POINTWISE 8, 0, 1
BODY pienn_conv2d_s8_s3_pointwise_8_larger_bias
    POINTWISE 8, 0, 2
BODY pienn_conv2d_s8_s3_pointwise_16
    POINTWISE 16, 0, 1
BODY pienn_conv2d_s8_s3_pointwise_24
    POINTWISE 24, 0, 1
BODY pienn_conv2d_s8_s3_pointwise_32
    POINTWISE 32, 0, 1
BODY pienn_conv2d_s8_s3_pointwise_64
    POINTWISE 64, 0
BODY pienn_conv2d_s8_s3_pointwise_8_clamped
    POINTWISE 8, 1
BODY pienn_conv2d_s8_s3_pointwise_16_clamped
    POINTWISE 16, 1
BODY pienn_conv2d_s8_s3_pointwise_24_clamped
    POINTWISE 24, 1
BODY pienn_conv2d_s8_s3_pointwise_32_clamped
    POINTWISE 32, 1
BODY pienn_conv2d_s8_s3_pointwise_64_clamped
    POINTWISE 64, 1
BODY pienn_conv2d_s8_s3_pointwise_128_clamped
    POINTWISE 128, 1
BODY pienn_conv2d_s8_s3_pointwise_256_clamped
    POINTWISE 256, 1
BODY pienn_conv2d_s8_s3_pointwise_64_two_digits
    POINTWISE_64_TWO_DIGITS
BODY pienn_conv2d_s8_s3_nine_taps_16
    NINE_TAPS
BODY pienn_conv2d_s8_s3_nine_taps_16_two_digits
    NINE_TAPS_TWO_DIGITS
BODY pienn_conv2d_s8_s3_nine_taps_24
    NINE_TAPS_OF_PAIRS 8
BODY pienn_conv2d_s8_s3_nine_taps_24_two_digits
    NINE_TAPS_24_TWO_DIGITS
BODY pienn_conv2d_s8_s3_nine_taps_32
    NINE_TAPS_OF_PAIRS 16
BODY pienn_conv2d_s8_s3_rgb
    RGB
BODY pienn_conv2d_s8_s3_rgb_two_digits
    RGB_TWO_DIGITS
BODY pienn_conv2d_s8_s3_rgb_step_6
    RGB_STEP_6
BODY pienn_conv2d_s8_s3_runs_of_4_step_2
    SHORT_RUNS 4
BODY pienn_conv2d_s8_s3_rgb_pairs_step_6
    RGB_PAIRS_STEP_6
BODY pienn_conv2d_s8_s3_ten_rows_of_4
    TEN_ROWS_OF_4
BODY pienn_conv2d_s8_s3_runs_even
    RUNS 0
BODY pienn_conv2d_s8_s3_runs_odd
    RUNS 1
BODY pienn_conv2d_s8_s3_taps_whole
    TAPS 1, 0
BODY pienn_conv2d_s8_s3_taps_half
    TAPS 0, 1
BODY pienn_conv2d_s8_s3_taps_whole_half
    TAPS 1, 1
BODY pienn_conv2d_s8_s3_packed_runs
    PACKED_RUNS

    .text
/* void pienn_conv2d_s8_s3(const int8_t *x, int8_t *y, const pienn_conv2d_s8_params *p)
 *
 *     a2 x    a3 y    a4 p    a10 record */
FUNCTION pienn_conv2d_s8_s3
    entry a1, FRAME_BYTES
    s32i a2, a1, FRAME_X
    s32i a3, a1, FRAME_Y
    l32i a10, a4, PIENN_CONV2D_S8_BLOCKS
    l32i a12, a4, PIENN_CONV2D_S8_BODIES
    l32i a11, a4, PIENN_CONV2D_S8_Y_CHANNELS
    s32i a10, a1, FRAME_RECORD
    s32i a12, a1, FRAME_BODIES
    addi a11, a11, 15
    srli a11, a11, 4
    s32i a11, a1, FRAME_BLOCKS
    l32i a11, a4, PIENN_CONV2D_S8_KERNEL_HEIGHT
    s32i a11, a1, FRAME_KERNEL_ROWS
    l32i a11, a4, PIENN_CONV2D_S8_KERNEL_WIDTH
    s32i a11, a1, FRAME_KERNEL_WIDTH
    l32i a12, a4, PIENN_CONV2D_S8_X_ROW_STRIDE
    l32i a11, a4, PIENN_CONV2D_S8_DILATION_Y
    l32i a13, a4, PIENN_CONV2D_S8_STRIDE_Y
    mull a11, a11, a12
    mull a13, a13, a12          /* between rows of y, in x */
    s32i a11, a1, FRAME_LINE
    s32i a13, a1, FRAME_X_STEP
    l32i a12, a4, PIENN_CONV2D_S8_X_PIXEL_STRIDE
    l32i a11, a4, PIENN_CONV2D_S8_DILATION_X
    l32i a14, a4, PIENN_CONV2D_S8_STRIDE_X
    mull a11, a11, a12
    mull a14, a14, a12
    s32i a11, a1, FRAME_TAP_STEP
    s32i a14, a1, FRAME_PIXEL_STEP
    l32i a8, a4, PIENN_CONV2D_S8_Y_PIXEL_STRIDE
    l32i a15, a4, PIENN_CONV2D_S8_Y_ROW_STRIDE
    l32i a9, a4, PIENN_CONV2D_S8_Y_WIDTH
    l32i a12, a4, PIENN_CONV2D_S8_Y_HEIGHT
    s32i a15, a1, FRAME_Y_STEP
    /* Rows without gaps between them are one long row. */
    mull a14, a14, a9
    mull a11, a8, a9
    sub a13, a13, a14
    sub a14, a15, a11
    add a11, a14, a8
    movi a15, 0
    movnez a11, a15, a13
    s32i a11, a1, FRAME_BORDER
    or a13, a13, a14
    bnez a13, 1f
    mull a9, a9, a12
    movi a12, 1
1:
    s32i a9, a1, FRAME_PIXELS
    s32i a12, a1, FRAME_ROWS
.Lblock:
    l32i a11, a10, RECORD_BODY
    l32i a12, a1, FRAME_BODIES
    add a11, a11, a12
    l32i a11, a11, 0
    l32i a12, a10, RECORD_RUN
    s32i a11, a1, FRAME_BODY
    s32i a12, a1, FRAME_RUN
    l32i a7, a10, RECORD_SHIFT
    l32i a11, a10, RECORD_RELU
    l32i a12, a10, RECORD_PASS_BYTES
    s32i a11, a1, FRAME_RELU
    movi a5, RECORD_RESIDENT
    add a5, a10, a5
    addi a6, a10, RECORD_ACCUMULATORS
    ee.vld.128.ip q4, a5, PIE_BYTES
    ee.vld.128.ip q5, a5, PIE_BYTES
    ee.vld.128.ip q6, a5, PIE_BYTES
    ee.vld.128.ip q7, a5, PIE_BYTES
    l32i a2, a1, FRAME_X
    l32i a3, a1, FRAME_Y
    add a12, a12, a5
    s32i a12, a1, FRAME_PASS_END
    l32i a13, a1, FRAME_ROWS
    mov a4, a5
.Lrow:
    l32i a9, a1, FRAME_PIXELS
    l32i a15, a1, FRAME_BODY
    s32i a2, a1, FRAME_ROW_X
    s32i a3, a1, FRAME_ROW_Y
    s32i a13, a1, FRAME_ROWS_LEFT
    jx a15
.Lrow_done:
    l32i a13, a1, FRAME_ROWS_LEFT
    l32i a2, a1, FRAME_ROW_X
    l32i a11, a1, FRAME_X_STEP
    l32i a3, a1, FRAME_ROW_Y
    l32i a12, a1, FRAME_Y_STEP
    addi a13, a13, -1
    add a2, a2, a11
    add a3, a3, a12
    bnez a13, .Lrow
    l32i a10, a1, FRAME_RECORD
    l32i a3, a1, FRAME_Y
    l32i a11, a10, RECORD_BYTES
    l32i a12, a1, FRAME_BLOCKS
    addi a3, a3, PIE_BYTES
    add a10, a10, a11
    addi a12, a12, -1
    s32i a3, a1, FRAME_Y
    s32i a10, a1, FRAME_RECORD
    s32i a12, a1, FRAME_BLOCKS
    bnez a12, .Lblock
    retw

/* The further shifts of a row's last pixel: its lanes are in q0, a10 is where to go then. As in FINISH_PIXEL. */
.Lmerge_shifts:
    s32i a10, a1, FRAME_RETURN
    l32i a11, a1, FRAME_RECORD
    l16ui a11, a11, RECORD_MORE_SHIFTS
    slli a10, a11, 4
    sub a15, a15, a10
1:
    ee.vld.128.ip q5, a15, PIE_BYTES
    ee.srcmb.s8.qacc q1, a12, 0
    ee.xorq q1, q1, q0
    ee.andq q1, q1, q5
    ee.xorq q0, q0, q1
    addi a11, a11, -1
    bnez a11, 1b
    l32i a10, a1, FRAME_RETURN
    ld.qr q5, a5, -48
    jx a10

/* What pixels of a first layer call, at that many steps before .Lall_steps as the block needs: see
 * BEGIN_FIRST_LAYER. */
    .set step, MOST_FURTHER_SHIFTS
    .rept MOST_FURTHER_SHIFTS
    ld.qr q5, a6, (-16 * step)
    ee.srcmb.s8.qacc q1, a15, 0
    ee.xorq q1, q1, q0
    ee.andq q1, q1, q5
    ee.xorq q0, q0, q1
    .set step, step - 1
    .endr
.Lall_steps:
    addi a12, a12, -1
    ld.qr q5, a5, -48
    beqz a12, .Lend_of_several
    movi a15, 0
    movi a9, 1
    ret
.Lend_of_several:
    l32i a0, a1, FRAME_RETURN
    jx a0
.Lend_of_rgb_row:
    addi a6, a5, -(RECORD_WEIGHTS - RECORD_ACCUMULATORS)
    movi a15, 0
    ee.vrelu.s8 q0, a10, a15
    l32i a0, a1, FRAME_LINK
    mov a4, a5
    ee.vst.128.xp q0, a3, a8
    j .Lrow_done
.Lend_of_row:
    l32i a0, a1, FRAME_LINK
    mov a6, a5
    ee.vmax.s8 q0, q0, q6
    addi a5, a5, (RECORD_WEIGHTS - RECORD_ACCUMULATORS)
    ee.vmin.s8 q0, q0, q7
    mov a4, a5
    ee.vst.128.xp q0, a3, a8
    j .Lrow_done
