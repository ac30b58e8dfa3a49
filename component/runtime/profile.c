/* The table of a profile: columns, numbers and totals as `pienn run --target` prints them. */
#include "pienn/watch.h"
#include "text.h"

enum { LAYER, OP, RESULT, KERNEL, MAC, CYCLES, RATE, SHARE, COLUMNS };

#define GAP 2           /* blanks between columns */
#define LONGEST_NAME 48 /* characters of a layer's name that are shown */
#define PEAK 16         /* MAC per cycle of PIE */

static const char *const headings[COLUMNS] = {"layer", "op",     "result",    "kernel",
                                              "MAC",   "cycles", "MAC/cycle", "% of 16"};

/* a / b, half up; 0 where b is. */
static uint64_t ratio(uint64_t a, uint64_t b) {
    return b ? (a + b / 2) / b : 0;
}

/* Adds what stands in a column of a layer's row; numbers that mean nothing there are left out. */
static void add_cell(line *out, int column, const pienn_layer *layer, uint64_t cycles) {
    switch (column) {
    case LAYER:
        line_add_part(out, layer->name, LONGEST_NAME);
        break;
    case OP:
        line_add(out, layer->op);
        break;
    case RESULT:
        for (int32_t axis = 0; axis < layer->rank; axis++) {
            line_add(out, axis ? "x" : "");
            line_add_number(out, (uint64_t)layer->shape[axis]);
        }
        break;
    case KERNEL:
        line_add(out, layer->kernel);
        break;
    case CYCLES:
        line_add_number(out, cycles);
        break;
    default:
        if (layer->macs && column == MAC) {
            line_add_number(out, layer->macs);
        } else if (layer->macs && cycles && column == RATE) {
            line_add_decimal(out, ratio((uint64_t)layer->macs * 100, cycles), 2);
        } else if (layer->macs && cycles) {
            line_add_number(out, ratio((uint64_t)layer->macs * 100, cycles * PEAK));
        }
    }
}

/* Places what was added from `start` on at the column's side of the field that ends before `end`. */
static void finish_cell(line *out, int column, int32_t start, int32_t end) {
    if (column >= MAC) {
        line_align_right(out, start, end);
    } else {
        line_pad(out, end);
    }
}

static void find_ends(int32_t ends[COLUMNS], const pienn_network *network, const uint64_t *cycles,
                      uint32_t runs) {
    int32_t end = -GAP;
    for (int column = 0; column < COLUMNS; column++) {
        line cell;
        line_clear(&cell);
        line_add(&cell, headings[column]);
        int32_t widest = cell.length;
        for (int32_t call = 0; call < network->calls; call++) {
            line_clear(&cell);
            add_cell(&cell, column, &network->layers[call], ratio(cycles[call], runs));
            widest = cell.length > widest ? cell.length : widest;
        }
        end += GAP + widest;
        ends[column] = end;
    }
}

static void print_title(const pienn_network *network, uint32_t runs) {
    line out;
    line_clear(&out);
    line_add(&out, network->name);
    line_add(&out, ", ");
    line_add(&out, network->target);
    line_add(&out, ", cycles of one run");
    if (runs > 1) {
        line_add(&out, ", mean of ");
        line_add_number(&out, runs);
    }
    pienn_write_line(out.text);
}

static void print_totals(const pienn_network *network, uint64_t cycles, uint64_t macs, uint32_t clock_mhz) {
    line out;
    line_clear(&out);
    line_add_number(&out, cycles);
    line_add(&out, " cycles = ");
    line_add_decimal(&out, ratio(cycles, clock_mhz), 3);
    line_add(&out, " ms at ");
    line_add_number(&out, clock_mhz);
    line_add(&out, " MHz, ");
    line_add_number(&out, macs);
    line_add(&out, " MAC");
    if (macs && cycles) {
        line_add(&out, ", ");
        line_add_decimal(&out, ratio(macs * 100, cycles), 2);
        line_add(&out, " MAC/cycle");
    }
    line_add(&out, "; constants ");
    line_add_number(&out, network->constant_bytes);
    line_add(&out, ", arena ");
    line_add_number(&out, network->arena_bytes);
    pienn_write_line(out.text);
}

void pienn_profile_print(const pienn_network *network, const uint64_t *cycles, uint32_t runs,
                         uint32_t clock_mhz) {
    int32_t ends[COLUMNS];
    uint64_t all_cycles = 0, all_macs = 0;
    find_ends(ends, network, cycles, runs);
    print_title(network, runs);
    for (int32_t call = -1; call < network->calls; call++) { /* -1: the headings */
        line out;
        line_clear(&out);
        for (int column = 0; column < COLUMNS; column++) {
            line_pad(&out, column ? ends[column - 1] + GAP : 0);
            const int32_t start = out.length;
            if (call < 0) {
                line_add(&out, headings[column]);
            } else {
                add_cell(&out, column, &network->layers[call], ratio(cycles[call], runs));
            }
            finish_cell(&out, column, start, ends[column]);
        }
        pienn_write_line(out.text);
        if (call >= 0) {
            all_cycles += ratio(cycles[call], runs);
            all_macs += network->layers[call].macs;
        }
    }
    print_totals(network, all_cycles, all_macs, clock_mhz);
}
