#ifndef PIENN_VECTOR_H
#define PIENN_VECTOR_H

#include <stdint.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

// A 128-bit register seen as lanes; lane 0 is the lowest address.
typedef union Vector128 {
    int8_t s8[16];
    uint8_t u8[16];
    int16_t s16[8];
    uint16_t u16[8];
    int32_t s32[4];
    uint32_t u32[4];
    int64_t s64[2];
    uint64_t u64[2];
    int8_t v_s8 __attribute__((vector_size(16)));
    uint8_t v_u8 __attribute__((vector_size(16)));
    int16_t v_s16 __attribute__((vector_size(16)));
    uint16_t v_u16 __attribute__((vector_size(16)));
    int32_t v_s32 __attribute__((vector_size(16)));
    uint32_t v_u32 __attribute__((vector_size(16)));
    uint64_t v_u64 __attribute__((vector_size(16)));
} Vector128;

#endif
