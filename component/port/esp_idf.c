/* Port for ESP-IDF, its linux target included. */
#include "sdkconfig.h"

#define LOG_LOCAL_LEVEL CONFIG_PIENN_LOG_LEVEL
#include <stdio.h>
#include <stdlib.h>

#include "esp_err.h"
#include "esp_heap_caps.h"
#include "esp_log.h"
#include "freertos/FreeRTOS.h"
#include "pienn/runtime.h"
#include "port.h"

#if CONFIG_IDF_TARGET_LINUX
#include <time.h>
#else
#include "esp_cpu.h"
#include "esp_rom_sys.h"
#endif

PIENN_STATIC_ASSERT(PIENN_OK == ESP_OK && PIENN_ERR_NO_MEM == ESP_ERR_NO_MEM &&
                        PIENN_ERR_INVALID_ARG == ESP_ERR_INVALID_ARG,
                    "errors have the values of esp_err_t");

static const char *const tag = "pienn";

uint32_t pienn_cycles(void) {
#if CONFIG_IDF_TARGET_LINUX
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
#else
    return esp_cpu_get_cycle_count();
#endif
}

uint32_t pienn_clock_mhz(void) {
#if CONFIG_IDF_TARGET_LINUX
    return 1000;
#else
    return esp_rom_get_cpu_ticks_per_us();
#endif
}

/* The aligned form, because MALLOC_CAP_SIMD aligns nothing on linux. */
void *pienn_arena_alloc(size_t bytes, pienn_memory where) {
    const uint32_t memory = where == PIENN_MEMORY_PSRAM ? MALLOC_CAP_SPIRAM : MALLOC_CAP_INTERNAL;
    void *arena =
        heap_caps_aligned_alloc(PIENN_ALIGNMENT, bytes + PIENN_READ_AHEAD, memory | MALLOC_CAP_SIMD);
    const char *name = where == PIENN_MEMORY_PSRAM ? "PSRAM" : "internal SRAM";
    if (arena) {
        ESP_LOGI(tag, "arena of %u bytes in %s", (unsigned)bytes, name);
    } else {
        ESP_LOGW(tag, "no %u bytes for an arena in %s", (unsigned)bytes, name);
    }
    return arena;
}

void pienn_arena_free(void *arena) {
    heap_caps_free(arena);
}

bool pienn_in_isr(void) {
    return xPortInIsrContext();
}

void pienn_write_line(const char *line) {
    puts(line);
}

void pienn_log(pienn_severity severity, const char *line) {
    switch (severity) {
    case PIENN_SEVERITY_ERROR:
        ESP_LOGE(tag, "%s", line);
        break;
    case PIENN_SEVERITY_WARNING:
        ESP_LOGW(tag, "%s", line);
        break;
    default:
        ESP_LOGI(tag, "%s", line);
    }
}

void pienn_port_stop(const char *reason) {
    ESP_EARLY_LOGE(tag, "%s", reason); /* the form that interrupt handlers may use */
    abort();
}
