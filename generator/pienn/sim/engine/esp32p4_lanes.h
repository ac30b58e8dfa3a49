// Lane types, rounding shifts and saturation of the ESP32-P4's PIE.
#ifndef PIENN_ESP32P4_LANES_H
#define PIENN_ESP32P4_LANES_H

#include "esp32p4_vocabulary.h"

#pragma GCC diagnostic ignored "-Wtype-limits" // one macro clamps signed and unsigned lanes

// For each lane type: its C type, lanes in 128 bits, limits, a type wide enough for sums and differences of
// two lanes.
#define TYPE_s8 int8_t
#define TYPE_u8 uint8_t
#define TYPE_s16 int16_t
#define TYPE_u16 uint16_t
#define TYPE_s32 int32_t
#define TYPE_u32 uint32_t
#define LANES_s8 16
#define LANES_u8 16
#define LANES_s16 8
#define LANES_u16 8
#define LANES_s32 4
#define LANES_u32 4
#define LOW_s8 INT8_MIN
#define LOW_u8 0
#define LOW_s16 INT16_MIN
#define LOW_u16 0
#define LOW_s32 INT32_MIN
#define LOW_u32 0
#define HIGH_s8 INT8_MAX
#define HIGH_u8 UINT8_MAX
#define HIGH_s16 INT16_MAX
#define HIGH_u16 UINT16_MAX
#define HIGH_s32 INT32_MAX
#define HIGH_u32 UINT32_MAX
#define WIDE_s8 int32_t
#define WIDE_u8 int32_t
#define WIDE_s16 int32_t
#define WIDE_u16 int32_t
#define WIDE_s32 int64_t
#define WIDE_u32 int64_t

#define FOR_LANES(T) for (int i = 0; i < LANES_##T; i++)
#define BETWEEN(value, low, high) ((value) < (low) ? (low) : (value) > (high) ? (high) : (value))

// destination lane i = value, saturated or cut to the lane; `value` is of type `wide` and may use i.
#define EACH_LANE(T, wide, destination, saturating, value)                                                   \
    do {                                                                                                     \
        Vector128 result_;                                                                                   \
        if (saturating)                                                                                      \
            FOR_LANES(T) {                                                                                   \
                const wide value_ = (value);                                                                 \
                result_.T[i] = (TYPE_##T)BETWEEN(value_, (wide)LOW_##T, (wide)HIGH_##T);                     \
            }                                                                                                \
        else                                                                                                 \
            FOR_LANES(T) result_.T[i] = (TYPE_##T)(value);                                                   \
        Q(destination) = result_;                                                                            \
    } while (0)

// CFG
enum { CFG_MISALIGNED_STORE = 1, CFG_MISALIGNED_LOAD = 2, CFG_ROUNDING_SHIFT = 4, CFG_WRITABLE = 0x1f3 };
enum {
    ROUND_FLOOR,
    ROUND_CEILING,
    ROUND_AWAY,
    ROUND_TO_ZERO,
    ROUND_HALF_AWAY,
    ROUND_HALF_TO_ZERO,
    ROUND_HALF_EVEN
};
enum { ROUND_BY_CFG = 7 };
#define ROUNDING(rm) ((rm) == ROUND_BY_CFG ? m->p4.cfg >> CFG_ROUNDING_SHIFT & 15 : (uint32_t)(rm))

// What rounding adds to the floor of a shifted value: `rest` are the bits shifted out, `half` their half.
static ALWAYS_INLINE bool rounds_up(uint32_t mode, bool negative, bool odd, uint64_t rest, uint64_t half) {
    switch (mode) {
    case ROUND_CEILING:
        return rest != 0;
    case ROUND_AWAY:
        return rest && !negative;
    case ROUND_TO_ZERO:
        return rest && negative;
    case ROUND_HALF_AWAY:
        return rest > half || (rest == half && !negative);
    case ROUND_HALF_TO_ZERO:
        return rest > half || (rest == half && negative);
    case ROUND_HALF_EVEN:
        return rest > half || (rest == half && odd);
    }
    return false;
}

static ALWAYS_INLINE int64_t shift_signed(int64_t value, uint32_t amount, uint32_t mode) {
    if (amount > 63)
        amount = 63;
    const int64_t floor = value >> amount;
    if (mode == ROUND_FLOOR || !amount)
        return floor;
    const uint64_t rest = (uint64_t)value & ((UINT64_C(1) << amount) - 1);
    return floor + rounds_up(mode, value < 0, floor & 1, rest, UINT64_C(1) << (amount - 1));
}

static ALWAYS_INLINE uint64_t shift_unsigned(uint64_t value, uint32_t amount, uint32_t mode) {
    if (amount > 63)
        amount = 63;
    const uint64_t floor = value >> amount;
    if (mode == ROUND_FLOOR || !amount)
        return floor;
    const uint64_t rest = value & ((UINT64_C(1) << amount) - 1);
    return floor + rounds_up(mode, false, floor & 1, rest, UINT64_C(1) << (amount - 1));
}
#define SHIFT_s8 shift_signed
#define SHIFT_s16 shift_signed
#define SHIFT_u8 shift_unsigned
#define SHIFT_u16 shift_unsigned

// Vector accesses: low address bits are ignored unless CFG lets the hardware do misaligned ones.
static ALWAYS_INLINE uint32_t vector_address(Machine *m, uint32_t pc, uint32_t address, uint32_t size,
                                             uint32_t allowed) {
    if (m->p4.cfg & allowed)
        return address;
    if (CHECK_OPTION(SIM_CHECK_TRUNCATION) && address % size)
        STOP(SIM_STOP_MISALIGNED, address);
    return address & -size;
}
#define VECTOR_LOAD(bits, address)                                                                           \
    LOAD(bits, vector_address(m, pc, (address), (bits) / 8, CFG_MISALIGNED_LOAD))
#define VECTOR_STORE(bits, address, value)                                                                   \
    STORE(bits, vector_address(m, pc, (address), (bits) / 8, CFG_MISALIGNED_STORE), (value))

// XACC: 40 bits
#define XACC_MASK UINT64_C(0xffffffffff)
static ALWAYS_INLINE int64_t sign_extend_xacc(uint64_t xacc) {
    return (int64_t)(xacc << 24) >> 24;
}

// Sums that saturate at the accumulator's own width.
static ALWAYS_INLINE int32_t add_s32(int32_t a, int32_t b) {
    const int32_t sum = (int32_t)((uint32_t)a + (uint32_t)b);
    return ((a ^ sum) & (b ^ sum)) < 0 ? (a >> 31) ^ INT32_MAX : sum;
}
static ALWAYS_INLINE uint32_t add_u32(uint32_t a, uint32_t b) {
    return a + b < a ? UINT32_MAX : a + b;
}
static ALWAYS_INLINE int64_t add_s64(int64_t a, int64_t b) {
    const int64_t sum = (int64_t)((uint64_t)a + (uint64_t)b);
    return ((a ^ sum) & (b ^ sum)) < 0 ? (a >> 63) ^ INT64_MAX : sum;
}
static ALWAYS_INLINE uint64_t add_u64(uint64_t a, uint64_t b) {
    return a + b < a ? UINT64_MAX : a + b;
}

// The accumulator lane that products of a lane type go to.
#define ACCUMULATOR_s8 s32
#define ACCUMULATOR_u8 u32
#define ACCUMULATOR_s16 s64
#define ACCUMULATOR_u16 u64
#define ACCUMULATOR_TYPE_s8 int32_t
#define ACCUMULATOR_TYPE_u8 uint32_t
#define ACCUMULATOR_TYPE_s16 int64_t
#define ACCUMULATOR_TYPE_u16 uint64_t
#define ADD_s8 add_s32
#define ADD_u8 add_u32
#define ADD_s16 add_s64
#define ADD_u16 add_u64
#define PRODUCT_s8 int32_t
#define PRODUCT_u8 uint32_t
#define PRODUCT_s16 int32_t
#define PRODUCT_u16 uint32_t

#define GLUE_(a, b) a##b
#define GLUE(a, b) GLUE_(a, b)
#define UNPACK(...) __VA_ARGS__

#endif
