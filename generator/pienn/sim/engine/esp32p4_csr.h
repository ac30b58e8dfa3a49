// Control and status registers. Numbers of Espressif's own: esp-idf 102122904a
// components/riscv/include/riscv/csr.h.
#ifndef PIENN_ESP32P4_CSR_H
#define PIENN_ESP32P4_CSR_H

#include "esp32p4_vocabulary.h"

enum {
    CSR_FFLAGS = 0x001,
    CSR_FRM = 0x002,
    CSR_FCSR = 0x003,
    CSR_MSTATUS = 0x300,
    CSR_MISA = 0x301,
    CSR_MIE = 0x304,
    CSR_MTVEC = 0x305,
    CSR_MSCRATCH = 0x340,
    CSR_MEPC = 0x341,
    CSR_MCAUSE = 0x342,
    CSR_MTVAL = 0x343,
    CSR_LOOP_FIRST = 0x7c6, // START, END, COUNT of loop 0, then of loop 1
    CSR_LOOP_LAST = 0x7cb,
    CSR_COUNTER_EVENT = 0x7e0,
    CSR_COUNTER_MODE = 0x7e1,
    CSR_COUNTER = 0x7e2,
    CSR_LOOP_STATE = 0x7f1,
    CSR_PIE_STATE = 0x7f2,
    CSR_MCYCLE = 0xb00,
    CSR_MINSTRET = 0xb02,
    CSR_MCYCLEH = 0xb80,
    CSR_MINSTRETH = 0xb82,
    CSR_CYCLE = 0xc00,
    CSR_TIME = 0xc01,
    CSR_INSTRET = 0xc02,
    CSR_CYCLEH = 0xc80,
    CSR_TIMEH = 0xc81,
    CSR_INSTRETH = 0xc82,
    CSR_MHARTID = 0xf14,
};

enum { MISA_RV32IMAFC = 0x40001125 };

static uint32_t *machine_mode_csr(Machine *m, uint32_t csr) {
    switch (csr) {
    case CSR_MSTATUS:
        return &m->p4.mstatus;
    case CSR_MIE:
        return &m->p4.mie;
    case CSR_MTVEC:
        return &m->p4.mtvec;
    case CSR_MSCRATCH:
        return &m->p4.mscratch;
    case CSR_MEPC:
        return &m->p4.mepc;
    case CSR_MCAUSE:
        return &m->p4.mcause;
    case CSR_MTVAL:
        return &m->p4.mtval;
    case CSR_LOOP_STATE:
        return &m->p4.loop_enable;
    case CSR_PIE_STATE:
        return &m->p4.pie_enable;
    case CSR_COUNTER_EVENT:
        return &m->p4.counter_event;
    case CSR_COUNTER_MODE:
        return &m->p4.counter_mode;
    }
    return NULL;
}

static uint32_t *loop_csr(Machine *m, uint32_t csr) {
    HardwareLoop *loop = &m->p4.loop[(csr - CSR_LOOP_FIRST) / 3];
    uint32_t *parts[] = {&loop->start, &loop->end, &loop->count};
    return parts[(csr - CSR_LOOP_FIRST) % 3];
}

static __attribute__((noinline)) uint32_t csr_read(Machine *m, uint32_t pc, uint32_t csr) {
    if (csr >= CSR_LOOP_FIRST && csr <= CSR_LOOP_LAST)
        return *loop_csr(m, csr);
    const uint32_t *plain = machine_mode_csr(m, csr);
    if (plain)
        return *plain;
    switch (csr) {
    case CSR_FFLAGS:
    case CSR_FRM:
    case CSR_FCSR:
        m->p4.fcsr |= host_flags();
        return csr == CSR_FCSR ? m->p4.fcsr : csr == CSR_FRM ? m->p4.fcsr >> 5 & 7 : m->p4.fcsr & 31;
    case CSR_MISA:
        return MISA_RV32IMAFC;
    case CSR_MHARTID:
        return 0;
    case CSR_COUNTER:
    case CSR_MCYCLE:
    case CSR_CYCLE:
    case CSR_TIME:
        return (uint32_t)m->cycles;
    case CSR_MCYCLEH:
    case CSR_CYCLEH:
    case CSR_TIMEH:
        return (uint32_t)(m->cycles >> 32);
    case CSR_MINSTRET:
    case CSR_INSTRET:
        return (uint32_t)m->instructions;
    case CSR_MINSTRETH:
    case CSR_INSTRETH:
        return (uint32_t)(m->instructions >> 32);
    }
    STOP(SIM_STOP_CSR, csr);
}

// Kernels may write the floating-point and loop registers only; the others belong to the operating system. A
// write of the PIE state defeats the lazy save and corrupts another task's registers.
static __attribute__((noinline)) void csr_write(Machine *m, uint32_t pc, uint32_t csr, uint32_t value) {
    bool loop = csr >= CSR_LOOP_FIRST && csr <= CSR_LOOP_LAST;
    if (CHECK_OPTION(SIM_CHECK_CSR) && !loop && csr > CSR_FCSR)
        STOP(SIM_STOP_CSR, csr);
    if (loop) {
        *loop_csr(m, csr) = value;
        int id = (int)(csr - CSR_LOOP_FIRST) / 3;
        Decoded *d = machine_slot(m, m->p4.loop[id].end);
        if (d)
            d->flags |= FLAG_LOOP_END;
        return;
    }
    switch (csr) {
    case CSR_FFLAGS:
        feclearexcept(FE_ALL_EXCEPT);
        m->p4.fcsr = (m->p4.fcsr & ~31u) | (value & 31);
        return;
    case CSR_FRM:
        m->p4.fcsr = ((m->p4.fcsr | host_flags()) & ~0xe0u) | (value & 7) << 5;
        host_rounding(value & 7);
        return;
    case CSR_FCSR:
        feclearexcept(FE_ALL_EXCEPT);
        m->p4.fcsr = value & 0xff;
        host_rounding(value >> 5 & 7);
        return;
    case CSR_COUNTER:
    case CSR_MCYCLE:
        m->cycles = (m->cycles & ~0xffffffffull) | value;
        return;
    case CSR_MCYCLEH:
        m->cycles = (m->cycles & 0xffffffffu) | (uint64_t)value << 32;
        return;
    }
    uint32_t *plain = machine_mode_csr(m, csr);
    if (!plain)
        STOP(SIM_STOP_CSR, csr);
    *plain = value;
    if (csr == CSR_PIE_STATE)
        m->disabled_units =
            value & 3 ? m->disabled_units & ~(1u << UNIT_PIE) : m->disabled_units | 1u << UNIT_PIE;
}

#endif
