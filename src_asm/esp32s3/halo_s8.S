/* halo_s8 for the ESP32-S3: fills what surrounds an image in its buffer.
 *
 * Contract: that of layers.h; y starts at a multiple of 16 bytes, the sizes are any. Whole vectors are stored as such,
 * a slot each, the bytes before and behind them one by one, two slots each.
 *
 * Registers
 *     a3 y   a5 value   a6 gaps left   a7 bytes of an image row   a12, a13, a14 bytes of gap, before, after
 *     a8 end of a filling   a9, a10 temporary   q3 value
 */
#include "pie.inc"
#include "row.inc"

/* void pienn_halo_s8_s3(const int8_t *x, int8_t *y, const pienn_halo_s8_params *p); x is not read */
FUNCTION pienn_halo_s8_s3
    entry a1, 32
    l32i a5, a4, PIENN_HALO_S8_VALUE
    l32i a6, a4, PIENN_HALO_S8_GAPS
    l32i a7, a4, PIENN_HALO_S8_ROW
    l32i a12, a4, PIENN_HALO_S8_GAP
    l32i a13, a4, PIENN_HALO_S8_BEFORE
    l32i a14, a4, PIENN_HALO_S8_AFTER
    ee.vldbc.8.ip q3, a4, PIENN_HALO_S8_VALUE
    or a8, a7, a12
    or a9, a13, a14
    or a8, a8, a9
    extui a8, a8, 0, 4
    beqz a8, .Lvectors
    FILL a3, a13, a5
    add a3, a3, a7
    beqz a6, .Lafter
.Lgap:
    FILL a3, a12, a5
    addi a6, a6, -1
    add a3, a3, a7
    bnez a6, .Lgap
.Lafter:
    FILL a3, a14, a5
    retw
.Lvectors:
    srli a12, a12, 4
    srli a13, a13, 4
    srli a14, a14, 4
    FILL_VECTORS a3, a13
    add a3, a3, a7
    beqz a6, .Lafter_vectors
.Lgap_vectors:
    FILL_VECTORS a3, a12
    addi a6, a6, -1
    add a3, a3, a7
    bnez a6, .Lgap_vectors
.Lafter_vectors:
    FILL_VECTORS a3, a14
    retw
