/* Says what pictures show: those that are built in, or on a computer those of PPM files. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "camera.h"
#include "classes.h"
#include "classifier.h"
#include "pictures.h"
#ifndef ESP_PLATFORM
#include <stdlib.h>
#include "ppm.h"
#endif

#define SIZE 48 /* pixels of the input */
#define SHOWN 3 /* best classes of a picture */

_Static_assert(CLASSIFIER_INPUT_BYTES == SIZE * SIZE * 3, "the network takes other pictures");
_Static_assert(CLASSIFIER_OUTPUT_BYTES == CLASSES, "the network knows other classes");

static int64_t microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Returns the class and prints the best ones with their shares, and how long it took. */
static int classify(const struct picture *picture) {
    static int8_t input[CLASSIFIER_INPUT_BYTES]; /* too large for a task's stack */
    static uint32_t scratch[CAMERA_SCRATCH(SIZE)];
    int8_t stored[256], scores[CLASSIFIER_OUTPUT_BYTES];
    for (int value = 0; value < 256; value++) {
        stored[value] =
            pienn_quantise((float)value / 256, CLASSIFIER_INPUT_EXPONENT, CLASSIFIER_INPUT_ZERO_POINT);
    }
    const int64_t start = microseconds();
    camera_fit(picture, SIZE, stored, scratch, input);
    const int64_t middle = microseconds();
    classifier_run(input, scores);
    const int64_t end = microseconds();

    float shares[CLASSES], sum = 0;
    classifier_dequantise_output(scores, shares);
    for (int i = 0; i < CLASSES; i++) {
        shares[i] = expf(shares[i]);
        sum += shares[i];
    }
    int found = 0;
    for (int shown = 0; shown < SHOWN && shown < CLASSES; shown++) {
        int best = 0;
        for (int i = 1; i < CLASSES; i++) {
            best = shares[i] > shares[best] ? i : best;
        }
        found = shown == 0 ? best : found;
        printf("%s%s %.1f %%", shown ? ", " : "", classes[best], 100.0 * (double)(shares[best] / sum));
        shares[best] = -1;
    }
    printf(" (picture %" PRId64 " us, network %" PRId64 " us)\n", middle - start, end - middle);
    return found;
}

/* Returns how many of the built-in pictures were recognised. */
static int classify_pictures(void) {
    int right = 0;
    for (int i = 0; i < PICTURES; i++) {
        const struct picture picture = {pictures[i], PICTURE_WIDTH, PICTURE_HEIGHT, CAMERA_RGB565};
        printf("picture of %s: ", picture_labels[i]);
        right += strcmp(classes[classify(&picture)], picture_labels[i]) == 0;
    }
    printf("%d of %d recognised\n", right, PICTURES);
    return right;
}

#ifdef ESP_PLATFORM
void app_main(void) {
    classify_pictures();
}
#else
/* The bytes of a file, to be freed; NULL where it cannot be read. */
static uint8_t *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0 && ftell(file) > 0) {
        *size = (size_t)ftell(file);
        rewind(file);
        bytes = malloc(*size);
        if (bytes != NULL && fread(bytes, 1, *size, file) != *size) {
            free(bytes);
            bytes = NULL;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return bytes;
}

int main(int count, char **paths) {
    if (count < 2) {
        return classify_pictures() == PICTURES ? 0 : 1;
    }
    int failed = 0;
    for (int i = 1; i < count; i++) {
        size_t size = 0;
        struct picture picture;
        uint8_t *file = read_file(paths[i], &size);
        const char *why = file == NULL ? "cannot be read" : ppm_open(file, size, &picture);
        if (why != NULL) {
            fprintf(stderr, "error: %s: %s\n", paths[i], why);
            failed = 2;
        } else {
            printf("%s: ", paths[i]);
            classify(&picture);
        }
        free(file);
    }
    return failed;
}
#endif
