// The ESP32-S3: instructions, run loop, state. Compiled twice, CHECKED=0 and CHECKED=1.
#include "esp32s3_vocabulary.h"
#include "esp32s3_float.h"
#include "esp32s3_base.inc"
#include "esp32s3_special.inc"
#include "esp32s3_mac16.inc"
#include "esp32s3_float.inc"
#include "esp32s3_pie.inc"
#include "esp32s3_pie_accumulate.inc"

#ifndef PIENN_SCAN
#if !CHECKED
#define TABLES_DATA
#endif
#include "tables_esp32s3.h"
#endif

#define SLOT_SHIFT 0
#define BEFORE_INSTRUCTION(m, pc, decoded) window_check(m, pc, (decoded)->pane)
#define AFTER_INSTRUCTION(m, pc, next) loop_back(m, pc, d->length, &(next))
#if CHECKED
#define ENGINE engine_esp32s3_checked
#else
#define ENGINE engine_esp32s3_plain
#endif
#include "engine.h"

#if !CHECKED && !defined(PIENN_SCAN)
#include <stddef.h>

int engine_esp32s3_checked(Machine *m);

#define FIELD(NAME, MEMBER, SIZE, COUNT) {NAME, offsetof(Esp32S3, MEMBER), SIZE, COUNT}
static const SimField fields[] = {
    FIELD("q", q, 16, 8),
    FIELD("a", a, 4, 16),
    FIELD("ar", ar, 4, 64),
    FIELD("f", f, 4, 16),
    FIELD("accx", accx, 8, 1),
    FIELD("ua_state", ua_state, 16, 1),
    FIELD("qacc", qacc_bytes, 40, 1),
    FIELD("sar", sar, 4, 1),
    FIELD("sar_byte", sar_byte, 4, 1),
    FIELD("fft_bit_width", fft_bit_width, 4, 1),
    FIELD("gpio_out", gpio_out, 4, 1),
    FIELD("gpio_in", gpio_in, 4, 1),
    FIELD("ps", ps, 4, 1),
    FIELD("windowbase", windowbase, 4, 1),
    FIELD("windowstart", windowstart, 4, 1),
    FIELD("pane_mask", pane_mask, 4, 1),
    FIELD("br", br, 4, 1),
    FIELD("lbeg", lbeg, 4, 1),
    FIELD("lend", lend, 4, 1),
    FIELD("lcount", lcount, 4, 1),
    FIELD("threadptr", threadptr, 4, 1),
    FIELD("fcr", fcr, 4, 1),
    FIELD("fsr", fsr, 4, 1),
    FIELD("cpenable", cpenable, 4, 1),
    FIELD("scompare1", scompare1, 4, 1),
    FIELD("acc", acc, 8, 1),
    FIELD("m", mr, 4, 4),
    FIELD("special", special, 4, 256),
    FIELD("spills", spills, 4, 1),
    FIELD("fills", fills, 4, 1),
};

static void reset(Machine *m) {
    memset(&m->s3, 0, sizeof m->s3);
    m->s3.ps = PS_WOE | PS_UM;
    m->s3.windowstart = 1;
    m->s3.pane_mask = 15;
    m->s3.cpenable = 0xff;
    m->s3.special[SR_PRID] = 0xcdcd; // core 0
}

// Between runs the state is seen from outside in its architectural form: QACC packed, the register file
// complete.
static void begin_run(Machine *m) {
    static const int modes[4] = {FE_TONEAREST, FE_TOWARDZERO, FE_UPWARD, FE_DOWNWARD};
    qacc_write_bytes(&m->s3.qacc, 0, m->s3.qacc_bytes, 40);
    window_update_limit(m);
    loop_set_end(m, m->s3.lend);
    feclearexcept(FE_ALL_EXCEPT);
    fesetround(modes[m->s3.fcr & 3]);
}

static void end_run(Machine *m) {
    qacc_read_bytes(&m->s3.qacc, 0, m->s3.qacc_bytes, 40);
    window_put_away(m);
    float_flags(m);
    feclearexcept(FE_ALL_EXCEPT);
    fesetround(FE_TONEAREST);
}

static int slot_flags(const Machine *m, uint32_t pc, int length) {
    return pc + (uint32_t)length == m->s3.lend ? FLAG_LOOP_END : 0;
}

const ChipTables esp32s3_tables = {
    TABLES_MEMBERS,
    .slot_shift = SLOT_SHIFT,
    .state_fields = fields,
    .state_field_count = sizeof fields / sizeof *fields,
    .engine_plain = engine_esp32s3_plain,
    .engine_checked = engine_esp32s3_checked,
    .reset = reset,
    .begin_run = begin_run,
    .end_run = end_run,
    .slot_flags = slot_flags,
};
#endif
