// Regions, shadow bytes, slow paths of accesses, and the caches of the memory model.
#include <stdlib.h>
#include "machine.h"

static bool overlap(const struct Region *region, uint32_t base, uint32_t size) {
    return base < (uint64_t)region->base + region->size && region->base < (uint64_t)base + size;
}

int sim_map(Machine *m, uint32_t base, uint32_t size, int kind, int permissions) {
    if (m->region_count == sizeof m->regions / sizeof *m->regions || !size || (base | size) % PAGE_SIZE ||
        (uint64_t)base + size > (1ull << 32) || kind < 0 || kind >= SIM_KINDS)
        return -1;
    for (uint32_t i = 0; i < m->region_count; i++)
        if (overlap(&m->regions[i], base, size))
            return -1;
    uint8_t *data = calloc(size, 1), *shadow = calloc(size, 1);
    if (!data || !shadow) {
        free(data);
        free(shadow);
        return -1;
    }
    m->regions[m->region_count++] = (struct Region){base, size, kind, permissions, data, shadow};
    for (uint32_t offset = 0; offset < size; offset += PAGE_SIZE) {
        uint32_t page = (base + offset) >> PAGE_BITS;
        m->read_page[page] = permissions & SIM_READ ? data + offset : NULL;
        m->write_page[page] = permissions & SIM_WRITE ? data + offset : NULL;
        m->shadow_page[page] = shadow + offset;
        m->page_kind[page] = (uint8_t)kind;
        m->page_permissions[page] = (uint8_t)permissions;
    }
    return 0;
}

static struct Region *region_of(const Machine *m, uint32_t address) {
    for (uint32_t i = 0; i < m->region_count; i++) {
        const struct Region *region = &m->regions[i];
        if (address - region->base < region->size)
            return (struct Region *)region;
    }
    return NULL;
}

// Calls for each piece of [address, address + size) that lies in one region; returns how many bytes were
// mapped.
static uint32_t host_copy(Machine *m, uint32_t address, uint8_t *out, const uint8_t *in, uint32_t size,
                          bool shadow) {
    uint32_t done = 0;
    while (done < size) {
        struct Region *region = region_of(m, address + done);
        if (!region)
            break;
        uint32_t offset = address + done - region->base;
        uint32_t piece = region->size - offset < size - done ? region->size - offset : size - done;
        uint8_t *place = (shadow ? region->shadow : region->data) + offset;
        if (in)
            memcpy(place, in + done, piece);
        else
            memcpy(out + done, place, piece);
        done += piece;
    }
    return done;
}

uint32_t sim_read(Machine *m, uint32_t address, void *data, uint32_t size) {
    return host_copy(m, address, data, NULL, size, false);
}

uint32_t sim_write(Machine *m, uint32_t address, const void *data, uint32_t size) {
    uint32_t done = host_copy(m, address, NULL, data, size, false);
    if (done) // the program may have been decoded already
        machine_forget_code(m, address, done);
    return done;
}

uint32_t sim_shadow_read(Machine *m, uint32_t address, uint8_t *shadow, uint32_t size) {
    return host_copy(m, address, shadow, NULL, size, true);
}

int sim_shadow_set(Machine *m, uint32_t address, uint32_t size, uint8_t keep, uint8_t set) {
    for (uint32_t done = 0; done < size;) {
        struct Region *region = region_of(m, address + done);
        if (!region)
            return -1;
        uint32_t offset = address + done - region->base;
        uint32_t piece = region->size - offset < size - done ? region->size - offset : size - done;
        for (uint32_t i = 0; i < piece; i++)
            region->shadow[offset + i] = (uint8_t)((region->shadow[offset + i] & keep) | set);
        done += piece;
    }
    return 0;
}

static _Noreturn void fault(Machine *m, uint32_t pc, uint32_t address, bool write) {
    bool mapped = m->shadow_page[address >> PAGE_BITS] != NULL;
    machine_stop(m, pc, write && mapped ? SIM_STOP_READ_ONLY : SIM_STOP_UNMAPPED, address);
}

void memory_read_slow(Machine *m, uint32_t pc, uint32_t address, void *data, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) {
        const uint8_t *page = m->read_page[(address + i) >> PAGE_BITS];
        if (!page)
            fault(m, pc, address + i, false);
        ((uint8_t *)data)[i] = page[(address + i) & (PAGE_SIZE - 1)];
    }
}

void memory_write_slow(Machine *m, uint32_t pc, uint32_t address, const void *data, uint32_t size) {
    for (uint32_t i = 0; i < size; i++)
        if (!m->write_page[(address + i) >> PAGE_BITS])
            fault(m, pc, address + i, true);
    for (uint32_t i = 0; i < size; i++)
        m->write_page[(address + i) >> PAGE_BITS][(address + i) & (PAGE_SIZE - 1)] =
            ((const uint8_t *)data)[i];
}

// Which byte of an access breaks which rule; called only when some byte is not plainly good.
static _Noreturn void refuse(Machine *m, uint32_t pc, uint32_t address, uint32_t size, bool write) {
    uint8_t watched = write ? SIM_WATCH_WRITE : SIM_WATCH_READ;
    for (uint32_t i = 0; i < size; i++) {
        const uint8_t *page = m->shadow_page[(address + i) >> PAGE_BITS];
        if (!page)
            fault(m, pc, address + i, write);
        uint8_t state = page[(address + i) & (PAGE_SIZE - 1)];
        if (!(state & SIM_DECLARED))
            machine_stop(m, pc, SIM_STOP_UNDECLARED, address + i);
        if (write ? state & SIM_CONSTANT : !(state & SIM_WRITTEN))
            machine_stop(m, pc, write ? SIM_STOP_READ_ONLY : SIM_STOP_UNWRITTEN, address + i);
        if (state & watched)
            machine_stop(m, pc, SIM_STOP_WATCHPOINT, address + i);
    }
    machine_stop(m, pc, SIM_STOP_UNMAPPED, address);
}

// Shadow bytes of an access inside one page are looked at eight at a time.
static bool all_good(const uint8_t *shadow, uint32_t size, uint8_t mask, uint8_t wanted) {
    uint32_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, shadow + i, 8);
        if ((word & mask * 0x0101010101010101u) != wanted * 0x0101010101010101u)
            return false;
    }
    for (; i < size; i++)
        if ((shadow[i] & mask) != wanted)
            return false;
    return true;
}

// The checks of one access; marks the bytes of a permitted store as written.
void memory_check(Machine *m, uint32_t pc, uint32_t address, uint32_t size, bool write) {
    if ((m->options & SIM_CHECK_ALIGNMENT) && size <= 4 && address % size)
        machine_stop(m, pc, SIM_STOP_MISALIGNED, address);
    if (size == 16 && m->page_kind[address >> PAGE_BITS] == SIM_TCM && m->shadow_page[address >> PAGE_BITS])
        machine_stop(m, pc, SIM_STOP_MISALIGNED, address); // the TCM's port is narrower
    if (!(m->options & SIM_CHECK_MEMORY))
        return;
    uint8_t mask = SIM_DECLARED | (write ? SIM_CONSTANT | SIM_WATCH_WRITE : SIM_WRITTEN | SIM_WATCH_READ);
    uint8_t wanted = write ? SIM_DECLARED : SIM_DECLARED | SIM_WRITTEN;
    if (pc == m->watch_passed)
        mask &= (uint8_t)~(SIM_WATCH_READ | SIM_WATCH_WRITE);
    uint32_t inside = PAGE_SIZE - (address & (PAGE_SIZE - 1));
    for (uint32_t done = 0; done < size;) { // at most two pages
        uint32_t piece = inside < size - done ? inside : size - done;
        uint8_t *page = m->shadow_page[(address + done) >> PAGE_BITS];
        uint8_t *shadow = page ? page + ((address + done) & (PAGE_SIZE - 1)) : NULL;
        if (!shadow || !all_good(shadow, piece, mask, wanted))
            refuse(m, pc, address, size, write);
        if (write && !m->write_page[(address + done) >> PAGE_BITS])
            fault(m, pc, address + done, true);
        done += piece;
        inside = PAGE_SIZE;
    }
    for (uint32_t i = 0; write && i < size; i++)
        m->shadow_page[(address + i) >> PAGE_BITS][(address + i) & (PAGE_SIZE - 1)] |= SIM_WRITTEN;
}

// ---------------- caches

static void cache_shape(Cache *cache, const SimCacheShape *shape) {
    free(cache->tags);
    *cache = (Cache){0};
    cache->line_shift = shape->line ? (uint32_t)__builtin_ctz(shape->line) : 6;
    if (!shape->ways || !shape->line || !shape->size)
        return;
    cache->ways = shape->ways;
    cache->sets = shape->size / shape->line / shape->ways;
    cache->tags = malloc((size_t)cache->sets * cache->ways * sizeof *cache->tags);
    if (!cache->tags)
        cache->ways = cache->sets = 0;
}

void memory_empty_caches(Machine *m) {
    for (Cache *cache = &m->l1; cache; cache = cache == &m->l1 ? &m->l2 : NULL)
        if (cache->tags)
            memset(cache->tags, 0xff, (size_t)cache->sets * cache->ways * sizeof *cache->tags);
    memset(m->recent, 0xff, sizeof m->recent);
    memset(m->last_fill, 0xff, sizeof m->last_fill);
}

void memory_set_timing(Machine *m, bool enabled) {
    const SimMemoryShape *shape = &m->shape;
    m->timing = enabled;
    for (int kind = 0; kind < SIM_KINDS; kind++)
        m->costs[kind] =
            enabled && (shape->cached[kind] || shape->first[kind] || shape->per_8_bytes_x16[kind] ||
                        shape->write_first[kind] || shape->write_per_8_bytes_x16[kind]);
}

void memory_shape(Machine *m, const SimMemoryShape *shape) {
    m->shape = *shape;
    cache_shape(&m->l1, &shape->l1);
    cache_shape(&m->l2, &shape->l2);
    memory_set_timing(m, m->timing);
    memory_empty_caches(m);
}

// Looks a line up, makes it the most recent of its set. Returns 1 on a hit, 0 on a miss; *evicted is the line
// that had to leave (tag as stored, ~0 when none).
static int cache_touch(Cache *cache, uint32_t line, bool write, uint32_t *evicted) {
    uint32_t *set = cache->tags + (size_t)(line % cache->sets) * cache->ways;
    *evicted = ~0u;
    for (uint32_t way = 0; way < cache->ways; way++)
        if (set[way] != ~0u && set[way] >> 1 == line) {
            uint32_t tag = set[way] | write;
            memmove(set + 1, set, way * sizeof *set);
            set[0] = tag;
            return 1;
        }
    *evicted = set[cache->ways - 1];
    memmove(set + 1, set, (cache->ways - 1) * sizeof *set);
    set[0] = line << 1 | write;
    return 0;
}

static uint64_t transfer(const Machine *m, int kind, bool write, uint32_t bytes) {
    uint32_t rate = write ? m->shape.write_per_8_bytes_x16[kind] : m->shape.per_8_bytes_x16[kind];
    return ((uint64_t)rate * ((bytes + 7) / 8) + 8) / 16;
}

// A line (or an uncached access) moves between a memory and the level above it.
static uint64_t memory_transfer(Machine *m, uint32_t address, uint32_t bytes, bool write) {
    int kind = m->page_kind[address >> PAGE_BITS];
    SimTraffic *traffic = &m->traffic[kind];
    uint64_t cycles = transfer(m, kind, write, bytes);
    if (write) {
        traffic->line_writebacks++;
        cycles += m->shape.write_first[kind];
    } else {
        uint32_t first = m->shape.first[kind];
        if (m->last_fill[kind] == address)
            first -= m->shape.sequential_saving[kind] < first ? m->shape.sequential_saving[kind] : first;
        m->last_fill[kind] = address + bytes;
        traffic->line_fills++;
        cycles += first;
    }
    return cycles;
}

static void forget_recent(Machine *m, uint32_t line) {
    for (int write = 0; write < 2; write++)
        if (m->recent[write][line % RECENT] == line)
            m->recent[write][line % RECENT] = ~0u;
}

// A line asked from the second level (or straight from memory).
static uint64_t second_level(Machine *m, uint32_t address, uint32_t bytes, bool write) {
    int kind = m->page_kind[address >> PAGE_BITS];
    if (!m->l2.ways || m->shape.cached[kind] < 2)
        return memory_transfer(m, address, bytes, write);
    uint32_t evicted, shift = m->l2.line_shift;
    uint64_t cycles = m->shape.l2_hit;
    if (!cache_touch(&m->l2, address >> shift, write, &evicted)) {
        cycles += memory_transfer(m, address >> shift << shift, 1u << shift, false);
        if (evicted != ~0u && evicted & 1)
            cycles += memory_transfer(m, evicted >> 1 << shift, 1u << shift, true);
    }
    return cycles;
}

// Adds the cycles that one access waits for its memory.
void memory_cost(Machine *m, uint32_t address, uint32_t size, bool write) {
    uint32_t shift = m->l1.line_shift, last = (address + size - 1) >> shift;
    for (uint32_t line = address >> shift; line <= last; line++) {
        uint32_t place = line << shift;
        int kind = m->page_kind[place >> PAGE_BITS];
        uint64_t cycles = 0;
        if (!m->shape.cached[kind] || (m->shape.cached[kind] < 3 && !m->l1.ways)) {
            cycles = write ? m->shape.write_first[kind] : m->shape.first[kind];
            cycles += transfer(m, kind, write, size);
        } else if (m->shape.cached[kind] == 3) {
            cycles = second_level(m, place, 1u << shift, write);
        } else {
            uint32_t evicted;
            if (!cache_touch(&m->l1, line, write, &evicted)) {
                cycles = second_level(m, place, 1u << shift, false);
                if (evicted != ~0u) {
                    forget_recent(m, evicted >> 1);
                    if (evicted & 1)
                        cycles += second_level(m, evicted >> 1 << shift, 1u << shift, true);
                }
            }
            m->recent[0][line % RECENT] = line;
            if (write)
                m->recent[1][line % RECENT] = line;
        }
        m->cycles += cycles;
        m->traffic[kind].stall_cycles += cycles;
        if (cycles) // results that were on their way have arrived
            memset(m->pending, 0, sizeof m->pending);
    }
}
