#include "listener.h"

#include <math.h>
#include <string.h>

#define FIRST_KEYWORD 2 /* `silence` and `unknown` come before */

_Static_assert(KWS_INPUT_BYTES == FRONT_END_FRAMES * FRONT_END_COEFFICIENTS, "kws.pie has another front end");
_Static_assert(KWS_OUTPUT_BYTES == WORDS, "kws.pie knows other words");

void listener_start(struct listener *listener) {
    memset(listener, 0, sizeof *listener);
    const int16_t silence[FRONT_END_HOP] = {0};
    for (int hop = 0; hop < FRONT_END_FRAMES; hop++) {
        listener_take(listener, silence);
    }
    listener->hops = 0;
}

void listener_take(struct listener *listener, const int16_t *samples) {
    const size_t kept = FRONT_END_WINDOW - FRONT_END_HOP;
    memmove(listener->window, listener->window + FRONT_END_HOP, kept * sizeof *samples);
    memcpy(listener->window + kept, samples, FRONT_END_HOP * sizeof *samples);

    int16_t features[FRONT_END_COEFFICIENTS];
    front_end_features(listener->window, listener->scratch, features);
    memmove(listener->features[0], listener->features[1],
            sizeof listener->features - sizeof *listener->features);
    for (int i = 0; i < FRONT_END_COEFFICIENTS; i++) {
        const float real = (float)features[i] / (1 << FRONT_END_FEATURE_BITS);
        listener->features[FRONT_END_FRAMES - 1][i] =
            pienn_quantise(real, KWS_INPUT_EXPONENT, KWS_INPUT_ZERO_POINT);
    }
    listener->hops++;
}

void listener_run(struct listener *listener, struct heard *heard) {
    int8_t scores[KWS_OUTPUT_BYTES];
    float logits[WORDS], sum = 0;
    kws_run(&listener->features[0][0], scores);
    kws_dequantise_output(scores, logits);
    heard->best = 0;
    for (int word = 1; word < WORDS; word++) {
        heard->best = logits[word] > logits[heard->best] ? word : heard->best;
    }
    for (int word = 0; word < WORDS; word++) {
        heard->shares[word] = expf(logits[word] - logits[heard->best]);
        sum += heard->shares[word];
    }
    for (int word = 0; word < WORDS; word++) {
        heard->shares[word] /= sum;
    }
}

int listener_spot(struct listener *listener, float *share) {
    if (listener->hops % LISTENER_HOPS_PER_RUN != 0) {
        return -1;
    }
    struct heard heard;
    listener_run(listener, &heard);
    const int run = listener->hops / LISTENER_HOPS_PER_RUN;
    memcpy(listener->shares[run % LISTENER_RUNS], heard.shares, sizeof heard.shares);
    int spoken = -1;
    *share = LISTENER_SURE;
    for (int word = FIRST_KEYWORD; word < WORDS; word++) {
        float mean = 0;
        for (int i = 0; i < LISTENER_RUNS; i++) {
            mean += listener->shares[i][word] / LISTENER_RUNS;
        }
        if (mean >= *share) {
            *share = mean;
            spoken = word;
        }
    }
    if (spoken < 0 || listener->hops < listener->silent_until) {
        return -1;
    }
    listener->silent_until = listener->hops + LISTENER_HOPS_PER_SECOND;
    return spoken;
}
