/* A call of one kernel, made by make_cases.py: what memory it is given and what it must leave there. */
#ifndef KERNEL_CASE_H
#define KERNEL_CASE_H

#include <stdbool.h>
#include <stdint.h>

#define KERNEL_STORAGES 3

typedef void (*kernel_function)(const int8_t *a, const int8_t *b, int8_t *y, const void *parameters);

/* A piece of memory that the call sees, filled with noise that follows from the seed: any value from `low` to
 * `high`, or only these two. */
typedef struct kernel_storage {
    uint32_t seed;
    int32_t bytes;
    int32_t misalignment; /* its address modulo 16 */
    int8_t low, high;
    bool rails;
} kernel_storage;

typedef struct kernel_pointer {
    int32_t storage;
    int32_t offset; /* bytes */
} kernel_pointer;

typedef struct kernel_run {
    int32_t start, bytes;
} kernel_run;

typedef struct kernel_case {
    const char *name;
    kernel_function chip;      /* the version of this build's target */
    kernel_function reference; /* NULL: compare with the checksum alone */
    const void *chip_parameters, *reference_parameters;
    int32_t storages;
    kernel_storage storage[KERNEL_STORAGES];
    kernel_pointer a, b, y; /* storage -1: NULL */
    const kernel_run
        *surplus; /* bytes of the result's storage that a kernel may write though they are no elements */
    int32_t surplus_runs;
    uint32_t checksum; /* of the result's storage as the reference leaves it, surplus bytes as 0 */
    int32_t macs;
} kernel_case;

/* Runs the kernel and its reference on the same memory: the results are equal to the byte, the checksum is
 * that of the machine that made the case, other memory is as it was. A Unity check. */
void check_kernel(const kernel_case *one);

/* The same without reference, and the cycles on the console: `BENCH <name>: <cycles> cycles, <macs> MAC`. */
void bench_kernel(const kernel_case *one);

#endif
