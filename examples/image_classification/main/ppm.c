#include "ppm.h"

#define LARGEST 2048 /* pixels, of camera_fit */

/* The decimal number behind blanks and comments; beyond `limit`, or where there is none, -1. Moves `place`
 * behind it. */
static int32_t number(const uint8_t *file, size_t size, size_t *place, int32_t limit) {
    while (*place < size && (file[*place] <= ' ' || file[*place] == '#')) {
        if (file[*place] == '#') {
            while (*place < size && file[*place] != '\n') {
                ++*place;
            }
        } else {
            ++*place;
        }
    }
    int32_t value = -1;
    while (*place < size && file[*place] >= '0' && file[*place] <= '9') {
        value = (value < 0 ? 0 : value * 10) + (file[*place] - '0');
        if (value > limit) {
            return -1;
        }
        ++*place;
    }
    return value;
}

const char *ppm_open(const uint8_t *file, size_t size, struct picture *picture) {
    if (size < 2 || file[0] != 'P' || file[1] != '6') {
        return "no binary PPM image: convert it with `ffmpeg -i FILE OUT.ppm`";
    }
    size_t place = 2;
    picture->width = number(file, size, &place, LARGEST);
    picture->height = number(file, size, &place, LARGEST);
    if (picture->width < 1 || picture->height < 1) {
        return "its width and height are not 1 to 2048";
    }
    if (number(file, size, &place, 255) != 255) {
        return "it has not 8 bits a colour";
    }
    place++; /* one blank */
    if (place > size || size - place < (size_t)picture->width * (size_t)picture->height * 3) {
        return "it ends too early";
    }
    picture->pixels = file + place;
    picture->format = CAMERA_RGB888;
    return NULL;
}
