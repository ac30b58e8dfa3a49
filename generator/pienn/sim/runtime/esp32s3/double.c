/* Double precision for windowed programs: IEEE 754, round to nearest even, without exception flags. The
 * functions have the names under which GCC calls its library. */
#include <stdint.h>

typedef union {
    double value;
    uint64_t bits;
} Bits;

/* A finite number is (-1)^negative * mantissa * 2^(exponent - 62); normal mantissas have bit 62 as their
 * highest. */
typedef enum { ZERO, FINITE, INFINITE, NOT_A_NUMBER } Kind;
typedef struct {
    Kind kind;
    int negative, exponent;
    uint64_t mantissa;
} Number;

enum { LOWEST_EXPONENT = -1022, HIGHEST_EXPONENT = 1023, GUARD_BITS = 10 };
static const uint64_t FRACTION = 0xfffffffffffffull, HIDDEN = 1ull << 52, INFINITY_BITS = 0x7ffull << 52;

/* Right shift that remembers lost bits in the lowest one. */
static uint64_t shift_sticky(uint64_t value, int by) {
    if (by <= 0)
        return value;
    if (by > 63)
        return value != 0;
    return value >> by | ((value << (64 - by)) != 0);
}

static int leading_zeros(uint64_t value) {
    int count = 0;
    for (; !(value >> 56) && count < 64; count += 8)
        value <<= 8;
    for (; !(value >> 63) && count < 64; count++)
        value <<= 1;
    return count;
}

static Number unpack(double value) {
    Bits b = {.value = value};
    Number n = {FINITE, (int)(b.bits >> 63), (int)(b.bits >> 52 & 0x7ff) - 1023, b.bits & FRACTION};
    if (n.exponent == 1024) {
        n.kind = n.mantissa ? NOT_A_NUMBER : INFINITE;
    } else if (n.exponent == -1023) {
        n.exponent = LOWEST_EXPONENT;
        if (!n.mantissa) {
            n.kind = ZERO;
        } else {
            int shift = leading_zeros(n.mantissa) - 11;
            n.mantissa <<= shift;
            n.exponent -= shift;
        }
    } else {
        n.mantissa |= HIDDEN;
    }
    n.mantissa <<= GUARD_BITS;
    return n;
}

static double special(Kind kind, int negative) {
    Bits b = {.bits = kind == NOT_A_NUMBER ? INFINITY_BITS | 1ull << 51
                      : kind == INFINITE   ? INFINITY_BITS
                                           : 0};
    b.bits |= (uint64_t)negative << 63;
    return b.value;
}

/* Normalizes, rounds and packs; mantissa may be any number below 2^63. */
static double pack(int negative, int exponent, uint64_t mantissa) {
    if (!mantissa)
        return special(ZERO, negative);
    int shift = leading_zeros(mantissa) - 1;
    mantissa <<= shift;
    exponent -= shift;
    if (exponent < LOWEST_EXPONENT) {
        mantissa = shift_sticky(mantissa, LOWEST_EXPONENT - exponent);
        exponent = LOWEST_EXPONENT;
    }
    uint64_t kept = mantissa >> GUARD_BITS, rest = mantissa & ((1u << GUARD_BITS) - 1),
             half = 1u << (GUARD_BITS - 1);
    kept += rest > half || (rest == half && (kept & 1));
    if (kept >> 53) {
        kept >>= 1;
        exponent++;
    }
    if (exponent > HIGHEST_EXPONENT)
        return special(INFINITE, negative);
    uint64_t field = kept & HIDDEN ? (uint64_t)(exponent + 1023) : 0;
    Bits b = {.bits = (uint64_t)negative << 63 | field << 52 | (kept & FRACTION)};
    return b.value;
}

static double add(Number a, Number b) {
    if (a.kind == NOT_A_NUMBER || b.kind == NOT_A_NUMBER)
        return special(NOT_A_NUMBER, 0);
    if (a.kind == INFINITE)
        return b.kind == INFINITE && a.negative != b.negative ? special(NOT_A_NUMBER, 0)
                                                              : special(INFINITE, a.negative);
    if (b.kind == INFINITE)
        return special(INFINITE, b.negative);
    if (a.kind == ZERO && b.kind == ZERO)
        return special(ZERO, a.negative && b.negative);
    if (a.kind == ZERO)
        return pack(b.negative, b.exponent, b.mantissa);
    if (b.kind == ZERO)
        return pack(a.negative, a.exponent, a.mantissa);
    if (a.exponent < b.exponent || (a.exponent == b.exponent && a.mantissa < b.mantissa)) {
        Number keep = a;
        a = b;
        b = keep;
    }
    uint64_t smaller = shift_sticky(b.mantissa, a.exponent - b.exponent);
    if (a.negative != b.negative)
        return a.mantissa == smaller ? special(ZERO, 0) : pack(a.negative, a.exponent, a.mantissa - smaller);
    return pack(a.negative, a.exponent + 1, shift_sticky(a.mantissa + smaller, 1));
}

double __adddf3(double x, double y) {
    return add(unpack(x), unpack(y));
}

double __subdf3(double x, double y) {
    Number negated = unpack(y);
    negated.negative ^= 1;
    return add(unpack(x), negated);
}

double __muldf3(double x, double y) {
    Number a = unpack(x), b = unpack(y);
    int negative = a.negative ^ b.negative;
    if (a.kind == NOT_A_NUMBER || b.kind == NOT_A_NUMBER || (a.kind == INFINITE && b.kind == ZERO) ||
        (a.kind == ZERO && b.kind == INFINITE))
        return special(NOT_A_NUMBER, 0);
    if (a.kind == INFINITE || b.kind == INFINITE)
        return special(INFINITE, negative);
    if (a.kind == ZERO || b.kind == ZERO)
        return special(ZERO, negative);
    /* the upper half of a product of 64-bit numbers, by halves */
    uint32_t al = (uint32_t)a.mantissa, ah = (uint32_t)(a.mantissa >> 32);
    uint32_t bl = (uint32_t)b.mantissa, bh = (uint32_t)(b.mantissa >> 32);
    uint64_t low = (uint64_t)al * bl, middle = (uint64_t)ah * bl + (low >> 32), other = (uint64_t)al * bh;
    uint64_t upper = (uint64_t)ah * bh + (middle >> 32) + (other >> 32);
    uint64_t carry = (middle & 0xffffffff) + (other & 0xffffffff);
    upper += carry >> 32;
    uint32_t lost = (uint32_t)carry | (uint32_t)low;
    return pack(negative, a.exponent + b.exponent + 2, upper | (lost != 0));
}

double __divdf3(double x, double y) {
    Number a = unpack(x), b = unpack(y);
    int negative = a.negative ^ b.negative;
    if (a.kind == NOT_A_NUMBER || b.kind == NOT_A_NUMBER || (a.kind == b.kind && a.kind != FINITE))
        return special(NOT_A_NUMBER, 0);
    if (a.kind == INFINITE || b.kind == ZERO)
        return special(INFINITE, negative);
    if (a.kind == ZERO || b.kind == INFINITE)
        return special(ZERO, negative);
    uint64_t rest = a.mantissa, quotient = 0;
    for (int bit = 0; bit < 58; bit++) {
        quotient <<= 1;
        if (rest >= b.mantissa) {
            rest -= b.mantissa;
            quotient |= 1;
        }
        rest <<= 1;
    }
    return pack(negative, a.exponent - b.exponent + 5, quotient | (rest != 0));
}

double __negdf2(double x) {
    Bits b = {.value = x};
    b.bits ^= 1ull << 63;
    return b.value;
}

/* ---------------------------------------------------------------- comparisons */

/* -1, 0, 1; `unordered` for not-a-number. */
static int compare(double x, double y, int unordered) {
    Bits a = {.value = x}, b = {.value = y};
    uint64_t am = a.bits << 1, bm = b.bits << 1;
    if (am > INFINITY_BITS << 1 || bm > INFINITY_BITS << 1)
        return unordered;
    if (a.bits == b.bits || (am | bm) == 0)
        return 0;
    int an = (int)(a.bits >> 63), bn = (int)(b.bits >> 63);
    if (an != bn)
        return an ? -1 : 1;
    return (am < bm) != an ? -1 : 1;
}

int __eqdf2(double x, double y) {
    return compare(x, y, 1);
}
int __nedf2(double x, double y) {
    return compare(x, y, 1);
}
int __ltdf2(double x, double y) {
    return compare(x, y, 1);
}
int __ledf2(double x, double y) {
    return compare(x, y, 1);
}
int __gtdf2(double x, double y) {
    return compare(x, y, -1);
}
int __gedf2(double x, double y) {
    return compare(x, y, -1);
}
int __unorddf2(double x, double y) {
    return compare(x, y, 2) == 2;
}

/* ---------------------------------------------------------------- conversions */

double __floatundidf(uint64_t value) {
    if (value >> 63)
        return pack(0, 63, shift_sticky(value, 1));
    return pack(0, 62, value);
}
double __floatdidf(int64_t value) {
    double magnitude = __floatundidf(value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    return value < 0 ? __negdf2(magnitude) : magnitude;
}
double __floatunsidf(uint32_t value) {
    return __floatundidf(value);
}
double __floatsidf(int32_t value) {
    return __floatdidf(value);
}

uint64_t __fixunsdfdi(double value) {
    Number n = unpack(value);
    if (n.kind == ZERO || n.kind == NOT_A_NUMBER || (n.kind == FINITE && n.exponent < 0))
        return 0;
    if (n.kind == INFINITE || n.exponent > 63)
        return ~0ull;
    uint64_t magnitude = n.exponent == 63 ? n.mantissa << 1 : n.mantissa >> (62 - n.exponent);
    return n.negative ? 0 - magnitude : magnitude;
}
int64_t __fixdfdi(double value) {
    return (int64_t)__fixunsdfdi(value);
}
uint32_t __fixunsdfsi(double value) {
    return (uint32_t)__fixunsdfdi(value);
}
int32_t __fixdfsi(double value) {
    return (int32_t)__fixunsdfdi(value);
}

double __extendsfdf2(float value) {
    union {
        float value;
        uint32_t bits;
    } f = {value};
    int exponent = (int)(f.bits >> 23 & 0xff), negative = (int)(f.bits >> 31);
    uint32_t fraction = f.bits & 0x7fffff;
    if (exponent == 255)
        return special(fraction ? NOT_A_NUMBER : INFINITE, negative);
    if (exponent == 0)
        return pack(negative, -126 - 23 + 62, fraction);
    return pack(negative, exponent - 127 - 23 + 62, fraction | 0x800000);
}

float __truncdfsf2(double value) {
    union {
        uint32_t bits;
        float value;
    } f;
    Number n = unpack(value);
    f.bits = (uint32_t)n.negative << 31;
    if (n.kind == NOT_A_NUMBER)
        f.bits = 0x7fc00000;
    else if (n.kind == INFINITE || (n.kind == FINITE && n.exponent > 127))
        f.bits |= 0x7f800000;
    else if (n.kind == FINITE) {
        int tiny = n.exponent < -126;
        uint64_t mantissa = shift_sticky(n.mantissa, tiny ? -126 - n.exponent : 0);
        uint32_t kept = (uint32_t)(mantissa >> 39);
        uint64_t rest = mantissa & ((1ull << 39) - 1), half = 1ull << 38;
        kept += rest > half || (rest == half && (kept & 1));
        /* a carry out of the fraction moves into the exponent, up to infinity */
        f.bits |= tiny ? kept : ((uint32_t)(n.exponent + 126) << 23) + kept;
    }
    return f.value;
}
