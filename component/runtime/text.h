/* Lines of text without printf: a firmware that prints nothing else need not carry it. */
#ifndef PIENN_TEXT_H
#define PIENN_TEXT_H

#include "pienn/runtime.h"

/* A line that is being put together; what does not fit is cut off. */
typedef struct line {
    char text[PIENN_LINE_BYTES]; /* ends with a zero at any time */
    int32_t length;
} line;

void line_clear(line *out);

/* The text, cut off behind `longest` characters. */
void line_add_part(line *out, const char *text, int32_t longest);

void line_add(line *out, const char *text);

void line_add_number(line *out, uint64_t number);

void line_add_signed(line *out, int32_t number);

/* number / 10^digits with that many digits behind the point. */
void line_add_decimal(line *out, uint64_t number, int32_t digits);

/* Blanks up to this column, counted from 0. */
void line_pad(line *out, int32_t column);

/* The text from `start` on is moved so that it ends before this column. */
void line_align_right(line *out, int32_t start, int32_t column);

#endif
