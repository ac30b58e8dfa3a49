/* From a camera's picture to the network's input: the middle square, made smaller, quantised; one pass over
 * it. */
#ifndef CAMERA_H
#define CAMERA_H

#include <stdint.h>

enum camera_format {
    CAMERA_RGB565, /* two bytes a pixel, the high one first, as cameras send them */
    CAMERA_RGB888,
};

struct picture {
    const uint8_t *pixels; /* rows without gaps */
    int32_t width, height; /* 1 to 2048 */
    enum camera_format format;
};

/* Working memory of camera_fit, in words. */
#define CAMERA_SCRATCH(size) (6 * (size))

/* Writes `size` x `size` pixels of red, green, blue. Each is the exact mean of the area it covers, rounded
 * half up to 0 to 255, and then looked up in `stored`: so whatever the network's encoding is, this pass is
 * all there is. */
void camera_fit(const struct picture *picture, int32_t size, const int8_t stored[256], uint32_t *scratch,
                int8_t *input);

#endif
