// Single-precision arithmetic of the ESP32-S3 on the host's IEEE 754 unit: FCR selects the host's rounding
// mode, the sticky flags of FSR gather in the host's status word during a run.
#ifndef PIENN_ESP32S3_FLOAT_H
#define PIENN_ESP32S3_FLOAT_H

#include "machine.h"
#include <fenv.h>
#include <math.h>

enum { FCR_WRITABLE = 0x7f, FSR_WRITABLE = 0xf80, DEFAULT_NAN = 0x7fc00000 };

static inline float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline bool float_is_nan(uint32_t bits) {
    return (bits & 0x7fffffff) > 0x7f800000;
}

static inline void float_set_control(Machine *m, uint32_t value) {
    static const int modes[4] = {FE_TONEAREST, FE_TOWARDZERO, FE_UPWARD, FE_DOWNWARD};
    m->s3.fcr = value & FCR_WRITABLE;
    fesetround(modes[value & 3]);
}

// Bits 7..11 of FSR: inexact, underflow, overflow, division by zero, invalid.
static inline uint32_t float_flags(Machine *m) {
    int raised = fetestexcept(FE_ALL_EXCEPT);
    m->s3.fsr |= (raised & FE_INEXACT ? 1u << 7 : 0) | (raised & FE_UNDERFLOW ? 1u << 8 : 0) |
                 (raised & FE_OVERFLOW ? 1u << 9 : 0) | (raised & FE_DIVBYZERO ? 1u << 10 : 0) |
                 (raised & FE_INVALID ? 1u << 11 : 0);
    return m->s3.fsr;
}

static inline void float_set_flags(Machine *m, uint32_t value) {
    feclearexcept(FE_ALL_EXCEPT);
    m->s3.fsr = value & FSR_WRITABLE;
}

// The result of an operation on two numbers; a NaN is the second operand if that is one, else the first, made
// quiet, or else the default.
static inline uint32_t float_result(float value, uint32_t first, uint32_t second) {
    if (LIKELY(value == value))
        return float_bits(value);
    if (float_is_nan(second))
        return second | 1u << 22;
    return float_is_nan(first) ? first | 1u << 22 : DEFAULT_NAN;
}

// sum + first * second with one rounding; a NaN in the sum comes before those of the product.
static inline uint32_t float_multiply_add(uint32_t sum, uint32_t first, uint32_t second, bool subtract) {
    float a = float_of(first), b = float_of(second), value = fmaf(subtract ? -a : a, b, float_of(sum));
    if (LIKELY(value == value))
        return float_bits(value);
    if ((isinf(a) && b == 0) || (a == 0 && isinf(b)))
        feraiseexcept(FE_INVALID);
    return float_is_nan(sum) ? sum | 1u << 22 : float_result(value, first, second);
}

// Conversions to integers, of value * 2^scale: out of range gives the nearest end, not-a-number the positive
// end.
enum FloatRounding { TO_NEAREST, TOWARD_ZERO, UPWARD, DOWNWARD };

static inline double float_round(double value, enum FloatRounding rounding) {
    double below = floor(value), rest = value - below;
    switch (rounding) {
    case UPWARD:
        return ceil(value);
    case TOWARD_ZERO:
        return trunc(value);
    case TO_NEAREST:
        return rest > 0.5 || (rest == 0.5 && fmod(below, 2) != 0) ? below + 1 : below;
    default:
        return below;
    }
}

static inline uint32_t float_to_integer(uint32_t bits, int scale, enum FloatRounding rounding) {
    double value = (double)float_of(bits) * (double)(1 << scale);
    if (float_is_nan(bits) || fabs(value) > 4294967296.0) {
        feraiseexcept(FE_INVALID);
        return float_is_nan(bits) || value > 0 ? 0x7fffffff : 0x80000000;
    }
    double rounded = float_round(value, rounding);
    if (rounded > 2147483647.0 || rounded < -2147483648.0) {
        feraiseexcept(FE_INVALID);
        return rounded > 0 ? 0x7fffffff : 0x80000000;
    }
    if (rounded != value)
        feraiseexcept(FE_INEXACT);
    return (uint32_t)(int32_t)rounded;
}

// Negative values convert like signed ones, and are invalid.
static inline uint32_t float_to_unsigned(uint32_t bits, int scale) {
    double value = (double)float_of(bits) * (double)(1 << scale);
    if (float_is_nan(bits) || value >= 4294967296.0) {
        feraiseexcept(FE_INVALID);
        return 0xffffffff;
    }
    if (value <= -1) {
        feraiseexcept(FE_INVALID);
        return value < -2147483648.0 ? 0x80000000 : (uint32_t)(int32_t)value;
    }
    if (trunc(value) != value)
        feraiseexcept(FE_INEXACT);
    return value > 0 ? (uint32_t)value : 0;
}

// Starting values of the division and square root sequences are looked up with 8 significant bits on the
// chip; the entries are not published. Here: the true value rounded to 8 bits.
static inline float float_coarse(double value) {
    uint32_t bits = float_bits((float)value);
    return float_of((bits + 0x8000) & 0xffff0000);
}

// The argument with its exponent brought to 0 or 1 (same parity), negated: what the sequences multiply with.
static inline uint32_t float_narrow_exponent(uint32_t bits) {
    int exponent;
    float magnitude = fabsf(float_of(bits));
    if (magnitude == 0 || !(magnitude <= 3.4028235e38f))
        return bits ^ 0x80000000;
    double narrow = 2 * frexp(magnitude, &exponent); // 1 <= narrow < 2, magnitude = narrow * 2^(exponent - 1)
    if ((exponent - 1) & 1)
        narrow *= 2;
    return float_bits((float)(bits >> 31 ? narrow : -narrow));
}

// value * 2^(exponent of the other), sign multiplied.
static inline uint32_t float_add_exponent(uint32_t bits, uint32_t other) {
    int exponent = (int)(other >> 23 & 0xff) - 127;
    return float_bits(ldexpf(float_of(bits), exponent)) ^ (other & 0x80000000);
}

#endif
