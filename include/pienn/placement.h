/* Where generated networks lie in the memories of a chip.
 *
 * PIENN_IN_SRAM before a constant keeps it in internal memory from the start of the firmware on; constants
 * without it stay where the build puts constants: in flash, read through the cache (or in PSRAM, if the
 * firmware copies its constants there). PIENN_IN_PSRAM before a static buffer moves it to external memory.
 * Both are empty on machines of one memory, and may be defined beforehand for a build of another kind.
 */
#ifndef PIENN_PLACEMENT_H
#define PIENN_PLACEMENT_H

#include "pienn/layers.h"

#ifdef ESP_PLATFORM
#include "esp_attr.h"
#ifndef PIENN_IN_SRAM
#define PIENN_IN_SRAM DRAM_ATTR
#endif
#ifndef PIENN_IN_PSRAM
#define PIENN_IN_PSRAM EXT_RAM_BSS_ATTR
#define PIENN_NEEDS_PSRAM_BSS
#endif
#else
#ifndef PIENN_IN_SRAM
#define PIENN_IN_SRAM
#endif
#ifndef PIENN_IN_PSRAM
#define PIENN_IN_PSRAM
#endif
#endif

/* Before the arena that <name>_run brings, where the plan leaves its memory to the build. */
#ifndef PIENN_ARENA_PLACE
#if defined(CONFIG_PIENN_ARENA_PSRAM)
#define PIENN_ARENA_PLACE PIENN_IN_PSRAM
#else
#define PIENN_ARENA_PLACE
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* One of the parts in which a layer's constants pass through SRAM, with the channels of the result that it
 * makes. */
typedef struct pienn_part {
    int32_t bytes;
    int32_t channels;
} pienn_part;

/* Copies a part of a layer's constants to where its kernel reads them. Define PIENN_STAGE(to, from, bytes) to
 * do it in another way; the copy must be complete when it returns. */
static inline const int8_t *pienn_stage(int8_t *to, const int8_t *from, int32_t bytes) {
#ifdef PIENN_STAGE
    PIENN_STAGE(to, from, bytes);
#else
    const pienn_copy_s8_params row = {
        .shape = {1, 1, 1, bytes}, .x_strides = {0, 0, 0, 1}, .y_strides = {0, 0, 0, 1}};
    pienn_copy_s8(from, to, &row);
#endif
    return to;
}

#ifdef __cplusplus
}
#endif

#endif
