// Flat C interface of the simulator: everything a foreign-function binding needs, nothing else.
#ifndef PIENN_SIM_H
#define PIENN_SIM_H

#include <stddef.h>
#include <stdint.h>

typedef struct Machine Machine;

enum { SIM_ESP32P4 = 0, SIM_ESP32S3 = 1 };

// Why a run ended. The machine's pc is the address of the instruction that could not complete;
// for SIM_STOP_LIMIT, _BREAKPOINT, _RETURNED it is the next instruction to execute.
enum SimStop {
    SIM_STOP_NONE = 0,
    SIM_STOP_LIMIT,               // max_instructions executed
    SIM_STOP_BREAKPOINT,          // next instruction carries a breakpoint
    SIM_STOP_RETURNED,            // jump to the return address given with sim_set_return_address
    SIM_STOP_UNKNOWN_INSTRUCTION, // no table entry matches; address = pc
    SIM_STOP_UNIMPLEMENTED,       // in the table but the simulator gives it no meaning
    SIM_STOP_FETCH,               // pc is in no region or not executable
    SIM_STOP_UNMAPPED,            // data access outside every region
    SIM_STOP_READ_ONLY,           // store to a region without write permission
    SIM_STOP_UNDECLARED,          // access outside the declared buffers
    SIM_STOP_UNWRITTEN,           // read of a byte that was never written
    SIM_STOP_MISALIGNED,          // an access the chip would not do at this address
    SIM_STOP_WATCHPOINT,          // the watched byte was accessed (the access is not done)
    SIM_STOP_PIE_UNINITIALISED,   // a PIE register was read before it was written
    SIM_STOP_PIE_DISABLED,        // a coprocessor instruction while its enable says no
    SIM_STOP_CSR,                 // forbidden or unknown control register; address = its number
    SIM_STOP_LOOP_RULE,           // a hardware loop that breaks the published rules
    SIM_STOP_SEMIHOST,            // the program asks the host for a service; resume after serving it
    SIM_STOP_SYSCALL,             // ecall / syscall
    SIM_STOP_BREAK,               // ebreak / break that is no service call
    SIM_STOP_EXCEPTION,           // an architectural exception without a handler; address = its cause
};

// Region kinds; the memory model attaches costs to them.
enum { SIM_SRAM = 0, SIM_PSRAM = 1, SIM_FLASH = 2, SIM_TCM = 3, SIM_KINDS = 4 };
enum { SIM_READ = 1, SIM_WRITE = 2, SIM_EXECUTE = 4 };

// Shadow bits of one byte of memory, used only by checked runs.
enum { SIM_DECLARED = 1, SIM_WRITTEN = 2, SIM_CONSTANT = 4, SIM_WATCH_READ = 8, SIM_WATCH_WRITE = 16 };

// Options of a run (bit mask).
enum {
    SIM_CHECK_MEMORY = 1,   // undeclared, unwritten, constant and watched bytes stop the run
    SIM_CHECK_PIE_INIT = 2, // reads of PIE registers that were never written stop the run
    SIM_CHECK_LOOPS = 4,    // hardware loops are held to the published rules
    SIM_CHECK_CSR = 8,      // control registers that kernels must leave alone stop the run
    SIM_BREAKPOINTS = 16,
    SIM_PROFILE = 32,           // count executions and cycles per instruction address
    SIM_CHECK_TRUNCATION = 128, // vector accesses whose low address bits the chip would drop stop the run
    SIM_CHECK_ALIGNMENT = 64,   // scalar accesses that are not naturally aligned stop the run
};

// One named part of the register state: `count` elements of `size` bytes at `offset` from sim_state().
typedef struct SimField {
    const char *name;
    uint32_t offset, size, count;
} SimField;

// Counters of one memory (region kind), in bytes and accesses of the program, and line transfers.
typedef struct SimTraffic {
    uint64_t reads, read_bytes, writes, written_bytes;
    uint64_t line_fills, line_writebacks, stall_cycles;
} SimTraffic;

// One cache of the memory model. ways = 0 means the cache is absent.
typedef struct SimCacheShape {
    uint32_t size, line, ways;
} SimCacheShape;

// Costs in core cycles. A level is asked only when the level above missed.
typedef struct SimMemoryShape {
    SimCacheShape l1, l2;
    uint32_t l2_hit;           // L1 line fill from the L2 cache
    uint32_t first[SIM_KINDS]; // first access of a line fill (or of an uncached access) from this memory
    uint32_t per_8_bytes_x16[SIM_KINDS]; // transfer, sixteenths of a cycle per 8 bytes
    uint32_t write_first[SIM_KINDS];     // write-back of a dirty line, as above
    uint32_t write_per_8_bytes_x16[SIM_KINDS];
    uint32_t cached[SIM_KINDS];            // 0: never cached, 1: L1 only, 2: L1 and L2, 3: L2 shape only
    uint32_t sequential_saving[SIM_KINDS]; // cycles saved when a fill follows the previous line (prefetch,
                                           // open row)
} SimMemoryShape;

Machine *sim_new(int chip, int revision);
void sim_free(Machine *machine);

// Regions are whole 4 KiB pages. Returns 0, or -1 when it overlaps or memory is exhausted.
int sim_map(Machine *machine, uint32_t base, uint32_t size, int kind, int permissions);
// Host access ignores permissions and counters; both return the number of bytes that were mapped.
uint32_t sim_read(Machine *machine, uint32_t address, void *data, uint32_t size);
uint32_t sim_write(Machine *machine, uint32_t address, const void *data, uint32_t size);
// Shadow bytes become (old & keep) | set.
int sim_shadow_set(Machine *machine, uint32_t address, uint32_t size, uint8_t keep, uint8_t set);
uint32_t sim_shadow_read(Machine *machine, uint32_t address, uint8_t *shadow, uint32_t size);
void sim_flush_code(Machine *machine);

void *sim_state(Machine *machine);
const SimField *sim_fields(int chip, uint32_t *count);
void sim_mark_initialised(Machine *machine, int initialised);

int sim_run(Machine *machine, uint64_t max_instructions, uint32_t options);
uint32_t sim_pc(const Machine *machine);
void sim_set_pc(Machine *machine, uint32_t pc);
uint32_t sim_stop_address(const Machine *machine);
uint64_t sim_cycles(const Machine *machine);
uint64_t sim_instructions(const Machine *machine);
void sim_reset_counters(Machine *machine);
void sim_set_return_address(Machine *machine, uint32_t address);
int sim_set_breakpoint(Machine *machine, uint32_t address, int on);

// Coprocessors that must not be used (bit 1 FPU, bit 2 PIE), as in an interrupt handler; checked runs only.
void sim_disable_units(Machine *machine, uint32_t units);
void sim_set_timing(Machine *machine, int enabled);
void sim_set_memory_shape(Machine *machine, const SimMemoryShape *shape);
const SimTraffic *sim_traffic(const Machine *machine, int kind);
void sim_empty_caches(Machine *machine);

// Execution and cycle counts of `count` instruction slots from `address` (slots of 2 bytes on RISC-V,
// 1 byte on Xtensa); pairs (executions, cycles).
void sim_profile(const Machine *machine, uint32_t address, uint32_t count, uint64_t *pairs);
void sim_clear_profile(Machine *machine);

// Decode without executing: operation number or -1; operand values in table order into values[16].
int sim_decode(Machine *machine, const uint8_t *bytes, uint32_t pc, int32_t *values, int *length);
const char *sim_mnemonic(int chip, int operation);
uint32_t sim_operations(int chip);
int sim_operation_implemented(int chip, int operation);

#endif
