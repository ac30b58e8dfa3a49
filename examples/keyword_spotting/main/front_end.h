/* Speech to features, in integers only: the same numbers on every machine, and in training, which calls this
 * very code.
 *
 *   16-bit samples -> Hann window -> FFT -> energy in mel bands -> logarithm -> cosine transform, normalised
 *
 * Sizes and tables come from front_end_tables.h, which front_end.py writes.
 */
#ifndef FRONT_END_H
#define FRONT_END_H

#include <stdint.h>

#include "front_end_tables.h"

/* Words of working memory, which the caller brings and may use for anything else between calls. */
#define FRONT_END_SCRATCH FRONT_END_WINDOW

/* samples: FRONT_END_WINDOW of them, FRONT_END_RATE a second; bands: log2 of the energy in each mel band,
 * with FRONT_END_BAND_BITS fraction bits. */
void front_end_bands(const int16_t *samples, int32_t *scratch, int32_t *bands);

/* The same, then mel cepstrum coefficients with mean 0 and deviation 1 over the training speech, with
 * FRONT_END_FEATURE_BITS fraction bits; saturating. */
void front_end_features(const int16_t *samples, int32_t *scratch, int16_t *features);

#endif
