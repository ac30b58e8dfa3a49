/* Looking at every tensor of a running network: generated models offer <name>_run_tapped with -DPIENN_TAP. */
#ifndef PIENN_TAP_H
#define PIENN_TAP_H

#include "pienn/tensor.h"

/* What a layer has just written. Valid during the call of the tap only: later layers reuse the memory. */
typedef struct pienn_tapped {
    const char *name; /* of the tensor, as in the graph file */
    int32_t call;     /* number of the call, from 0 */
    const int8_t *data;
    int32_t rank;                /* 1..PIENN_RANK */
    int32_t shape[PIENN_RANK];   /* elements by axis; the first `rank` count */
    int32_t strides[PIENN_RANK]; /* bytes by axis */
} pienn_tapped;

/* `context` is what the caller gave to <name>_run_tapped. */
typedef void (*pienn_tap)(void *context, const pienn_tapped *tapped);

#endif
