// Architectural state of one ESP32-S3 core: Xtensa LX7 with PIE.
#ifndef PIENN_ESP32S3_STATE_H
#define PIENN_ESP32S3_STATE_H

#include "esp32s3_accumulators.h"
#include "vector.h"
#include <stdint.h>

// Numbers of special registers that the simulator itself reads or writes.
enum SpecialRegister {
    SR_LBEG = 0,
    SR_LEND = 1,
    SR_LCOUNT = 2,
    SR_SAR = 3,
    SR_BR = 4,
    SR_SCOMPARE1 = 12,
    SR_ACCLO = 16,
    SR_ACCHI = 17,
    SR_M0 = 32,
    SR_WINDOWBASE = 72,
    SR_WINDOWSTART = 73,
    SR_DDR = 104,
    SR_EPC1 = 177,
    SR_DEPC = 192,
    SR_EPS2 = 194,
    SR_EXCSAVE1 = 209,
    SR_CPENABLE = 224,
    SR_INTERRUPT = 226,
    SR_INTCLEAR = 227,
    SR_PS = 230,
    SR_VECBASE = 231,
    SR_EXCCAUSE = 232,
    SR_CCOUNT = 234,
    SR_PRID = 235,
    SR_EXCVADDR = 238,
};

// Bits of CPENABLE.
enum { CP_FPU = 1 << 0, CP_PIE = 1 << 3 };

// Bits of PS.
enum {
    PS_INTLEVEL = 15,
    PS_EXCM = 1 << 4,
    PS_UM = 1 << 5,
    PS_OWB_SHIFT = 8,
    PS_CALLINC_SHIFT = 16,
    PS_WOE = 1 << 18,
};

typedef struct Esp32S3 {
    Vector128 q[8];
    Qacc qacc;
    uint8_t qacc_bytes[40]; // QACC_L, QACC_H packed, lowest byte first; valid between runs
    Vector128 ua_state;
    uint32_t a[16];  // the visible window
    uint32_t ar[64]; // the register file; the 16 entries under the visible window are stale, `a` holds them
    uint32_t f[16];  // raw bits
    uint64_t accx;   // 40 bits, upper bits 0
    uint32_t sar, sar_byte, fft_bit_width, gpio_out, gpio_in;
    uint32_t ps, windowbase, windowstart;
    uint32_t
        pane_mask; // panes of four registers in the register file, minus one: 15 (7 on smaller Xtensa cores)
    uint32_t window_limit; // distance in panes to the next older live frame, 4 when none overlaps the window
    uint32_t br, lbeg, lend, lcount;
    uint32_t threadptr, fcr, fsr, cpenable, scompare1;
    uint64_t acc; // MAC16, 40 bits, upper bits 0
    uint32_t mr[4];
    uint32_t special[256];      // the other special registers, by number
    uint32_t spills, fills;     // frames stored to and loaded from the stack by window exceptions
    uint32_t short_loop_tenths; // fractions of a cycle owed to loops of one instruction
} Esp32S3;

#endif
