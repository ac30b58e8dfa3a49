// The words in which instructions are written: memory access, jumps, stops. Included by an engine file, which
// defines CHECKED (0 or 1) first; see README.md for the conventions.
#ifndef PIENN_VOCABULARY_H
#define PIENN_VOCABULARY_H

#include "machine.h"

// INSN(name, operand...) { body } defines the meaning of one instruction. Every operand is a `const int`: a
// register number or an immediate as the assembly text says it (scaled; pc-relative as distance from the
// instruction's address). In scope: m (the machine), pc, and next (address of the next instruction).
#ifdef PIENN_SCAN // the build lists the instructions that have a meaning
#define INSN(...) PIENN_MEANING __VA_ARGS__ PIENN_END
#else
#define INSN(...) INSN_COUNT(__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)(__VA_ARGS__)
#endif
#define INSN_COUNT(n, a, b, c, d, e, f, g, h, i, j, k, l, count, ...) INSN_##count
#define INSN_HEAD(name)                                                                                      \
    static ALWAYS_INLINE void insn_##name(Machine *const m __attribute__((unused)),                                    \
                                          const uint32_t pc __attribute__((unused)),                                   \
                                          uint32_t *const next __attribute__((unused))
#define P(a) , const int a __attribute__((unused))
#define INSN_0(n) INSN_HEAD(n))
#define INSN_1(n, a) INSN_HEAD(n) P(a))
#define INSN_2(n, a, b) INSN_HEAD(n) P(a) P(b))
#define INSN_3(n, a, b, c) INSN_HEAD(n) P(a) P(b) P(c))
#define INSN_4(n, a, b, c, d) INSN_HEAD(n) P(a) P(b) P(c) P(d))
#define INSN_5(n, a, b, c, d, e) INSN_HEAD(n) P(a) P(b) P(c) P(d) P(e))
#define INSN_6(n, a, b, c, d, e, f) INSN_HEAD(n) P(a) P(b) P(c) P(d) P(e) P(f))
#define INSN_7(n, a, b, c, d, e, f, g) INSN_HEAD(n) P(a) P(b) P(c) P(d) P(e) P(f) P(g))
#define INSN_8(n, a, b, c, d, e, f, g, h) INSN_HEAD(n) P(a) P(b) P(c) P(d) P(e) P(f) P(g) P(h))
#define INSN_9(n, a, b, c, d, e, f, g, h, i) INSN_HEAD(n) P(a) P(b) P(c) P(d) P(e) P(f) P(g) P(h) P(i))
#define INSN_10(n, a, b, c, d, e, f, g, h, i, j) INSN_HEAD(n) P(a) P(b) P(c) P(d) P(e) P(f) P(g) P(h) P(i) P(j))
#define INSN_11(n, a, b, c, d, e, f, g, h, i, j, k)                                                          \
    INSN_HEAD(n) P(a) P(b) P(c) P(d) P(e) P(f) P(g) P(h) P(i) P(j) P(k))

// DO(name, operand...) performs another instruction's meaning: for short forms of the same instruction.
#define DO(name, ...) insn_##name(m, pc, next, ##__VA_ARGS__)

// Ends the run at this instruction; never returns. No state may have been changed before.
#define STOP(reason, address) machine_stop(m, pc, (reason), (uint32_t)(address))
#define JUMP(target) ((void)(*next = (uint32_t)(target)))

#if CHECKED
#define CHECK_OPTION(bit) (m->options & (bit))
#else
#define CHECK_OPTION(bit) false
#endif

static ALWAYS_INLINE void account(Machine *m, uint32_t address, uint32_t size, bool write) {
    const uint8_t kind = m->page_kind[address >> PAGE_BITS];
    SimTraffic *traffic = &m->traffic[kind];
    if (write) {
        traffic->writes++;
        traffic->written_bytes += size;
    } else {
        traffic->reads++;
        traffic->read_bytes += size;
    }
    if (m->costs[kind] &&
        m->recent[write][(address >> m->l1.line_shift) % RECENT] != address >> m->l1.line_shift)
        memory_cost(m, address, size, write);
}

static ALWAYS_INLINE void read_bytes(Machine *m, uint32_t pc, uint32_t address, void *data, uint32_t size) {
    if (CHECK_OPTION(SIM_CHECK_MEMORY | SIM_CHECK_ALIGNMENT))
        memory_check(m, pc, address, size, false);
    const uint8_t *page = m->read_page[address >> PAGE_BITS];
    if (UNLIKELY(!page || (address & (PAGE_SIZE - 1)) > PAGE_SIZE - size))
        memory_read_slow(m, pc, address, data, size);
    else
        memcpy(data, page + (address & (PAGE_SIZE - 1)), size);
    account(m, address, size, false);
}

static ALWAYS_INLINE void write_bytes(Machine *m, uint32_t pc, uint32_t address, const void *data,
                                      uint32_t size) {
    if (CHECK_OPTION(SIM_CHECK_MEMORY | SIM_CHECK_ALIGNMENT))
        memory_check(m, pc, address, size, true);
    uint8_t *page = m->write_page[address >> PAGE_BITS];
    if (UNLIKELY(!page || (address & (PAGE_SIZE - 1)) > PAGE_SIZE - size))
        memory_write_slow(m, pc, address, data, size);
    else
        memcpy(page + (address & (PAGE_SIZE - 1)), data, size);
    account(m, address, size, true);
}

#define MEMORY_ACCESS(bits, type)                                                                            \
    static ALWAYS_INLINE type load_##bits(Machine *m, uint32_t pc, uint32_t address) {                       \
        type value;                                                                                          \
        read_bytes(m, pc, address, &value, sizeof value);                                                    \
        return value;                                                                                        \
    }                                                                                                        \
    static ALWAYS_INLINE void store_##bits(Machine *m, uint32_t pc, uint32_t address, type value) {          \
        write_bytes(m, pc, address, &value, sizeof value);                                                   \
    }
MEMORY_ACCESS(8, uint8_t)
MEMORY_ACCESS(16, uint16_t)
MEMORY_ACCESS(32, uint32_t)
MEMORY_ACCESS(64, uint64_t)
MEMORY_ACCESS(128, Vector128)

// Inside an instruction: LOAD(32, address), STORE(128, address, value). An access that stops the run leaves
// all state as it was, so instructions load first, then store, then write registers.
#define LOAD(bits, address) load_##bits(m, pc, (uint32_t)(address))
#define STORE(bits, address, value) store_##bits(m, pc, (uint32_t)(address), (value))

#endif
