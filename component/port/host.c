/* Port for an ordinary computer: POSIX clock, C heap, stdout for results, stderr for the log. */
#define _POSIX_C_SOURCE 200112L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pienn/runtime.h"
#include "port.h"

uint32_t pienn_cycles(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
}

uint32_t pienn_clock_mhz(void) {
    return 1000;
}

void *pienn_arena_alloc(size_t bytes, pienn_memory where) {
    (void)where; /* there is only one */
    void *arena;
    return posix_memalign(&arena, PIENN_ALIGNMENT, bytes + PIENN_READ_AHEAD) ? NULL : arena;
}

void pienn_arena_free(void *arena) {
    free(arena);
}

bool pienn_in_isr(void) {
    return false;
}

void pienn_write_line(const char *line) {
    puts(line);
}

void pienn_log(pienn_severity severity, const char *line) {
    if (severity <= PIENN_LOG_LEVEL) {
        fprintf(stderr, "pienn: %s\n", line);
    }
}

void pienn_port_stop(const char *reason) {
    fflush(stdout);
    fprintf(stderr, "pienn: %s\n", reason);
    abort();
}
