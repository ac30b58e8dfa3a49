#include "kernel_case.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pienn/runtime.h"
#include "pienn/tensor.h"
#include "unity.h"

#define GUARD 64
#define GUARD_BYTE 0x5a
#define MESSAGE_BYTES 160
#define ALIGN(bytes) (((bytes) + PIENN_ALIGNMENT - 1) / PIENN_ALIGNMENT * PIENN_ALIGNMENT)

#ifndef KERNEL_MEMORY
#define KERNEL_MEMORY (64 * 1024) /* bytes; make_cases.py leaves out cases that need more */
#endif

static _Alignas(PIENN_ALIGNMENT) int8_t memory[KERNEL_MEMORY];
static _Alignas(PIENN_ALIGNMENT) int8_t wanted[KERNEL_MEMORY / 2];

/* Byte i of a storage; kernel_noise of make_cases.py is the same. */
static int8_t noise(const kernel_storage *storage, int32_t i) {
    uint32_t bits = storage->seed + (uint32_t)i * UINT32_C(0x9e3779b9);
    bits = (bits ^ bits >> 16) * UINT32_C(0x85ebca6b);
    bits = (bits ^ bits >> 13) * UINT32_C(0xc2b2ae35);
    bits ^= bits >> 16;
    if (storage->rails) {
        return bits & 1 ? storage->high : storage->low;
    }
    return (int8_t)(storage->low + (int32_t)(bits % (uint32_t)(storage->high - storage->low + 1)));
}

/* FNV-1a */
static uint32_t checksum(const int8_t *bytes, int32_t size) {
    uint32_t hash = UINT32_C(2166136261);
    for (int32_t i = 0; i < size; i++) {
        hash = (hash ^ (uint8_t)bytes[i]) * UINT32_C(16777619);
    }
    return hash;
}

/* The storages lie behind each other with guard bytes between them; returns where the last one ends. */
static int8_t *place(const kernel_case *one, int8_t *at[KERNEL_STORAGES]) {
    int8_t *free = memory;
    for (int32_t i = 0; i < one->storages; i++) {
        at[i] = free + GUARD + one->storage[i].misalignment;
        free = at[i] + ALIGN(one->storage[i].bytes + PIENN_READ_AHEAD) - one->storage[i].misalignment;
    }
    return free + GUARD;
}

static void fill(const kernel_case *one, int8_t *const at[KERNEL_STORAGES], const int8_t *end) {
    memset(memory, GUARD_BYTE, (size_t)(end - memory));
    for (int32_t i = 0; i < one->storages; i++) {
        for (int32_t byte = 0; byte < one->storage[i].bytes; byte++) {
            at[i][byte] = noise(&one->storage[i], byte);
        }
    }
}

static int8_t *address(int8_t *const at[KERNEL_STORAGES], kernel_pointer pointer) {
    return pointer.storage < 0 ? NULL : at[pointer.storage] + pointer.offset;
}

static void call(const kernel_case *one, kernel_function function, const void *parameters,
                 int8_t *const at[KERNEL_STORAGES]) {
    function(address(at, one->a), address(at, one->b), address(at, one->y), parameters);
}

static void clear_surplus(const kernel_case *one, int8_t *result) {
    for (int32_t i = 0; i < one->surplus_runs; i++) {
        memset(result + one->surplus[i].start, 0, (size_t)one->surplus[i].bytes);
    }
}

/* The first byte outside the result's storage that is not as it was, or NULL. */
static const int8_t *first_spoilt(const kernel_case *one, int8_t *const at[KERNEL_STORAGES],
                                  const int8_t *end) {
    const int8_t *byte = memory;
    for (int32_t i = 0; i < one->storages; i++) {
        for (; byte < at[i]; byte++) {
            if (*byte != GUARD_BYTE) {
                return byte;
            }
        }
        for (int32_t n = 0; n < one->storage[i].bytes; n++, byte++) {
            if (i != one->y.storage && *byte != noise(&one->storage[i], n)) {
                return byte;
            }
        }
    }
    for (; byte < end; byte++) {
        if (*byte != GUARD_BYTE) {
            return byte;
        }
    }
    return NULL;
}

void check_kernel(const kernel_case *one) {
    char message[MESSAGE_BYTES];
    int8_t *at[KERNEL_STORAGES];
    const int8_t *end = place(one, at);
    const int32_t size = one->storage[one->y.storage].bytes;
    TEST_ASSERT_MESSAGE(end <= memory + sizeof memory && size <= (int32_t)sizeof wanted,
                        "KERNEL_MEMORY is too small");
    int8_t *result = at[one->y.storage];

    fill(one, at, end);
    call(one, one->reference, one->reference_parameters, at);
    clear_surplus(one, result);
    memcpy(wanted, result, (size_t)size);
    TEST_ASSERT_MESSAGE(checksum(wanted, size) == one->checksum, "the reference differs from the host's");

    fill(one, at, end);
    call(one, one->chip, one->chip_parameters, at);
    clear_surplus(one, result);
    for (int32_t i = 0; i < size; i++) {
        if (result[i] != wanted[i]) {
            snprintf(message, sizeof message, "byte %" PRId32 " of the result is %d instead of %d", i,
                     result[i], wanted[i]);
            TEST_FAIL_MESSAGE(message);
        }
    }
    const int8_t *spoilt = first_spoilt(one, at, end);
    if (spoilt) {
        snprintf(message, sizeof message, "wrote %d bytes from the result's first", (int)(spoilt - result));
        TEST_FAIL_MESSAGE(message);
    }
}

void bench_kernel(const kernel_case *one) {
    int8_t *at[KERNEL_STORAGES];
    const int8_t *end = place(one, at);
    TEST_ASSERT_MESSAGE(end <= memory + sizeof memory, "KERNEL_MEMORY is too small");
    fill(one, at, end);
    const uint32_t start = pienn_cycles();
    call(one, one->chip, one->chip_parameters, at);
    const uint32_t cycles = pienn_cycles() - start;
    int8_t *result = at[one->y.storage];
    clear_surplus(one, result);
    printf("BENCH %s: %" PRIu32 " cycles, %" PRId32 " MAC\n", one->name, cycles, one->macs);
    TEST_ASSERT_MESSAGE(checksum(result, one->storage[one->y.storage].bytes) == one->checksum,
                        "the result differs from the host's");
}
