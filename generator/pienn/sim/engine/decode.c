// Decoding, driven by the generated tables of a chip.
#include <stdlib.h>
#include "machine.h"

// For each first byte the encodings that could match, so that decoding looks at a few only.
int machine_prepare_decoder(Machine *m) {
    const ChipTables *t = m->tables;
    for (int byte = 0; byte < 256; byte++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < t->encoding_count; i++)
            count += !((t->encodings[i].match ^ (uint32_t)byte) & t->encodings[i].mask & 0xff);
        uint16_t *list = malloc((count + 1) * sizeof *list);
        if (!list)
            return -1;
        m->candidates[byte] = list;
        for (uint32_t i = 0; i < t->encoding_count; i++) {
            const EncodingSpec *e = &t->encodings[i];
            if (!((e->match ^ (uint32_t)byte) & e->mask & 0xff) &&
                (!e->revision || e->revision == m->revision))
                *list++ = (uint16_t)i;
        }
        *list = 0xffff;
    }
    return 0;
}

// The value of one field, false when no value has that bit pattern.
static bool field_value(const ChipTables *t, const FieldSpec *f, uint32_t word, uint32_t pc, int32_t *value) {
    uint32_t raw = 0;
    uint32_t first = f->first_segment_low | (uint32_t)f->first_segment_high << 8;
    for (uint32_t i = 0; i < f->segments; i++) {
        const Segment *s = &t->segments[first + i];
        raw |= ((word >> s->word_bit) & ((1u << s->width) - 1)) << s->value_bit;
    }
    if (f->values) {
        if (raw >= f->values)
            return false;
        *value = t->values[f->first_value + raw];
    } else {
        int32_t number = (int32_t)raw;
        if (f->is_signed && raw >> (f->width - 1))
            number -= (int32_t)(1u << f->width);
        *value = f->base + f->scale * number;
        if (*value < f->minimum || *value > f->maximum)
            return false;
    }
    for (uint32_t i = 0; i < f->excluded; i++)
        if (t->values[f->first_excluded + i] == *value)
            return false;
    if (f->anchor == 1)
        *value -= (int32_t)(pc & 3);
    else if (f->anchor == 2)
        *value += (int32_t)(-pc & 3);
    return true;
}

// The encoding of the instruction in `bytes` (at least `available` of them are there) or NULL.
static const EncodingSpec *find(const Machine *m, const uint8_t *bytes, uint32_t available, uint32_t pc,
                                int32_t *values) {
    const ChipTables *t = m->tables;
    for (const uint16_t *candidate = m->candidates[bytes[0]]; *candidate != 0xffff; candidate++) {
        const EncodingSpec *e = &t->encodings[*candidate];
        if (e->length > available)
            continue;
        uint32_t word = 0;
        memcpy(&word, bytes, e->length);
        if ((word & e->mask) != e->match)
            continue;
        bool good = true;
        for (uint32_t i = 0; good && i < e->fields; i++) {
            const FieldSpec *f = &t->fields[e->first_field + i];
            good = field_value(t, f, word, pc, &values[f->operand]);
        }
        if (!good)
            continue;
        for (uint32_t i = 0; i < e->fixed; i++)
            values[t->fixed[e->first_fixed + 2 * i]] = t->fixed[e->first_fixed + 2 * i + 1];
        return e;
    }
    return NULL;
}

int sim_decode(Machine *m, const uint8_t *bytes, uint32_t pc, int32_t *values, int *length) {
    const EncodingSpec *e = find(m, bytes, 4, pc, values);
    if (!e)
        return -1;
    *length = e->length;
    return e->operation;
}

static void add_bit(Mask *mask, uint32_t bit) {
    if (bit < 64)
        mask->lo |= 1ull << bit;
    else
        mask->hi |= 1ull << (bit - 64);
}

static int32_t operand_value(const Decoded *d, const OperandSpec *operand) {
    return operand->slot < 16 ? d->small[operand->slot] : d->large[operand->slot - 16];
}

void machine_decode(Machine *m, uint32_t pc, Decoded *d) {
    const ChipTables *t = m->tables;
    uint8_t bytes[4] = {0};
    uint32_t available = sim_read(m, pc, bytes, sizeof bytes);
    int32_t values[16] = {0};
    const EncodingSpec *e = available ? find(m, bytes, available, pc, values) : NULL;
    if (!e)
        machine_stop(m, pc, SIM_STOP_UNKNOWN_INSTRUCTION, pc);
    const OperationSpec *operation = &t->operations[e->operation];
    Decoded decoded = {.op = e->operation,
                       .length = e->length,
                       .flags = (uint8_t)t->slot_flags(m, pc, e->length),
                       .extra = operation->extra,
                       .late_cycles = operation->late_cycles,
                       .taken = operation->taken,
                       .unit = operation->unit,
                       .early = operation->early,
                       .late = operation->late};
    for (uint32_t i = 0; i < operation->operands; i++) {
        const OperandSpec *o = &t->operands[operation->first_operand + i];
        if (o->slot < 16)
            decoded.small[o->slot] = (int8_t)values[i];
        else
            decoded.large[o->slot - 16] = values[i];
        if (o->first_bit == 0 && values[i] / 4 > decoded.pane)
            decoded.pane = (uint8_t)(values[i] / 4);
        if (o->timing & USE_EARLY)
            add_bit(&decoded.early, o->first_bit + (uint32_t)values[i]);
        if (o->timing & DEFINE_LATE)
            add_bit(&decoded.late, o->first_bit + (uint32_t)values[i]);
    }
    for (uint32_t i = 0; i < m->breakpoint_count; i++)
        if (m->breakpoints[i] == pc)
            decoded.flags |= FLAG_BREAKPOINT;
    *d = decoded;
}

static void all_registers(const Machine *m, const Decoded *d, Mask *reads, Mask *writes) {
    const ChipTables *t = m->tables;
    const OperationSpec *operation = &t->operations[d->op];
    *reads = operation->reads;
    *writes = operation->writes;
    for (uint32_t i = 0; i < operation->operands; i++) {
        const OperandSpec *o = &t->operands[operation->first_operand + i];
        if (o->first_bit == 255)
            continue;
        uint32_t bit = o->first_bit + (uint32_t)operand_value(d, o);
        if (o->timing & USE)
            add_bit(reads, bit);
        if (o->timing & DEFINE)
            add_bit(writes, bit);
    }
}

void machine_check_initialised(Machine *m, uint32_t pc, const Decoded *d) {
    Mask reads, writes, pie = m->tables->pie;
    all_registers(m, d, &reads, &writes);
    uint64_t lo = reads.lo & pie.lo & ~m->initialised.lo, hi = reads.hi & pie.hi & ~m->initialised.hi;
    if (lo | hi)
        machine_stop(m, pc, SIM_STOP_PIE_UNINITIALISED,
                     lo ? (uint32_t)__builtin_ctzll(lo) : 64 + (uint32_t)__builtin_ctzll(hi));
    m->initialised.lo |= writes.lo;
    m->initialised.hi |= writes.hi;
}
