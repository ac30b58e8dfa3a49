// The run loop, a template. The including file has defined CHECKED, ENGINE (the function's name), TABLES_DISPATCH (the
// generated dispatch list) and AFTER_INSTRUCTION(m, pc, next), perhaps BEFORE_INSTRUCTION(m, pc, decoded), and has included
// every instruction of the chip.
#ifndef PIENN_SCAN

static ALWAYS_INLINE bool overlaps(Mask a, Mask b) { return ((a.lo & b.lo) | (a.hi & b.hi)) != 0; }

static __attribute__((noinline)) void advance_pending(Machine *m, uint32_t cycles) {
    for (; cycles; cycles--) {
        memmove(&m->pending[0], &m->pending[1], (LATEST - 1) * sizeof m->pending[0]);
        m->pending[LATEST - 1] = (Mask){0, 0};
    }
}

// In-order, one instruction a cycle: wait until the registers that the instruction needs early are there.
static ALWAYS_INLINE void issue(Machine *m, const Decoded *d) {
    if (UNLIKELY(overlaps(d->early, m->pending[0]))) {
        uint32_t stall = 1;
        while (stall < LATEST && overlaps(d->early, m->pending[stall]))
            stall++;
        m->cycles += stall;
        advance_pending(m, stall);
    }
    if (UNLIKELY(d->extra))
        advance_pending(m, d->extra < LATEST ? d->extra : LATEST);
    m->cycles += 1u + d->extra;
    m->pending[0].lo = m->pending[1].lo | d->late.lo;
    m->pending[0].hi = m->pending[1].hi | d->late.hi;
    if (UNLIKELY(d->late_cycles > 1 || m->long_pending)) {
        m->long_pending = 0;
        for (int i = 1; i < LATEST; i++) {
            Mask later = i < LATEST - 1 ? m->pending[i + 1] : (Mask){0, 0};
            if (d->late_cycles > i) {
                later.lo |= d->late.lo;
                later.hi |= d->late.hi;
            }
            m->pending[i] = later;
            m->long_pending |= later.lo | later.hi;
        }
    }
}

int ENGINE(Machine *m) {
#define LABEL(name) &&perform_##name,
    static const void *const labels[] = {&&not_decoded, TABLES_LABELS};
#undef LABEL
    Decoded *d;
    uint32_t pc, next;
#if CHECKED
    uint64_t cycles_before = 0;
    bool resuming = true; // the first instruction of a run does not stop at its own breakpoint
#endif
    if (setjmp(m->stop_target))
        return m->stop_reason;
    pc = m->pc;

find : {
    CodePage *page = m->code_page[pc >> PAGE_BITS];
    if (UNLIKELY(!page))
        page = machine_code_page(m, pc);
    d = &page->slots[(pc & (PAGE_SIZE - 1)) >> SLOT_SHIFT];
}
    if (UNLIKELY(!d->op)) {
    not_decoded:
        machine_decode(m, pc, d);
    }

dispatch:
    if (UNLIKELY(m->instructions >= m->limit))
        machine_stop(m, pc, SIM_STOP_LIMIT, pc);
    if (UNLIKELY(!d->op))
        goto find; // not decoded, or the padding behind a page
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
    next = pc + d->length;
#ifdef BEFORE_INSTRUCTION
    BEFORE_INSTRUCTION(m, pc, d);
#endif
    issue(m, d);
    goto *labels[d->op];

#define STRAIGHT(name, ...)                                                                                            \
    perform_##name : insn_##name(m, pc, &next, ##__VA_ARGS__);                                                         \
    goto advance;
#define JUMPING(name, ...)                                                                                             \
    perform_##name : insn_##name(m, pc, &next, ##__VA_ARGS__);                                                         \
    goto arrive;
#define UNIMPLEMENTED(name)                                                                                            \
    perform_##name : machine_stop(m, pc, SIM_STOP_UNIMPLEMENTED, pc);
#define SMALL(n) d->small[n]
#define LARGE(n) d->large[n]
    TABLES_DISPATCH

advance:
    m->instructions++;
#if CHECKED
    if (m->options & SIM_PROFILE)
        machine_count(m, pc, m->cycles - cycles_before);
#endif
    if (UNLIKELY(d->flags & FLAG_LOOP_END)) {
        AFTER_INSTRUCTION(m, pc, next);
        if (next != pc + d->length) {
            pc = next;
            goto find;
        }
    }
    pc = next;
    d += d->length >> SLOT_SHIFT;
    goto dispatch;

arrive:
    m->instructions++;
    if (UNLIKELY(d->flags & FLAG_LOOP_END))
        AFTER_INSTRUCTION(m, pc, next);
    if (next != pc + d->length)
        m->cycles += d->taken;
#if CHECKED
    if (m->options & SIM_PROFILE)
        machine_count(m, pc, m->cycles - cycles_before);
#endif
    pc = next;
    goto find;
}

#endif
