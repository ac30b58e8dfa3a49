#include "text.h"

static void add_character(line *out, char character) {
    if (out->length < PIENN_LINE_BYTES - 1) {
        out->text[out->length++] = character;
        out->text[out->length] = '\0';
    }
}

void line_clear(line *out) {
    out->length = 0;
    out->text[0] = '\0';
}

void line_add_part(line *out, const char *text, int32_t longest) {
    for (int32_t i = 0; i < longest && text[i]; i++) {
        add_character(out, text[i]);
    }
}

void line_add(line *out, const char *text) {
    line_add_part(out, text, PIENN_LINE_BYTES);
}

void line_add_decimal(line *out, uint64_t number, int32_t digits) {
    char reversed[24]; /* 20 digits of 2^64 - 1 and a point */
    int32_t count = 0;
    for (int32_t digit = 0; number || digit <= digits; digit++) {
        if (digit == digits && digits > 0) {
            reversed[count++] = '.';
        }
        reversed[count++] = (char)('0' + number % 10);
        number /= 10;
    }
    while (count) {
        add_character(out, reversed[--count]);
    }
}

void line_add_number(line *out, uint64_t number) {
    line_add_decimal(out, number, 0);
}

void line_add_signed(line *out, int32_t number) {
    if (number < 0) {
        add_character(out, '-');
    }
    line_add_number(out, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

void line_pad(line *out, int32_t column) {
    while (out->length < column && out->length < PIENN_LINE_BYTES - 1) {
        add_character(out, ' ');
    }
}

void line_align_right(line *out, int32_t start, int32_t column) {
    const int32_t end = out->length;
    line_pad(out, column);
    for (int32_t shift = out->length - end, i = end - 1; i >= start && shift > 0; i--) {
        out->text[i + shift] = out->text[i];
        out->text[i] = ' ';
    }
}
