// The run loop, a template. The including file has defined CHECKED, ENGINE (the function's name),
// TABLES_DISPATCH (the generated dispatch list) and AFTER_INSTRUCTION(m, pc, next), perhaps
// BEFORE_INSTRUCTION(m, pc, decoded), and has included every instruction of the chip.
#ifndef PIENN_SCAN

static ALWAYS_INLINE bool overlaps(Mask a, Mask b) {
    return ((a.lo & b.lo) | (a.hi & b.hi)) != 0;
}

// The general case: registers that are late by several cycles, instructions that occupy the issue slot for
// longer.
static __attribute__((noinline)) void issue_slowly(Machine *m, const Decoded *d) {
    uint32_t passed = 0;
    Mask later[LATEST] = {{0, 0}};
    while (passed < LATEST && overlaps(d->early, m->pending[passed]))
        passed++;
    passed += 1u + d->extra;
    m->cycles += passed;
    for (uint32_t i = 0; i + passed < LATEST; i++)
        later[i] = m->pending[i + passed];
    m->long_pending = 0;
    for (uint32_t i = 0; i < LATEST; i++) {
        if (i < d->late_cycles) {
            later[i].lo |= d->late.lo;
            later[i].hi |= d->late.hi;
        }
        m->pending[i] = later[i];
        if (i > 0)
            m->long_pending |= later[i].lo | later[i].hi;
    }
}

// In-order, one instruction a cycle: wait until the registers that the instruction needs early are there.
static ALWAYS_INLINE void issue(Machine *m, const Decoded *d) {
    if (UNLIKELY((d->late_cycles > 1) | (d->extra != 0) | (m->long_pending != 0))) {
        issue_slowly(m, d);
    } else {
        m->cycles += 1u + overlaps(d->early, m->pending[0]);
        m->pending[0] = d->late;
    }
}

// One function per instruction: its operands taken from the decoded form, its result the address of the next
// one.
typedef uint32_t Perform(Machine *m, const Decoded *d, uint32_t pc);
#define PERFORM(name, ...)                                                                                   \
    static uint32_t perform_##name(Machine *m, const Decoded *d, uint32_t pc) {                              \
        uint32_t next = pc + d->length;                                                                      \
        insn_##name(m, pc, &next, ##__VA_ARGS__);                                                            \
        return next;                                                                                         \
    }
#define UNIMPLEMENTED(name)                                                                                  \
    static uint32_t perform_##name(Machine *m, const Decoded *d, uint32_t pc) {                              \
        (void)d;                                                                                             \
        machine_stop(m, pc, SIM_STOP_UNIMPLEMENTED, pc);                                                     \
    }
#define SMALL(n) d->small[n]
#define LARGE(n) d->large[n]
TABLES_DISPATCH
static Perform *const performers[] = {NULL, TABLES_LABELS};

static void execute(Machine *m) {
    uint32_t pc = m->pc;
#if CHECKED
    uint64_t cycles_before = 0;
    bool resuming = true; // the first instruction of a run does not stop at its own breakpoint
#endif
    for (;;) {
        CodePage *page = m->code_page[pc >> PAGE_BITS];
        if (UNLIKELY(!page))
            page = machine_code_page(m, pc);
        Decoded *d = &page->slots[(pc & (PAGE_SIZE - 1)) >> SLOT_SHIFT];
        if (UNLIKELY(!d->op))
            machine_decode(m, pc, d);
        // straight on until a jump, an instruction not decoded yet, or the padding behind a page
        do {
            if (UNLIKELY(m->instructions >= m->limit))
                machine_stop(m, pc, SIM_STOP_LIMIT, pc);
#if CHECKED
            if (UNLIKELY((d->flags & FLAG_BREAKPOINT) && (m->options & SIM_BREAKPOINTS) && !resuming))
                machine_stop(m, pc, SIM_STOP_BREAKPOINT, pc);
            resuming = false;
            if (UNLIKELY(m->disabled_units >> d->unit & 1))
                machine_stop(m, pc, SIM_STOP_PIE_DISABLED, pc);
            if (m->options & SIM_CHECK_PIE_INIT)
                machine_check_initialised(m, pc, d);
            cycles_before = m->cycles;
#endif
#ifdef BEFORE_INSTRUCTION
            BEFORE_INSTRUCTION(m, pc, d);
#endif
            issue(m, d);
            const uint32_t straight = pc + d->length;
            uint32_t next = performers[d->op](m, d, pc);
            m->instructions++;
            if (UNLIKELY(d->flags & FLAG_LOOP_END))
                AFTER_INSTRUCTION(m, pc, next);
            else if (next != straight)
                m->cycles += d->taken;
#if CHECKED
            if (m->options & SIM_PROFILE)
                machine_count(m, pc, m->cycles - cycles_before);
#endif
            pc = next;
            if (next != straight)
                break;
            d += d->length >> SLOT_SHIFT;
        } while (LIKELY(d->op));
    }
}

int ENGINE(Machine *m) {
    if (!setjmp(m->stop_target))
        execute(m);
    return m->stop_reason;
}

#endif
