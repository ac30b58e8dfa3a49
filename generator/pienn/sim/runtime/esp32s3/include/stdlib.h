#ifndef _STDLIB_H
#define _STDLIB_H
#include <stddef.h>
#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
void free(void *block);
void exit(int code) __attribute__((noreturn));
void abort(void) __attribute__((noreturn));
int abs(int value);
int atoi(const char *text);
void qsort(void *base, size_t count, size_t size, int (*order)(const void *, const void *));
#endif
