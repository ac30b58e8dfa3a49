/* Names the words in recordings: those that are built in, or on a computer those of WAV files. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clips.h"
#include "listener.h"
#ifndef ESP_PLATFORM
#include <stdlib.h>
#include "wav.h"
#endif

#define SHOWN 3 /* best words of a clip */

static int64_t microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void print_best(struct heard *heard) {
    for (int i = 0; i < SHOWN && i < WORDS; i++) {
        int best = 0;
        for (int word = 1; word < WORDS; word++) {
            best = heard->shares[word] > heard->shares[best] ? word : best;
        }
        printf("%s%s %.1f %%", i ? ", " : "", words[best], 100.0 * (double)heard->shares[best]);
        heard->shares[best] = -1;
    }
}

/* Returns how many of the built-in recordings were understood. */
static int hear_clips(struct listener *listener) {
    int right = 0;
    for (int clip = 0; clip < CLIPS; clip++) {
        struct heard heard;
        listener_start(listener);
        const int64_t start = microseconds();
        for (int hop = 0; hop + FRONT_END_HOP <= CLIP_SAMPLES; hop += FRONT_END_HOP) {
            listener_take(listener, clips[clip] + hop);
        }
        const int64_t middle = microseconds();
        listener_run(listener, &heard);
        const int64_t end = microseconds();

        const int heard_right = strcmp(words[heard.best], clip_words[clip]) == 0;
        right += heard_right;
        printf("recording of \"%s\": ", clip_words[clip]);
        print_best(&heard);
        printf(" (features of a second %" PRId64 " us, network %" PRId64 " us)\n", middle - start,
               end - middle);
    }
    printf("%d of %d understood\n", right, CLIPS);
    return right;
}

#ifdef ESP_PLATFORM
void app_main(void) {
    static struct listener listener; /* too large for a task's stack */
    hear_clips(&listener);
}
#else
/* Files of up to a second are taken as one word, longer ones as a stream with words in it. */
static void hear_wav(struct listener *listener, const struct wav *wav) {
    const int is_stream = wav->count > FRONT_END_CLIP;
    const size_t length = is_stream ? wav->count : FRONT_END_CLIP;
    const size_t before = is_stream ? 0 : (FRONT_END_CLIP - wav->count) / 2; /* the word in the middle */
    listener_start(listener);
    for (size_t place = 0; place + FRONT_END_HOP <= length; place += FRONT_END_HOP) {
        int16_t samples[FRONT_END_HOP];
        for (size_t i = 0; i < FRONT_END_HOP; i++) {
            samples[i] = place + i < before ? 0 : wav_sample(wav, place + i - before);
        }
        listener_take(listener, samples);
        float share;
        const int word = is_stream ? listener_spot(listener, &share) : -1;
        if (word >= 0) {
            const double seconds = (double)(place + FRONT_END_HOP) / FRONT_END_RATE;
            printf("%7.2f s  %s %.1f %%\n", seconds, words[word], 100.0 * (double)share);
        }
    }
    if (!is_stream) {
        struct heard heard;
        listener_run(listener, &heard);
        print_best(&heard);
        printf("\n");
    }
}

/* The bytes of a file, to be freed; NULL where it cannot be read. */
static uint8_t *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0 && ftell(file) > 0) {
        *size = (size_t)ftell(file);
        rewind(file);
        bytes = malloc(*size);
        if (bytes != NULL && fread(bytes, 1, *size, file) != *size) {
            free(bytes);
            bytes = NULL;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return bytes;
}

int main(int count, char **paths) {
    static struct listener listener;
    if (count < 2) {
        return hear_clips(&listener) == CLIPS ? 0 : 1;
    }
    int failed = 0;
    for (int i = 1; i < count; i++) {
        size_t size = 0;
        struct wav wav;
        uint8_t *file = read_file(paths[i], &size);
        const char *why = file == NULL ? "cannot be read" : wav_open(file, size, &wav);
        if (why == NULL && wav.rate != FRONT_END_RATE) {
            why = "not 16000 samples a second: convert it with `ffmpeg -i FILE -ar 16000 -ac 1 OUT.wav`";
        }
        if (why != NULL) {
            fprintf(stderr, "error: %s: %s\n", paths[i], why);
            failed = 2;
        } else {
            printf("%s: ", paths[i]);
            printf(wav.count > FRONT_END_CLIP ? "\n" : "");
            hear_wav(&listener, &wav);
        }
        free(file);
    }
    return failed;
}
#endif
