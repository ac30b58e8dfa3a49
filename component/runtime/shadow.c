/* Compares what assembly and reference have computed, and tells where they differ. */
#include "pienn/watch.h"
#include "text.h"

/* Where the next elements to be compared belong. */
typedef struct comparison {
    pienn_difference *difference;
    bool active; /* no earlier call differed */
    int32_t different;
    int32_t compared;
} comparison;

static comparison begin(pienn_watch *watch) {
    return (comparison){watch->difference, watch->difference && !watch->difference->layer, 0, 0};
}

/* Returns whether it is the first element that differs. */
static bool differs_first(comparison *seen, int8_t assembly, int8_t reference) {
    seen->compared++;
    if (assembly == reference || seen->different++) {
        return false;
    }
    seen->difference->assembly = assembly;
    seen->difference->reference = reference;
    return true;
}

static void end(const comparison *seen, const pienn_watch *watch, int32_t call, bool in_border) {
    if (seen->different) {
        seen->difference->network = watch->network;
        seen->difference->layer = &watch->network->layers[call];
        seen->difference->in_border = in_border;
        seen->difference->different = seen->different;
        seen->difference->compared = seen->compared;
    }
}

void pienn_watch_compare(pienn_watch *watch, int32_t call, const int8_t *assembly, const int8_t *reference) {
    comparison seen = begin(watch);
    if (!seen.active) {
        return;
    }
    const pienn_layer *layer = &watch->network->layers[call];
    int32_t position[PIENN_RANK] = {0};
    int32_t axis;
    do {
        int32_t offset = 0;
        for (axis = 0; axis < layer->rank; axis++) {
            offset += position[axis] * layer->strides[axis];
        }
        if (differs_first(&seen, assembly[offset], reference[offset])) {
            for (axis = 0; axis < PIENN_RANK; axis++) {
                seen.difference->position[axis] = position[axis];
            }
        }
        /* The next element in row-major order. */
        for (axis = layer->rank - 1; axis >= 0 && ++position[axis] == layer->shape[axis]; axis--) {
            position[axis] = 0;
        }
    } while (axis >= 0);
    end(&seen, watch, call, false);
}

void pienn_watch_compare_border(pienn_watch *watch, int32_t call, const int8_t *assembly,
                                const int8_t *reference, const pienn_halo_s8_params *p) {
    comparison seen = begin(watch);
    const int32_t row = p->row + p->gap;
    const int32_t image_end = p->before + p->gaps * row + p->row;
    for (int32_t i = 0; seen.active && i < image_end + p->after; i++) {
        const bool in_image = i >= p->before && i < image_end && (i - p->before) % row < p->row;
        if (!in_image && differs_first(&seen, assembly[i], reference[i])) {
            seen.difference->position[0] = i;
        }
    }
    end(&seen, watch, call, true);
}

static void add_position(line *out, const pienn_difference *found) {
    static const char *const axes[] = {"y ", "x ", "channel "};
    const int32_t rank = found->layer->rank;
    if (found->in_border) {
        line_add(out, "byte ");
        line_add_signed(out, found->position[0]);
        line_add(out, " of its border");
        return;
    }
    line_add(out, "element (");
    for (int32_t axis = 0; axis < rank; axis++) {
        line_add(out, axis ? ", " : "");
        line_add(out, rank == 3 ? axes[axis] : "");
        line_add_signed(out, found->position[axis]);
    }
    line_add(out, ")");
}

void pienn_report_difference(const pienn_difference *difference) {
    const pienn_layer *layer = difference->layer;
    if (!layer) {
        return;
    }
    line out;
    line_clear(&out);
    line_add(&out, difference->network->name);
    line_add(&out, ": layer ");
    line_add_part(&out, layer->name, 64);
    line_add(&out, ", ");
    line_add(&out, layer->kernel);
    line_add(&out, ": ");
    add_position(&out, difference);
    line_add(&out, " is ");
    line_add_signed(&out, difference->assembly);
    line_add(&out, ", by the reference ");
    line_add_signed(&out, difference->reference);
    line_add(&out, "; ");
    line_add_signed(&out, difference->different);
    line_add(&out, " of ");
    line_add_signed(&out, difference->compared);
    line_add(&out, " differ");
    pienn_log(PIENN_SEVERITY_ERROR, out.text);
}
