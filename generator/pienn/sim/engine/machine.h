// State of one simulated core and the vocabulary in which instructions are written (see README.md).
#ifndef PIENN_MACHINE_H
#define PIENN_MACHINE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "sim.h"
#include "vector.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

// Sets of registers for the issue model: lo and hi are laid out per chip in the generated header.
typedef struct Mask {
    uint64_t lo, hi;
} Mask;

enum { UNIT_NONE = 0, UNIT_FPU = 1, UNIT_PIE = 2 };
enum { LATEST = 4 }; // most cycles by which a result may be late

enum { FLAG_LOOP_END = 1, FLAG_BREAKPOINT = 2 };

// One predecoded instruction. op 0 means "not decoded yet", so that zeroed pages are valid.
typedef struct Decoded {
    uint16_t op;
    uint8_t length;      // bytes
    uint8_t flags;       // FLAG_*: events to look at after (loop end) or before (breakpoint) the instruction
    uint8_t extra;       // cycles beyond the first in which the instruction occupies the issue slot
    uint8_t late_cycles; // how many cycles after issue the `late` registers become readable, minus one
    uint8_t taken;       // cycles lost when it jumps
    uint8_t unit;        // coprocessor that the instruction belongs to (UNIT_*)
    uint8_t pane;        // highest group of four integer registers that it names (register windows)
    int8_t small[11];    // operands that fit one byte: register numbers, selectors, small immediates
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

enum { RECENT = 256 };

typedef struct Cache {
    uint32_t sets, ways, line_shift;
    uint32_t *tags; // sets * ways, most recent first; line number * 2 + dirty, ~0 when empty
} Cache;

#include "esp32p4_state.h"
#include "esp32s3_state.h"

typedef struct ChipTables ChipTables;

struct Machine {
    uint32_t pc;
    int chip, revision;
    const ChipTables *tables;
    uint16_t *candidates[256]; // encodings that a first byte leaves possible, ended by 0xffff
    union {
        Esp32P4 p4;
        Esp32S3 s3;
    };
    // run control
    uint64_t cycles, instructions, limit;
    uint32_t options, return_address, stop_address;
    uint32_t watch_passed; // instruction whose watched access has been reported already
    int stop_reason;
    Mask initialised;
    uint32_t disabled_units; // bit per UNIT_*: checked runs stop at its instructions
    jmp_buf stop_target;
    // issue model: registers that are not readable for at least 1, 2, 3, 4 more cycles
    Mask pending[LATEST];
    uint64_t long_pending; // not 0: some register waits more than one cycle
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
    bool costs[SIM_KINDS]; // accesses of this kind of memory may wait: ask memory_cost
    SimMemoryShape shape;
    Cache l1, l2;
    uint32_t recent[2][RECENT];    // lines known to be in L1 (0) and known to be dirty there (1); ~0: none
    uint32_t last_fill[SIM_KINDS]; // line after the one filled last
    SimTraffic traffic[SIM_KINDS];
    uint32_t breakpoint_count, breakpoints[64];
};

// Ends the run. Never returns: an instruction must not have changed any state before it.
_Noreturn void machine_stop(Machine *m, uint32_t pc, int reason, uint32_t address);
// Slow paths of the memory vocabulary.
void memory_read_slow(Machine *m, uint32_t pc, uint32_t address, void *data, uint32_t size);
void memory_write_slow(Machine *m, uint32_t pc, uint32_t address, const void *data, uint32_t size);
void memory_check(Machine *m, uint32_t pc, uint32_t address, uint32_t size, bool write);
void memory_cost(Machine *m, uint32_t address, uint32_t size, bool write);
void memory_shape(Machine *m, const SimMemoryShape *shape);
void memory_set_timing(Machine *m, bool enabled);
void memory_empty_caches(Machine *m);

// The page of decoded instructions that holds pc; stops the run when pc cannot be executed.
CodePage *machine_code_page(Machine *m, uint32_t pc);
// The slot of an address if its page exists already, else NULL.
Decoded *machine_slot(Machine *m, uint32_t address);
// Fills *slot for the instruction at pc; stops the run when there is none.
void machine_decode(Machine *m, uint32_t pc, Decoded *slot);
// Decoded instructions that touch these bytes are decoded again when they are next executed.
void machine_forget_code(Machine *m, uint32_t address, uint32_t size);
int machine_prepare_decoder(Machine *m);
void machine_count(Machine *m, uint32_t pc, uint64_t cycles);
// Checks that need every register an instruction names: PIE registers read before they were written.
void machine_check_initialised(Machine *m, uint32_t pc, const Decoded *d);

int engine_esp32p4_plain(Machine *m);
int engine_esp32p4_checked(Machine *m);
int engine_esp32s3_plain(Machine *m);
int engine_esp32s3_checked(Machine *m);

// One chip: generated tables plus what its engine file adds.
typedef struct Segment {
    uint8_t word_bit, width, value_bit;
} Segment;

typedef struct FieldSpec {
    uint8_t operand, first_segment_low, first_segment_high, segments, width;
    uint8_t is_signed, anchor; // anchor: 0 none, 1 counts from pc rounded down to 4, 2 rounded up
    uint16_t values;           // number of irregular values, 0: base + scale * field
    uint32_t first_value;      // into value_table
    int32_t base, scale, minimum, maximum;
    uint16_t first_excluded, excluded; // into value_table
} FieldSpec;

typedef struct EncodingSpec {
    uint32_t mask, match;
    uint16_t operation;
    uint8_t length;
    int8_t revision; // 0: every revision
    uint16_t first_field;
    uint8_t fields;
    uint16_t first_fixed; // into fixed_table, pairs (operand, value)
    uint8_t fixed;
} EncodingSpec;

enum { USE_EARLY = 1, USE = 2, DEFINE = 4, DEFINE_LATE = 8 };

typedef struct OperandSpec {
    uint8_t slot;      // 0..10 small, 16..18 large
    uint8_t first_bit; // of its register file in a Mask, 255 for immediates
    uint8_t timing;    // USE_* and DEFINE_*
} OperandSpec;

typedef struct OperationSpec {
    const char *mnemonic;
    uint16_t first_operand;
    uint8_t operands, extra, late_cycles, taken, implemented, unit;
    Mask early, late, reads, writes; // implicit state
} OperationSpec;

struct ChipTables {
    const OperationSpec *operations; // [0] is "not decoded"
    uint32_t operation_count;
    const OperandSpec *operands;
    const EncodingSpec *encodings;
    uint32_t encoding_count;
    const FieldSpec *fields;
    const Segment *segments;
    const int32_t *values;
    const int32_t *fixed;
    uint8_t lengths[16];
    Mask pie;       // the registers watched by SIM_CHECK_PIE_INIT
    int slot_shift; // log2 of the bytes of code per decoded slot
    const SimField *state_fields;
    uint32_t state_field_count;
    int (*engine_plain)(Machine *m);
    int (*engine_checked)(Machine *m);
    void (*reset)(Machine *m);     // state after reset
    void (*begin_run)(Machine *m); // before and after a run: host floating-point environment
    void (*end_run)(Machine *m);
    int (*slot_flags)(const Machine *m, uint32_t pc, int length); // FLAG_LOOP_END where a loop in force ends
};

extern const ChipTables esp32p4_tables, esp32s3_tables;

#endif
