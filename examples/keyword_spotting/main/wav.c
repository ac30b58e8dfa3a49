#include "wav.h"

#include <string.h>

static uint32_t word16(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static uint32_t word32(const uint8_t *bytes) {
    return word16(bytes) | word16(bytes + 2) << 16;
}

const char *wav_open(const uint8_t *file, size_t size, struct wav *wav) {
    if (size < 12 || memcmp(file, "RIFF", 4) != 0 || memcmp(file + 8, "WAVE", 4) != 0) {
        return "no WAV file";
    }
    const uint8_t *format = NULL;
    size_t place = 12;
    while (size - place >= 8) {
        const uint8_t *chunk = file + place + 8;
        const size_t left = size - place - 8;
        size_t length = word32(file + place + 4);
        if (memcmp(file + place, "fmt ", 4) == 0 && length >= 16 && left >= 16) {
            format = chunk;
        } else if (memcmp(file + place, "data", 4) == 0) {
            if (format == NULL || word16(format) != 1 || word16(format + 2) != 1 ||
                word16(format + 14) != 16) {
                return "not 16-bit mono PCM";
            }
            wav->samples = chunk;
            wav->count = (length < left ? length : left) / 2; /* streams have no true length */
            wav->rate = word32(format + 4);
            return NULL;
        }
        length += length % 2;
        if (length > left) {
            break;
        }
        place += 8 + length;
    }
    return "it has no samples";
}

int16_t wav_sample(const struct wav *wav, size_t index) {
    return index < wav->count ? (int16_t)word16(wav->samples + 2 * index) : 0;
}
