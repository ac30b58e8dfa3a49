/* Listens to a stream of samples: keeps the features of the last second and asks the network about them. */
#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "front_end.h"
#include "kws.h"
#include "words.h"

/* The network runs on every so many hops of 20 ms; a word is heard by several runs, and their mean decides.
 */
#define LISTENER_HOPS_PER_RUN 8
#define LISTENER_RUNS 3
#ifndef LISTENER_SURE
#define LISTENER_SURE 0.6f /* mean share from which a keyword counts as spoken */
#endif
#define LISTENER_HOPS_PER_SECOND (FRONT_END_RATE / FRONT_END_HOP)

struct listener {
    int16_t window[FRONT_END_WINDOW];                          /* the latest samples */
    int8_t features[FRONT_END_FRAMES][FRONT_END_COEFFICIENTS]; /* the network's input: oldest frame first */
    int32_t scratch[FRONT_END_SCRATCH];
    int32_t hops; /* taken so far */
    float shares[LISTENER_RUNS][WORDS];
    int32_t silent_until; /* hops: a word that was reported is not reported again before */
};

/* What a run found: shares of all words, which add up to 1. */
struct heard {
    float shares[WORDS];
    int best;
};

/* Empty, as after a second of digital silence. */
void listener_start(struct listener *listener);

/* Takes the next FRONT_END_HOP samples. */
void listener_take(struct listener *listener, const int16_t *samples);

/* Runs the network on the last second. */
void listener_run(struct listener *listener, struct heard *heard);

/* After listener_take: runs the network when it is time, and returns the index of a keyword when one was just
 * spoken, with its share in `share`; else -1. */
int listener_spot(struct listener *listener, float *share);

#endif
