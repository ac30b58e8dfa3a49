/* Port for a chip without an operating system, as the simulator runs it: the core's counter, puts, no heap.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pienn/runtime.h"
#include "port.h"

#ifndef PIENN_CLOCK_MHZ
#ifdef __XTENSA__
#define PIENN_CLOCK_MHZ 240
#else
#define PIENN_CLOCK_MHZ 360
#endif
#endif

uint32_t pienn_cycles(void) {
    uint32_t cycles;
#if defined(__riscv)
    __asm__ volatile("csrr %0, mcycle" : "=r"(cycles));
#elif defined(__XTENSA__)
    __asm__ volatile("rsr.ccount %0" : "=a"(cycles));
#else
#error "this core's cycle counter is not known: add it here"
#endif
    return cycles;
}

uint32_t pienn_clock_mhz(void) {
    return PIENN_CLOCK_MHZ;
}

void *pienn_arena_alloc(size_t bytes, pienn_memory where) {
    (void)bytes;
    (void)where;
    return NULL;
}

void pienn_arena_free(void *arena) {
    (void)arena;
}

bool pienn_in_isr(void) {
    return false; /* whoever writes handlers without an operating system knows */
}

void pienn_write_line(const char *line) {
    puts(line);
}

void pienn_log(pienn_severity severity, const char *line) {
    if (severity <= PIENN_LOG_LEVEL) {
        pienn_write_line(line);
    }
}

void pienn_port_stop(const char *reason) {
    pienn_write_line(reason);
    abort();
}
