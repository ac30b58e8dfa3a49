/* mul_s8 for the ESP32-S3.
 *
 *     y = clamp((a * b + a * a_factor + b * b_factor + constant) >> shift)
 *     a_factor = -b_zero_point and b_factor = -a_zero_point, each as twice a factor of 0 or 64,
 *     constant = a_zero_point * b_zero_point + rounding + (y_zero_point << shift)
 *
 * QACC starts as 16 constants in memory; 14 slots per 16 elements, 18 where a zero point is not 0. Its 20 bits hold
 * every sum: a product of differences is less than 2^16, so that a shift beyond 17 gives no other result than 17, and
 * y_zero_point << shift is part of the constant up to a shift of 11; beyond it y_zero_point is added after the shift.
 *
 * Contract and registers: as sum.inc, with any shift; q1 y_zero_point to be added late.
 */
#include "sum.inc"

#define LARGEST_SHIFT_OF_PRODUCTS 17

.macro PRODUCT_ROW zero_points
    loop a6, .Lend\@
    ee.vld.128.ip q3, a2, PIE_BYTES
    ee.vld.128.ip q2, a3, PIE_BYTES
    LOAD_ACCUMULATORS a15
    ee.vmulas.s8.qacc q3, q2
    .if \zero_points
    MAC q3, q0, 2
    MAC q3, q0, 2
    MAC q2, q0, 0
    MAC q2, q0, 0
    .endif
    nop                         /* srcmb's wait */
    ee.srcmb.s8.qacc q4, a7, 0
    ee.vadds.s8 q4, q4, q1
    SUM_CLAMP
    ee.vst.128.ip q4, a4, PIE_BYTES
.Lend\@:
.endm

/* void pienn_mul_s8_s3(const int8_t *a, const int8_t *b, int8_t *y, const pienn_mul_s8_params *p) */
FUNCTION pienn_mul_s8_s3
    entry a1, SUM_FRAME
    mov a8, a2
    mov a9, a3
    mov a10, a4
    l32i a7, a5, PIENN_MUL_S8_SHIFT
    l32i a14, a5, PIENN_MUL_S8_A_ZERO_POINT
    l32i a15, a5, PIENN_MUL_S8_B_ZERO_POINT
    l32i a4, a5, PIENN_MUL_S8_Y_ZERO_POINT
    movi a2, LARGEST_SHIFT_OF_PRODUCTS
    min a7, a7, a2
    movi a11, 1
    ssl a7
    sll a11, a11
    srli a11, a11, 1            /* rounding */
    movi a2, LARGEST_EARLY_SHIFT
    movi a3, 0                  /* y_zero_point to be added late */
    bge a2, a7, .Learly
    mov a3, a4
    movi a4, 0
.Learly:
    sll a4, a4
    add a11, a11, a4
    mull a4, a14, a15
    add a11, a11, a4            /* the constant */
    s8i a3, a1, SUM_U
    neg a13, a14
    neg a12, a15
    srli a13, a13, 1
    slli a12, a12, 15
    or a13, a13, a12            /* half the factors of b in lane 0, of a in lane 2 */
    ee.movi.32.q q0, a13, 0
    IMAGE a11, a1, SUM_IMAGE, a3, a4
    mov a11, a13
    SUM_STEPS_OF PIENN_MUL_S8_A_STRIDES, 0
    SUM_STEPS_OF PIENN_MUL_S8_B_STRIDES, 1
    SUM_STEPS_OF PIENN_MUL_S8_Y_STRIDES, 2
    addi a2, a1, SUM_U
    ee.vldbc.8 q1, a2
    addi a2, a5, PIENN_MUL_S8_MINIMUM
    addi a3, a5, PIENN_MUL_S8_MAXIMUM
    ee.vldbc.8 q6, a2
    ee.vldbc.8 q7, a3
    l32i a6, a5, PIENN_MUL_S8_SHAPE+12
    l32i a12, a5, PIENN_MUL_S8_SHAPE
    srli a6, a6, 4
    addi a15, a1, SUM_IMAGE
.Laxis0:
    l32i a13, a5, PIENN_MUL_S8_SHAPE+4
.Laxis1:
    l32i a14, a5, PIENN_MUL_S8_SHAPE+8
.Laxis2:
    mov a2, a8
    mov a3, a9
    mov a4, a10
    bnez a11, .Lzero_points
    PRODUCT_ROW 0
    j .Lnext_row
.Lzero_points:
    PRODUCT_ROW 1
.Lnext_row:
    SUM_NEXT 2, a14, .Laxis2
    SUM_NEXT 1, a13, .Laxis1
    SUM_NEXT 0, a12, .Laxis0
    retw
