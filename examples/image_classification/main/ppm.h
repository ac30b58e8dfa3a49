/* PPM images in memory: the binary form with 8 bits a colour. */
#ifndef PPM_H
#define PPM_H

#include <stddef.h>

#include "camera.h"

/* Finds the pixels. Returns NULL, or why not. */
const char *ppm_open(const uint8_t *file, size_t size, struct picture *picture);

#endif
