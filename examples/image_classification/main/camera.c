#include "camera.h"

#define COLOURS 3

struct colour {
    uint32_t red, green, blue;
};

static inline struct colour pixel_at(const struct picture *picture, int32_t index) {
    if (picture->format == CAMERA_RGB888) {
        const uint8_t *pixel = picture->pixels + 3 * index;
        return (struct colour){pixel[0], pixel[1], pixel[2]};
    }
    const uint8_t *pixel = picture->pixels + 2 * index;
    const uint32_t word = (uint32_t)pixel[0] << 8 | pixel[1];
    const uint32_t red = word >> 11, green = word >> 5 & 63, blue = word & 31;
    /* so that the largest value becomes 255 */
    return (struct colour){red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2};
}

static inline struct colour plus(struct colour sum, int32_t parts, struct colour colour) {
    const uint32_t factor = (uint32_t)parts;
    return (struct colour){sum.red + factor * colour.red, sum.green + factor * colour.green,
                           sum.blue + factor * colour.blue};
}

/* Sums of a row of the square over each of the input's columns. Lengths are in parts, of which `size` make a
 * pixel of the picture and `side` a pixel of the input: all are whole numbers. */
static void sum_row(const struct picture *picture, int32_t first, int32_t side, int32_t size,
                    uint32_t *line) {
    struct colour sum = {0};
    int32_t room = side; /* parts that are left of the input's pixel */
    for (int32_t x = 0; x < side; x++) {
        const struct colour colour = pixel_at(picture, first + x);
        int32_t left = size;
        for (; left >= room; room = side) {
            sum = plus(sum, room, colour);
            *line++ = sum.red;
            *line++ = sum.green;
            *line++ = sum.blue;
            sum = (struct colour){0};
            left -= room;
        }
        sum = plus(sum, left, colour);
        room -= left;
    }
}

void camera_fit(const struct picture *picture, int32_t size, const int8_t stored[256], uint32_t *scratch,
                int8_t *input) {
    const int32_t side = picture->width < picture->height ? picture->width : picture->height;
    const int32_t left = (picture->width - side) / 2, top = (picture->height - side) / 2;
    const int32_t columns = size * COLOURS;
    const uint32_t area = (uint32_t)(side * side);
    uint32_t *line = scratch, *sums = scratch + columns;
    int32_t summed = -1; /* the row that `line` holds: most rows go to one row of the input, some to two */
    for (int32_t row = 0; row < size; row++) {
        const int32_t start = row * side, end = start + side;
        for (int32_t i = 0; i < columns; i++) {
            sums[i] = area / 2;
        }
        for (int32_t y = start / size; y * size < end; y++) {
            if (y != summed) {
                sum_row(picture, (top + y) * picture->width + left, side, size, line);
                summed = y;
            }
            const int32_t upper = y * size > start ? y * size : start;
            const int32_t lower = (y + 1) * size < end ? (y + 1) * size : end;
            for (int32_t i = 0; i < columns; i++) {
                sums[i] += (uint32_t)(lower - upper) * line[i];
            }
        }
        for (int32_t i = 0; i < columns; i++) {
            *input++ = stored[sums[i] / area];
        }
    }
}
