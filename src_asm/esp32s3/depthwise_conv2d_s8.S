/* depthwise_conv2d_s8 for the ESP32-S3: lanes are 16 channels, every MAC multiplies a vector of one pixel with the
 * weights of one tap.
 *
 * Reads `blocks`: see record.inc. The weights of three taps in the middle (of one, where results are clamped) stay in
 * registers; the others stream, with q0 and q1 in turn. Every MAC loads a vector of input. Pixels are walked with the
 * taps forwards and backwards in turn, so that the last two streamed weights of a pixel are the first two of the next;
 * the result of a pixel is stored between the last MAC of the next and its srcmb, which must not follow each other.
 *
 * Contract: that of layers.h for `blocks`. Nothing is read beyond x, and up to 48 bytes beyond the records.
 *
 * Registers of a body, which computes all rows, or one:
 *     a2 x           a3 y             a4 weights         a5 rows left       a6 QACC image   a7 shift
 *     a8 step of y   a9 pairs         q0, q1 weights     q2, q3 input       q4 result
 *     q5-q7 resident weights, or q5 the weight and q6, q7 the minimum and the maximum
 *     a10 to the next tap             a11 to the next row of taps
 *     a12, a13 both backwards         a14, a15 from the last tap of a pixel to the first of the next, walked
 *                                     backwards and forwards; 0 for the last pixel, which loads something for nothing
 */
#include "pie.inc"
#include "record.inc"

#define FRAME_X 0
#define FRAME_Y 4
#define FRAME_ROWS 8
#define FRAME_PIXELS 12
#define FRAME_X_STEP 16
#define FRAME_Y_ROW_STEP 20
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
#define FRAME_SPAN 68         /* rows that a body computes: all, or one */
#define FRAME_BORDER 72       /* of x, from the last pixel of a row to the next row */
#define FRAME_FIRST_PAIRS 76
#define FRAME_PAIRS 80        /* of rows, by whether an even or an odd number of them is left */
#define FRAME_Y_STEP 88       /* between pixels */
#define FRAME_BODIES 92
#define FRAME_RETURN 96
#define FRAME_SHIFT_STEP 100
#define FRAME_RELU 104
#define FRAME_BYTES 144

/* QACC += x * weight; then x = vector at a2, which moves by `step` */
.macro TAP x, weight, step
    ee.vmulas.s8.qacc.ld.xp \x, a2, \step, \x, \weight
.endm

/* The step from tap `loaded` to the one that is walked next, forwards or backwards, and TAP with it. */
.macro TAP_FORWARDS x, weight, width, taps, loaded, border
    .if (\loaded) == \taps - 1
    TAP \x, \weight, \border
    .elseif (\loaded) % \width == \width - 1
    TAP \x, \weight, a11
    .else
    TAP \x, \weight, a10
    .endif
.endm
.macro TAP_BACKWARDS x, weight, width, taps, loaded, border
    .if (\loaded) == 0
    TAP \x, \weight, \border
    .elseif (\loaded) % \width == 0
    TAP \x, \weight, a13
    .else
    TAP \x, \weight, a12
    .endif
.endm

/* One MAC: tap number `tap` in walking order, of an input in q2 or q3 (`side` 0 or 1), with `weight`. It loads the
 * input of the tap after next, which may belong to the next pixel, walked the other way. */
.macro WALK forwards, tap, side, weight, width, taps, border
    .if \tap + 2 < \taps
    .set ahead, \tap + 2
    .set same_way, 1
    .else
    .set ahead, \tap + 2 - \taps
    .set same_way, 0
    .endif
    .if \forwards == same_way
    .if \side
    TAP_FORWARDS q3, \weight, \width, \taps, ahead, \border
    .else
    TAP_FORWARDS q2, \weight, \width, \taps, ahead, \border
    .endif
    .else
    .if \side
    TAP_BACKWARDS q3, \weight, \width, \taps, (\taps - 1 - ahead), \border
    .else
    TAP_BACKWARDS q2, \weight, \width, \taps, (\taps - 1 - ahead), \border
    .endif
    .endif
.endm

/* A pixel, from whose last tap `border` is the step to the next pixel. Streamed weights are numbered by their tap, without the resident ones; number n lives in q0 or q1 as n is
 * even or odd, and is loaded by its predecessor but one in walking order. `side` is kept for the next pixel. */
.macro PIXEL forwards, width, taps, residents, clamp, further, border
    LOAD_ACCUMULATORS a6
    .set first_resident, (\taps - \residents) / 2
    .set streamed, \taps - \residents
    .set walked, 0
    .rept \taps
    .if \forwards
    .set tap, walked
    .else
    .set tap, \taps - 1 - walked
    .endif
    .set resident, tap - first_resident
    .set number, tap
    .if tap >= first_resident + \residents
    .set number, tap - \residents
    .endif
    .if resident == 0
    WALK \forwards, walked, side, q5, \width, \taps, \border
    .elseif resident > 0 && resident < \residents
    .if resident == 1
    WALK \forwards, walked, side, q6, \width, \taps, \border
    .else
    WALK \forwards, walked, side, q7, \width, \taps, \border
    .endif
    .else
    .if number % 2
    WALK \forwards, walked, side, q1, \width, \taps, \border
    .else
    WALK \forwards, walked, side, q0, \width, \taps, \border
    .endif
    .if \forwards
    .if number + 2 < streamed
    .if number + 3 == streamed
    STREAM_LOAD (number % 2), -32
    .else
    STREAM_LOAD (number % 2), 16
    .endif
    .endif
    .else
    .if number >= 2
    .if number == 2
    STREAM_LOAD (number % 2), 32
    .else
    STREAM_LOAD (number % 2), -16
    .endif
    .endif
    .endif
    .endif
    .set side, 1 - side
    .set walked, walked + 1
    .endr
    ee.vst.128.xp q4, a3, a8
    ee.srcmb.s8.qacc q4, a7, 0
    .if \further
    .set step, \further
    .rept \further
    ld.qr q6, a0, (-16 * step)
    ee.srcmb.s8.qacc q5, a5, 0
    ee.xorq q5, q5, q4
    ee.andq q5, q5, q6
    ee.xorq q4, q4, q5
    .set step, step - 1
    .endr
    ld.qr q6, a6, 80
    ld.qr q5, a6, 64
    .endif
    .if \clamp == 1
    ee.vrelu.s8 q4, a5, a0
    .elseif \clamp == 2
    ee.vmax.s8 q4, q4, q6
    ee.vmin.s8 q4, q4, q7
    .endif
.endm
.macro STREAM_LOAD odd, step
    .if \odd
    ee.vld.128.ip q1, a4, \step
    .else
    ee.vld.128.ip q0, a4, \step
    .endif
.endm

/* An image of two columns at least: all pixels follow each other, walked forwards and backwards in turn, pairs in a
 * loop whose ends are set once. The pair in which a row ends is another one, whose steps to the next pixel are a15 and
 * a9: one of them, in rows of an odd number of columns in turn, is the step to the next row. Behind the last pixel of
 * all it is 0, and so is the other: of an odd number of pixels the last pair has one too much.
 *
 * The first pair runs with a step of y of 0: what is stored for the pixel before the first is overwritten. `clamp` is 0
 * for none, 1 for none or a relu at 0 as the record says, 2 for any; `further`: steps to further shifts, for whose list
 * a0 is used.
 * dilation_x = 1; y without gaps between its rows, or one row. Slots per pixel: 2 * taps + 1, with relu 1 more, with
 * clamp 4, with steps to further shifts 2 and 5 for each. Of a row: 14, and 3 more of an odd number of columns.
 *
 * a7 also holds, above the shift: */
#define FIRST_BIT 6           /* the first pair is being computed */
#define FIRST 64
#define ODD_BIT 7             /* rows have an odd number of columns */
#define ODD 128
#define ROW_BIT 8             /* how many rows are left */
#define ROW 256
.macro WALKED height, width, residents, clamp, further
    WALKED_OF \height, \width, \residents, \clamp, \further, \@
.endm
.macro PAIR width, taps, residents, clamp, further, middle, end
    .set side, 0
    PIXEL 1, \width, \taps, \residents, \clamp, \further, \middle
    PIXEL 0, \width, \taps, \residents, \clamp, \further, \end
.endm
.macro WALKED_OF height, width, residents, clamp, further, id
    l32i a4, a1, FRAME_RECORD
    .if \further
    s32i a0, a1, FRAME_RETURN
    l32i a0, a4, RECORD_LIST
    l16ui a5, a4, RECORD_SHIFT_STEP
    add a0, a0, a4
    addi a0, a0, (16 * \further)
    s32i a5, a1, FRAME_SHIFT_STEP
    .elseif \clamp == 1
    s32i a0, a1, FRAME_RETURN
    l32i a5, a4, RECORD_RELU
    movi a0, 0
    s32i a5, a1, FRAME_RELU
    .endif
    l32i a7, a4, RECORD_SHIFT
    l32i a5, a1, FRAME_SPAN
    l32i a9, a1, FRAME_PIXELS
    slli a8, a5, ROW_BIT
    addi a7, a7, FIRST
    add a7, a7, a8
    /* pairs before that of a row's end, less one, for the first row less the first pair */
    srli a8, a9, 1
    addi a8, a8, -2
    addi a10, a8, -1
    s32i a8, a1, FRAME_PAIRS
    s32i a8, a1, FRAME_PAIRS + 4
    bbci a9, 0, .Leven\id
    movi a11, ODD
    extui a12, a5, 0, 1
    or a7, a7, a11
    addx4 a12, a12, a1
    mov a10, a8
    addi a8, a8, 1
    s32i a8, a12, FRAME_PAIRS
.Leven\id:
    s32i a10, a1, FRAME_FIRST_PAIRS
    l32i a11, a1, FRAME_LINE
    l32i a10, a1, FRAME_TAP_STEP
    movi a12, (\width - 1)
    movi a13, RECORD_WEIGHTS
    mull a12, a12, a10
    add a4, a4, a13
    l32i a14, a1, FRAME_PIXEL_STEP
    sub a11, a11, a12
    neg a12, a10
    neg a13, a11
    mov a15, a14
    bnei a9, 2, .Lwide\id
    l32i a14, a1, FRAME_BORDER
    movi a8, 0
    addi a5, a5, -1
    moveqz a14, a8, a5          /* one row */
.Lwide\id:
    mov a9, a14
    mov a14, a15
    movi a8, .Lbegin\id
    wsr.lbeg a8
    movi a8, .Lend\id
    wsr.lend a8
    ee.vld.128.xp q2, a2, a10
    ee.vld.128.ip q0, a4, PIE_BYTES
    ee.vld.128.xp q3, a2, a10
    ee.vld.128.ip q1, a4, PIE_BYTES
    movi a8, 0
    .if \further
    l32i a5, a1, FRAME_SHIFT_STEP
    .elseif \clamp == 1
    l32i a5, a1, FRAME_RELU
    .endif
    j .Lrow_end\id
.Lbegin\id:
    PAIR \width, (\height * \width), \residents, \clamp, \further, a14, a14
.Lend\id:
.Lrow_end\id:
    PAIR \width, (\height * \width), \residents, \clamp, \further, a15, a9
    bbsi a7, FIRST_BIT, .Lfirst\id
.Lnext_row\id:
    addmi a7, a7, -ROW
    srli a5, a7, ROW_BIT
    beqz a5, .Ldone\id
    beqi a5, 1, .Llast_row\id
    bbci a7, ODD_BIT, .Lpairs\id
    xor a15, a15, a9
    xor a9, a15, a9
    xor a15, a15, a9
.Lpairs\id:
    extui a5, a7, ROW_BIT, 1
    addx4 a5, a5, a1
    l32i a5, a5, FRAME_PAIRS
.Lbegin_row\id:
    bltz a5, .Lshort_row\id
    wsr.lcount a5
    isync
    .if \further
    l32i a5, a1, FRAME_SHIFT_STEP
    .elseif \clamp == 1
    l32i a5, a1, FRAME_RELU
    .endif
    j .Lbegin\id
.Lshort_row\id:
    .if \further
    l32i a5, a1, FRAME_SHIFT_STEP
    .elseif \clamp == 1
    l32i a5, a1, FRAME_RELU
    .endif
    j .Lrow_end\id
.Lfirst\id:
    l32i a8, a1, FRAME_Y_STEP
    l32i a5, a1, FRAME_PIXELS
    add a3, a3, a8
    bnei a5, 2, .Lfirst_row\id
    addi a7, a7, -FIRST
    j .Lnext_row\id
.Lfirst_row\id:
    l32i a9, a1, FRAME_BORDER
    srli a5, a7, ROW_BIT
    beqi a5, 1, .Llast_row\id
    bbci a7, ODD_BIT, .Lfirst_pairs\id
    mov a15, a9
    mov a9, a14
.Lfirst_pairs\id:
    addi a7, a7, -FIRST
    l32i a5, a1, FRAME_FIRST_PAIRS
    j .Lbegin_row\id
.Llast_row\id:
    movi a9, 0
    mov a15, a14
    bbci a7, ODD_BIT, .Lset\id
    l32i a5, a1, FRAME_SPAN
    bbci a5, 0, .Lset\id
    movi a15, 0
.Lset\id:
    bbsi a7, FIRST_BIT, .Lfirst_pairs\id
    j .Lpairs\id
.Ldone\id:
    .if \further + \clamp % 2
    l32i a0, a1, FRAME_RETURN
    .endif
    bbci a7, ODD_BIT, .Lstore\id
    l32i a5, a1, FRAME_SPAN
    bbci a5, 0, .Lstore\id
    j .Lrow_done
.Lstore\id:
    ee.vst.128.ip q4, a3, 0
    j .Lrow_done
.endm

/* Any window, dilation, number of shifts or digits. Slots per pixel: 22 + 6 per kernel row + 3 per tap.
 *
 *     a5 record   a9 pixels   a11 first weight   a12 in a row   a13 row   a14, a15 rows and taps left, temporary */
.macro ANY_WINDOW
    l32i a10, a1, FRAME_TAP_STEP
    l32i a9, a1, FRAME_PIXELS
    l32i a5, a1, FRAME_RECORD
    movi a11, RECORD_WEIGHTS
    add a11, a11, a5
.Lpixel\@:
    LOAD_ACCUMULATORS a6
    mov a4, a11
    ee.vld.128.ip q0, a4, PIE_BYTES
.Lpass\@:
    mov a13, a2
    l32i a15, a1, FRAME_KERNEL_ROWS
.Lline\@:
    l32i a14, a1, FRAME_KERNEL_WIDTH
    mov a12, a13
    loop a14, .Ltap\@
    ee.vld.128.xp q2, a12, a10
    ee.vmulas.s8.qacc.ld.ip q0, a4, PIE_BYTES, q2, q0
.Ltap\@:
    l32i a14, a1, FRAME_LINE
    addi a15, a15, -1
    add a13, a13, a14
    bnez a15, .Lline\@
    bltz a7, .Lgeneral\@
    ee.srcmb.s8.qacc q2, a7, 0
.Ldone\@:
    l32i a14, a1, FRAME_PIXEL_STEP
    ee.vmax.s8 q2, q2, q6
    ee.vmin.s8 q2, q2, q7
    add a2, a2, a14
    ee.vst.128.xp q2, a3, a8
    addi a9, a9, -1
    bnez a9, .Lpixel\@
    j .Lrow_done
.Lgeneral\@:
    l32i a14, a5, RECORD_PASS_BYTES
    add a14, a14, a11
    bne a4, a14, .Lshifts\@
    SECOND_DIGIT a5, a15, a14, 1
    j .Lpass\@
.Lshifts\@:
    l32i a14, a5, RECORD_FIRST_SHIFT
    l16ui a15, a5, RECORD_MORE_SHIFTS
    ee.srcmb.s8.qacc q2, a14, 0
    beqz a15, .Ldone\@
    l32i a14, a5, RECORD_LIST
    l16ui a12, a5, RECORD_SHIFT_STEP
    add a14, a14, a5
    MORE_SHIFTS q2, q3, q4, a14, a15, a12
    j .Ldone\@
.endm

/* DepthwiseBody of the packer */
BODY pienn_depthwise_conv2d_s8_s3_any_window
    ANY_WINDOW
BODY pienn_depthwise_conv2d_s8_s3_nine_taps
    WALKED 3, 3, 3, 0, 0
BODY pienn_depthwise_conv2d_s8_s3_nine_taps_relu
    WALKED 3, 3, 3, 1, 0
BODY pienn_depthwise_conv2d_s8_s3_nine_taps_clamped
    WALKED 3, 3, 1, 2, 0
BODY pienn_depthwise_conv2d_s8_s3_taps_25_relu
    WALKED 5, 5, 3, 1, 0
BODY pienn_depthwise_conv2d_s8_s3_taps_25_clamped
    WALKED 5, 5, 1, 2, 0
BODY pienn_depthwise_conv2d_s8_s3_nine_taps_2_shifts
    WALKED 3, 3, 3, 0, 1
BODY pienn_depthwise_conv2d_s8_s3_nine_taps_4_shifts
    WALKED 3, 3, 3, 0, 3
BODY pienn_depthwise_conv2d_s8_s3_nine_taps_7_shifts
    WALKED 3, 3, 3, 0, 6
BODY pienn_depthwise_conv2d_s8_s3_nine_taps_clamped_2_shifts
    WALKED 3, 3, 1, 2, 1
BODY pienn_depthwise_conv2d_s8_s3_nine_taps_clamped_4_shifts
    WALKED 3, 3, 1, 2, 3

    .text
/* void pienn_depthwise_conv2d_s8_s3(const int8_t *x, int8_t *y, const pienn_depthwise_conv2d_s8_params *p)
 *
 *     a2 x    a3 y    a4 p    a10 record */
FUNCTION pienn_depthwise_conv2d_s8_s3
    entry a1, FRAME_BYTES
    s32i a2, a1, FRAME_X
    s32i a3, a1, FRAME_Y
    l32i a10, a4, PIENN_DEPTHWISE_CONV2D_S8_BLOCKS
    l32i a12, a4, PIENN_DEPTHWISE_CONV2D_S8_BODIES
    l32i a11, a4, PIENN_DEPTHWISE_CONV2D_S8_Y_CHANNELS
    s32i a10, a1, FRAME_RECORD
    s32i a12, a1, FRAME_BODIES
    addi a11, a11, 15
    srli a11, a11, 4
    s32i a11, a1, FRAME_BLOCKS
    l32i a11, a4, PIENN_DEPTHWISE_CONV2D_S8_KERNEL_HEIGHT
    s32i a11, a1, FRAME_KERNEL_ROWS
    l32i a11, a4, PIENN_DEPTHWISE_CONV2D_S8_KERNEL_WIDTH
    s32i a11, a1, FRAME_KERNEL_WIDTH
    l32i a12, a4, PIENN_DEPTHWISE_CONV2D_S8_X_ROW_STRIDE
    l32i a11, a4, PIENN_DEPTHWISE_CONV2D_S8_DILATION_Y
    l32i a13, a4, PIENN_DEPTHWISE_CONV2D_S8_STRIDE_Y
    mull a11, a11, a12
    mull a13, a13, a12          /* between rows of y, in x */
    s32i a11, a1, FRAME_LINE
    s32i a13, a1, FRAME_X_STEP
    l32i a12, a4, PIENN_DEPTHWISE_CONV2D_S8_X_PIXEL_STRIDE
    l32i a11, a4, PIENN_DEPTHWISE_CONV2D_S8_DILATION_X
    l32i a14, a4, PIENN_DEPTHWISE_CONV2D_S8_STRIDE_X
    mull a11, a11, a12
    mull a14, a14, a12
    s32i a11, a1, FRAME_TAP_STEP
    s32i a14, a1, FRAME_PIXEL_STEP
    l32i a8, a4, PIENN_DEPTHWISE_CONV2D_S8_Y_PIXEL_STRIDE
    l32i a15, a4, PIENN_DEPTHWISE_CONV2D_S8_Y_ROW_STRIDE
    l32i a9, a4, PIENN_DEPTHWISE_CONV2D_S8_Y_WIDTH
    l32i a12, a4, PIENN_DEPTHWISE_CONV2D_S8_Y_HEIGHT
    s32i a9, a1, FRAME_PIXELS
    s32i a12, a1, FRAME_ROWS
    s32i a8, a1, FRAME_Y_STEP
    s32i a15, a1, FRAME_Y_ROW_STEP
    addi a11, a9, -1
    mull a14, a14, a11
    mull a11, a11, a8
    sub a14, a13, a14
    sub a11, a15, a11
    s32i a14, a1, FRAME_BORDER
    /* One call of a body for all rows, unless there are gaps behind them. */
    beq a11, a8, .Lblock
    movi a12, 1
.Lblock:
    /* a12 rows that the body may compute */
    l32i a11, a10, RECORD_RUN
    s32i a12, a1, FRAME_SPAN
    bnez a11, 1f
    movi a12, 1
1:
    l32i a9, a1, FRAME_ROWS
    l32i a11, a10, RECORD_BODY
    l32i a13, a1, FRAME_BODIES
    sub a12, a9, a12
    add a11, a11, a13
    l32i a11, a11, 0
    movi a13, 1
    moveqz a9, a13, a12         /* calls */
    s32i a9, a1, FRAME_ROWS_LEFT
    s32i a11, a1, FRAME_BODY
    l32i a7, a10, RECORD_SHIFT
    movi a5, RECORD_RESIDENT
    add a5, a10, a5
    addi a6, a10, RECORD_ACCUMULATORS
    ee.vld.128.ip q4, a5, PIE_BYTES
    ee.vld.128.ip q5, a5, PIE_BYTES
    ee.vld.128.ip q6, a5, PIE_BYTES
    ee.vld.128.ip q7, a5, PIE_BYTES
    l32i a2, a1, FRAME_X
    l32i a3, a1, FRAME_Y
    mov a13, a9
.Lrow:
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
    l32i a12, a1, FRAME_Y_ROW_STEP
    addi a13, a13, -1
    add a2, a2, a11
    add a3, a3, a12
    bnez a13, .Lrow
    l32i a10, a1, FRAME_RECORD
    l32i a2, a1, FRAME_X
    l32i a3, a1, FRAME_Y
    l32i a11, a10, RECORD_BYTES
    l32i a12, a1, FRAME_BLOCKS
    addi a2, a2, PIE_BYTES
    addi a3, a3, PIE_BYTES
    add a10, a10, a11
    addi a12, a12, -1
    s32i a2, a1, FRAME_X
    s32i a3, a1, FRAME_Y
    s32i a10, a1, FRAME_RECORD
    s32i a12, a1, FRAME_BLOCKS
    mov a11, a12
    l32i a12, a1, FRAME_SPAN
    bnez a11, .Lblock
    retw
