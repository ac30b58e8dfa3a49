// Architectural state of one ESP32-P4 HP core: RV32IMAFC, PIE, hardware loops.
#ifndef PIENN_ESP32P4_STATE_H
#define PIENN_ESP32P4_STATE_H

#include <stdint.h>
#include "vector.h"

// 512-bit accumulator: 16 lanes of 32 bits (8-bit products) or 8 lanes of 64 bits (16-bit products);
// QACC_L is the lower half.
typedef union Accumulator512 {
    int32_t s32[16];
    uint32_t u32[16];
    int64_t s64[8];
    uint64_t u64[8];
    Vector128 quarter[4];
    uint8_t u8[64];
} Accumulator512;

typedef struct HardwareLoop {
    uint32_t start, end, count; // end = address of the last instruction of the body
} HardwareLoop;

typedef struct Esp32P4 {
    Vector128 q[8];
    Accumulator512 qacc;
    Vector128 ua_state;
    uint32_t x[32];
    uint32_t f[32];
    uint64_t xacc; // 40 bits, upper bits 0
    uint32_t sar, sar_byte, fft_bit_width, cfg, perf;
    uint32_t fcsr; // rounding mode in bits 7:5; the sticky flags live in the host's until read
    uint32_t pie_enable, loop_enable; // CSR 0x7F2, 0x7F1: 0 off, 1 initial, 2 clean, 3 dirty
    HardwareLoop loop[2];
    uint32_t reservation; // address of the last lr.w, or 1
    uint32_t mstatus, mtvec, mepc, mcause, mtval, mscratch, mie, counter_event, counter_mode;
} Esp32P4;

// name, member, number of elements
#define ESP32P4_FIELDS(FIELD)                                                                                \
    FIELD(x, x, 32)                                                                                          \
    FIELD(f, f, 32)                                                                                          \
    FIELD(q, q, 8)                                                                                           \
    FIELD(qacc, qacc, 1)                                                                                     \
    FIELD(ua_state, ua_state, 1)                                                                             \
    FIELD(xacc, xacc, 1)                                                                                     \
    FIELD(sar, sar, 1)                                                                                       \
    FIELD(sar_byte, sar_byte, 1)                                                                             \
    FIELD(fft_bit_width, fft_bit_width, 1)                                                                   \
    FIELD(cfg, cfg, 1)                                                                                       \
    FIELD(perf, perf, 1)                                                                                     \
    FIELD(fcsr, fcsr, 1)                                                                                     \
    FIELD(pie_enable, pie_enable, 1)                                                                         \
    FIELD(loop_enable, loop_enable, 1)                                                                       \
    FIELD(loop, loop, 6)

#endif
