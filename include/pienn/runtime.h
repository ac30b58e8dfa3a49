/* What a firmware needs beside the layers: errors, a clock, memory for arenas, the rules for callers.
 *
 * component/runtime/ holds what is the same everywhere, component/port/ what is ESP-IDF's, bare metal's or a
 * host's own. Nothing here keeps state: every function may be called from several tasks at once.
 */
#ifndef PIENN_RUNTIME_H
#define PIENN_RUNTIME_H

#include <stdbool.h>

#include "pienn/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Errors: the values of esp_err_t, and two of our own ---- */

typedef int pienn_err_t;

#define PIENN_OK 0
#define PIENN_ERR_NO_MEM 0x101
#define PIENN_ERR_INVALID_ARG 0x102
#define PIENN_ERR_IN_ISR 0x9e01    /* called from an interrupt handler */
#define PIENN_ERR_DIFFERENT 0x9e02 /* assembly and reference disagree */

/* The name that the error has in C, or "unknown error". */
const char *pienn_err_to_name(pienn_err_t error);

/* ---- Clock ---- */

/* Clock cycles of this core, on a host nanoseconds. It wraps: only the difference of two calls on one core
 * means something. */
uint32_t pienn_cycles(void);

/* How many counts of pienn_cycles are a microsecond. */
uint32_t pienn_clock_mhz(void);

/* ---- Memory ---- */

typedef enum pienn_memory {
    PIENN_MEMORY_INTERNAL, /* SRAM of the chip */
    PIENN_MEMORY_PSRAM,    /* external RAM */
} pienn_memory;

/* An arena for <name>_run_in: `bytes` that SIMD can reach, aligned to PIENN_ALIGNMENT, with PIENN_READ_AHEAD
 * readable bytes behind. NULL where that memory is full or absent; bare metal has no heap, so always there.
 */
void *pienn_arena_alloc(size_t bytes, pienn_memory where);

/* Gives back what pienn_arena_alloc has returned; NULL is allowed. */
void pienn_arena_free(void *arena);

/* ---- Callers ---- */

/* Whether an interrupt handler is running on this core; never on a host. */
bool pienn_in_isr(void);

/* What is wrong with running a network here and now in this arena: PIENN_ERR_IN_ISR, PIENN_ERR_INVALID_ARG
 * for an arena that is NULL or not aligned, or PIENN_OK. */
pienn_err_t pienn_caller_error(const void *arena);

/* Stops the program with a message where pienn_caller_error finds something. Generated networks begin with it
 * in builds with -DPIENN_CHECKS. */
void pienn_check_caller(const char *network, const void *arena);

/* ---- Text ---- */

#define PIENN_LINE_BYTES 192 /* of the longest line, its end included */

/* Writes a line, which comes without its end, to the console. */
void pienn_write_line(const char *line);

typedef enum pienn_severity {
    PIENN_SEVERITY_ERROR = 1,
    PIENN_SEVERITY_WARNING = 2,
    PIENN_SEVERITY_INFO = 3,
} pienn_severity;

/* A line of the log. A build drops those beyond its level, PIENN_LOG_LEVEL (3 where it has none). */
void pienn_log(pienn_severity severity, const char *line);

#ifdef __cplusplus
}
#endif

#endif
