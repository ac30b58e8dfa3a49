/* softmax_s8 for the ESP32-S3. PIE has no gather, so this is integer code, 30 cycles an element in all, with one
 * division a row.
 *
 *     y = min(255, (512 * E + S) / (2 * S)) - 128, E = table[maximum - x], S = sum of E
 *
 * The quotient by D = 2 * S is the upper half of the product with floor((2^32 - 1) / D), or one more.
 *
 * Contract: any bases and strides. In place as layers.h says.
 *
 * Registers
 *     a2 row of x   a3 row of y   a4 p   a5 table   a6 maximum   a7 S   a8 D   a9 reciprocal of D   a10 x   a11 y
 *     a12-a14 temporary   a15 rows left
 */
#include "pie.inc"

/* a12 = E of the element at a10, which moves on */
.macro EXPONENTIAL
    l8ui a12, a10, 0
    addi a10, a10, 1
    sub a12, a6, a12
    extui a12, a12, 0, 8        /* the difference is 0..255, whatever sign the byte had */
    addx2 a12, a12, a5
    l16ui a12, a12, 0
.endm

/* void pienn_softmax_s8_s3(const int8_t *x, int8_t *y, const pienn_softmax_s8_params *p) */
FUNCTION pienn_softmax_s8_s3
    entry a1, 32
    l32i a5, a4, PIENN_SOFTMAX_S8_TABLE
    l32i a15, a4, PIENN_SOFTMAX_S8_ROWS
.Lrow:
    l32i a13, a4, PIENN_SOFTMAX_S8_CHANNELS
    mov a10, a2
    movi a6, -128
    loop a13, .Lmaximum_end
    l8ui a12, a10, 0
    addi a10, a10, 1
    sext a12, a12, 7
    max a6, a6, a12
.Lmaximum_end:
    mov a10, a2
    movi a7, 0
    movi a12, 0
    loop a13, .Lsum_end
    add a7, a7, a12             /* of the element before */
    EXPONENTIAL
.Lsum_end:
    add a7, a7, a12
    slli a8, a7, 1
    movi a9, -1
    quou a9, a9, a8
    mov a10, a2
    mov a11, a3
    loop a13, .Lresult_end
    EXPONENTIAL
    slli a12, a12, 9
    add a12, a12, a7
    muluh a14, a12, a9
    mull a13, a14, a8
    sub a12, a12, a13
    bltu a12, a8, .Lquotient
    addi a14, a14, 1
.Lquotient:
    movi a13, 255
    minu a14, a14, a13
    addi a14, a14, -128
    s8i a14, a11, 0
    addi a11, a11, 1
.Lresult_end:
    l32i a12, a4, PIENN_SOFTMAX_S8_X_ROW_STRIDE
    l32i a13, a4, PIENN_SOFTMAX_S8_Y_ROW_STRIDE
    addi a15, a15, -1
    add a2, a2, a12
    add a3, a3, a13
    bnez a15, .Lrow
    retw
