/* printf for windowed programs. Floating-point numbers are converted exactly and rounded half to even, as the
 * GNU library does it. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int write(int file, const void *data, unsigned size);
int read(int file, void *data, unsigned size);

typedef struct {
    char *text;            /* where the characters go, or NULL: to the console by way of `line` */
    size_t room, produced; /* room: characters that fit before the final zero */
    char line[128];
    unsigned waiting;
} Sink;

typedef struct {
    int left, plus, space, alternate, zero, width, precision;
} Field;

static void flush(Sink *sink) {
    if (sink->waiting)
        write(1, sink->line, sink->waiting);
    sink->waiting = 0;
}

static void put(Sink *sink, char c) {
    if (sink->text) {
        if (sink->produced < sink->room)
            sink->text[sink->produced] = c;
    } else {
        sink->line[sink->waiting++] = c;
        if (sink->waiting == sizeof sink->line)
            flush(sink);
    }
    sink->produced++;
}

static void repeat(Sink *sink, char c, int count) {
    while (count-- > 0)
        put(sink, c);
}

/* Sign or prefix, then digits, in a field of the asked width. */
static void put_padded(Sink *sink, const Field *field, const char *prefix, const char *body, int length,
                       int zeros) {
    int fill = field->width - (int)strlen(prefix) - zeros - length;
    if (!field->left)
        repeat(sink, ' ', fill);
    while (*prefix)
        put(sink, *prefix++);
    repeat(sink, '0', zeros);
    for (int i = 0; i < length; i++)
        put(sink, body[i]);
    if (field->left)
        repeat(sink, ' ', fill);
}

static const char *sign_text(const Field *field, int negative) {
    return negative ? "-" : field->plus ? "+" : field->space ? " " : "";
}

static void put_integer(Sink *sink, Field *field, uint64_t value, int base, const char *prefix,
                        const char *digits) {
    char body[24];
    int at = sizeof body;
    while (value) {
        body[--at] = digits[value % (unsigned)base];
        value /= (unsigned)base;
    }
    int length = (int)sizeof body - at, least = field->precision < 0 ? 1 : field->precision, zeros = 0;
    if (length < least)
        zeros = least - length;
    if (field->zero && !field->left && field->precision < 0 &&
        zeros + length + (int)strlen(prefix) < field->width)
        zeros = field->width - length - (int)strlen(prefix);
    put_padded(sink, field, prefix, body + at, length, zeros);
}

/* ---------------------------------------------------------------- decimal digits of a double */

enum { WORDS = 72, WHOLE_DIGITS = 320, FRACTION_DIGITS = 1096 };

/* digits[0 .. point) are the whole part without leading zeros, the rest the fraction; exact. */
static char digits[WHOLE_DIGITS + FRACTION_DIGITS];
static int point, digit_count;

static void put_group(char *at, uint32_t group) {
    for (int i = 4; i--; group /= 10)
        at[i] = (char)('0' + group % 10);
}

/* The decimal digits of a number of `top` 16-bit words, four at a time from the lowest; destroys the number.
 */
static int whole_digits(uint16_t *words, int top, char *to) {
    char reversed[WHOLE_DIGITS + 4];
    int start = sizeof reversed, leading = 0;
    while (top) {
        uint32_t rest = 0;
        for (int i = top; i--; rest %= 10000) {
            rest = rest << 16 | words[i];
            words[i] = (uint16_t)(rest / 10000);
        }
        start -= 4;
        put_group(reversed + start, rest);
        while (top && !words[top - 1])
            top--;
    }
    while (start + leading < (int)sizeof reversed && reversed[start + leading] == '0')
        leading++;
    int count = (int)sizeof reversed - start - leading;
    memcpy(to, reversed + start + leading, (size_t)count);
    return count;
}

/* The exact decimal expansion of mantissa * 2^exponent. */
static void expand(uint64_t mantissa, int exponent) {
    uint16_t words[WORDS] = {0};
    /* place the number so that bit 16 * `unit` of `words` is worth 1 */
    int unit = exponent < 0 ? (-exponent + 15) / 16 : 0, shift = exponent + 16 * unit, lowest = 0,
        top = WORDS;
    for (uint32_t i = 0, carry = 0; i < 5; i++, carry >>= 16, mantissa >>= 16) {
        carry |= (uint32_t)(mantissa & 0xffff) << shift % 16;
        words[shift / 16 + (int)i] = (uint16_t)carry;
    }
    while (top > unit && !words[top - 1])
        top--;
    point = digit_count = whole_digits(words + unit, top - unit, digits);
    while (lowest < unit) {
        if (!words[lowest]) {
            lowest++;
            continue;
        }
        uint32_t carry = 0;
        for (int i = lowest; i < unit; i++) {
            carry += (uint32_t)words[i] * 10000;
            words[i] = (uint16_t)carry;
            carry >>= 16;
        }
        put_group(digits + digit_count, carry);
        digit_count += 4;
    }
}

/* Keeps `kept` digits, rounding half to even; pads with zeros. */
static void round_to(int kept) {
    if (kept < 0) {
        digit_count = 0;
        return;
    }
    if (digit_count > kept) {
        int up = digits[kept] > '5';
        if (digits[kept] == '5') {
            up = kept > 0 && (digits[kept - 1] - '0') % 2;
            for (int i = kept + 1; i < digit_count; i++)
                up |= digits[i] != '0';
        }
        digit_count = kept;
        int at = kept;
        while (up && at > 0 && digits[at - 1] == '9')
            digits[--at] = '0';
        if (up && at > 0) {
            digits[at - 1]++;
        } else if (up) {
            memmove(digits + 1, digits, (size_t)kept);
            digits[0] = '1';
            digit_count++;
            point++;
        }
    }
    while (digit_count < kept)
        digits[digit_count++] = '0';
}

static int put_exponent(char *body, int exponent, char letter) {
    int length = 0, magnitude = exponent < 0 ? -exponent : exponent;
    body[length++] = letter;
    body[length++] = exponent < 0 ? '-' : '+';
    if (magnitude >= 100)
        body[length++] = (char)('0' + magnitude / 100);
    body[length++] = (char)('0' + magnitude / 10 % 10);
    body[length++] = (char)('0' + magnitude % 10);
    return length;
}

/* d.ddde+dd from the digits; drops leading zeros of the fraction first. */
static int scientific(char *body, int precision, int zero, char letter, int trim, int alternate) {
    int leading = 0, exponent;
    if (!zero)
        while (digits[leading] == '0')
            leading++;
    memmove(digits, digits + leading, (size_t)(digit_count - leading));
    digit_count -= leading;
    point -= leading;
    exponent = point - 1;
    int old = point;
    round_to(precision + 1);
    exponent += point - old;
    if (zero)
        exponent = 0;
    int last = precision + 1, length = 0;
    while (trim && last > 1 && digits[last - 1] == '0')
        last--;
    body[length++] = digits[0];
    if (last > 1 || (alternate && !trim))
        body[length++] = '.';
    for (int i = 1; i < last; i++)
        body[length++] = digits[i];
    return length + put_exponent(body + length, exponent, letter);
}

static int fixed(char *body, int precision, int trim, int alternate) {
    round_to(point + precision);
    int length = 0, last = point + precision;
    while (trim && last > point && (last > digit_count || digits[last - 1] == '0'))
        last--;
    if (point <= 0)
        body[length++] = '0';
    for (int i = 0; i < point; i++)
        body[length++] = digits[i];
    if (last > point || (alternate && !trim))
        body[length++] = '.';
    for (int i = point; i < last; i++)
        body[length++] = digits[i];
    return length;
}

static void put_double(Sink *sink, Field *field, double value, char form) {
    static char body[WHOLE_DIGITS + FRACTION_DIGITS];
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    int negative = (int)(bits >> 63), exponent = (int)(bits >> 52 & 0x7ff), upper = form < 'a';
    uint64_t mantissa = bits & 0xfffffffffffffull;
    const char *sign = sign_text(field, negative);
    char kind = upper ? (char)(form + 32) : form;
    if (exponent == 0x7ff) {
        const char *text = mantissa ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf");
        put_padded(sink, field, sign, text, 3, 0);
        return;
    }
    int precision = field->precision < 0 ? 6 : field->precision, length, zero = !exponent && !mantissa;
    if (precision > 300)
        precision = 300;
    if (exponent)
        mantissa |= 1ull << 52;
    else
        exponent = 1;
    expand(mantissa, exponent - 1075);
    if (zero) {
        digits[0] = '0';
        point = digit_count = 1;
    }
    if (kind == 'e') {
        length = scientific(body, precision, zero, upper ? 'E' : 'e', 0, field->alternate);
    } else if (kind == 'f') {
        length = fixed(body, precision, 0, field->alternate);
    } else {
        int significant = precision ? precision : 1, leading = 0;
        while (!zero && digits[leading] == '0')
            leading++;
        int decimal = point - leading - 1, rounds_up = 1;
        for (int i = 0; i < significant; i++)
            rounds_up &= leading + i < digit_count && digits[leading + i] == '9';
        rounds_up &= leading + significant < digit_count && digits[leading + significant] >= '5';
        decimal += rounds_up;
        if (decimal < -4 || decimal >= significant)
            length = scientific(body, significant - 1, zero, upper ? 'E' : 'e', !field->alternate,
                                field->alternate);
        else
            length = fixed(body, significant - 1 - decimal, !field->alternate, field->alternate);
    }
    int zeros = 0, missing = field->width - length - (int)strlen(sign);
    if (field->zero && !field->left && missing > 0)
        zeros = missing;
    put_padded(sink, field, sign, body, length, zeros);
}

/* ---------------------------------------------------------------- the format */

static const char *read_number(const char *format, int *number, va_list *arguments) {
    *number = 0;
    if (*format == '*') {
        *number = va_arg(*arguments, int);
        return format + 1;
    }
    while (*format >= '0' && *format <= '9')
        *number = *number * 10 + (*format++ - '0');
    return format;
}

static const char *read_field(const char *format, Field *field, va_list *arguments) {
    *field = (Field){.precision = -1};
    for (;; format++) {
        if (*format == '-')
            field->left = 1;
        else if (*format == '+')
            field->plus = 1;
        else if (*format == ' ')
            field->space = 1;
        else if (*format == '#')
            field->alternate = 1;
        else if (*format == '0')
            field->zero = 1;
        else
            break;
    }
    format = read_number(format, &field->width, arguments);
    if (field->width < 0) {
        field->left = 1;
        field->width = -field->width;
    }
    if (*format == '.')
        format = read_number(format + 1, &field->precision, arguments);
    return format;
}

static void print(Sink *sink, const char *format, va_list *arguments) {
    for (; *format; format++) {
        if (*format != '%') {
            put(sink, *format);
            continue;
        }
        Field field;
        format = read_field(format + 1, &field, arguments);
        int is_long_long = 0;
        for (; *format == 'l' || *format == 'h' || *format == 'z' || *format == 't' || *format == 'j';
             format++)
            is_long_long |= (*format == 'l' && format[1] == 'l') || *format == 'j';
        char form = *format;
        if (form == 'd' || form == 'i') {
            int64_t value = is_long_long ? va_arg(*arguments, int64_t) : va_arg(*arguments, int);
            uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
            put_integer(sink, &field, magnitude, 10, sign_text(&field, value < 0), "0123456789");
        } else if (form == 'u' || form == 'x' || form == 'X' || form == 'o' || form == 'p') {
            uint64_t value = is_long_long ? va_arg(*arguments, uint64_t) : va_arg(*arguments, unsigned);
            const char *prefix = form == 'p' || (field.alternate && value && form == 'x') ? "0x" : "";
            if (field.alternate && value && form == 'X')
                prefix = "0X";
            put_integer(sink, &field, value,
                        form == 'u'   ? 10
                        : form == 'o' ? 8
                                      : 16,
                        prefix, form == 'X' ? "0123456789ABCDEF" : "0123456789abcdef");
        } else if (form == 'c') {
            char c = (char)va_arg(*arguments, int);
            put_padded(sink, &field, "", &c, 1, 0);
        } else if (form == 's') {
            const char *text = va_arg(*arguments, const char *);
            int length = 0;
            while ((field.precision < 0 || length < field.precision) && text[length])
                length++;
            put_padded(sink, &field, "", text, length, 0);
        } else if (strchr("eEfFgG", form)) {
            put_double(sink, &field, va_arg(*arguments, double), form);
        } else {
            put(sink, form);
        }
    }
}

int vsnprintf(char *text, size_t size, const char *format, va_list arguments) {
    static char nowhere[1];
    Sink sink = {.text = size ? text : nowhere, .room = size ? size - 1 : 0};
    va_list copy;
    va_copy(copy, arguments);
    print(&sink, format, &copy);
    va_end(copy);
    if (size)
        text[sink.produced < sink.room ? sink.produced : sink.room] = 0;
    return (int)sink.produced;
}

int vprintf(const char *format, va_list arguments) {
    Sink sink = {0};
    va_list copy;
    va_copy(copy, arguments);
    print(&sink, format, &copy);
    va_end(copy);
    flush(&sink);
    return (int)sink.produced;
}

int printf(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int count = vprintf(format, arguments);
    va_end(arguments);
    return count;
}

int snprintf(char *text, size_t size, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(text, size, format, arguments);
    va_end(arguments);
    return count;
}

int sprintf(char *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(text, 1u << 30, format, arguments);
    va_end(arguments);
    return count;
}

int puts(const char *text) {
    write(1, text, (unsigned)strlen(text));
    write(1, "\n", 1);
    return 0;
}

int putchar(int character) {
    char c = (char)character;
    write(1, &c, 1);
    return character;
}

int getchar(void) {
    unsigned char c;
    return read(0, &c, 1) == 1 ? c : EOF;
}
