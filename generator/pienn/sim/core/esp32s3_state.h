// Architectural state of one ESP32-S3 core: Xtensa LX7 with PIE.
#ifndef PIENN_ESP32S3_STATE_H
#define PIENN_ESP32S3_STATE_H

#include <stdint.h>
#include "esp32s3_accumulators.h"
#include "vector.h"

typedef struct Esp32S3 {
    Vector128 q[8];
    Qacc qacc;
    Vector128 ua_state;
    uint32_t ar[64];
    uint32_t f[16];
    uint64_t accx; // 40 bits, upper bits 0
    uint32_t sar, sar_byte, fft_bit_width, gpio_out;
    uint32_t ps, windowbase, windowstart, br, lbeg, lend, lcount;
    uint32_t threadptr, fcr, fsr, cpenable, scompare1;
    uint64_t acc; // MAC16, 40 bits
    uint32_t mr[4];
    uint32_t special[256]; // the other special registers, by number
} Esp32S3;

#endif
