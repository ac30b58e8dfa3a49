// QACC (2 x 160 bits) and ACCX (40 bits) of the ESP32-S3.
//
// QACC has one content and two readings: 16 lanes of 20 bits or 8 lanes of 40 bits (lane i of 40 bits = lanes
// 2i and 2i+1 of 20). Instructions of one kind follow each other, so the lanes are kept widened to the host's
// integers in the reading used last and are repacked only when another reading is asked for.
#ifndef PIENN_ESP32S3_ACCUMULATORS_H
#define PIENN_ESP32S3_ACCUMULATORS_H

#include "esp32s3_lanes.h"

typedef enum { QACC_S20, QACC_U20, QACC_S40, QACC_U40 } QaccReading;

typedef struct {
    QaccReading reading;
    union {
        int32_t lane20[16] __attribute__((aligned(64))); // sign or zero extended as `reading` says
        int64_t lane40[8];
    };
} Qacc;

static ALWAYS_INLINE void qacc_to_packed(const Qacc *qacc, uint64_t packed[8]) {
    for (int lane = 0; lane < 8; lane++)
        if (qacc->reading <= QACC_U20)
            packed[lane] = ((uint64_t)qacc->lane20[2 * lane] & 0xfffff) |
                           ((uint64_t)qacc->lane20[2 * lane + 1] & 0xfffff) << 20;
        else
            packed[lane] = (uint64_t)qacc->lane40[lane] & 0xffffffffff;
}

static ALWAYS_INLINE void qacc_from_packed(Qacc *qacc, const uint64_t packed[8], QaccReading reading) {
    qacc->reading = reading;
    for (int lane = 0; lane < 8; lane++) {
        uint32_t low = packed[lane] & 0xfffff, high = (uint32_t)(packed[lane] >> 20) & 0xfffff;
        switch (reading) {
        case QACC_S20:
            qacc->lane20[2 * lane] = (int32_t)(low << 12) >> 12;
            qacc->lane20[2 * lane + 1] = (int32_t)(high << 12) >> 12;
            break;
        case QACC_U20:
            qacc->lane20[2 * lane] = (int32_t)low;
            qacc->lane20[2 * lane + 1] = (int32_t)high;
            break;
        case QACC_S40:
            qacc->lane40[lane] = sign_extend_40(packed[lane]);
            break;
        case QACC_U40:
            qacc->lane40[lane] = (int64_t)(packed[lane] & 0xffffffffff);
            break;
        }
    }
}

static __attribute__((noinline)) void qacc_change_reading(Qacc *qacc, QaccReading reading) {
    uint64_t packed[8];
    qacc_to_packed(qacc, packed);
    qacc_from_packed(qacc, packed, reading);
}

static ALWAYS_INLINE void qacc_read_as(Qacc *qacc, QaccReading reading) {
    if (__builtin_expect(qacc->reading != reading, 0))
        qacc_change_reading(qacc, reading);
}

// `count` bytes of the packed register from `offset` on, lowest first: QACC_L is bytes 0..19, QACC_H 20..39.
static ALWAYS_INLINE void qacc_read_bytes(const Qacc *qacc, int offset, void *bytes, int count) {
    uint64_t packed[8];
    uint8_t all[40];
    qacc_to_packed(qacc, packed);
    for (int lane = 0; lane < 8; lane++)
        memcpy(all + 5 * lane, &packed[lane], 5);
    memcpy(bytes, all + offset, (size_t)count);
}

static ALWAYS_INLINE void qacc_write_bytes(Qacc *qacc, int offset, const void *bytes, int count) {
    uint64_t packed[8] = {0};
    uint8_t all[40];
    qacc_read_bytes(qacc, 0, all, 40);
    memcpy(all + offset, bytes, (size_t)count);
    for (int lane = 0; lane < 8; lane++)
        memcpy(&packed[lane], all + 5 * lane, 5);
    qacc_from_packed(qacc, packed, qacc->reading);
}

// lane i = saturate(lane i + x.i * y.i). A sum of a 20-bit lane and a product of bytes always fits an int32,
// one of a 40-bit lane and a product of halfwords an int64.
static ALWAYS_INLINE void qacc_multiply_accumulate_s8(Qacc *qacc, Vector128 x, Vector128 y) {
    qacc_read_as(qacc, QACC_S20);
    for (int lane = 0; lane < 16; lane++) {
        int32_t sum = qacc->lane20[lane] + (int32_t)(int16_t)((int16_t)x.s8[lane] * (int16_t)y.s8[lane]);
        qacc->lane20[lane] = CLAMP(sum, -0x80000, 0x7ffff);
    }
}

static ALWAYS_INLINE void qacc_multiply_accumulate_u8(Qacc *qacc, Vector128 x, Vector128 y) {
    qacc_read_as(qacc, QACC_U20);
    for (int lane = 0; lane < 16; lane++) {
        int32_t sum = qacc->lane20[lane] + (int32_t)(uint16_t)((uint16_t)x.u8[lane] * (uint16_t)y.u8[lane]);
        qacc->lane20[lane] = sum > 0xfffff ? 0xfffff : sum;
    }
}

static ALWAYS_INLINE void qacc_multiply_accumulate_s16(Qacc *qacc, Vector128 x, Vector128 y) {
    qacc_read_as(qacc, QACC_S40);
    for (int lane = 0; lane < 8; lane++) {
        int64_t sum = qacc->lane40[lane] + (int32_t)x.s16[lane] * (int32_t)y.s16[lane];
        qacc->lane40[lane] = CLAMP(sum, -0x8000000000, 0x7fffffffff);
    }
}

static ALWAYS_INLINE void qacc_multiply_accumulate_u16(Qacc *qacc, Vector128 x, Vector128 y) {
    qacc_read_as(qacc, QACC_U40);
    for (int lane = 0; lane < 8; lane++) {
        int64_t sum = qacc->lane40[lane] + (int64_t)((uint32_t)x.u16[lane] * (uint32_t)y.u16[lane]);
        qacc->lane40[lane] = sum > 0xffffffffff ? 0xffffffffff : sum;
    }
}

static ALWAYS_INLINE void qacc_load_s8(Qacc *qacc, Vector128 x) {
    qacc->reading = QACC_S20;
    for (int lane = 0; lane < 16; lane++)
        qacc->lane20[lane] = x.s8[lane];
}

static ALWAYS_INLINE void qacc_load_u8(Qacc *qacc, Vector128 x) {
    qacc->reading = QACC_U20;
    for (int lane = 0; lane < 16; lane++)
        qacc->lane20[lane] = x.u8[lane];
}

static ALWAYS_INLINE void qacc_load_s16(Qacc *qacc, Vector128 x) {
    qacc->reading = QACC_S40;
    for (int lane = 0; lane < 8; lane++)
        qacc->lane40[lane] = x.s16[lane];
}

static ALWAYS_INLINE void qacc_load_u16(Qacc *qacc, Vector128 x) {
    qacc->reading = QACC_U40;
    for (int lane = 0; lane < 8; lane++)
        qacc->lane40[lane] = x.u16[lane];
}

// Every lane is shifted right in place; the result is its copy, saturated to the lane of a q register.
static ALWAYS_INLINE Vector128 qacc_shift_s8(Qacc *qacc, int amount) {
    Vector128 result;
    qacc_read_as(qacc, QACC_S20);
    for (int lane = 0; lane < 16; lane++) {
        int32_t value = qacc->lane20[lane] >> amount;
        qacc->lane20[lane] = value;
        result.s8[lane] = (int8_t)CLAMP(value, -128, 127);
    }
    return result;
}

static ALWAYS_INLINE Vector128 qacc_shift_s16(Qacc *qacc, int amount) {
    Vector128 result;
    qacc_read_as(qacc, QACC_S40);
    for (int lane = 0; lane < 8; lane++) {
        int64_t value = qacc->lane40[lane] >> amount;
        qacc->lane40[lane] = value;
        result.s16[lane] = (int16_t)CLAMP(value, -32768, 32767);
    }
    return result;
}

// ACCX is kept as its low 40 bits; signed instructions read it sign extended. All lane products are added
// before the one saturation.
static ALWAYS_INLINE uint64_t accx_multiply_accumulate_s8(uint64_t accx, Vector128 x, Vector128 y) {
    int32_t sum = 0;
    for (int lane = 0; lane < 16; lane++)
        sum += x.s8[lane] * y.s8[lane];
    return (uint64_t)saturate_signed(sign_extend_40(accx) + sum, 40) & 0xffffffffff;
}

static ALWAYS_INLINE uint64_t accx_multiply_accumulate_s16(uint64_t accx, Vector128 x, Vector128 y) {
    int64_t sum = 0;
    for (int lane = 0; lane < 8; lane++)
        sum += x.s16[lane] * y.s16[lane];
    return (uint64_t)saturate_signed(sign_extend_40(accx) + sum, 40) & 0xffffffffff;
}

static ALWAYS_INLINE uint64_t accx_multiply_accumulate_u8(uint64_t accx, Vector128 x, Vector128 y) {
    uint32_t sum = 0;
    for (int lane = 0; lane < 16; lane++)
        sum += (uint32_t)(x.u8[lane] * y.u8[lane]);
    return saturate_unsigned(accx + sum, 40);
}

static ALWAYS_INLINE uint64_t accx_multiply_accumulate_u16(uint64_t accx, Vector128 x, Vector128 y) {
    uint64_t sum = 0;
    for (int lane = 0; lane < 8; lane++)
        sum += (uint64_t)x.u16[lane] * y.u16[lane];
    return saturate_unsigned(accx + sum, 40);
}

#endif
