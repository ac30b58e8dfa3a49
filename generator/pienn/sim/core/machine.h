// State of one simulated core and the vocabulary in which instructions are written (see README.md).
#ifndef PIENN_MACHINE_H
#define PIENN_MACHINE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "sim.h"
#include "vector.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

// Sets of registers for the issue model: lo and hi are laid out per chip in the generated header.
typedef struct Mask {
    uint64_t lo, hi;
} Mask;

enum { FLAG_LOOP_END = 1, FLAG_BREAKPOINT = 2 };

// One predecoded instruction. op 0 means "not decoded yet", so that zeroed pages are valid.
typedef struct Decoded {
    uint16_t op;
    uint8_t length;      // bytes
    uint8_t flags;       // FLAG_*: events to look at after (loop end) or before (breakpoint) the instruction
    uint8_t extra;       // cycles beyond the first in which the instruction occupies the issue slot
    uint8_t late_cycles; // how many cycles after issue the `late` registers become readable, minus one
    uint8_t taken;       // cycles lost when it jumps
    uint8_t latest;      // reserved, 0
    int8_t small[12];    // operands that fit one byte: register numbers, selectors, small immediates
    int32_t large[3];    // the others
    Mask early;          // registers that must be ready when the instruction issues
    Mask late;           // registers whose result arrives late_cycles after the next issue slot
} Decoded;

enum { PAGE_BITS = 12, PAGE_SIZE = 1 << PAGE_BITS, PAGES = 1 << (32 - PAGE_BITS) };

typedef struct CodePage {
    uint32_t base;
    uint64_t *profile; // (executions, cycles) per slot, or NULL
    Decoded slots[];   // PAGE_SIZE / slot size + padding of "not decoded" entries at the end
} CodePage;

enum { RECENT = 16 };

typedef struct Cache {
    uint32_t sets, ways, line_shift;
    uint32_t *tags; // sets * ways, most recent first; line number * 2 + dirty, ~0 when empty
} Cache;

#include "esp32p4_state.h"
#include "esp32s3_state.h"

struct Machine {
    uint32_t pc;
    int chip, revision;
    union {
        Esp32P4 p4;
        Esp32S3 s3;
    };
    // run control
    uint64_t cycles, instructions, limit;
    uint32_t options, return_address, stop_address;
    int stop_reason;
    Mask initialised;
    jmp_buf stop_target;
    // issue model: registers that are not readable for at least 1, 2, 3 more cycles
    Mask pending[3];
    // memory: host address of each page (NULL: not mapped / not permitted), shadow bytes, region kind
    uint8_t **read_page, **write_page, **shadow_page;
    uint8_t *page_kind, *page_permissions;
    CodePage **code_page;
    uint32_t region_count;
    struct Region {
        uint32_t base, size;
        int kind, permissions;
        uint8_t *data, *shadow;
    } regions[64];
    // memory model
    bool timing;
    SimMemoryShape shape;
    Cache l1, l2;
    uint32_t recent[2][RECENT]; // lines known to be in L1 (0) and known to be dirty there (1); ~0: none
    uint32_t last_fill[SIM_KINDS]; // line after the one filled last
    SimTraffic traffic[SIM_KINDS];
    uint32_t breakpoint_count, breakpoints[64];
    char error[256];
};

// Ends the run. Never returns: an instruction must not have changed any state before it.
_Noreturn void machine_stop(Machine *m, uint32_t pc, int reason, uint32_t address);
// Slow paths of the memory vocabulary.
_Noreturn void memory_fault(Machine *m, uint32_t pc, uint32_t address, uint32_t size, bool write);
void memory_read_slow(Machine *m, uint32_t pc, uint32_t address, void *data, uint32_t size);
void memory_write_slow(Machine *m, uint32_t pc, uint32_t address, const void *data, uint32_t size);
void memory_check(Machine *m, uint32_t pc, uint32_t address, uint32_t size, bool write);
void memory_cost(Machine *m, uint32_t address, uint32_t size, bool write);
void memory_drop_code(Machine *m, uint32_t address, uint32_t size);
CodePage *machine_code_page(Machine *m, uint32_t pc);
// Fills *slot for the instruction at pc; stops the run when there is none.
void machine_decode(Machine *m, uint32_t pc, Decoded *slot);

int engine_esp32p4_plain(Machine *m);
int engine_esp32p4_checked(Machine *m);
int engine_esp32s3_plain(Machine *m);
int engine_esp32s3_checked(Machine *m);

#endif
