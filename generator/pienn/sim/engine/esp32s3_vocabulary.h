// Words for the instructions of the ESP32-S3 beyond those of vocabulary.h: its registers and its register
// windows.
#ifndef PIENN_ESP32S3_VOCABULARY_H
#define PIENN_ESP32S3_VOCABULARY_H

#include "vocabulary.h"

#define A(n) (m->s3.a[n])
#define SET_A(n, value) ((void)(m->s3.a[n] = (uint32_t)(value)))
#define ADVANCE(n, step) SET_A(n, A(n) + (uint32_t)(step))
#define F(n) (m->s3.f[n])
#define SET_F(n, bits) ((void)(m->s3.f[n] = (uint32_t)(bits)))
#define B(n) (m->s3.br >> (n) & 1)
#define SET_B(n, value) ((void)(m->s3.br = (m->s3.br & ~(1u << (n))) | (uint32_t)!!(value) << (n)))
#define Q(n) (m->s3.q[n])
#define QACC (m->s3.qacc)
#define ACCX (m->s3.accx)
#define UA_STATE (m->s3.ua_state)
#define SAR (m->s3.sar)
#define SAR_BYTE (m->s3.sar_byte)
#define FFT_BIT_WIDTH (m->s3.fft_bit_width)
#define GPIO_OUT (m->s3.gpio_out)
#define GPIO_IN (m->s3.gpio_in)

// Values of EXCCAUSE.
enum { CAUSE_ILLEGAL = 0, CAUSE_SYSCALL = 1, CAUSE_ALLOCA = 5, CAUSE_DIVIDE_BY_ZERO = 6 };
#define EXCEPTION(cause) STOP(SIM_STOP_EXCEPTION, cause)

// Vector accesses: the chip drops the low address bits. (Instructions for unaligned streams, which want that,
// do it themselves.)
static ALWAYS_INLINE uint32_t vector_address(Machine *m, uint32_t pc, uint32_t address, uint32_t size) {
    if (CHECK_OPTION(SIM_CHECK_TRUNCATION) && address % size)
        STOP(SIM_STOP_MISALIGNED, address);
    return address & -size;
}
#define VECTOR_LOAD(bits, address) LOAD(bits, vector_address(m, pc, (address), (bits) / 8))
#define VECTOR_STORE(bits, address, value) STORE(bits, vector_address(m, pc, (address), (bits) / 8), (value))

// ------------ zero-overhead loops

static inline void mark_slot(Machine *m, uint32_t address, uint32_t length) {
    Decoded *slot = machine_slot(m, address);
    if (slot && slot->length == length)
        slot->flags |= FLAG_LOOP_END;
}

// The instruction that ends where the loop ends has to look at LCOUNT; instructions are 2, 3 or 4 bytes long.
static ALWAYS_INLINE void loop_set_end(Machine *m, uint32_t end) {
    m->s3.lend = end;
    for (uint32_t length = 2; length <= 4; length++)
        mark_slot(m, end - length, length);
}

// Falling through to LEND with iterations left goes back to LBEG; arriving there by a jump does not. Loops of
// one instruction take 1.7 cycles a pass on the chip (dj-oyu/esp32s3-hw-mcp data/pie_timing_measured.json,
// e7f54b2).
static ALWAYS_INLINE void loop_back(Machine *m, uint32_t pc, uint32_t length, uint32_t *next) {
    if (*next != m->s3.lend || pc + length != m->s3.lend || !m->s3.lcount || (m->s3.ps & PS_EXCM))
        return;
    m->s3.lcount--;
    *next = m->s3.lbeg;
    if (m->s3.lbeg == pc) {
        m->s3.short_loop_tenths += 7;
        m->cycles += m->s3.short_loop_tenths >= 10;
        m->s3.short_loop_tenths %= 10;
    }
}

// ------------ register windows

static ALWAYS_INLINE bool window_enabled(const Machine *m) {
    return (m->s3.ps & (PS_WOE | PS_EXCM)) == PS_WOE;
}

static ALWAYS_INLINE uint32_t pane_number(const Machine *m, uint32_t pane) {
    return pane & m->s3.pane_mask;
}

static ALWAYS_INLINE bool window_live(const Machine *m, uint32_t base) {
    return m->s3.windowstart >> pane_number(m, base) & 1;
}

// The register file is 16 panes of 4; the visible window (4 panes) is kept apart for speed.
static inline void window_put_away(Machine *m) {
    for (uint32_t pane = 0; pane < 4; pane++)
        memcpy(&m->s3.ar[pane_number(m, m->s3.windowbase + pane) * 4], &m->s3.a[pane * 4], 16);
}

static inline void window_take_up(Machine *m) {
    for (uint32_t pane = 0; pane < 4; pane++)
        memcpy(&m->s3.a[pane * 4], &m->s3.ar[pane_number(m, m->s3.windowbase + pane) * 4], 16);
}

static inline void window_update_limit(Machine *m) {
    uint32_t distance = 4;
    if (window_enabled(m))
        for (distance = 1; distance < 4 && !window_live(m, m->s3.windowbase + distance);)
            distance++;
    m->s3.window_limit = distance;
}

static inline void window_rotate(Machine *m, uint32_t panes) {
    window_put_away(m);
    m->s3.windowbase = pane_number(m, m->s3.windowbase + panes);
    window_take_up(m);
    window_update_limit(m);
}

// Register n of the frame that starts at pane `base`.
static inline uint32_t *frame_register(Machine *m, uint32_t base, uint32_t n) {
    return &m->s3.ar[pane_number(m, base + n / 4) * 4 + n % 4];
}

// Cycles of the standard window handlers: one per instruction (5, 10, 14) and two lost at each of the two
// jumps.
static inline void window_handler_cost(Machine *m, uint32_t panes) {
    static const uint8_t instructions[4] = {0, 5, 10, 14};
    m->cycles += instructions[panes] + 4u;
}

// Stores the frame at pane `base` (4, 8 or 12 registers, as many as lie below the next frame) where the
// standard overflow handlers do: a0..a3 below the stack pointer of the next frame, the others below that of
// the previous frame. The handlers leave the previous stack pointer in the dead a0.
static inline void window_store_frame(Machine *m, uint32_t pc, uint32_t base) {
    uint32_t panes = window_live(m, base + 1) ? 1 : window_live(m, base + 2) ? 2 : 3;
    uint32_t below = *frame_register(m, base, panes * 4 + 1);
    STORE(32, below - 16, *frame_register(m, base, 0));
    if (panes > 1)
        *frame_register(m, base, 0) = LOAD(32, *frame_register(m, base, 1) - 12);
    for (uint32_t n = 1; n < 4; n++)
        STORE(32, below - 16 + 4 * n, *frame_register(m, base, n));
    for (uint32_t n = 4; n < panes * 4; n++)
        STORE(32, *frame_register(m, base, 0) - 16 - (panes * 4 - n) * 4, *frame_register(m, base, n));
    m->s3.windowstart &= ~(1u << pane_number(m, base));
    m->s3.spills++;
    window_handler_cost(m, panes);
}

// Loads the frame `panes` below the current one back, as the standard underflow handlers do.
static inline void window_load_frame(Machine *m, uint32_t pc, uint32_t panes) {
    uint32_t base = pane_number(m, m->s3.windowbase - panes);
    window_put_away(m);
    uint32_t below = *frame_register(m, base, panes * 4 + 1);
    for (uint32_t n = 0; n < 4; n++)
        *frame_register(m, base, n) = LOAD(32, below - 16 + 4 * n);
    if (panes > 1) {
        uint32_t previous = LOAD(32, *frame_register(m, base, 1) - 12);
        for (uint32_t n = 4; n < panes * 4; n++)
            *frame_register(m, base, n) = LOAD(32, previous - 16 - (panes * 4 - n) * 4);
    }
    m->s3.windowstart |= 1u << base;
    m->s3.fills++;
    window_handler_cost(m, panes);
    window_take_up(m);
    window_update_limit(m);
}

// An instruction that names registers of pane `pane` first evicts every older frame that lives there.
static __attribute__((noinline)) void window_overflow(Machine *m, uint32_t pc, uint32_t pane) {
    window_put_away(m);
    while (m->s3.window_limit <= pane) {
        window_store_frame(m, pc, m->s3.windowbase + m->s3.window_limit);
        window_update_limit(m);
    }
    window_take_up(m);
}

static ALWAYS_INLINE void window_check(Machine *m, uint32_t pc, uint32_t pane) {
    if (UNLIKELY(pane >= m->s3.window_limit))
        window_overflow(m, pc, pane);
}

#endif
