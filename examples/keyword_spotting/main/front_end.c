#include "front_end.h"

#define POINTS (FRONT_END_WINDOW / 2) /* of the complex transform that holds the real one */

/* a * b / 2^32, rounded down: one instruction on the chips. With b in Q31 it is also the halving that each
 * step of the transform needs to stay within 32 bits. */
static int32_t multiply_high(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b) >> 32);
}

/* Even samples become real parts, odd ones imaginary parts, windowed, in the order that `transform` starts
 * from. */
static void load(const int16_t *samples, int32_t *z) {
    for (int i = 0; i < POINTS; i++) {
        int32_t *place = z + 2 * front_end_reversed[i];
        place[0] = samples[2 * i] * front_end_hann[2 * i];
        place[1] = samples[2 * i + 1] * front_end_hann[2 * i + 1];
    }
}

/* Discrete Fourier transform in place, divided by POINTS: radix 2, decimation in time. No magnitude grows,
 * since every step halves what it adds. */
static void transform(int32_t *z) {
    for (int half = 1; half < POINTS; half *= 2) {
        for (int j = 0; j < half; j++) {
            const int32_t cosine = front_end_cosine[j * (POINTS / half)];
            const int32_t sine = front_end_sine[j * (POINTS / half)];
            for (int k = j; k < POINTS; k += 2 * half) {
                int32_t *a = z + 2 * k, *b = z + 2 * (k + half);
                const int32_t real = multiply_high(b[0], cosine) + multiply_high(b[1], sine);
                const int32_t imaginary = multiply_high(b[1], cosine) - multiply_high(b[0], sine);
                const int32_t a_real = a[0] >> 1, a_imaginary = a[1] >> 1;
                a[0] = a_real + real;
                a[1] = a_imaginary + imaginary;
                b[0] = a_real - real;
                b[1] = a_imaginary - imaginary;
            }
        }
    }
}

/* Energy of bin k (1 to POINTS - 1) of the real transform, in units of a squared sample. */
static uint64_t energy(const int32_t *z, int k) {
    const int32_t *front = z + 2 * k, *back = z + 2 * (POINTS - k);
    const int32_t even_real = (front[0] >> 1) + (back[0] >> 1);
    const int32_t even_imaginary = (front[1] >> 1) - (back[1] >> 1);
    const int32_t odd_real = (front[0] >> 1) - (back[0] >> 1);
    const int32_t odd_imaginary = (front[1] >> 1) + (back[1] >> 1);
    const int32_t cosine = front_end_cosine[k], sine = front_end_sine[k];
    const int32_t turned_real = multiply_high(odd_real, cosine) + multiply_high(odd_imaginary, sine);
    const int32_t turned_imaginary = multiply_high(odd_imaginary, cosine) - multiply_high(odd_real, sine);
    const int64_t real = (even_real >> 1) + turned_imaginary;
    const int64_t imaginary = (even_imaginary >> 1) - turned_real;
    /* Windowed samples are in Q15, the transform is divided by POINTS, and its halves by 2. */
    const int fraction_bits = 2 * (15 - FRONT_END_POINTS_LOG2 - 1);
    return (uint64_t)(real * real + imaginary * imaginary) >> fraction_bits;
}

/* log2(value) with FRONT_END_BAND_BITS fraction bits, value > 0; straight lines between table entries, off by
 * less than half a step. */
static int32_t log2_of(uint64_t value) {
    int32_t whole = 63;
    for (int step = 32; step > 0; step /= 2) {
        if (value >> (64 - step) == 0) {
            value <<= step;
            whole -= step;
        }
    }
    const uint32_t mantissa = (uint32_t)(value >> 32) & INT32_MAX; /* Q31, without the leading one */
    const uint32_t index = mantissa >> (31 - FRONT_END_LOG_BITS);
    const uint32_t rest = (mantissa >> (15 - FRONT_END_LOG_BITS)) & UINT16_MAX;
    const uint32_t low = front_end_log2[index], high = front_end_log2[index + 1];
    const uint32_t fraction = low + (((high - low) * rest) >> 16); /* Q15 */
    return (whole << FRONT_END_BAND_BITS) + (int32_t)(fraction >> (15 - FRONT_END_BAND_BITS));
}

void front_end_bands(const int16_t *samples, int32_t *scratch, int32_t *bands) {
    load(samples, scratch);
    transform(scratch);
    /* Neighbouring triangles share an edge: a bin's energy goes to two bands, in parts that add up to 1. The
     * first and the last entry take what lies outside all bands. */
    uint64_t sums[FRONT_END_BANDS + 2] = {0};
    for (int k = 1; k < POINTS; k++) {
        const uint64_t found = energy(scratch, k);
        const uint32_t band = front_end_band[k], part = front_end_part[k];
        sums[band] += found * ((1 << FRONT_END_PART_BITS) - part);
        sums[band + 1] += found * part;
    }
    for (int band = 0; band < FRONT_END_BANDS; band++) {
        bands[band] = log2_of(sums[band + 1] + FRONT_END_FLOOR);
    }
}

void front_end_features(const int16_t *samples, int32_t *scratch, int16_t *features) {
    int32_t bands[FRONT_END_BANDS];
    front_end_bands(samples, scratch, bands);
    for (int i = 0; i < FRONT_END_COEFFICIENTS; i++) {
        int64_t sum = front_end_offset[i];
        for (int band = 0; band < FRONT_END_BANDS; band++) {
            sum += (int64_t)front_end_matrix[i][band] * bands[band];
        }
        sum >>= FRONT_END_BAND_BITS + FRONT_END_MATRIX_BITS - FRONT_END_FEATURE_BITS;
        features[i] = (int16_t)(sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum);
    }
}
