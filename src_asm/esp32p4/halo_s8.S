/* halo_s8 for the ESP32-P4: fills what surrounds an image in its buffer.
 *
 * Contract: that of layers.h; y starts at a multiple of 16 bytes, the sizes are any. Whole vectors are stored as such,
 * 1.25 to 2 slots each, the bytes before and behind them one by one, 3 slots each. Rounding does not matter.
 *
 * Registers
 *     a1 y   a2 p   a3 end of a filling   a4 end of its whole vectors   a5 value   t0 gaps left   q3 value
 */
#include "pie.inc"
#include "row.inc"

/* As FILL for whole vectors */
.macro FILL_VECTORS bytes
    add a3, a1, \bytes
    andi a4, \bytes, 3 * PIE_BYTES
    add a4, a4, a1
    beq a1, a4, .Lfours\@
.Lone\@:
    esp.vst.128.ip q3, a1, 16
    bne a1, a4, .Lone\@
.Lfours\@:
    beq a1, a3, .Lfilled\@
.Lfour\@:
    esp.vst.128.ip q3, a1, 16
    esp.vst.128.ip q3, a1, 16
    esp.vst.128.ip q3, a1, 16
    esp.vst.128.ip q3, a1, 16
    bne a1, a3, .Lfour\@
.Lfilled\@:
.endm

/* void pienn_halo_s8_p4(const int8_t *x, int8_t *y, const pienn_halo_s8_params *p); x is not read */
FUNCTION pienn_halo_s8_p4
    addi a3, a2, PIENN_HALO_S8_VALUE
    li a4, 0
    esp.vldbc.8.xp q3, a3, a4
    lw a5, PIENN_HALO_S8_VALUE(a2)
    lw t0, PIENN_HALO_S8_GAPS(a2)
    lw t1, PIENN_HALO_S8_ROW(a2)
    lw t2, PIENN_HALO_S8_GAP(a2)
    lw t3, PIENN_HALO_S8_BEFORE(a2)
    lw t4, PIENN_HALO_S8_AFTER(a2)
    or a3, t1, t2
    or a4, t3, t4
    or a3, a3, a4
    andi a3, a3, 15
    beqz a3, .Lvectors
    FILL t3
    add a1, a1, t1
    beqz t0, .Lafter
.Lgap:
    FILL t2
    add a1, a1, t1
    addi t0, t0, -1
    bnez t0, .Lgap
.Lafter:
    FILL t4
    ret
.Lvectors:
    FILL_VECTORS t3
    add a1, a1, t1
    beqz t0, .Lafter_vectors
.Lgap_vectors:
    FILL_VECTORS t2
    addi t0, t0, -1
    add a1, a1, t1
    bnez t0, .Lgap_vectors
.Lafter_vectors:
    FILL_VECTORS t4
    ret
