/* WAV files in memory. */
#ifndef WAV_H
#define WAV_H

#include <stddef.h>
#include <stdint.h>

struct wav {
    const uint8_t *samples; /* 16-bit, little-endian, mono */
    size_t count;
    uint32_t rate;
};

/* Finds the samples of a 16-bit mono PCM file. Returns NULL, or why not. Lengths in the file are not believed
 * beyond `size`. */
const char *wav_open(const uint8_t *file, size_t size, struct wav *wav);

/* Sample `index`, 0 beyond the end. */
int16_t wav_sample(const struct wav *wav, size_t index);

#endif
