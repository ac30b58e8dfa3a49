// Lane arithmetic of the ESP32-S3's 128-bit PIE: pure functions from register values to register values.
//
// Every signed rail is full two's complement (-2^(n-1) .. 2^(n-1)-1), every right shift truncates toward
// minus infinity, products are never rounded. Shift amounts arrive already masked by the caller. Sources:
// ESP32-S3 Technical Reference Manual v1.8 chapter 1; value reports from silicon collected in espressif/qemu
// issues 161, 162, 164, 165, 166 and dj-oyu/esp32s3-hw-mcp data/pie_examples_measured.json (05e122d).
#ifndef PIENN_ESP32S3_LANES_H
#define PIENN_ESP32S3_LANES_H

#include "vector.h"

#include <stdint.h>
#include <string.h>

static ALWAYS_INLINE int64_t saturate_signed(int64_t value, int bits) {
    int64_t top = ((int64_t)1 << (bits - 1)) - 1;
    return value > top ? top : value < -top - 1 ? -top - 1 : value;
}

static ALWAYS_INLINE uint64_t saturate_unsigned(uint64_t value, int bits) {
    uint64_t top = ((uint64_t)1 << bits) - 1;
    return value > top ? top : value;
}

static ALWAYS_INLINE int64_t sign_extend_40(uint64_t value) {
    return (int64_t)(value << 24) >> 24;
}

// A shift by 32 or more is undocumented; the product is treated as a 64-bit number, so that only signs (or
// zeros) remain.
static ALWAYS_INLINE int32_t shift_right_32(int32_t value, int amount) {
    return amount > 31 ? value >> 31 : value >> amount;
}

static ALWAYS_INLINE uint32_t shift_right_u32(uint32_t value, int amount) {
    return amount > 31 ? 0 : value >> amount;
}

// One function per lane type: NAME(x, y) applies EXPRESSION to every lane pair (a, b).
#define LANE_BINARY(NAME, LANES, FIELD, WIDE, EXPRESSION)                                                    \
    static ALWAYS_INLINE Vector128 NAME(Vector128 x, Vector128 y) {                                          \
        Vector128 result;                                                                                    \
        for (int lane = 0; lane < (LANES); lane++) {                                                         \
            WIDE a = x.FIELD[lane], b = y.FIELD[lane];                                                       \
            result.FIELD[lane] = (__typeof__(result.FIELD[0]))(EXPRESSION);                                  \
        }                                                                                                    \
        return result;                                                                                       \
    }
#define LANE_BINARY_SIGNED(NAME, EXPRESSION8, EXPRESSION16, EXPRESSION32)                                    \
    LANE_BINARY(NAME##_s8, 16, s8, int32_t, EXPRESSION8)                                                     \
    LANE_BINARY(NAME##_s16, 8, s16, int32_t, EXPRESSION16)                                                   \
    LANE_BINARY(NAME##_s32, 4, s32, int64_t, EXPRESSION32)
#define CLAMP(VALUE, LOW, HIGH) ((VALUE) < (LOW) ? (LOW) : (VALUE) > (HIGH) ? (HIGH) : (VALUE))

LANE_BINARY_SIGNED(lanes_vadds, CLAMP(a + b, -128, 127), CLAMP(a + b, -32768, 32767),
                   CLAMP(a + b, INT32_MIN, INT32_MAX))
LANE_BINARY_SIGNED(lanes_vsubs, CLAMP(a - b, -128, 127), CLAMP(a - b, -32768, 32767),
                   CLAMP(a - b, INT32_MIN, INT32_MAX))
LANE_BINARY_SIGNED(lanes_vmax, a > b ? a : b, a > b ? a : b, a > b ? a : b)
LANE_BINARY_SIGNED(lanes_vmin, a < b ? a : b, a < b ? a : b, a < b ? a : b)
LANE_BINARY_SIGNED(lanes_equal, a == b ? -1 : 0, a == b ? -1 : 0, a == b ? -1 : 0)
LANE_BINARY_SIGNED(lanes_greater, a > b ? -1 : 0, a > b ? -1 : 0, a > b ? -1 : 0)
LANE_BINARY_SIGNED(lanes_less, a < b ? -1 : 0, a < b ? -1 : 0, a < b ? -1 : 0)

#define LANE_MULTIPLY(NAME, LANES, FIELD, WIDE, SHIFT)                                                       \
    static ALWAYS_INLINE Vector128 NAME(Vector128 x, Vector128 y, int amount) {                              \
        Vector128 result;                                                                                    \
        for (int lane = 0; lane < (LANES); lane++) {                                                         \
            WIDE product = (WIDE)x.FIELD[lane] * (WIDE)y.FIELD[lane];                                        \
            result.FIELD[lane] = (__typeof__(result.FIELD[0]))SHIFT(product, amount);                        \
        }                                                                                                    \
        return result;                                                                                       \
    }
LANE_MULTIPLY(lanes_vmul_s8, 16, s8, int32_t, shift_right_32)
LANE_MULTIPLY(lanes_vmul_s16, 8, s16, int32_t, shift_right_32)
LANE_MULTIPLY(lanes_vmul_u8, 16, u8, uint32_t, shift_right_u32)
LANE_MULTIPLY(lanes_vmul_u16, 8, u16, uint32_t, shift_right_u32)

// Lanes of x at or below zero are multiplied by the lane of `slope` and shifted; the others pass.
static ALWAYS_INLINE Vector128 lanes_prelu_s8(Vector128 x, Vector128 slope, int amount) {
    for (int lane = 0; lane < 16; lane++)
        if (x.s8[lane] <= 0)
            x.s8[lane] = (int8_t)shift_right_32(x.s8[lane] * slope.s8[lane], amount);
    return x;
}

static ALWAYS_INLINE Vector128 lanes_prelu_s16(Vector128 x, Vector128 slope, int amount) {
    for (int lane = 0; lane < 8; lane++)
        if (x.s16[lane] <= 0)
            x.s16[lane] = (int16_t)shift_right_32(x.s16[lane] * slope.s16[lane], amount);
    return x;
}

static ALWAYS_INLINE Vector128 broadcast_8(uint8_t value) {
    Vector128 result;
    memset(result.u8, value, 16);
    return result;
}

static ALWAYS_INLINE Vector128 broadcast_16(uint16_t value) {
    Vector128 result;
    for (int lane = 0; lane < 8; lane++)
        result.u16[lane] = value;
    return result;
}

static ALWAYS_INLINE Vector128 broadcast_32(uint32_t value) {
    Vector128 result;
    for (int lane = 0; lane < 4; lane++)
        result.u32[lane] = value;
    return result;
}

// The 32 bytes {high:low} shifted right by `count` bytes (0..16), zero filled; *upper gets bytes 16..31.
static ALWAYS_INLINE Vector128 pair_shift_right(Vector128 high, Vector128 low, int count, Vector128 *upper) {
    uint8_t bytes[48] = {0};
    Vector128 result;
    memcpy(bytes, low.u8, 16);
    memcpy(bytes + 16, high.u8, 16);
    memcpy(result.u8, bytes + count, 16);
    memcpy(upper->u8, bytes + count + 16, 16);
    return result;
}

// The low 16 bytes of {high:low} shifted right by `count` bytes (0..15): the unaligned-stream select.
static ALWAYS_INLINE Vector128 select_bytes(Vector128 low, Vector128 high, int count) {
    uint8_t bytes[32];
    Vector128 result;
    memcpy(bytes, low.u8, 16);
    memcpy(bytes + 16, high.u8, 16);
    memcpy(result.u8, bytes + count, 16);
    return result;
}

// {high:low} shifted left by `count` bytes (1..16), zero filled.
static ALWAYS_INLINE Vector128 pair_shift_left(Vector128 high, Vector128 low, int count, Vector128 *lower) {
    uint8_t bytes[48] = {0};
    Vector128 result;
    memcpy(bytes + 16, low.u8, 16);
    memcpy(bytes + 32, high.u8, 16);
    memcpy(lower->u8, bytes + 16 - count, 16);
    memcpy(result.u8, bytes + 32 - count, 16);
    return result;
}

#define LANE_ZIP(BITS, LANES)                                                                                \
    static ALWAYS_INLINE void lanes_zip_##BITS(Vector128 *first, Vector128 *second) {                        \
        Vector128 z[2];                                                                                      \
        for (int lane = 0; lane < (LANES); lane++) {                                                         \
            z[2 * lane / (LANES)].u##BITS[2 * lane % (LANES)] = first->u##BITS[lane];                        \
            z[2 * lane / (LANES)].u##BITS[2 * lane % (LANES) + 1] = second->u##BITS[lane];                   \
        }                                                                                                    \
        *first = z[0];                                                                                       \
        *second = z[1];                                                                                      \
    }                                                                                                        \
    static ALWAYS_INLINE void lanes_unzip_##BITS(Vector128 *first, Vector128 *second) {                      \
        Vector128 z[2] = {*first, *second};                                                                  \
        for (int lane = 0; lane < (LANES); lane++) {                                                         \
            first->u##BITS[lane] = z[2 * lane / (LANES)].u##BITS[2 * lane % (LANES)];                        \
            second->u##BITS[lane] = z[2 * lane / (LANES)].u##BITS[2 * lane % (LANES) + 1];                   \
        }                                                                                                    \
    }
LANE_ZIP(8, 16)
LANE_ZIP(16, 8)
LANE_ZIP(32, 4)

static ALWAYS_INLINE Vector128 lanes_shift_right_s16(Vector128 x, int amount) {
    for (int lane = 0; lane < 8; lane++)
        x.s16[lane] = (int16_t)(x.s16[lane] >> amount);
    return x;
}

static ALWAYS_INLINE Vector128 reverse_words(Vector128 x) {
    return (Vector128){.u32 = {x.u32[3], x.u32[2], x.u32[1], x.u32[0]}};
}

static ALWAYS_INLINE uint32_t pack_halfwords(int64_t low, int64_t high) {
    return ((uint32_t)low & 0xffff) | (uint32_t)high << 16;
}

// Complex product of pair `pair` (real part = low halfword) as a 32-bit pair, both parts shifted right and
// truncated; `conjugate` takes the conjugate of y.
static ALWAYS_INLINE uint32_t complex_multiply_pair(Vector128 x, Vector128 y, int pair, int conjugate,
                                                    int amount) {
    int64_t xr = x.s16[2 * pair], xi = x.s16[2 * pair + 1], yr = y.s16[2 * pair], yi = y.s16[2 * pair + 1];
    if (conjugate)
        yi = -yi;
    return pack_halfwords((xr * yr - xi * yi) >> amount, (xi * yr + xr * yi) >> amount);
}

// Pairs 0, 1 (selector even) or 2, 3 (odd) of z; from selector 2 on the conjugate of x is taken.
static ALWAYS_INLINE void complex_multiply_half(Vector128 *z, Vector128 x, Vector128 y, int selector,
                                                int amount) {
    for (int pair = 2 * (selector & 1); pair < 2 * (selector & 1) + 2; pair++)
        z->u32[pair] = complex_multiply_pair(y, x, pair, selector >= 2, amount);
}

static ALWAYS_INLINE uint16_t bit_reverse_maximum(uint16_t value, int width) {
    uint16_t kept = (uint16_t)(value & ((1u << width) - 1)), reversed = 0;
    for (int bit = 0; bit < width; bit++)
        if (kept >> bit & 1)
            reversed = (uint16_t)(reversed | 1u << (width - 1 - bit));
    return kept > reversed ? kept : reversed;
}

// Radix-2 butterfly of halfwords that wrap: selector 0 combines the 64-bit halves of each register, 1 the
// even with the odd words.
static ALWAYS_INLINE void butterfly_radix2(Vector128 x, Vector128 y, int selector, Vector128 result[2]) {
    Vector128 a, b;
    if (selector == 0) {
        a = (Vector128){.u64 = {x.u64[0], y.u64[0]}};
        b = (Vector128){.u64 = {x.u64[1], y.u64[1]}};
    } else {
        a = (Vector128){.u32 = {x.u32[0], x.u32[2], y.u32[0], y.u32[2]}};
        b = (Vector128){.u32 = {x.u32[1], x.u32[3], y.u32[1], y.u32[3]}};
    }
    for (int lane = 0; lane < 8; lane++) {
        result[lane / 4].s16[lane % 4] = (int16_t)(a.s16[lane] + b.s16[lane]);
        result[lane / 4].s16[lane % 4 + 4] = (int16_t)(a.s16[lane] - b.s16[lane]);
    }
}

typedef struct {
    uint32_t sum, difference; // 32-bit pairs, real part low
} AddMultiplySubtract;

// One pair of the split step of a real FFT; sums keep their 17th bit until the products are shifted.
static ALWAYS_INLINE AddMultiplySubtract add_multiply_subtract(Vector128 x, Vector128 y, Vector128 m,
                                                               int pair, int selector, int amount) {
    int64_t xr = x.s16[2 * pair], xi = x.s16[2 * pair + 1], yr = y.s16[2 * pair], yi = y.s16[2 * pair + 1];
    int64_t mr = m.s16[2 * pair], mi = m.s16[2 * pair + 1];
    int64_t sum_real = xr + yr, difference_imaginary = xi - yi, difference_real = xr - yr,
            sum_imaginary = xi + yi;
    int64_t real, imaginary;
    if (selector == 0) {
        real = (difference_real * mr - sum_imaginary * mi) >> amount;
        imaginary = (difference_real * mi + sum_imaginary * mr) >> amount;
    } else {
        real = (sum_imaginary * mi + difference_real * mr) >> amount;
        imaginary = (sum_imaginary * mr - difference_real * mi) >> amount;
    }
    return (AddMultiplySubtract){
        .sum = pack_halfwords(sum_real + real, difference_imaginary + imaginary),
        .difference = pack_halfwords(sum_real - real, imaginary - difference_imaginary),
    };
}

#endif
