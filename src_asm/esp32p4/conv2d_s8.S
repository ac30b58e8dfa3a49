/* conv2d_s8 for the ESP32-P4: lanes are 16 output channels, every MAC broadcasts one lane of the input.
 *
 * A block of 16 output channels is outermost, then rows, then pixels. QACC starts from the folded bias, every
 * vsmulas loads the next weights while it multiplies, srcmb shifts and saturates each lane by its own amount.
 *
 * Reads `blocks` (generator/pienn/codegen/packing_esp32p4.py), one record per block of outputs:
 *     word 0       offset in the call's list `bodies` of the one that computes a row
 *     word 1       bytes of a record
 *     word 2       bytes of one run of input: a kernel row of packed pixels; of TAPS the whole vectors of a tap
 *     word 3       minus the bytes of streamed weights (bodies with resident weights)
 *     16 int32     bias
 *     4 vectors    resident weights, or the shifts in the fourth
 *     vectors      streamed weights in the order of the MACs
 *     1 vector     shifts (bodies with resident weights)
 *
 * Contract: that of layers.h for `blocks`; groups = 1. What more a body asks is written at the body; the packer
 * and the planner choose. Reads up to 48 bytes beyond x and the records.
 *
 * Registers of a body, which computes one row:
 *     a0 x        a1 y        t0 end of y       a5 step of y
 *     a3 weights  a4 bias     t1 first weight   t4 minus bytes of streamed weights
 *     a6 bytes of a run       t2 from the end of a run to the next       s2 all kernel rows
 *     s1 step of x            t5, t6 clamp      q4-q7 as in the record   q0, q1 weights   q2, q3 input
 *     a2, a7, t3, s0, s7 free
 */
#include "pie.inc"
#include "stream.inc"

#define FRAME_CFG 0(sp)
#define FRAME_X 4(sp)
#define FRAME_Y 8(sp)
#define FRAME_ROW_BYTES 12(sp)
#define FRAME_ROWS 16(sp)
#define FRAME_TAP_STEP 20(sp)
#define FRAME_KERNEL_WIDTH 24(sp)
#define FRAME_BLOCKS 28(sp)

#define RECORD_BODY 0
#define RECORD_BYTES 4
#define RECORD_RUN 8
#define RECORD_STREAM 12
#define RECORD_BIAS 16
#define RECORD_RESIDENT 80
#define RECORD_WEIGHTS 144

/* A group of 16 lanes of which lane 4 has a resident weight, so that its MAC loads the input after next. */
.macro STREAM_AND_LOAD x, loaded, pointer, resident, even, odd
    STREAM \x, 0, 4, \even, \odd
    MAC_LOAD \loaded, \pointer, \resident, \x, 4
    STREAM \x, 5, 11, \even, \odd
.endm

/* q1 = result, y moves on, next pixel */
.macro FINISH_RESIDENT clamp, pixel
    REQUANTIZE_LANES q1, q0
    .if \clamp
    esp.vsat.s8 q1, q1, t5, t6
    .endif
    esp.vst.128.xp q1, a1, a5
    bne a1, t0, \pixel
    ret
.endm

/* ---- 1x1, few channels: the whole pixel unrolled ----
 *
 * Up to four weights stay in q4-q7; the load slots that they free load input, and the next pixel's first two
 * vectors are loaded by the last MACs of this one. Pixels of x must follow each other without gaps
 * (stride_x = 1, pixel_stride = ceil16(channels)). The load of the shifts also resets the pointer to weights.
 * Slots for K inputs: K + 8, for K = 128 four more, with a clamp one more. */
.macro POINTWISE_SHORT lanes, clamp
    esp.vld.128.ip q2, a0, 16
    .if \lanes > 16
    esp.vld.128.ip q3, a0, 16
    .endif
.Lpixel\@:
    LOAD_BIAS a4
    MAC_LOAD q0, a3, q4, q2, 0
    MAC_LOAD q1, a3, q5, q2, 1
    .if \lanes <= 16
    STREAM q2, 2, (\lanes-4)
    MAC q0, q2, (\lanes-2)
    esp.vld.128.xp q0, a3, t4
    MAC_LOAD q2, a0, q1, q2, (\lanes-1)
    .else
    STREAM q2, 2, 14
    .if \lanes > 32
    STREAM_AND_LOAD q3, q2, a0, q6, q0, q1
    STREAM_AND_LOAD q2, q3, a0, q7, q1, q0
    .endif
    .if \lanes > 64
    .rept \lanes / 32 - 2
    STREAM q3, 0, 2
    esp.vld.128.ip q2, a0, 16
    STREAM q3, 2, 14
    STREAM q2, 0, 2
    esp.vld.128.ip q3, a0, 16
    STREAM q2, 2, 14
    .endr
    .endif
    STREAM q3, 0, ((\lanes-1)%16-1)
    MAC_LOAD q2, a0, q0, q3, ((\lanes-2)%16)
    esp.vld.128.xp q0, a3, t4
    MAC_LOAD q3, a0, q1, q3, ((\lanes-1)%16)
    .endif
    FINISH_RESIDENT \clamp, .Lpixel\@
.endm

/* 1x1 over pixels that are apart: any stride_x, any pixel_stride. Nothing is loaded ahead, which would be far behind x.
 * Slots for K inputs: K + 8, and one per vector. */
.macro LOAD_APART x, last
    .if \last
    esp.vld.128.xp \x, a0, t3
    .else
    esp.vld.128.ip \x, a0, 16
    .endif
.endm
.macro VECTOR_APART x, first, vector, loaded
    .if vectors > \vector + 1
    STREAM \x, \first, 4
    LOAD_APART \loaded, (vectors == \vector + 2)
    STREAM \x, (\first + 4), (12 - \first)
    .else
    STREAM \x, \first, (last - 2 - \first)
    MAC q0, \x, (last - 2)
    esp.vld.128.xp q0, a3, t4
    MAC q1, \x, (last - 1)
    .endif
.endm
.macro POINTWISE_APART lanes
    .set vectors, (\lanes + 15) / 16
    .set last, \lanes - 16 * (vectors - 1)
    li t3, 16 * (vectors - 1)
    sub t3, s1, t3              /* from a pixel's last vector to the next pixel */
.Lpixel\@:
    LOAD_APART q2, (vectors == 1)
    LOAD_BIAS a4
    MAC_LOAD q0, a3, q4, q2, 0
    MAC_LOAD q1, a3, q5, q2, 1
    VECTOR_APART q2, 2, 0, q3
    .if vectors > 1
    VECTOR_APART q3, 0, 1, q2
    .endif
    .if vectors > 2
    VECTOR_APART q2, 0, 2, q3
    .endif
    .if vectors > 3
    VECTOR_APART q3, 0, 3, q2
    .endif
    .if vectors > 4
    VECTOR_APART q2, 0, 4, q3
    .endif
    FINISH_RESIDENT 1, .Lpixel\@
.endm

/* ---- 3x3 over 16 channels: all nine taps unrolled ----
 *
 * As above with one pointer per kernel row, whose last load steps back to the next pixel. pixel_stride = 16,
 * dilation 1. Lane 15 of group 7 comes last, so that both input registers can be loaded for the next pixel.
 * 158 slots. */
.macro NINE_TAPS
    add s0, t2, a6
    add a2, a0, s0
    add s0, a2, s0
    addi t3, s1, -32
    esp.vld.128.ip q2, a0, 16
    esp.vld.128.ip q3, a0, 16
.Lpixel\@:
    LOAD_BIAS a4
    MAC_LOAD q0, a3, q4, q2, 0
    MAC_LOAD q1, a3, q5, q2, 1
    STREAM q2, 2, 14
    STREAM q3, 0, 2
    esp.vld.128.xp q2, a0, t3
    STREAM q3, 2, 14
    STREAM_AND_LOAD q2, q3, a2, q6, q0, q1
    STREAM_AND_LOAD q3, q2, a2, q7, q1, q0
    STREAM q2, 0, 2
    esp.vld.128.xp q3, a2, t3
    STREAM q2, 2, 14
    STREAM q3, 0, 2
    esp.vld.128.ip q2, s0, 16
    STREAM q3, 2, 14
    STREAM q2, 0, 2
    esp.vld.128.ip q3, s0, 16
    STREAM q2, 2, 14
    STREAM q3, 0, 2
    esp.vld.128.xp q2, s0, t3
    STREAM q3, 2, 13
    STREAM q2, 0, 15, q1, q0
    MAC_LOAD q2, a0, q0, q2, 15
    esp.vld.128.xp q0, a3, t4
    MAC_LOAD q3, a0, q1, q3, 15
    FINISH_RESIDENT 1, .Lpixel\@
.endm

/* ---- 3x3 over 17 to 24 or 25 to 32 channels: all taps unrolled ----
 *
 * As above with two vectors per tap, of the second of which `second` lanes count; one pointer, whose load of a
 * row's last vector steps to the next row, or to the next pixel. pixel_stride = 32, dilation 1.
 * 23 + 9 * (16 + second) slots. */
.macro LOAD_IN_GROUP x, lanes, loaded, step=0
    STREAM \x, 0, 2
    .ifc \step, 0
    esp.vld.128.ip \loaded, a0, 16
    .else
    esp.vld.128.xp \loaded, a0, \step
    .endif
    STREAM \x, 2, (\lanes-2)
.endm
.macro NINE_TAPS_OF_PAIRS second
    add t3, t2, a6
    slli a2, t3, 1
    sub a2, s1, a2
    addi a2, a2, -80            /* from the last vector of a window to the next window */
    addi t3, t3, -80            /* from the last vector of a row to the next row */
    esp.vld.128.ip q2, a0, 16
    esp.vld.128.ip q3, a0, 16
.Lpixel\@:
    LOAD_BIAS a4
    MAC_LOAD q0, a3, q4, q2, 0
    MAC_LOAD q1, a3, q5, q2, 1
    STREAM q2, 2, 14
    STREAM q3, 0, 4
    MAC_LOAD q2, a0, q6, q3, 4
    STREAM q3, 5, (\second-5)
    STREAM_AND_LOAD q2, q3, a0, q7, q1, q0
    LOAD_IN_GROUP q3, \second, q2
    LOAD_IN_GROUP q2, 16, q3, t3
    .rept 2
    LOAD_IN_GROUP q3, \second, q2
    LOAD_IN_GROUP q2, 16, q3
    .endr
    LOAD_IN_GROUP q3, \second, q2
    LOAD_IN_GROUP q2, 16, q3, t3
    .rept 2
    LOAD_IN_GROUP q3, \second, q2
    LOAD_IN_GROUP q2, 16, q3
    .endr
    LOAD_IN_GROUP q3, \second, q2
    LOAD_IN_GROUP q2, 16, q3, a2
    STREAM q3, 0, (\second-2)
    MAC_LOAD q2, a0, q0, q3, (\second-2)
    esp.vld.128.xp q0, a3, t4
    MAC_LOAD q3, a0, q1, q3, (\second-1)
    FINISH_RESIDENT 1, .Lpixel\@
.endm

/* ---- Any size ---- */

/* Weights from their start, bias into QACC. */
.macro START_LONG
    LOAD_BIAS a4
    mv a3, t1
    esp.vld.128.ip q0, a3, 16
    esp.vld.128.ip q1, a3, 16
.endm

.macro FINISH_LONG pixel
    REQUANTIZE_LANES q2, q7
    esp.vsat.s8 q2, q2, t5, t6
    esp.vst.128.xp q2, a1, a5
    bne a1, t0, \pixel
    ret
.endm

/* 1x1, channels a multiple of 16 * groups. Slots: 13 + K * (1 + 1/16 + 1/(16 * groups)). */
.macro POINTWISE_LONG groups
    sub t3, s1, a6
.Lpixel\@:
    START_LONG
    add a7, a0, a6
.Lchunk\@:
    CHUNK a0, \groups
    bne a0, a7, .Lchunk\@
    add a0, a0, t3
    FINISH_LONG .Lpixel\@
.endm

/* Kernel rows are runs of whole chunks: dilation_x = 1, pixel_stride = ceil16(channels) or kernel_width = 1. */
.macro RUNS groups
.Lpixel\@:
    START_LONG
    mv a2, a0
    add s0, a0, s2
.Lrun\@:
    add a7, a2, a6
.Lchunk\@:
    CHUNK a2, \groups
    bne a2, a7, .Lchunk\@
    add a2, a2, t2
    bne a2, s0, .Lrun\@
    add a0, a0, s1
    FINISH_LONG .Lpixel\@
.endm

/* As RUNS with chunks of one vector: rows of any length. */
.macro RUNS_OF_SINGLES
    addi t3, t2, -16
.Lpixel\@:
    START_LONG
    mv a2, a0
    add s0, a0, s2
.Lrun\@:
    add a7, a2, a6
    esp.vld.128.ip q2, a2, 16
    addi a7, a7, 16
.Lgroup\@:
    STREAM q2, 0, 16
    esp.vld.128.ip q2, a2, 16   /* the next, or one too many */
    bne a2, a7, .Lgroup\@
    add a2, a2, t3
    bne a2, s0, .Lrun\@
    add a0, a0, s1
    FINISH_LONG .Lpixel\@
.endm

/* Taps anywhere: any pixel_stride, any dilation. `whole` vectors, one or two, and one more of which 8 lanes count */
.macro TAPS_UNROLLED whole
    lw t3, FRAME_TAP_STEP
    addi t3, t3, -16 * \whole
.Lpixel\@:
    START_LONG
    mv s0, a0
.Lrow\@:
    lw s7, FRAME_KERNEL_WIDTH
    mv a2, s0
.Ltap\@:
    esp.vld.128.ip q2, a2, 16
    .if \whole == 1
    esp.vld.128.xp q3, a2, t3
    STREAM q2, 0, 16
    addi s7, s7, -1
    STREAM q3, 0, 8
    .else
    esp.vld.128.ip q3, a2, 16
    STREAM q2, 0, 16
    STREAM q3, 0, 2
    esp.vld.128.xp q2, a2, t3
    STREAM q3, 2, 14
    addi s7, s7, -1
    STREAM q2, 0, 8
    .endif
    bnez s7, .Ltap\@
    add s0, s0, t2
    add a7, a0, s2
    add s0, s0, a6
    bne s0, a7, .Lrow\@
    add a0, a0, s1
    FINISH_LONG .Lpixel\@
.endm

/* As above: a run of any number of whole vectors, and with `half` one more of which 8 lanes count */
.macro TAPS whole, half
    lw t3, FRAME_TAP_STEP
    sub t3, t3, a6
    .if \half
    addi t3, t3, -16
    .endif
.Lpixel\@:
    START_LONG
    mv s0, a0
.Lrow\@:
    lw s7, FRAME_KERNEL_WIDTH
    mv a2, s0
.Ltap\@:
    .if \whole
    add a7, a2, a6
.Lgroup\@:
    esp.vld.128.ip q2, a2, 16
    STREAM q2, 0, 16
    bne a2, a7, .Lgroup\@
    .endif
    .if \half
    esp.vld.128.ip q2, a2, 16
    addi s7, s7, -1
    STREAM q2, 0, 8
    .else
    addi s7, s7, -1
    .endif
    add a2, a2, t3
    bnez s7, .Ltap\@
    add s0, s0, t2
    add a7, a0, s2
    add s0, s0, a6
    bne s0, a7, .Lrow\@
    add a0, a0, s1
    FINISH_LONG .Lpixel\@
.endm

/* ---- First layers: few channels, pixels without gaps (pixel_stride = channels) ----
 *
 * The first window starts at a multiple of 16 bytes, and so does every row. A kernel row is one run of bytes, whose
 * place in its vectors depends on the pixel alone: it is the same again after 16 / gcd(16, step) pixels, which are
 * unrolled, each with the lanes named. */

/* 3x3 over 3 channels: 9 bytes a run. Three registers hold the vectors in which the runs of the three kernel rows
 * begin, the fourth takes those in which runs end. Two weights are resident.
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

.macro RUN_MAC index, lane, x, next, weight, loaded
    .if \lane+\index < 16
    .ifb \loaded
    MAC \weight, \x, (\lane+\index)
    .else
    MAC_LOAD \loaded, a3, \weight, \x, (\lane+\index)
    .endif
    .else
    .ifb \loaded
    MAC \weight, \next, (\lane+\index-16)
    .else
    MAC_LOAD \loaded, a3, \weight, \next, (\lane+\index-16)
    .endif
    .endif
.endm
.macro RUN_LOAD mode, next, pointer
    .if (\mode == BORROW) || (\mode == KEEP_HERE)
    esp.vld.128.ip \next, \pointer, 0
    .elseif \mode != NOTHING
    esp.vld.128.ip \next, \pointer, 16
    .endif
.endm
.macro RUN_MIDDLE lane, x, next, even, odd
    RUN_MAC 2, \lane, \x, \next, \even, \even
    RUN_MAC 3, \lane, \x, \next, \odd, \odd
    RUN_MAC 4, \lane, \x, \next, \even, \even
    RUN_MAC 5, \lane, \x, \next, \odd, \odd
    RUN_MAC 6, \lane, \x, \next, \even, \even
.endm
.macro RGB_PIXEL lane, mode, row0, row1, row2, next0, next1, next2, done
    LOAD_BIAS a4
    RUN_LOAD \mode, \next0, a0
    RUN_MAC 0, \lane, \row0, \next0, q4, q0
    RUN_MAC 1, \lane, \row0, \next0, q5, q1
    RUN_MIDDLE \lane, \row0, \next0, q0, q1
    RUN_MAC 7, \lane, \row0, \next0, q1, q1
    RUN_MAC 8, \lane, \row0, \next0, q0, q0
    RUN_LOAD \mode, \next1, a2
    RUN_MAC 0, \lane, \row1, \next1, q1, q1
    RUN_MAC 1, \lane, \row1, \next1, q0, q0
    RUN_MIDDLE \lane, \row1, \next1, q1, q0
    RUN_MAC 7, \lane, \row1, \next1, q0, q0
    RUN_MAC 8, \lane, \row1, \next1, q1, q1
    RUN_LOAD \mode, \next2, s0
    RUN_MAC 0, \lane, \row2, \next2, q0, q0
    RUN_MAC 1, \lane, \row2, \next2, q1, q1
    RUN_MIDDLE \lane, \row2, \next2, q0, q1
    RUN_MAC 7, \lane, \row2, \next2, q1
    esp.vld.128.xp q1, a3, t4
    RUN_MAC 8, \lane, \row2, \next2, q0
    REQUANTIZE_LANES q1, q1
    esp.vsat.s8 q1, q1, t5, t6
    esp.vst.128.xp q1, a1, a5
    beq a1, t0, \done
.endm

/* The registers after none, one, two and three changes */
.macro RGB_0 lane, mode, done
    .if \mode == BORROW
    RGB_PIXEL \lane, \mode, q2, q3, q6, q7, q7, q7, \done
    .else
    RGB_PIXEL \lane, \mode, q2, q3, q6, q7, q2, q3, \done
    .endif
.endm
.macro RGB_1 lane, mode, done
    .if \mode == BORROW
    RGB_PIXEL \lane, \mode, q7, q2, q3, q6, q6, q6, \done
    .else
    RGB_PIXEL \lane, \mode, q7, q2, q3, q6, q7, q2, \done
    .endif
.endm
.macro RGB_2 lane, mode, done
    .if \mode == BORROW
    RGB_PIXEL \lane, \mode, q6, q7, q2, q3, q3, q3, \done
    .else
    RGB_PIXEL \lane, \mode, q6, q7, q2, q3, q6, q7, \done
    .endif
.endm
.macro RGB_3 lane, mode, done
    .if \mode == BORROW
    RGB_PIXEL \lane, \mode, q3, q6, q7, q2, q2, q2, \done
    .else
    RGB_PIXEL \lane, \mode, q3, q6, q7, q2, q3, q6, \done
    .endif
.endm

.macro RGB_START
    add a2, a0, t2
    add s0, a2, t2
    esp.vld.128.ip q2, a0, 16
    esp.vld.128.ip q3, a2, 16
    esp.vld.128.ip q6, s0, 16
.endm

/* stride_x = 1: the n-th pixel begins at lane 3 n mod 16. 37.5 slots. */
.macro RGB_STEP_3
    RGB_START
1:
    RGB_0 0, NOTHING, 9f
    RGB_0 3, NOTHING, 9f
    RGB_0 6, NOTHING, 9f
    RGB_0 9, BORROW, 9f
    RGB_0 12, BORROW, 9f
    RGB_0 15, KEEP_HERE, 9f
    RGB_1 2, TURN, 9f
    RGB_2 5, NOTHING, 9f
    RGB_2 8, BORROW, 9f
    RGB_2 11, BORROW, 9f
    RGB_2 14, KEEP, 9f
    RGB_3 1, NOTHING, 9f
    RGB_3 4, NOTHING, 9f
    RGB_3 7, NOTHING, 9f
    RGB_3 10, BORROW, 9f
    RGB_3 13, KEEP, 9f
    j 1b
9:
    ret
.endm

/* stride_x = 2: lane 6 n mod 16. 38 slots. */
.macro RGB_STEP_6
    RGB_START
1:
    RGB_0 0, NOTHING, 9f
    RGB_0 6, NOTHING, 9f
    RGB_0 12, KEEP_HERE, 9f
    RGB_1 2, TURN, 9f
    RGB_2 8, BORROW, 9f
    RGB_2 14, KEEP, 9f
    RGB_3 4, NOTHING, 9f
    RGB_3 10, KEEP, 9f
    j 1b
9:
    ret
.endm

/* stride_x = 2, up to 8 outputs: two pixels at once, whose runs together are 15 bytes. Lanes 0 to 7 are the left pixel's
 * outputs, with weights of 0 for its neighbour's bytes, and the other way round. The n-th pair begins at lane 12 n mod 16.
 * 63 slots for two pixels. `count` numbers the 45 products. */
.macro PAIR_RUN x, next
    .set index, 0
    .rept 15
    .if count == 0
    RUN_MAC index, begin, \x, \next, q4, q0
    .elseif count == 1
    RUN_MAC index, begin, \x, \next, q5, q1
    .elseif count == 43
    RUN_MAC index, begin, \x, \next, q1
    esp.vld.128.xp q1, a3, t4
    .elseif count == 44
    RUN_MAC index, begin, \x, \next, q0
    .elseif count & 1
    RUN_MAC index, begin, \x, \next, q1, q1
    .else
    RUN_MAC index, begin, \x, \next, q0, q0
    .endif
    .set index, index + 1
    .set count, count + 1
    .endr
.endm
.macro RGB_PAIRS_STEP_6
    add a2, a0, t2
    add s0, a2, t2
1:
    .set begin, 0
    .rept 4
    .set count, 0
    .set onward, -16            /* or 0, if the next pair begins in the next vector */
    .if begin + 12 >= 16
    .set onward, 0
    .endif
    esp.vld.128.ip q2, a0, 16
    esp.vld.128.ip q3, a0, onward
    esp.vld.128.ip q6, a2, 16
    esp.vld.128.ip q7, a2, onward
    LOAD_BIAS a4
    PAIR_RUN q2, q3
    esp.vld.128.ip q2, s0, 16
    esp.vld.128.ip q3, s0, onward
    PAIR_RUN q6, q7
    PAIR_RUN q2, q3
    REQUANTIZE_LANES q1, q1
    esp.vsat.s8 q1, q1, t5, t6
    esp.vst.l.64.xp q1, a1, a5
    beq a1, t0, 9f
    esp.vst.h.64.xp q1, a1, a5
    beq a1, t0, 9f
    .set begin, (begin + 12) % 16
    .endr
    j 1b
9:
    ret
.endm

/* An even number of kernel rows, runs of `bytes`, a pixel every `step` bytes: a loop over kernel rows, two at a time
 * where a run lies in one vector. */
.macro SHORT_RUNS bytes, step, pixels
    addi t3, t2, -16
    mv s10, t2
1:
    .set begin, 0
    .rept \pixels
    START_LONG
    mv a2, a0
    add s0, a0, s2
2:
    .if begin + \bytes > 16
    esp.vld.128.ip q2, a2, 16
    esp.vld.128.xp q3, a2, t3
    STREAM q2, begin, (16-begin)
    .if (16-begin) & 1
    STREAM q3, 0, (begin+\bytes-16), q1, q0
    .else
    STREAM q3, 0, (begin+\bytes-16)
    .endif
    .else
    esp.vld.128.xp q2, a2, s10
    esp.vld.128.xp q3, a2, s10
    STREAM q2, begin, \bytes
    STREAM q3, begin, \bytes
    .endif
    bne a2, s0, 2b
    .set begin, begin + \step
    .if begin >= 16
    .set begin, begin - 16
    addi a0, a0, 16
    .endif
    REQUANTIZE_LANES q2, q7
    esp.vsat.s8 q2, q2, t5, t6
    esp.vst.128.xp q2, a1, a5
    beq a1, t0, 9f
    .endr
    j 1b
9:
    lw s10, FRAME_BLOCKS
    ret
.endm

/* Ten kernel rows of runs of 4 bytes, a pixel every 2: all unrolled, two weights stay. 61 slots. */
.macro TEN_ROWS_OF_4
    addi t3, t2, -16
    mv s10, t2
1:
    .set begin, 0
    .rept 8
    LOAD_BIAS a4
    mv a2, a0
    .if begin + 4 > 16
    esp.vld.128.ip q2, a2, 16
    esp.vld.128.xp q3, a2, t3
    MAC_LOAD q0, a3, q4, q2, 14
    MAC_LOAD q1, a3, q5, q2, 15
    .rept 9
    STREAM q3, 0, 2
    esp.vld.128.ip q2, a2, 16
    esp.vld.128.xp q3, a2, t3
    STREAM q2, 14, 2
    .endr
    .set begin, -2              /* the run's last two are lanes 0 and 1 */
    addi a0, a0, 16
    .else
    esp.vld.128.xp q2, a2, s10
    esp.vld.128.xp q3, a2, s10
    MAC_LOAD q0, a3, q4, q2, begin
    MAC_LOAD q1, a3, q5, q2, (begin+1)
    STREAM q2, (begin+2), 2
    .rept 4
    esp.vld.128.xp q2, a2, s10
    STREAM q3, begin, 4
    esp.vld.128.xp q3, a2, s10
    STREAM q2, begin, 4
    .endr
    STREAM q3, begin, 2
    .endif
    MAC q0, q3, (begin+2)
    esp.vld.128.xp q0, a3, t4
    MAC q1, q3, (begin+3)
    .set begin, begin + 2
    REQUANTIZE_LANES q1, q0
    esp.vsat.s8 q1, q1, t5, t6
    esp.vst.128.xp q1, a1, a5
    beq a1, t0, 9f
    .endr
    j 1b
9:
    lw s10, FRAME_BLOCKS
    ret
.endm

/* Conv2dBody of the packer */
BODY pienn_conv2d_s8_p4_short_8
    POINTWISE_SHORT 8, 0
BODY pienn_conv2d_s8_p4_short_16
    POINTWISE_SHORT 16, 0
BODY pienn_conv2d_s8_p4_short_32
    POINTWISE_SHORT 32, 0
BODY pienn_conv2d_s8_p4_short_64
    POINTWISE_SHORT 64, 0
BODY pienn_conv2d_s8_p4_short_8_clamped
    POINTWISE_SHORT 8, 1
BODY pienn_conv2d_s8_p4_short_16_clamped
    POINTWISE_SHORT 16, 1
BODY pienn_conv2d_s8_p4_short_24_clamped
    POINTWISE_SHORT 24, 1
BODY pienn_conv2d_s8_p4_short_32_clamped
    POINTWISE_SHORT 32, 1
BODY pienn_conv2d_s8_p4_short_64_clamped
    POINTWISE_SHORT 64, 1
BODY pienn_conv2d_s8_p4_short_128_clamped
    POINTWISE_SHORT 128, 1
BODY pienn_conv2d_s8_p4_short_8_apart
    POINTWISE_APART 8
BODY pienn_conv2d_s8_p4_short_16_apart
    POINTWISE_APART 16
BODY pienn_conv2d_s8_p4_short_24_apart
    POINTWISE_APART 24
BODY pienn_conv2d_s8_p4_short_32_apart
    POINTWISE_APART 32
BODY pienn_conv2d_s8_p4_short_40_apart
    POINTWISE_APART 40
BODY pienn_conv2d_s8_p4_short_48_apart
    POINTWISE_APART 48
BODY pienn_conv2d_s8_p4_short_72_apart
    POINTWISE_APART 72
BODY pienn_conv2d_s8_p4_nine_taps_16
    NINE_TAPS
BODY pienn_conv2d_s8_p4_nine_taps_24
    NINE_TAPS_OF_PAIRS 8
BODY pienn_conv2d_s8_p4_nine_taps_32
    NINE_TAPS_OF_PAIRS 16
BODY pienn_conv2d_s8_p4_long_4
    POINTWISE_LONG 4
BODY pienn_conv2d_s8_p4_runs_6
    RUNS 6
BODY pienn_conv2d_s8_p4_runs_3
    RUNS 3
BODY pienn_conv2d_s8_p4_runs_1
    RUNS_OF_SINGLES
BODY pienn_conv2d_s8_p4_taps_24
    TAPS_UNROLLED 1
BODY pienn_conv2d_s8_p4_taps_40
    TAPS_UNROLLED 2
BODY pienn_conv2d_s8_p4_taps_whole
    TAPS 1, 0
BODY pienn_conv2d_s8_p4_taps_half
    TAPS 0, 1
BODY pienn_conv2d_s8_p4_taps_whole_half
    TAPS 1, 1
BODY pienn_conv2d_s8_p4_rgb_step_3
    RGB_STEP_3
BODY pienn_conv2d_s8_p4_rgb_step_6
    RGB_STEP_6
BODY pienn_conv2d_s8_p4_rgb_pairs_step_6
    RGB_PAIRS_STEP_6
BODY pienn_conv2d_s8_p4_runs_of_4_step_2
    SHORT_RUNS 4, 2, 8
BODY pienn_conv2d_s8_p4_ten_rows_of_4
    TEN_ROWS_OF_4

    .text
/* void pienn_conv2d_s8_p4(const int8_t *x, int8_t *y, const pienn_conv2d_s8_params *p)
 *
 *     s3 rows left      s4 x row    s6 y row    s9 step of s4    s11 step of s6
 *     s5 body           s7 p        s8 record   s10 blocks left */
FUNCTION pienn_conv2d_s8_p4
    ENTER
    SAVE_ROUNDING FRAME_CFG, a3
    sw a0, FRAME_X
    sw a1, FRAME_Y
    mv s7, a2
    lw s8, PIENN_CONV2D_S8_BLOCKS(s7)
    lw s10, PIENN_CONV2D_S8_Y_CHANNELS(s7)
    lw t5, PIENN_CONV2D_S8_MINIMUM(s7)
    lw t6, PIENN_CONV2D_S8_MAXIMUM(s7)
    lw a5, PIENN_CONV2D_S8_Y_PIXEL_STRIDE(s7)
    lw s11, PIENN_CONV2D_S8_Y_ROW_STRIDE(s7)
    lw a7, PIENN_CONV2D_S8_Y_WIDTH(s7)
    lw s3, PIENN_CONV2D_S8_Y_HEIGHT(s7)
    lw s9, PIENN_CONV2D_S8_X_ROW_STRIDE(s7)
    lw t2, PIENN_CONV2D_S8_DILATION_Y(s7)
    lw s2, PIENN_CONV2D_S8_KERNEL_HEIGHT(s7)
    lw s1, PIENN_CONV2D_S8_X_PIXEL_STRIDE(s7)
    lw t3, PIENN_CONV2D_S8_STRIDE_X(s7)
    lw t4, PIENN_CONV2D_S8_STRIDE_Y(s7)
    lw a6, RECORD_RUN(s8)
    lw t0, PIENN_CONV2D_S8_DILATION_X(s7)
    lw t1, PIENN_CONV2D_S8_KERNEL_WIDTH(s7)
    mul t0, t0, s1
    sw t0, FRAME_TAP_STEP
    sw t1, FRAME_KERNEL_WIDTH
    addi s10, s10, 15
    srli s10, s10, 4
    mul t2, t2, s9              /* between kernel rows */
    mul s2, s2, t2
    sub t2, t2, a6
    mul s9, s9, t4
    mul s1, s1, t3
    mul t3, s1, a7              /* what one row of y walks over in x, and in y */
    mul t4, a5, a7
    /* Rows without gaps between them are one long row. */
    bne t3, s9, 1f
    bne t4, s11, 1f
    mul t4, t4, s3
    li s3, 1
1:
    sw t4, FRAME_ROW_BYTES
    sw s3, FRAME_ROWS
    lw t0, PIENN_CONV2D_S8_BODIES(s7)
    lw t1, RECORD_BODY(s8)
    add t0, t0, t1
    lw s5, 0(t0)
.Lblock:
    ROUND_DOWN t4
    lw t4, RECORD_STREAM(s8)
    lw s4, FRAME_X
    lw s6, FRAME_Y
    lw s3, FRAME_ROWS
    addi a4, s8, RECORD_BIAS
    addi a3, s8, RECORD_RESIDENT
    esp.vld.128.ip q4, a3, 16
    esp.vld.128.ip q5, a3, 16
    esp.vld.128.ip q6, a3, 16
    esp.vld.128.ip q7, a3, 16
    mv t1, a3
    sw s10, FRAME_BLOCKS
.Lrow:
    lw t0, FRAME_ROW_BYTES
    mv a0, s4
    mv a1, s6
    add t0, t0, s6
    add s4, s4, s9
    add s6, s6, s11
    addi s3, s3, -1
    jalr s5
    bnez s3, .Lrow
    UNLESS_ROUNDED_DOWN a0, .Lblock
    lw t0, RECORD_BYTES(s8)
    lw t1, FRAME_Y
    add s8, s8, t0
    addi t1, t1, PIE_BYTES
    sw t1, FRAME_Y
    addi s10, s10, -1
    bnez s10, .Lblock
    RESTORE_ROUNDING FRAME_CFG, a3
    LEAVE
