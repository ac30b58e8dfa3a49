// The ESP32-P4 HP core: RV32IMAFC with Zicsr, Zifencei, Zba/Zbb/Zbs, Zcb, PIE and hardware loops.
#include <fenv.h>
#include <math.h>
#include <stddef.h>
#include "vocabulary.h"
#include "esp32p4_vocabulary.h"
#include "esp32p4_csr.h"

#include "esp32p4_base.inc"
#include "esp32p4_float.inc"
#include "esp32p4_loop.inc"
#include "esp32p4_lanes.h"
#include "esp32p4_pie.inc"
#include "esp32p4_accumulate.inc"
#include "esp32p4_fft.inc"

#define SLOT_SHIFT 1
#define AFTER_INSTRUCTION(m, pc, next) ((next) = loop_back((m), (pc), (next)))
#ifndef PIENN_SCAN
#if !CHECKED
#define TABLES_DATA
#endif
#include "tables_esp32p4.h"
#endif
#if CHECKED
#define ENGINE engine_esp32p4_checked
#else
#define ENGINE engine_esp32p4_plain
#endif
#include "engine.h"

#if !CHECKED && !defined(PIENN_SCAN)
static void reset(Machine *m) {
    memset(&m->p4, 0, sizeof m->p4);
    m->p4.pie_enable = m->p4.loop_enable = 1;
    m->p4.reservation = 1;
    m->p4.mstatus = 0x1800 | 1 << 13;
}

// The program's floating-point environment is the host's while a run lasts.
static void begin_run(Machine *m) {
    feclearexcept(FE_ALL_EXCEPT);
    host_rounding(m->p4.fcsr >> 5 & 7);
}

static void end_run(Machine *m) {
    m->p4.fcsr |= host_flags();
    feclearexcept(FE_ALL_EXCEPT);
    fesetround(FE_TONEAREST);
}

static int slot_flags(const Machine *m, uint32_t pc, int length) {
    (void)length;
    bool is_end =
        (m->p4.loop[0].count && m->p4.loop[0].end == pc) || (m->p4.loop[1].count && m->p4.loop[1].end == pc);
    return is_end ? FLAG_LOOP_END : 0;
}

#define FIELD(name, of, n) {#name, offsetof(Esp32P4, of), sizeof(((Esp32P4 *)0)->of) / (n), (n)},
static const SimField fields[] = {ESP32P4_FIELDS(FIELD)};

const ChipTables esp32p4_tables = {
    TABLES_MEMBERS,
    .slot_shift = SLOT_SHIFT,
    .state_fields = fields,
    .state_field_count = sizeof fields / sizeof *fields,
    .engine_plain = engine_esp32p4_plain,
    .engine_checked = engine_esp32p4_checked,
    .reset = reset,
    .begin_run = begin_run,
    .end_run = end_run,
    .slot_flags = slot_flags,
};
#endif
