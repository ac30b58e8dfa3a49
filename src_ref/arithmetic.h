/* The few rules of arithmetic that the reference kernels share (docs/SPEC.md, section 1). */
#ifndef PIENN_SRC_REF_ARITHMETIC_H
#define PIENN_SRC_REF_ARITHMETIC_H

#include "pienn/tensor.h"

PIENN_STATIC_ASSERT((-3 >> 1) == -2, "a right shift of a negative number must floor");

static inline int32_t clamp(int32_t value, int32_t minimum, int32_t maximum) {
    return value < minimum ? minimum : value > maximum ? maximum : value;
}

static inline int8_t saturate8(int32_t value) {
    return (int8_t)clamp(value, INT8_MIN, INT8_MAX);
}

/* value / 2^shift, rounded half up; 0 <= shift <= 31, and the sum of value and half must fit int32. */
static inline int32_t round_shift(int32_t value, int32_t shift) {
    int32_t half = shift > 0 ? (int32_t)1 << (shift - 1) : 0;
    return (value + half) >> shift;
}

/* sum / (count * 2^shift), rounded half up, exactly; -15 <= shift <= 31, 0 < count < 2^30. */
static inline int32_t round_mean(int32_t sum, int32_t count, int32_t shift) {
    int64_t numerator = shift < 0 ? (int64_t)sum * ((int64_t)1 << -shift) : sum;
    int64_t denominator = shift < 0 ? count : (int64_t)count * ((int64_t)1 << shift);
    int64_t quotient = (2 * numerator + denominator) / (2 * denominator);
    int64_t remainder = (2 * numerator + denominator) % (2 * denominator);
    quotient -= remainder < 0; /* C truncates, the mean floors */
    return (int32_t)quotient;
}

#endif
