/* Whole networks on this build's target: outputs equal to those of the host, and what each layer took. */
#include <stdio.h>

#include "digits.h"
#include "digits_vectors.h"
#include "dscnn.h"
#include "dscnn_vectors.h"
#include "pienn/watch.h"
#include "unity.h"

#define INPUTS 2
#define LARGER(a, b) ((a) > (b) ? (a) : (b))

static _Alignas(PIENN_ALIGNMENT) int8_t arena[LARGER(DIGITS_ARENA_BYTES, DSCNN_ARENA_BYTES)];

static int different(const int8_t *got, const int8_t *wanted, int size) {
    int count = 0;
    for (int i = 0; i < size; i++) {
        count += got[i] != wanted[i];
    }
    return count;
}

#define OUTPUTS_CASE(name, NAME)                                                                             \
    TEST_CASE(#name ": outputs are those of the host", "[" #name "]") {                                      \
        int8_t output[NAME##_OUTPUT_BYTES];                                                                  \
        for (int i = 0; i < INPUTS; i++) {                                                                   \
            name##_run_in(arena, name##_inputs[i], output);                                                  \
            TEST_ASSERT_EQUAL_INT(0, different(output, name##_outputs[i], NAME##_OUTPUT_BYTES));             \
        }                                                                                                    \
    }

#define PROFILE_CASE(name, NAME)                                                                             \
    TEST_CASE(#name ": profile of its layers", "[" #name "]") {                                              \
        static uint64_t cycles[NAME##_CALLS];                                                                \
        int8_t output[NAME##_OUTPUT_BYTES];                                                                  \
        for (int i = 0; i < INPUTS; i++) {                                                                   \
            name##_run_profiled(arena, name##_inputs[i], output, cycles);                                    \
            TEST_ASSERT_EQUAL_INT(0, different(output, name##_outputs[i], NAME##_OUTPUT_BYTES));             \
        }                                                                                                    \
        for (int call = 0; call < NAME##_CALLS; call++) {                                                    \
            TEST_ASSERT(cycles[call] > 0);                                                                   \
        }                                                                                                    \
        pienn_profile_print(&name##_network, cycles, INPUTS, pienn_clock_mhz());                             \
    }

/* One a line: Unity numbers cases by lines. */
OUTPUTS_CASE(digits, DIGITS)
PROFILE_CASE(digits, DIGITS)
OUTPUTS_CASE(dscnn, DSCNN)
PROFILE_CASE(dscnn, DSCNN)

void app_main(void) {
    unity_run_menu();
}
