/* PIE-NN: int8 neural networks as static C.
 *
 * Generated networks include this file. It holds the layers (layers.h), the firmware's runtime (runtime.h),
 * and the border between real numbers and int8 (docs/SPEC.md, 1.2): real = (q - zero_point) * 2^exponent.
 */
#ifndef PIENN_PIENN_H
#define PIENN_PIENN_H

#include <string.h>

#include "pienn/layers.h"
#include "pienn/runtime.h"

/* Builds that look at networks call by call. */
#if defined(PIENN_PROFILE) || defined(PIENN_TAP)
#define PIENN_WATCHED
#include "pienn/watch.h"
#endif

/* What generated networks begin with. */
#ifdef PIENN_CHECKS
#define PIENN_CHECK_CALLER(network, arena) pienn_check_caller(network, arena)
#else
#define PIENN_CHECK_CALLER(network, arena) ((void)0)
#endif

/* 2^exponent, -126 <= exponent <= 127, without a table and without libm. */
static inline float pienn_power_of_two(int32_t exponent) {
    PIENN_STATIC_ASSERT(sizeof(float) == sizeof(uint32_t), "float is IEEE 754 binary32");
    const uint32_t bits = (uint32_t)(exponent + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* The int8 value nearest to a real number, half up. NaN becomes real zero; infinities and whatever else is
 * out of range saturate. -64 <= exponent <= 63, zero_point 0 or -128. */
static inline int8_t pienn_quantise(float real, int32_t exponent, int32_t zero_point) {
    const float scaled = real * pienn_power_of_two(-exponent);
    if (scaled != scaled) {
        return (int8_t)zero_point;
    }
    /* Beyond the range with either zero point; what is left converts to int32_t. */
    if (scaled >= 256.0f) {
        return INT8_MAX;
    }
    if (scaled <= -129.0f) {
        return INT8_MIN;
    }
    int32_t whole = (int32_t)scaled; /* towards zero ... */
    whole -= (float)whole > scaled;  /* ... and down */
    const int32_t value = whole + (scaled - (float)whole >= 0.5f) + zero_point;
    return (int8_t)(value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value);
}

/* The real number that an int8 value stands for; exact. */
static inline float pienn_dequantise(int8_t value, int32_t exponent, int32_t zero_point) {
    return (float)(value - zero_point) * pienn_power_of_two(exponent);
}

#endif
