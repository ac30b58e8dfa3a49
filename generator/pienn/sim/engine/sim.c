// The interface: construction, runs, counters, breakpoints, names.
#include <stdio.h>
#include <stdlib.h>
#include "machine.h"

static const ChipTables *tables_of(int chip) {
#ifdef HAVE_ESP32P4
    if (chip == SIM_ESP32P4)
        return &esp32p4_tables;
#endif
#ifdef HAVE_ESP32S3
    if (chip == SIM_ESP32S3)
        return &esp32s3_tables;
#endif
    (void)chip;
    return NULL;
}

Machine *sim_new(int chip, int revision) {
    const ChipTables *tables = tables_of(chip);
    Machine *m = tables ? calloc(1, sizeof *m) : NULL;
    if (!m)
        return NULL;
    m->chip = chip;
    m->revision = revision;
    m->tables = tables;
    m->read_page = calloc(PAGES, sizeof *m->read_page);
    m->write_page = calloc(PAGES, sizeof *m->write_page);
    m->shadow_page = calloc(PAGES, sizeof *m->shadow_page);
    m->code_page = calloc(PAGES, sizeof *m->code_page);
    m->page_kind = calloc(PAGES, 1);
    m->page_permissions = calloc(PAGES, 1);
    m->l1.line_shift = m->l2.line_shift = 6;
    m->return_address = 1; // odd: no instruction has it on RISC-V, and Xtensa code never lies there
    m->watch_passed = 1;
    memory_empty_caches(m);
    if (!m->read_page || !m->write_page || !m->shadow_page || !m->code_page || !m->page_kind ||
        !m->page_permissions || machine_prepare_decoder(m)) {
        sim_free(m);
        return NULL;
    }
    tables->reset(m);
    return m;
}

void sim_free(Machine *m) {
    if (!m)
        return;
    for (uint32_t i = 0; i < m->region_count; i++) {
        for (uint32_t page = m->regions[i].base >> PAGE_BITS;
             page <= (m->regions[i].base + m->regions[i].size - 1) >> PAGE_BITS; page++)
            if (m->code_page[page]) {
                free(m->code_page[page]->profile);
                free(m->code_page[page]);
            }
        free(m->regions[i].data);
        free(m->regions[i].shadow);
    }
    for (int byte = 0; byte < 256; byte++)
        free(m->candidates[byte]);
    free(m->read_page);
    free(m->write_page);
    free(m->shadow_page);
    free(m->code_page);
    free(m->page_kind);
    free(m->page_permissions);
    free(m->l1.tags);
    free(m->l2.tags);
    free(m);
}

// ---------------- runs

_Noreturn void machine_stop(Machine *m, uint32_t pc, int reason, uint32_t address) {
    m->pc = pc;
    m->stop_reason = reason;
    m->stop_address = address;
    longjmp(m->stop_target, 1);
}

int sim_run(Machine *m, uint64_t max_instructions, uint32_t options) {
    m->options = options;
    m->limit = m->instructions + max_instructions < m->instructions ? UINT64_MAX
                                                                    : m->instructions + max_instructions;
    m->tables->begin_run(m);
    int reason = options ? m->tables->engine_checked(m) : m->tables->engine_plain(m);
    m->tables->end_run(m);
    m->watch_passed = reason == SIM_STOP_WATCHPOINT ? m->pc : 1; // the next run performs this access
    return reason;
}

void *sim_state(Machine *m) {
    return &m->p4;
}
const SimField *sim_fields(int chip, uint32_t *count) {
    const ChipTables *t = tables_of(chip);
    *count = t ? t->state_field_count : 0;
    return t ? t->state_fields : NULL;
}
uint32_t sim_pc(const Machine *m) {
    return m->pc;
}
void sim_set_pc(Machine *m, uint32_t pc) {
    m->pc = pc;
}
uint32_t sim_stop_address(const Machine *m) {
    return m->stop_address;
}
uint64_t sim_cycles(const Machine *m) {
    return m->cycles;
}
uint64_t sim_instructions(const Machine *m) {
    return m->instructions;
}
void sim_set_return_address(Machine *m, uint32_t address) {
    m->return_address = address;
}
void sim_mark_initialised(Machine *m, int initialised) {
    memset(&m->initialised, initialised ? 0xff : 0, sizeof m->initialised);
}

void sim_reset_counters(Machine *m) {
    m->cycles = m->instructions = m->long_pending = 0;
    memset(m->traffic, 0, sizeof m->traffic);
    memset(m->pending, 0, sizeof m->pending);
}

void sim_disable_units(Machine *m, uint32_t units) {
    m->disabled_units = units;
}
void sim_set_timing(Machine *m, int enabled) {
    memory_set_timing(m, enabled);
}
void sim_set_memory_shape(Machine *m, const SimMemoryShape *shape) {
    memory_shape(m, shape);
}
void sim_empty_caches(Machine *m) {
    memory_empty_caches(m);
}
const SimTraffic *sim_traffic(const Machine *m, int kind) {
    return &m->traffic[kind];
}

// ---------------- decoded code

static uint32_t slots_of_page(const Machine *m) {
    return (uint32_t)PAGE_SIZE >> m->tables->slot_shift;
}

CodePage *machine_code_page(Machine *m, uint32_t pc) {
    uint32_t page = pc >> PAGE_BITS;
    if (pc == m->return_address)
        machine_stop(m, pc, SIM_STOP_RETURNED, pc);
    if (!(m->page_permissions[page] & SIM_EXECUTE))
        machine_stop(m, pc, SIM_STOP_FETCH, pc);
    CodePage *code = calloc(1, sizeof *code + (slots_of_page(m) + 4) * sizeof(Decoded));
    if (!code)
        machine_stop(m, pc, SIM_STOP_FETCH, pc);
    code->base = page << PAGE_BITS;
    m->code_page[page] = code;
    return code;
}

Decoded *machine_slot(Machine *m, uint32_t address) {
    CodePage *code = m->code_page[address >> PAGE_BITS];
    return code ? &code->slots[(address & (PAGE_SIZE - 1)) >> m->tables->slot_shift] : NULL;
}

void machine_forget_code(Machine *m, uint32_t address, uint32_t size) {
    // an instruction may begin up to 3 bytes before a changed byte
    uint32_t first = (address < 4 ? 0 : address - 3) >> PAGE_BITS, last = (address + (size - 1)) >> PAGE_BITS;
    for (uint32_t page = first;; page++) {
        if (m->code_page[page])
            memset(m->code_page[page]->slots, 0, slots_of_page(m) * sizeof(Decoded));
        if (page == last)
            return;
    }
}

void sim_flush_code(Machine *m) {
    for (uint32_t i = 0; i < m->region_count; i++)
        machine_forget_code(m, m->regions[i].base, m->regions[i].size);
}

int sim_set_breakpoint(Machine *m, uint32_t address, int on) {
    uint32_t i = 0;
    while (i < m->breakpoint_count && m->breakpoints[i] != address)
        i++;
    if (on && i == m->breakpoint_count) {
        if (i == sizeof m->breakpoints / sizeof *m->breakpoints)
            return -1;
        m->breakpoints[m->breakpoint_count++] = address;
    } else if (!on && i < m->breakpoint_count) {
        m->breakpoints[i] = m->breakpoints[--m->breakpoint_count];
    }
    Decoded *d = machine_slot(m, address);
    if (d)
        d->flags = (uint8_t)(on ? d->flags | FLAG_BREAKPOINT : d->flags & ~FLAG_BREAKPOINT);
    return 0;
}

void machine_count(Machine *m, uint32_t pc, uint64_t cycles) {
    CodePage *code = m->code_page[pc >> PAGE_BITS];
    if (!code->profile)
        code->profile = calloc(2 * (size_t)slots_of_page(m), sizeof *code->profile);
    if (!code->profile)
        return;
    uint64_t *pair = code->profile + 2 * ((pc & (PAGE_SIZE - 1)) >> m->tables->slot_shift);
    pair[0]++;
    pair[1] += cycles;
}

void sim_profile(const Machine *m, uint32_t address, uint32_t count, uint64_t *pairs) {
    for (uint32_t i = 0; i < count; i++, address += 1u << m->tables->slot_shift) {
        const CodePage *code = m->code_page[address >> PAGE_BITS];
        uint32_t slot = (address & (PAGE_SIZE - 1)) >> m->tables->slot_shift;
        pairs[2 * i] = code && code->profile ? code->profile[2 * slot] : 0;
        pairs[2 * i + 1] = code && code->profile ? code->profile[2 * slot + 1] : 0;
    }
}

void sim_clear_profile(Machine *m) {
    for (uint32_t page = 0; page < PAGES; page++)
        if (m->code_page[page] && m->code_page[page]->profile)
            memset(m->code_page[page]->profile, 0, 2 * (size_t)slots_of_page(m) * sizeof(uint64_t));
}

// ---------------- names

const char *sim_mnemonic(int chip, int operation) {
    const ChipTables *t = tables_of(chip);
    return t && operation > 0 && (uint32_t)operation < t->operation_count ? t->operations[operation].mnemonic
                                                                          : NULL;
}
uint32_t sim_operations(int chip) {
    const ChipTables *t = tables_of(chip);
    return t ? t->operation_count : 0;
}
int sim_operation_implemented(int chip, int operation) {
    const ChipTables *t = tables_of(chip);
    return t && operation > 0 && (uint32_t)operation < t->operation_count &&
           t->operations[operation].implemented;
}
