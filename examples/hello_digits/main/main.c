/* Recognises three scans of handwritten digits and prints what was found and how long a run took. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "digits.h"

#define SCANS 3
#define CLASSES 10

/* Scans 0, 100 and 240 of scikit-learn's copy of the UCI data (they are not trained on): ink 0 to 16. */
static const uint8_t scans[SCANS][DIGITS_INPUT_BYTES] = {
    {0, 0,  5, 13, 9,  1, 0,  0, 0,  0,  13, 15, 10, 15, 5, 0,  0,  3, 15, 2, 0,  11,
     8, 0,  0, 4,  12, 0, 0,  8, 8,  0,  0,  5,  8,  0,  0, 9,  8,  0, 0,  4, 11, 0,
     1, 12, 7, 0,  0,  2, 14, 5, 10, 12, 0,  0,  0,  0,  6, 13, 10, 0, 0,  0},
    {0,  0,  0, 2, 13, 0,  0, 0,  0,  0, 0, 8, 15, 0, 0, 0,  0,  0, 5, 16, 5,  2,
     0,  0,  0, 0, 15, 12, 1, 16, 4,  0, 0, 4, 16, 2, 9, 16, 8,  0, 0, 0,  10, 14,
     16, 16, 4, 0, 0,  0,  0, 0,  13, 8, 0, 0, 0,  0, 0, 0,  13, 6, 0, 0},
    {0,  0, 7, 15, 6, 0, 0,  0,  0, 0, 2, 14, 15, 2,  0,  0,  0, 0, 0, 5, 16, 6,
     0,  0, 0, 0,  0, 5, 16, 9,  2, 0, 0, 5,  14, 16, 15, 11, 4, 0, 0, 5, 7,  12,
     11, 0, 0, 0,  0, 0, 4,  15, 1, 0, 0, 0,  0,  0,  10, 11, 0, 0, 0, 0},
};
static const int labels[SCANS] = {0, 4, 7};

static int64_t microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Returns how many of the scans were recognised. */
static int recognise_all(void) {
    int right = 0;
    for (int scan = 0; scan < SCANS; scan++) {
        float ink[DIGITS_INPUT_BYTES];
        int8_t image[DIGITS_INPUT_BYTES], scores[DIGITS_OUTPUT_BYTES];
        for (int i = 0; i < DIGITS_INPUT_BYTES; i++) {
            ink[i] = scans[scan][i];
        }
        digits_quantise_input(ink, image);

        const int64_t start = microseconds();
        digits_run(image, scores);
        const int64_t end = microseconds();

        int best = 0;
        for (int digit = 1; digit < CLASSES; digit++) {
            best = scores[digit] > scores[best] ? digit : best;
        }
        right += best == labels[scan];
        printf("scan of a %d: recognised as %d in %" PRId64 " us\n", labels[scan], best, end - start);
    }
    printf("%d of %d recognised\n", right, SCANS);
    return right;
}

#ifdef ESP_PLATFORM
void app_main(void) {
    recognise_all();
}
#else
int main(void) {
    return recognise_all() == SCANS ? 0 : 1;
}
#endif
