/* 64-bit division for windowed programs, under the names by which GCC calls its library. */
#include <stdint.h>

static uint64_t divide(uint64_t value, uint64_t by, uint64_t *rest) {
    if (!(value >> 32) && !(by >> 32)) {
        *rest = (uint32_t)value % (uint32_t)by;
        return (uint32_t)value / (uint32_t)by;
    }
    uint64_t quotient = 0, left = 0;
    for (int bit = 63; bit >= 0; bit--) {
        uint64_t carry = left >> 63;
        left = left << 1 | (value >> 63);
        value <<= 1;
        quotient <<= 1;
        if (carry || left >= by) {
            left -= by;
            quotient |= 1;
        }
    }
    *rest = left;
    return quotient;
}

uint64_t __udivdi3(uint64_t value, uint64_t by) {
    uint64_t rest;
    return divide(value, by, &rest);
}

uint64_t __umoddi3(uint64_t value, uint64_t by) {
    uint64_t rest;
    divide(value, by, &rest);
    return rest;
}

int64_t __divdi3(int64_t value, int64_t by) {
    uint64_t rest, a = value < 0 ? 0 - (uint64_t)value : (uint64_t)value,
                   b = by < 0 ? 0 - (uint64_t)by : (uint64_t)by;
    uint64_t quotient = divide(a, b, &rest);
    return (int64_t)((value < 0) != (by < 0) ? 0 - quotient : quotient);
}

int64_t __moddi3(int64_t value, int64_t by) {
    uint64_t rest, a = value < 0 ? 0 - (uint64_t)value : (uint64_t)value,
                   b = by < 0 ? 0 - (uint64_t)by : (uint64_t)by;
    divide(a, b, &rest);
    return (int64_t)(value < 0 ? 0 - rest : rest);
}
