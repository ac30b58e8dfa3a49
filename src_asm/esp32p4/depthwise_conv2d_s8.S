/* depthwise_conv2d_s8 for the ESP32-P4: lanes are 16 channels, every MAC multiplies a vector of one pixel with the
 * weights of one tap.
 *
 * Reads `blocks` (generator/pienn/codegen/packing_esp32p4.py), one record per block of channels:
 *     word 0       offset in the call's list `bodies` of the one that computes the rows
 *     word 1       bytes of a record
 *     words 2, 3   0
 *     16 int32     bias
 *     1 vector     shifts
 *     4 vectors    resident weights
 *     vectors      streamed weights
 *
 * Contract: that of layers.h for `blocks`. What more a body asks is written at the body. Reads up to 48 bytes
 * beyond the records, and nothing beyond x.
 *
 * Registers of a body, which computes all rows of a block:
 *     a0 x        a1 y        t0 end of y       a5 step of y       a3 streamed weights    a4 bias
 *     s0 dilation_x * pixel stride of x         s1 stride_x * pixel stride of x
 *     s2 dilation_y * row stride of x           t1 first streamed weight
 *     t5, t6 clamp            q0-q3 resident weights
 *     s3 rows left            s4 x of the row     s11 its step
 *                             s6 y of the row     s5 its step
 *     a2, a6, a7, t2, t3, t4, s8, s9, s10 free
 */
#include "pie.inc"

#define FRAME_CFG 0(sp)
#define FRAME_X 4(sp)
#define FRAME_Y 8(sp)
#define FRAME_ROW_BYTES 12(sp)
#define FRAME_RECORD 16(sp)
#define FRAME_BLOCKS 20(sp)
#define FRAME_KERNEL_HEIGHT 24(sp)
#define FRAME_KERNEL_WIDTH 28(sp)

#define RECORD_BODY 0
#define RECORD_BYTES 4
#define RECORD_BIAS 16
#define RECORD_RESIDENT 96

/* QACC += x * weight; then `loaded` = vector at a0, which moves by `step` */
.macro MAC x, weight
    esp.vmulas.s8.qacc \x, \weight
.endm
.macro MAC_LOAD loaded, step, x, weight
    esp.vmulas.s8.qacc.ld.xp \loaded, a0, \step, \x, \weight
.endm

/* Bias at a4, which moves on to the shifts; their load moves it back. */
#define SHIFTS_TO_BIAS -64
.macro LOAD_BIAS_BEFORE_SHIFTS
    esp.ld.qacc.l.l.128.ip a4, 32
    esp.ld.qacc.h.l.128.ip a4, -16
    esp.ld.qacc.l.h.128.ip a4, 32
    esp.ld.qacc.h.h.128.ip a4, 16
.endm

/* Rows of y: START_ROW is at label `row`. */
.macro START_ROW
    lw t0, FRAME_ROW_BYTES
    mv a0, s4
    mv a1, s6
    add t0, t0, s6
.endm
.macro NEXT_ROW row
    addi s3, s3, -1
    add s4, s4, s11
    add s6, s6, s5
    bnez s3, \row
    ret
.endm

.macro FINISH clamp
    REQUANTIZE_LANES q7, q7
    .if \clamp
    esp.vsat.s8 q7, q7, t5, t6
    .endif
    esp.vst.128.xp q7, a1, a5
.endm

/* ---- 3x3, dilation 1, stride_x 1 or 2 ----
 *
 * Two pixels are unrolled. Four weights stay. The last two vectors of x of a pixel are the first two of the next,
 * and its last streamed weight is the next pixel's first: rows are walked downwards for one pixel and upwards for
 * the other. 19 slots a pixel, 20 with a clamp, and one for two.
 *
 * One pixel: x lies in `a`, `b`, the kept streamed weight in q6. `s2`-`s8`: what a0 moves by after the load of the
 * third to the ninth vector; `w0`-`w7`: weights of the taps in order of use, those from the stream aside;
 * `m1`-`m4`: what a3 moves by after each load of a streamed weight. */
.macro NINE_TAPS a, b, s2, s3, s4, s5, s6, s7, s8, w0, w1, w6, w7, m1, m2, m3, m4, clamp
    LOAD_BIAS_BEFORE_SHIFTS
    esp.vld.128.ip q7, a3, \m1
    MAC_LOAD \a, \s2, \a, \w0
    MAC_LOAD \b, \s3, \b, \w1
    MAC_LOAD \a, \s4, \a, q6
    esp.vld.128.ip q6, a3, \m2
    MAC_LOAD \b, \s5, \b, q7
    esp.vld.128.ip q7, a3, \m3
    MAC_LOAD \a, \s6, \a, q6
    esp.vld.128.ip q6, a3, \m4
    MAC_LOAD \b, \s7, \b, q7
    MAC_LOAD \a, \s8, \a, \w6
    esp.vmulas.s8.qacc.ld.ip q7, a4, SHIFTS_TO_BIAS, \b, \w7
    MAC \a, q6
    FINISH \clamp
.endm

/* a7 = whether a row is one pixel */
.macro IS_SINGLE
    lw a6, FRAME_ROW_BYTES
    slli a7, a5, 1
    slt a7, a6, a7
.endm

/* A row: pixels in pairs, and one more where the row's width is odd. */
.macro PAIRS even, odd, clamp, row
    mv a3, t1
    esp.vld.128.ip q6, a3, 16
    bnez a7, .Llast\@
    sub a6, t0, a5              /* a pair starts before this */
.Lpair\@:
    \even \clamp
    \odd \clamp
    bltu a1, a6, .Lpair\@
    beq a1, t0, .Ldone\@
.Llast\@:
    \even \clamp
.Ldone\@:
    NEXT_ROW \row
.endm

/* stride_x = 1. Taps downwards: row 0, row 1, row 2, each from the left; x of columns 1 and 2 of the last row are
 * the next pixel's columns 0 and 1. Resident: (0,0) (0,1) (2,0) (2,1). Streamed: (0,2), row 1, (2,2). */
.macro EVEN_1 clamp
    NINE_TAPS q4, q5, t3, s0, s0, t3, s0, s0, s0, q0, q1, q2, q3, 16, 16, 16, -48, \clamp
.endm
.macro ODD_1 clamp
    NINE_TAPS q5, q4, t4, s0, s0, t4, s0, s0, s0, q2, q3, q0, q1, 16, 16, -48, 16, \clamp
.endm
.macro STRIDE_1 clamp
    IS_SINGLE
    slli t4, s0, 1
    sub t3, s2, t4              /* to the start of the next row */
    add t4, t4, s2
    neg t4, t4                  /* to the start of the row above */
.Lrow\@:
    START_ROW
    esp.vld.128.xp q4, a0, s0
    esp.vld.128.xp q5, a0, s0
    PAIRS EVEN_1, ODD_1, \clamp, .Lrow\@
.endm

/* stride_x = 2. The last two vectors are in column 2, which is the next pixel's column 0:
 * (1,0) (0,0) (0,2) (0,1) (1,1) (2,1) (2,0) (1,2) (2,2), then with rows 0 and 2 exchanged.
 * Resident: (1,0) (0,0) (2,0) (1,2). Streamed: (0,2), column 1, (2,2). */
.macro EVEN_2 clamp
    NINE_TAPS q4, q5, t3, a2, a2, t3, s8, a2, s1, q0, q1, q2, q3, 16, 16, 16, -16, \clamp
.endm
.macro ODD_2 clamp
    NINE_TAPS q5, q4, t3, t4, t4, t3, s9, t4, s1, q0, q2, q1, q3, -16, -16, -16, 16, \clamp
.endm
.macro STRIDE_2 clamp
    IS_SINGLE
    neg t3, s0                  /* to the left */
    neg t4, s2                  /* up */
    mv a2, s2                   /* down */
    add s8, s1, t4              /* up and two to the right */
    add s9, s1, s2              /* down and two to the right */
.Lrow\@:
    START_ROW
    add a0, a0, s2
    esp.vld.128.xp q4, a0, t4
    esp.vld.128.xp q5, a0, s1
    PAIRS EVEN_2, ODD_2, \clamp, .Lrow\@
.endm

/* ---- 5x5, any dilation and stride ----
 *
 * Unrolled, four weights stay, (0,1) before (0,0) so that the last tap can load it for the next pixel into its own
 * register. 54 slots, 55 with a clamp. Reads the next pixel's first two taps, which lie before the end of x. */
.macro WEIGHT q
    esp.vld.128.ip \q, a3, 16
.endm
.macro TWENTY_FIVE_TAPS clamp
    li s10, -20 * PIE_BYTES     /* back from the last of 21 streamed weights */
    slli t3, s0, 2
    sub t4, s2, t3              /* to the next row */
    slli a6, s2, 2
    add a6, a6, t3
    sub a6, s1, a6              /* to the next pixel */
    add s8, a6, s0              /* to column 1 of the next pixel */
    neg t3, s0
    slli s9, s0, 1
    mv a3, t1
.Lrow\@:
    START_ROW
    add a0, a0, s0
    esp.vld.128.xp q5, a0, t3   /* (0,1) */
    esp.vld.128.xp q4, a0, s9   /* (0,0) */
.Lpixel\@:
    LOAD_BIAS_BEFORE_SHIFTS
    WEIGHT q6
    MAC_LOAD q4, s0, q4, q0     /* loads (0,2) */
    MAC_LOAD q5, s0, q5, q1     /* (0,3) */
    WEIGHT q7
    MAC_LOAD q4, t4, q4, q6     /* (0,4) */
    WEIGHT q6
    MAC_LOAD q5, s0, q5, q7
    MAC_LOAD q4, s0, q4, q2     /* tap (0,4) */
    .set column, 2
    .rept 8
    WEIGHT q7
    .if column % 5 == 4
    MAC_LOAD q5, t4, q5, q6
    .else
    MAC_LOAD q5, s0, q5, q6
    .endif
    WEIGHT q6
    .if (column + 1) % 5 == 4
    MAC_LOAD q4, t4, q4, q7
    .else
    MAC_LOAD q4, s0, q4, q7
    .endif
    .set column, column + 2
    .endr
    WEIGHT q7
    MAC_LOAD q5, s0, q5, q6     /* tap (4,1), loads (4,3) */
    MAC_LOAD q4, s8, q4, q7     /* (4,4) */
    esp.vld.128.xp q6, a3, s10  /* the last one, and back to the first */
    MAC_LOAD q5, t3, q5, q3     /* the next (0,1) */
    esp.vld.128.ip q7, a4, SHIFTS_TO_BIAS
    MAC_LOAD q4, s9, q4, q6     /* the next (0,0) */
    FINISH \clamp
    bne a1, t0, .Lpixel\@
    NEXT_ROW .Lrow\@
.endm

/* ---- Any kernel ---- Four taps of a row together, 2.5 slots each, the others 4; 5 a kernel row, 13 a pixel */
.macro TAP x
    esp.vmulas.s8.qacc.ld.ip q0, a3, 16, \x, q0
.endm
.macro ANY_TAPS
    lw a6, FRAME_KERNEL_WIDTH
    mul t3, s0, a6
    sub t3, s2, t3              /* from the end of a kernel row to the next */
    andi s8, a6, 3
    srli s9, a6, 2
.Lrow\@:
    START_ROW
.Lpixel\@:
    LOAD_BIAS_BEFORE_SHIFTS
    mv a3, t1
    mv a2, a0
    lw a7, FRAME_KERNEL_HEIGHT
    esp.vld.128.ip q7, a4, SHIFTS_TO_BIAS
    esp.vld.128.ip q0, a3, 16
.Lkernel_row\@:
    mv t2, s8
    mv a6, s9
    beqz t2, .Lfour\@
.Ltap\@:
    esp.vld.128.xp q1, a2, s0
    addi t2, t2, -1
    TAP q1
    bnez t2, .Ltap\@
    beqz a6, .Lfours_done\@
.Lfour\@:
    esp.vld.128.xp q1, a2, s0
    esp.vld.128.xp q2, a2, s0
    TAP q1
    esp.vld.128.xp q3, a2, s0
    TAP q2
    esp.vld.128.xp q4, a2, s0
    TAP q3
    addi a6, a6, -1
    TAP q4
    bnez a6, .Lfour\@
.Lfours_done\@:
    addi a7, a7, -1
    add a2, a2, t3
    bnez a7, .Lkernel_row\@
    add a0, a0, s1
    FINISH 1
    bne a1, t0, .Lpixel\@
    NEXT_ROW .Lrow\@
.endm

/* DepthwiseBody of the packer */
BODY pienn_depthwise_conv2d_s8_p4_stride_1
    STRIDE_1 0
BODY pienn_depthwise_conv2d_s8_p4_stride_1_clamped
    STRIDE_1 1
BODY pienn_depthwise_conv2d_s8_p4_stride_2
    STRIDE_2 0
BODY pienn_depthwise_conv2d_s8_p4_stride_2_clamped
    STRIDE_2 1
BODY pienn_depthwise_conv2d_s8_p4_twenty_five_taps
    TWENTY_FIVE_TAPS 0
BODY pienn_depthwise_conv2d_s8_p4_twenty_five_taps_clamped
    TWENTY_FIVE_TAPS 1
BODY pienn_depthwise_conv2d_s8_p4_any_taps
    ANY_TAPS

    .text
/* void pienn_depthwise_conv2d_s8_p4(const int8_t *x, int8_t *y, const pienn_depthwise_conv2d_s8_params *p)
 *
 *     s7 p */
FUNCTION pienn_depthwise_conv2d_s8_p4
    ENTER
    SAVE_ROUNDING FRAME_CFG, a3
    mv s7, a2
    sw a0, FRAME_X
    sw a1, FRAME_Y
    lw t1, PIENN_DEPTHWISE_CONV2D_S8_BLOCKS(s7)
    lw t0, PIENN_DEPTHWISE_CONV2D_S8_Y_CHANNELS(s7)
    lw t5, PIENN_DEPTHWISE_CONV2D_S8_MINIMUM(s7)
    lw t6, PIENN_DEPTHWISE_CONV2D_S8_MAXIMUM(s7)
    lw a5, PIENN_DEPTHWISE_CONV2D_S8_Y_PIXEL_STRIDE(s7)
    lw a6, PIENN_DEPTHWISE_CONV2D_S8_Y_WIDTH(s7)
    lw s0, PIENN_DEPTHWISE_CONV2D_S8_X_PIXEL_STRIDE(s7)
    lw s2, PIENN_DEPTHWISE_CONV2D_S8_X_ROW_STRIDE(s7)
    lw a7, PIENN_DEPTHWISE_CONV2D_S8_STRIDE_X(s7)
    lw t2, PIENN_DEPTHWISE_CONV2D_S8_STRIDE_Y(s7)
    lw t3, PIENN_DEPTHWISE_CONV2D_S8_DILATION_X(s7)
    lw t4, PIENN_DEPTHWISE_CONV2D_S8_DILATION_Y(s7)
    lw a3, PIENN_DEPTHWISE_CONV2D_S8_KERNEL_HEIGHT(s7)
    lw a4, PIENN_DEPTHWISE_CONV2D_S8_KERNEL_WIDTH(s7)
    sw t1, FRAME_RECORD
    sw a3, FRAME_KERNEL_HEIGHT
    sw a4, FRAME_KERNEL_WIDTH
    addi t0, t0, 15
    srli t0, t0, 4
    sw t0, FRAME_BLOCKS
    mul a6, a6, a5
    sw a6, FRAME_ROW_BYTES
    mul s1, s0, a7
    mul s11, s2, t2
    mul s0, s0, t3
    mul s2, s2, t4
    lw s5, PIENN_DEPTHWISE_CONV2D_S8_Y_ROW_STRIDE(s7)
.Lblock:
    ROUND_DOWN a3
    lw a4, FRAME_RECORD
    lw t1, PIENN_DEPTHWISE_CONV2D_S8_BODIES(s7)
    lw t0, RECORD_BODY(a4)
    add t0, t0, t1
    lw a2, 0(t0)
    lw s4, FRAME_X
    lw s6, FRAME_Y
    lw s3, PIENN_DEPTHWISE_CONV2D_S8_Y_HEIGHT(s7)
    addi a4, a4, RECORD_BIAS
    addi a3, a4, RECORD_RESIDENT - RECORD_BIAS
    esp.vld.128.ip q0, a3, 16
    esp.vld.128.ip q1, a3, 16
    esp.vld.128.ip q2, a3, 16
    esp.vld.128.ip q3, a3, 16
    mv t1, a3
    jalr a2
    UNLESS_ROUNDED_DOWN a0, .Lblock
    lw t0, FRAME_RECORD
    lw t1, FRAME_X
    lw t2, FRAME_Y
    lw t3, FRAME_BLOCKS
    lw t4, RECORD_BYTES(t0)
    addi t1, t1, PIE_BYTES
    addi t2, t2, PIE_BYTES
    addi t3, t3, -1
    add t0, t0, t4
    sw t0, FRAME_RECORD
    sw t1, FRAME_X
    sw t2, FRAME_Y
    sw t3, FRAME_BLOCKS
    bnez t3, .Lblock
    RESTORE_ROUNDING FRAME_CFG, a3
    LEAVE
