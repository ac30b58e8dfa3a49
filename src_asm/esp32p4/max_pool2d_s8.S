/* max_pool2d_s8 for the ESP32-P4: lanes are 16 channels.
 *
 * Contract: all windows lie in x (padding_top = padding_left = 0; what surrounds the image is -128 in memory). Strides
 * are multiples of 16, block strides 16; surplus lanes of the last block of y are written. Reads up to 48 bytes beyond x.
 *
 * 2x2 in steps of 2 over pixels of one or two vectors without gaps: rows of x are read from end to end, 5.5 slots per
 * vector of y. Others have a block of channels outermost: 9 slots for 2x2, 19 for 3x3; else 2 a tap for widths of 2 and 3
 * and 4 for the rest, with 7 a kernel row.
 *
 * Registers
 *     a0 x   a1 y   t0 end of y in the row   a5 step of y   s1 step of x   s3 rows left   s4, s6 rows of x and y
 *     s5, s9 their steps   s7 p   s8 width   s10 blocks left   t3 step of taps   t4 from the end of a kernel row to the next
 *     a2 taps, or the second row of x   a3 width of the window   a4, t5, t6 see SQUARE   t1, t2 temporary   q7 -128
 */
#include "pie.inc"

#define FRAME_X 0(sp)
#define FRAME_Y 4(sp)
#define FRAME_ROW_BYTES 8(sp)
#define FRAME_KERNEL_HEIGHT 12(sp)

.macro START_ROW
    lw t0, FRAME_ROW_BYTES
    mv a0, s4
    mv a1, s6
    add t0, t0, s6
.endm
.macro NEXT_ROW row
    addi s3, s3, -1
    add s4, s4, s5
    add s6, s6, s9
    bnez s3, \row
.endm

/* vmax of x and y into z, and the next vector at `pointer` */
.macro MAX_LOAD loaded, pointer, z, x, y
    esp.vmax.s8.ld.incp \loaded, \pointer, \z, \x, \y
.endm

/* One pixel of two vectors a, b at a time. a0, a2: the two rows of x; q2, q6, q1: a and b of the left, a of the right. */
.macro TWO_VECTORS
.Lrow\@:
    START_ROW
    add a2, a0, t4
    esp.vld.128.ip q2, a0, 16
    esp.vld.128.ip q6, a0, 16
    esp.vld.128.ip q1, a0, 16
.Lpixel\@:
    MAX_LOAD q5, a0, q0, q2, q1
    esp.vld.128.ip q2, a2, 16
    MAX_LOAD q6, a2, q4, q6, q5
    MAX_LOAD q3, a2, q0, q0, q2
    MAX_LOAD q7, a2, q4, q4, q6
    MAX_LOAD q2, a0, q0, q0, q3
    MAX_LOAD q6, a0, q4, q4, q7
    esp.vst.128.ip q0, a1, 16
    esp.vld.128.ip q1, a0, 16
    esp.vst.128.ip q4, a1, 16
    bne a1, t0, .Lpixel\@
    NEXT_ROW .Lrow\@
.endm

/* Two pixels a, b of one vector at a time. q2, q1, q6: left and right of a, left of b. */
.macro ONE_VECTOR
.Lrow\@:
    START_ROW
    add a2, a0, t4
    andi t1, s8, 1
    beqz t1, .Leven\@
    esp.vld.128.ip q0, a0, 16
    esp.vld.128.ip q1, a0, 16
    esp.vld.128.ip q2, a2, 16
    MAX_LOAD q3, a2, q0, q0, q1
    esp.vmax.s8 q0, q0, q2
    esp.vmax.s8 q0, q0, q3
    esp.vst.128.ip q0, a1, 16
    beq a1, t0, .Ldone\@
.Leven\@:
    esp.vld.128.ip q2, a0, 16
    esp.vld.128.ip q1, a0, 16
    esp.vld.128.ip q6, a0, 16
.Lpair\@:
    MAX_LOAD q5, a0, q0, q2, q1
    esp.vld.128.ip q2, a2, 16
    MAX_LOAD q3, a2, q4, q6, q5
    MAX_LOAD q6, a2, q0, q0, q2
    MAX_LOAD q7, a2, q0, q0, q3
    MAX_LOAD q2, a0, q4, q4, q6
    MAX_LOAD q1, a0, q4, q4, q7
    esp.vst.128.ip q0, a1, 16
    esp.vld.128.ip q6, a0, 16
    esp.vst.128.ip q4, a1, 16
    bne a1, t0, .Lpair\@
.Ldone\@:
    NEXT_ROW .Lrow\@
.endm

/* 2x2 and 3x3, any step and dilation: a0, a2, a4 are the rows of the window, t5 to the next window, t6 between rows. */
.macro SQUARE_2
.Lrow\@:
    START_ROW
    add a2, a0, t6
.Lpixel\@:
    esp.vld.128.xp q1, a0, t3
    esp.vld.128.xp q2, a2, t3
    esp.vld.128.xp q3, a0, t5
    esp.vmax.s8 q1, q1, q2
    esp.vld.128.xp q4, a2, t5
    esp.vmax.s8 q1, q1, q3
    esp.vmax.s8 q1, q1, q4
    esp.vst.128.xp q1, a1, a5
    bne a1, t0, .Lpixel\@
    NEXT_ROW .Lrow\@
.endm
.macro SQUARE_3
.Lrow\@:
    START_ROW
    add a2, a0, t6
    add a4, a2, t6
.Lpixel\@:
    esp.vld.128.xp q1, a0, t3
    esp.vld.128.xp q2, a2, t3
    esp.vld.128.xp q3, a4, t3
    esp.vmax.s8 q1, q1, q2
    esp.vld.128.xp q4, a0, t3
    esp.vmax.s8 q1, q1, q3
    esp.vld.128.xp q5, a2, t3
    esp.vmax.s8 q1, q1, q4
    esp.vld.128.xp q6, a4, t3
    esp.vmax.s8 q1, q1, q5
    esp.vld.128.xp q2, a0, t5
    esp.vmax.s8 q1, q1, q6
    esp.vld.128.xp q3, a2, t5
    esp.vmax.s8 q1, q1, q2
    esp.vld.128.xp q4, a4, t5
    esp.vmax.s8 q1, q1, q3
    esp.vmax.s8 q1, q1, q4
    esp.vst.128.xp q1, a1, a5
    bne a1, t0, .Lpixel\@
    NEXT_ROW .Lrow\@
.endm

/* Any window; `width` 0 is a loop. */
.macro ANY_WINDOW width
.Lrow\@:
    START_ROW
.Lpixel\@:
    mv a2, a0
    lw t2, FRAME_KERNEL_HEIGHT
    esp.orq q0, q7, q7
.Lkernel_row\@:
    .if \width
    esp.vld.128.xp q1, a2, t3
    esp.vld.128.xp q2, a2, t3
    .if \width == 3
    esp.vld.128.xp q3, a2, t3
    .endif
    addi t2, t2, -1
    esp.vmax.s8 q0, q0, q1
    esp.vmax.s8 q0, q0, q2
    .if \width == 3
    esp.vmax.s8 q0, q0, q3
    .endif
    .else
    mv t1, a3
.Ltap\@:
    esp.vld.128.xp q1, a2, t3
    addi t1, t1, -1
    esp.vmax.s8 q0, q0, q1
    bnez t1, .Ltap\@
    addi t2, t2, -1
    .endif
    add a2, a2, t4
    bnez t2, .Lkernel_row\@
    add a0, a0, s1
    esp.vst.128.xp q0, a1, a5
    bne a1, t0, .Lpixel\@
    NEXT_ROW .Lrow\@
.endm

/* void pienn_max_pool2d_s8_p4(const int8_t *x, int8_t *y, const pienn_max_pool2d_s8_params *p) */
FUNCTION pienn_max_pool2d_s8_p4
    ENTER
    mv s7, a2
    sw a0, FRAME_X
    sw a1, FRAME_Y
    lw s3, PIENN_MAX_POOL2D_S8_Y_HEIGHT(s7)
    lw s8, PIENN_MAX_POOL2D_S8_Y_WIDTH(s7)
    lw s10, PIENN_MAX_POOL2D_S8_Y_CHANNELS(s7)
    lw a5, PIENN_MAX_POOL2D_S8_Y_PIXEL_STRIDE(s7)
    lw s9, PIENN_MAX_POOL2D_S8_Y_ROW_STRIDE(s7)
    lw t3, PIENN_MAX_POOL2D_S8_X_PIXEL_STRIDE(s7)
    lw t4, PIENN_MAX_POOL2D_S8_X_ROW_STRIDE(s7)
    lw t0, PIENN_MAX_POOL2D_S8_STRIDE_Y(s7)
    lw t1, PIENN_MAX_POOL2D_S8_STRIDE_X(s7)
    lw t2, PIENN_MAX_POOL2D_S8_KERNEL_HEIGHT(s7)
    lw a3, PIENN_MAX_POOL2D_S8_KERNEL_WIDTH(s7)
    lw a4, PIENN_MAX_POOL2D_S8_DILATION_Y(s7)
    lw a6, PIENN_MAX_POOL2D_S8_DILATION_X(s7)
    sw t2, FRAME_KERNEL_HEIGHT
    addi s10, s10, 15
    srli s10, s10, 4
    mul s5, t4, t0
    mul s1, t3, t1
    mul a7, s8, a5
    sw a7, FRAME_ROW_BYTES
    mv s4, a0
    mv s6, a1
    /* 2x2 in steps of 2 with dilation 1? */
    addi t0, t0, -2
    addi t1, t1, -2
    or t0, t0, t1
    addi t2, t2, -2
    or t0, t0, t2
    addi t1, a3, -2
    or t0, t0, t1
    addi t1, a4, -1
    or t0, t0, t1
    addi t1, a6, -1
    or t0, t0, t1
    bne t3, a5, .Lgeneral       /* pixels of x and y alike, without gaps, */
    slli t1, s10, 4
    bne t1, a5, .Lgeneral
    bnez t0, .Lgeneral
    addi t1, s10, -1            /* of one or two vectors? */
    beqz t1, .Lone
    addi t1, s10, -2
    beqz t1, .Ltwo
.Lgeneral:
    mul t3, t3, a6
    mul t4, t4, a4
    mul t1, t3, a3
    mv t6, t4
    sub t4, t4, t1
    sub t5, s1, t1
    add t5, t5, t3
    li t1, -128
    sw t1, 16(sp)
    addi a4, sp, 16
    li a2, 0
    esp.vldbc.8.xp q7, a4, a2
.Lblock:
    lw s3, PIENN_MAX_POOL2D_S8_Y_HEIGHT(s7)
    lw s4, FRAME_X
    lw s6, FRAME_Y
    lw t2, FRAME_KERNEL_HEIGHT
    addi t1, a3, -2
    beqz t1, .Lwidth2
    addi t1, a3, -3
    beqz t1, .Lwidth3
    ANY_WINDOW 0
    j .Lnext_block
.Lwidth2:
    beq t2, a3, .Lsquare2
    ANY_WINDOW 2
    j .Lnext_block
.Lwidth3:
    beq t2, a3, .Lsquare3
    ANY_WINDOW 3
    j .Lnext_block
.Lsquare2:
    SQUARE_2
    j .Lnext_block
.Lsquare3:
    SQUARE_3
.Lnext_block:
    lw t1, FRAME_X
    lw t2, FRAME_Y
    addi s10, s10, -1
    addi t1, t1, PIE_BYTES
    addi t2, t2, PIE_BYTES
    sw t1, FRAME_X
    sw t2, FRAME_Y
    bnez s10, .Lblock
    LEAVE
.Lone:
    ONE_VECTOR
    LEAVE
.Ltwo:
    TWO_VECTORS
    LEAVE
