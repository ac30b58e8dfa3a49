/* The part of the C library that test programs need, for windowed programs: text, memory, sorting, heap. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>

void _exit(int code) __attribute__((noreturn));

/* ---------------------------------------------------------------- memory and text */

void *memcpy(void *to, const void *from, size_t size) {
    uint8_t *t = to;
    const uint8_t *f = from;
    if ((((uintptr_t)t | (uintptr_t)f) & 3) == 0)
        for (; size >= 4; size -= 4, t += 4, f += 4)
            *(uint32_t *)t = *(const uint32_t *)f;
    while (size--)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t size) {
    uint8_t *t = to;
    const uint8_t *f = from;
    if (t <= f || t >= f + size)
        return memcpy(to, from, size);
    while (size--)
        t[size] = f[size];
    return to;
}

void *memset(void *to, int value, size_t size) {
    for (uint8_t *t = to; size; size--)
        *t++ = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t size) {
    const uint8_t *x = a, *y = b;
    for (; size; size--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t strlen(const char *text) {
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}

int strncmp(const char *a, const char *b, size_t size) {
    for (; size && *a && *a == *b; size--)
        a++, b++;
    return size ? (uint8_t)*a - (uint8_t)*b : 0;
}

int strcmp(const char *a, const char *b) {
    return strncmp(a, b, (size_t)-1);
}

char *strcpy(char *to, const char *from) {
    memcpy(to, from, strlen(from) + 1);
    return to;
}

char *strcat(char *to, const char *from) {
    strcpy(to + strlen(to), from);
    return to;
}

char *strchr(const char *text, int character) {
    for (; *text != (char)character; text++)
        if (!*text)
            return NULL;
    return (char *)text;
}

char *strstr(const char *text, const char *part) {
    const size_t length = strlen(part);
    for (; strncmp(text, part, length) != 0; text++)
        if (!*text)
            return NULL;
    return (char *)text;
}

int atoi(const char *text) {
    int value = 0, negative;
    while (*text == ' ' || (*text >= '\t' && *text <= '\r'))
        text++;
    negative = *text == '-';
    text += *text == '-' || *text == '+';
    for (; *text >= '0' && *text <= '9'; text++)
        value = 10 * value - (*text - '0');
    return negative ? value : -value;
}

/* ---------------------------------------------------------------- sorting */

static void swap(uint8_t *a, uint8_t *b, size_t size) {
    while (size--) {
        uint8_t keep = *a;
        *a++ = *b;
        *b++ = keep;
    }
}

/* Heap sort: no recursion and no bad case. */
void qsort(void *base, size_t count, size_t size, int (*order)(const void *, const void *)) {
    uint8_t *values = base;
    size_t start = count / 2, end = count;
    while (end > 1) {
        if (start)
            start--;
        else
            swap(values, values + --end * size, size);
        for (size_t root = start, child; (child = 2 * root + 1) < end; root = child) {
            if (child + 1 < end && order(values + child * size, values + (child + 1) * size) < 0)
                child++;
            if (order(values + root * size, values + child * size) >= 0)
                break;
            swap(values + root * size, values + child * size, size);
        }
    }
}

/* ---------------------------------------------------------------- heap: first fit in one list of blocks */

typedef struct Block {
    struct Block *next;
    size_t size;
    int used;
    int padding; /* keeps what malloc returns at multiples of 16 */
} Block;

extern char _end[], _heap_end[];
static Block *blocks;

void *malloc(size_t size) {
    size = (size + 15) & ~(size_t)15;
    if (!blocks) {
        blocks = (Block *)(((uintptr_t)_end + 15) & ~(uintptr_t)15);
        *blocks = (Block){NULL, (size_t)(_heap_end - (char *)(blocks + 1)), 0, 0};
    }
    for (Block *block = blocks; block; block = block->next) {
        while (!block->used && block->next && !block->next->used) {
            block->size += sizeof *block + block->next->size;
            block->next = block->next->next;
        }
        if (block->used || block->size < size)
            continue;
        if (block->size >= size + sizeof *block + 16) {
            Block *rest = (Block *)((char *)(block + 1) + size);
            *rest = (Block){block->next, block->size - size - sizeof *block, 0, 0};
            block->next = rest;
            block->size = size;
        }
        block->used = 1;
        return block + 1;
    }
    return NULL;
}

void free(void *memory) {
    if (memory)
        ((Block *)memory - 1)->used = 0;
}

void *calloc(size_t count, size_t size) {
    void *memory = malloc(count * size);
    return memory ? memset(memory, 0, count * size) : NULL;
}

void *realloc(void *memory, size_t size) {
    void *larger = malloc(size);
    if (memory && larger) {
        size_t old = ((Block *)memory - 1)->size;
        memcpy(larger, memory, old < size ? old : size);
        free(memory);
    }
    return larger;
}

/* ---------------------------------------------------------------- the rest */

void exit(int code) {
    _exit(code);
}
void abort(void) {
    _exit(134);
}
int abs(int value) {
    return value < 0 ? -value : value;
}
float fabsf(float value) {
    return value < 0 ? -value : value;
}
double fabs(double value) {
    return value < 0 ? -value : value;
}
