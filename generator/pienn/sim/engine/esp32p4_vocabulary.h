// Registers and helpers of the ESP32-P4's instructions.
#ifndef PIENN_ESP32P4_VOCABULARY_H
#define PIENN_ESP32P4_VOCABULARY_H

#include <fenv.h>
#include "vocabulary.h"

#define X(n) (m->p4.x[n])
#define SX(n) ((int32_t)m->p4.x[n])
#define SET_X(n, value) (m->p4.x[n] = (uint32_t)(value), m->p4.x[0] = 0, (void)0)
#define F(n) (m->p4.f[n])
#define SET_F(n, bits) ((void)(m->p4.f[n] = (bits)))
#define Q(n) (m->p4.q[n])
#define QACC (m->p4.qacc)
#define XACC (m->p4.xacc)
#define SAR (m->p4.sar)

// RISC-V rounding modes (frm) as the host's.
static inline void host_rounding(uint32_t mode) {
    fesetround(mode == 1 ? FE_TOWARDZERO : mode == 2 ? FE_DOWNWARD : mode == 3 ? FE_UPWARD : FE_TONEAREST);
}

// The host's sticky flags in the order of fflags: inexact, underflow, overflow, divide by zero, invalid.
static inline uint32_t host_flags(void) {
    int host = fetestexcept(FE_ALL_EXCEPT);
    return (host & FE_INEXACT ? 1u : 0) | (host & FE_UNDERFLOW ? 2u : 0) | (host & FE_OVERFLOW ? 4u : 0) |
           (host & FE_DIVBYZERO ? 8u : 0) | (host & FE_INVALID ? 16u : 0);
}

#endif
