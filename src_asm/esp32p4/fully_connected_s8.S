/* fully_connected_s8 for the ESP32-P4: lanes are 16 columns, every MAC broadcasts one element of x.
 *
 * Reads `blocks` (generator/pienn/codegen/packing_esp32p4.py), one record per block of columns:
 *     word 0       bytes of x that are taken 64 at a time
 *     word 1       bytes of a record
 *     word 2       bytes of x after those, taken 16 at a time
 *     word 3       0
 *     16 int32     bias, its quarters in the order 0, 2, 1, 3
 *     1 vector     shifts
 *     vectors      weights, one for each element of x, zero up to a multiple of 16
 *
 * Contract: that of layers.h for `blocks`; rows of x and y start at multiples of 16 bytes, surplus lanes of the
 * last block of y are written, x is read up to the next multiple of 16 bytes (its surplus counts as 0), and up
 * to 48 bytes are read beyond the records.
 *
 * Slots per 16 columns of one row: 20 + depth * (1 + 1/16 + 1/64).
 *
 * Registers
 *     a0 x           a1 y              a2 in x      a3 in record   a4 record    a5 y of the block
 *     a6 rows left   a7 end in x       t0, t1 bytes of x as above               t2 blocks left
 *     t3 temporary   t4 record bytes   t5, t6 clamp   q0, q1 weights   q2, q3 input   q7 shifts
 */
#include "pie.inc"
#include "stream.inc"

#define FRAME_CFG 0(sp)
#define FRAME_ROWS 4(sp)
#define FRAME_X_GAP 8(sp) /* from the end of a row to the next */
#define FRAME_Y_STEP 12(sp)
#define STACK_BYTES 16

#define RECORD_BYTES 4
#define RECORD_SINGLES 8
#define RECORD_BIAS 16

FUNCTION pienn_fully_connected_s8_p4
    addi sp, sp, -STACK_BYTES
    SAVE_ROUNDING FRAME_CFG, t3
    lw a4, PIENN_FULLY_CONNECTED_S8_BLOCKS(a2)
    lw t2, PIENN_FULLY_CONNECTED_S8_COLUMNS(a2)
    lw t5, PIENN_FULLY_CONNECTED_S8_MINIMUM(a2)
    lw t6, PIENN_FULLY_CONNECTED_S8_MAXIMUM(a2)
    lw a5, PIENN_FULLY_CONNECTED_S8_ROWS(a2)
    lw a6, PIENN_FULLY_CONNECTED_S8_X_ROW_STRIDE(a2)
    lw a7, PIENN_FULLY_CONNECTED_S8_Y_ROW_STRIDE(a2)
    lw t0, 0(a4)
    lw t1, RECORD_SINGLES(a4)
    lw t4, RECORD_BYTES(a4)
    sub a6, a6, t0
    sub a6, a6, t1
    sw a5, FRAME_ROWS
    sw a6, FRAME_X_GAP
    sw a7, FRAME_Y_STEP
    addi t2, t2, 15
    srli t2, t2, 4
    mv a5, a1
.Lblock:
    ROUND_DOWN t3
    lw a6, FRAME_ROWS
    mv a1, a5
    mv a2, a0
.Lrow:
    addi a3, a4, RECORD_BIAS
    esp.ld.qacc.l.l.128.ip a3, 16
    esp.ld.qacc.h.l.128.ip a3, 16
    esp.ld.qacc.l.h.128.ip a3, 16
    esp.ld.qacc.h.h.128.ip a3, 16
    esp.vld.128.ip q7, a3, 16
    esp.vld.128.ip q0, a3, 16
    esp.vld.128.ip q1, a3, 16
    beqz t0, .Lsingles
    add a7, a2, t0
.Lchunk:
    CHUNK a2, 4
    bne a2, a7, .Lchunk
    beqz t1, .Lstore
.Lsingles:
    add a7, a2, t1
.Lsingle:
    esp.vld.128.ip q2, a2, 16
    nop                         /* the load's slot */
    STREAM q2, 0, 16
    bne a2, a7, .Lsingle
.Lstore:
    REQUANTIZE_LANES q2, q7
    esp.vsat.s8 q2, q2, t5, t6
    addi a6, a6, -1
    esp.vst.128.ip q2, a1, 0
    bnez a6, .Lnext_row
    UNLESS_ROUNDED_DOWN t3, .Lblock
    addi t2, t2, -1
    add a4, a4, t4
    addi a5, a5, PIE_BYTES
    bnez t2, .Lblock
    RESTORE_ROUNDING FRAME_CFG, t3
    addi sp, sp, STACK_BYTES
    ret
.Lnext_row:
    lw a7, FRAME_X_GAP
    lw t3, FRAME_Y_STEP
    add a2, a2, a7
    add a1, a1, t3
    j .Lrow
