/* Looking at a running network call by call: how long each took, what it wrote, whether assembly and
 * reference agree. Generated C has hooks for it with -DPIENN_PROFILE or -DPIENN_TAP, and always where it was
 * made with `pienn compile --shadow`; an ordinary build has none of this. */
#ifndef PIENN_WATCH_H
#define PIENN_WATCH_H

#include "pienn/layers.h"
#include "pienn/runtime.h"
#include "pienn/tap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One call of a kernel, as tables show it. */
typedef struct pienn_layer {
    const char *name;   /* of the layer */
    const char *tensor; /* that it writes, as in the graph file; NULL where the call writes a part of it */
    const char *op;
    const char *kernel; /* with its version, as conv2d_s8_p4 */
    uint32_t macs;
    int32_t rank;                /* 1..PIENN_RANK */
    int32_t shape[PIENN_RANK];   /* of what it writes: elements by axis */
    int32_t strides[PIENN_RANK]; /* bytes by axis */
} pienn_layer;

typedef struct pienn_network {
    const char *name;
    const char *target; /* host, esp32p4 or esp32s3 */
    uint32_t constant_bytes;
    uint32_t arena_bytes;
    int32_t calls;
    const pienn_layer *layers; /* [calls] */
} pienn_network;

/* The first element, of the first call, that assembly and reference compute differently. */
typedef struct pienn_difference {
    const pienn_network *network;
    const pienn_layer *layer;     /* NULL: there is none */
    bool in_border;               /* it lies in the border that the call fills, not in an image */
    int32_t position[PIENN_RANK]; /* by axis of the layer's shape; in a border: the byte of the buffer */
    int8_t assembly;
    int8_t reference;
    int32_t different; /* elements of the call that differ, ... */
    int32_t compared;  /* ... of so many */
} pienn_difference;

/* Where a run leaves what it finds; what is NULL is not asked for. */
typedef struct pienn_watch {
    const pienn_network *network;
    pienn_tap tap;
    void *context;
    uint64_t *cycles; /* [calls], added to */
    uint32_t started;
    pienn_difference *difference; /* the first one stays */
} pienn_watch;

/* ---- Hooks in generated C ---- */

/* The clock starts anew: before the first call, and behind whatever is not to be counted. */
static inline void pienn_watch_start(pienn_watch *watch) {
#ifdef PIENN_PROFILE
    if (watch->cycles) {
        watch->started = pienn_cycles();
    }
#else
    (void)watch;
#endif
}

/* Behind each call: `result` is where it has written. */
static inline void pienn_watch_done(pienn_watch *watch, int32_t call, const int8_t *result) {
#ifdef PIENN_PROFILE
    if (watch->cycles) {
        watch->cycles[call] += pienn_cycles() - watch->started;
    }
#endif
#ifdef PIENN_TAP
    const pienn_layer *layer = &watch->network->layers[call];
    if (watch->tap && layer->tensor) {
        pienn_tapped tapped;
        tapped.name = layer->tensor;
        tapped.call = call;
        tapped.data = result;
        tapped.rank = layer->rank;
        for (int32_t axis = 0; axis < PIENN_RANK; axis++) {
            tapped.shape[axis] = layer->shape[axis];
            tapped.strides[axis] = layer->strides[axis];
        }
        watch->tap(watch->context, &tapped);
    }
#endif
    (void)call, (void)result;
    pienn_watch_start(watch);
}

/* Behind a call that the reference has computed too: its result against the reference's. */
void pienn_watch_compare(pienn_watch *watch, int32_t call, const int8_t *assembly, const int8_t *reference);

/* The same for what halo_s8 fills; both are buffers from their first byte on. */
void pienn_watch_compare_border(pienn_watch *watch, int32_t call, const int8_t *assembly,
                                const int8_t *reference, const pienn_halo_s8_params *p);

/* ---- Reports ---- */

/* The table of a profile as `pienn run --target` prints it: the cycles of every call, summed over `runs`
 * runs, in counts of a clock of `clock_mhz`. */
void pienn_profile_print(const pienn_network *network, const uint64_t *cycles, uint32_t runs,
                         uint32_t clock_mhz);

/* Logs one line that names layer, element and both values; nothing where there is no difference. */
void pienn_report_difference(const pienn_difference *difference);

#ifdef __cplusplus
}
#endif

#endif
