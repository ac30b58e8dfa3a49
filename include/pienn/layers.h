/* The layers of PIE-NN: one kernel, one parameter struct.
 *
 *     void pienn_<kernel>(const int8_t *x, int8_t *y, const pienn_<kernel>_params *p);
 *     void pienn_<kernel>(const int8_t *a, const int8_t *b, int8_t *y, const pienn_<kernel>_params *p);
 *
 * kernels.inc lists them. Every version of a kernel has a symbol of its own (pienn_conv2d_s8_ref is always
 * there); the public name above is chosen when the firmware is built.
 *
 * Contract of all kernels
 *   - Parameters are made by the generator, which has checked them; kernels do not check again.
 *   - Operands: x (or a, b) are read, y is written; views and strides are in the parameters. See tensor.h for
 *     alignment and reading ahead.
 *   - Aliasing: y may be x (or a, or b) where it says "in place", with the same base and the same strides;
 *     otherwise y overlaps no operand.
 *   - Scratch: none. No kernel allocates, recurses, keeps state or calls anything but itself.
 *   - Numbers: exponents are gone, only their differences are left, as shifts. Zero points are 0 or -128.
 *   - minimum and maximum clamp the result after saturation to int8; -128 and 127 without an activation.
 *   - Arithmetic, to the bit: docs/SPEC.md. Below, sat8 saturates to int8, >> floors, and
 *     round(v, s) = (v + (s > 0 ? 2^(s-1) : 0)) >> s, 0 <= s <= 31.
 *
 * Assembly reads the structs by offset: pointers first, then int32_t words (PIENN_LAYOUT).
 */
#ifndef PIENN_LAYERS_H
#define PIENN_LAYERS_H

#include "pienn/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Convolutions ----
 *
 * Weights come packed in blocks of 16 output channels; the channels that fill up the last block have weight
 * 0, bias 0 and the shift of the last real channel. Everything that is added to the sum is in the folded
 * bias,
 *
 *     bias[o] = bias of the layer - z_x * sum(weights of o) + rounding[o] + z_y * 2^shift[o]
 *     rounding[o] = shift[o] > 0 ? 2^(shift[o] - 1) : 0
 *     y = min(max(sat8((bias[o] + sum(x * weight)) >> shift[o]), minimum), maximum)
 *
 * so that a kernel multiplies the stored x, shifts with floor and saturates. Where the window leaves x, the
 * stored value read is z_x (padding_value). bias[o] + any partial sum fits int32: the generator has proved
 * it.
 *
 * The SIMD kernels of a chip read `blocks` instead: the same numbers in the order in which that chip consumes
 * them, 16-byte aligned, made by generator/pienn/codegen/packing_<chip>.py, where the layout is written down.
 * weights, bias and shift may then be NULL. They also ask more of the layout:
 *   - padding_top = padding_left = 0: x points at the first window, and what surrounds the image is in
 * memory;
 *   - pixel_stride and row_stride are multiples of 16, block_stride is 16, and pixels of x hold whole blocks
 *     of 16 channels whose surplus lanes may hold anything (their weights are 0 or are not multiplied);
 *   - surplus lanes of the last block of y are written.
 * conv2d_s8 and depthwise_conv2d_s8 have several bodies there, the code for one kind of window. A call lists
 * those that its records run, and the linker leaves out what no call lists (--gc-sections). */

/* A body: machine code, of which C knows the address only. */
typedef struct pienn_body pienn_body;

/* conv2d_s8. The window of output (i, j) starts at row i * stride_y - padding_top and column
 * j * stride_x - padding_left of x; output sizes are those of y, so padding below and to the right needs no
 * field. Output channel o reads the channels of group o / (y.channels / groups). */
typedef struct pienn_conv2d_s8_params {
    const int8_t *weights; /* [ceil(y.channels / 16)][kernel_height][kernel_width][x.channels / groups][16] */
    const int32_t *bias;   /* [ceil(y.channels / 16) * 16], folded as above */
    const uint8_t *shift;  /* [ceil(y.channels / 16) * 16], 0..31 */
    const void *blocks;    /* the chip's own packed records of all this; NULL for the reference */
    const pienn_body *const *bodies; /* that the records name; NULL for the reference */
    pienn_view x;
    pienn_view y;
    int32_t kernel_height; /* >= 1 */
    int32_t kernel_width;  /* >= 1 */
    int32_t stride_y;      /* >= 1 */
    int32_t stride_x;      /* >= 1 */
    int32_t dilation_y;    /* >= 1; 1 is a dense window */
    int32_t dilation_x;    /* >= 1 */
    int32_t padding_top;   /* rows above x that a window may read, >= 0 */
    int32_t padding_left;  /* columns left of x that a window may read, >= 0 */
    int32_t padding_value; /* z_x, stored value of real zero: 0 or -128 */
    int32_t groups;        /* divides x.channels and y.channels */
    int32_t minimum;       /* -128..127 */
    int32_t maximum;       /* minimum..127 */
} pienn_conv2d_s8_params;
PIENN_LAYOUT(pienn_conv2d_s8_params, maximum, 5, 24);

/* depthwise_conv2d_s8. As conv2d_s8, but output channel c reads channel c alone; x.channels = y.channels. */
typedef struct pienn_depthwise_conv2d_s8_params {
    const int8_t *weights;           /* [ceil(channels / 16)][kernel_height][kernel_width][16] */
    const int32_t *bias;             /* [ceil(channels / 16) * 16], folded as above */
    const uint8_t *shift;            /* [ceil(channels / 16) * 16], 0..31 */
    const void *blocks;              /* the chip's own packed records of all this; NULL for the reference */
    const pienn_body *const *bodies; /* that the records name; NULL for the reference */
    pienn_view x;
    pienn_view y;
    int32_t kernel_height; /* >= 1 */
    int32_t kernel_width;  /* >= 1 */
    int32_t stride_y;      /* >= 1 */
    int32_t stride_x;      /* >= 1 */
    int32_t dilation_y;    /* >= 1 */
    int32_t dilation_x;    /* >= 1 */
    int32_t padding_top;   /* rows above x that a window may read, >= 0 */
    int32_t padding_left;  /* columns left of x that a window may read, >= 0 */
    int32_t padding_value; /* z_x: 0 or -128 */
    int32_t minimum;       /* -128..127 */
    int32_t maximum;       /* minimum..127 */
} pienn_depthwise_conv2d_s8_params;
PIENN_LAYOUT(pienn_depthwise_conv2d_s8_params, maximum, 5, 23);

/* conv_transpose2d_s8. Input pixel (i, j) times tap (ky, kx) adds to output pixel
 * (i * stride_y + ky * dilation_y - padding_top, j * stride_x + kx * dilation_x - padding_left) where y has
 * it. Seen from an output pixel: taps that meet no pixel of x read padding_value, as the folded bias expects.
 */
typedef struct pienn_conv_transpose2d_s8_params {
    const int8_t *weights; /* [ceil(y.channels / 16)][kernel_height][kernel_width][x.channels / groups][16] */
    const int32_t *bias;   /* [ceil(y.channels / 16) * 16], folded as above */
    const uint8_t *shift;  /* [ceil(y.channels / 16) * 16], 0..31 */
    pienn_view x;
    pienn_view y;
    int32_t kernel_height; /* >= 1 */
    int32_t kernel_width;  /* >= 1 */
    int32_t stride_y;      /* >= 1 */
    int32_t stride_x;      /* >= 1 */
    int32_t dilation_y;    /* >= 1 */
    int32_t dilation_x;    /* >= 1 */
    int32_t padding_top;   /* rows cut off above the full result, >= 0 */
    int32_t padding_left;  /* columns cut off left of the full result, >= 0 */
    int32_t padding_value; /* z_x: 0 or -128 */
    int32_t groups;        /* divides x.channels and y.channels */
    int32_t minimum;       /* -128..127 */
    int32_t maximum;       /* minimum..127 */
} pienn_conv_transpose2d_s8_params;
PIENN_LAYOUT(pienn_conv_transpose2d_s8_params, maximum, 3, 24);

/* fully_connected_s8. y[row][n] from x[row][0..depth-1]. */
typedef struct pienn_fully_connected_s8_params {
    const int8_t *weights; /* [ceil(columns / 16)][depth][16] */
    const int32_t *bias;   /* [ceil(columns / 16) * 16], folded as above */
    const uint8_t *shift;  /* [ceil(columns / 16) * 16], 0..31 */
    const void *blocks;    /* the chip's own packed records of all this; NULL for the reference */
    int32_t rows;          /* vectors of x, >= 1 */
    int32_t depth;         /* elements of a vector of x, >= 1 */
    int32_t columns;       /* elements of a vector of y, >= 1 */
    int32_t x_row_stride;  /* bytes, >= depth */
    int32_t y_row_stride;  /* bytes, >= columns */
    int32_t minimum;       /* -128..127 */
    int32_t maximum;       /* minimum..127 */
} pienn_fully_connected_s8_params;
PIENN_LAYOUT(pienn_fully_connected_s8_params, maximum, 4, 7);

/* ---- Products of activations ---- */

/* matmul_s8. y = sat8(round(sum over k of (a - a_zero_point) * (b - b_zero_point), shift) + y_zero_point),
 * clamped. */
typedef struct pienn_matmul_s8_params {
    int32_t batch;          /* products, >= 1 */
    int32_t rows;           /* of a and y, >= 1 */
    int32_t depth;          /* columns of a, >= 1; sums fit int32 */
    int32_t columns;        /* of y, >= 1 */
    int32_t transpose_b;    /* 0: b is [depth][columns]; 1: b is [columns][depth] */
    int32_t a_batch_stride; /* bytes */
    int32_t a_row_stride;   /* bytes */
    int32_t b_batch_stride; /* bytes */
    int32_t b_row_stride;   /* bytes, between rows of b as stored */
    int32_t y_batch_stride; /* bytes */
    int32_t y_row_stride;   /* bytes */
    int32_t a_zero_point;   /* 0 or -128 */
    int32_t b_zero_point;   /* 0 or -128 */
    int32_t y_zero_point;   /* 0 or -128 */
    int32_t shift;          /* 0..31 */
    int32_t minimum;        /* -128..127 */
    int32_t maximum;        /* minimum..127 */
} pienn_matmul_s8_params;
PIENN_LAYOUT(pienn_matmul_s8_params, maximum, 0, 17);

/* ---- Element by element, two operands ----
 *
 * Boxes of four axes with a stride per axis and operand; stride 0 repeats an operand along an axis
 * (broadcast). The generator merges axes where it can, so that the last one is long; lower ranks have leading
 * axes of size 1. A channel-blocked image is {blocks, height, width, 16}. In place on a or b, unless that
 * operand is repeated. */

/* add_s8. y = sat8(round(A + B, shift) + y_zero_point), clamped, with A = (a - a_zero_point) << a_shift and
 * B = (b - b_zero_point) << b_shift. */
typedef struct pienn_add_s8_params {
    int32_t shape[PIENN_RANK];     /* of y, >= 1 each */
    int32_t a_strides[PIENN_RANK]; /* bytes */
    int32_t b_strides[PIENN_RANK]; /* bytes */
    int32_t y_strides[PIENN_RANK]; /* bytes, not 0 where the axis is longer than 1 */
    int32_t a_zero_point;          /* 0 or -128 */
    int32_t b_zero_point;          /* 0 or -128 */
    int32_t y_zero_point;          /* 0 or -128 */
    int32_t a_shift;               /* 0..15, left; a_shift or b_shift is 0 */
    int32_t b_shift;               /* 0..15, left */
    int32_t shift;                 /* 0..31, right */
    int32_t minimum;               /* -128..127 */
    int32_t maximum;               /* minimum..127 */
} pienn_add_s8_params;
PIENN_LAYOUT(pienn_add_s8_params, maximum, 0, 24);

/* sub_s8. As add_s8 with b subtracted. */
typedef pienn_add_s8_params pienn_sub_s8_params;

/* mul_s8. y = sat8(round((a - a_zero_point) * (b - b_zero_point), shift) + y_zero_point), clamped. */
typedef struct pienn_mul_s8_params {
    int32_t shape[PIENN_RANK];     /* of y, >= 1 each */
    int32_t a_strides[PIENN_RANK]; /* bytes */
    int32_t b_strides[PIENN_RANK]; /* bytes */
    int32_t y_strides[PIENN_RANK]; /* bytes, not 0 where the axis is longer than 1 */
    int32_t a_zero_point;          /* 0 or -128 */
    int32_t b_zero_point;          /* 0 or -128 */
    int32_t y_zero_point;          /* 0 or -128 */
    int32_t shift;                 /* 0..31 */
    int32_t minimum;               /* -128..127 */
    int32_t maximum;               /* minimum..127 */
} pienn_mul_s8_params;
PIENN_LAYOUT(pienn_mul_s8_params, maximum, 0, 22);

/* ---- Element by element, one operand ----
 *
 * x and y have the same height, width and channels. In place. */

/* requantize_s8. y = sat8(round((x - x_zero_point) << left_shift, shift) + y_zero_point), clamped. */
typedef struct pienn_requantize_s8_params {
    pienn_view x;
    pienn_view y;
    int32_t x_zero_point; /* 0 or -128 */
    int32_t y_zero_point; /* 0 or -128 */
    int32_t left_shift;   /* 0..15; left_shift or shift is 0 */
    int32_t shift;        /* 0..31, right */
    int32_t minimum;      /* -128..127 */
    int32_t maximum;      /* minimum..127 */
} pienn_requantize_s8_params;
PIENN_LAYOUT(pienn_requantize_s8_params, maximum, 0, 18);

/* prelu_s8. With X = x - x_zero_point:
 * y = sat8(round(X >= 0 ? X << left_shift : X * slope[c], shift) + y_zero_point). */
typedef struct pienn_prelu_s8_params {
    const int8_t *slope; /* [ceil(channels / 16) * 16], filled with 0; real slope = slope * 2^-left_shift */
    pienn_view x;
    pienn_view y;
    int32_t x_zero_point; /* 0 or -128 */
    int32_t y_zero_point; /* 0 or -128 */
    int32_t left_shift;   /* 0..15 */
    int32_t shift;        /* 0..31, right */
} pienn_prelu_s8_params;
PIENN_LAYOUT(pienn_prelu_s8_params, shift, 1, 16);

/* lut_s8. y = table[x + 128]. */
typedef struct pienn_lut_s8_params {
    const int8_t *table; /* [256] */
    pienn_view x;
    pienn_view y;
} pienn_lut_s8_params;
PIENN_LAYOUT(pienn_lut_s8_params, y.block_stride, 1, 12);

/* ---- Rows ---- */

/* softmax_s8. For each row: E[i] = table[max(x) - x[i]], S = sum(E),
 * y[i] = min(255, (512 * E[i] + S) / (2 * S)) - 128, in uint32. Result at exponent -8, zero point -128.
 * In place. */
typedef struct pienn_softmax_s8_params {
    const uint16_t *table; /* [256], table[d] = floor(32768 * exp(-d * 2^e_x) + 1/2) */
    int32_t rows;          /* >= 1 */
    int32_t channels;      /* elements of a row, 1..65535 */
    int32_t x_row_stride;  /* bytes, >= channels */
    int32_t y_row_stride;  /* bytes, >= channels */
} pienn_softmax_s8_params;
PIENN_LAYOUT(pienn_softmax_s8_params, y_row_stride, 1, 4);

/* mean_s8. y[i][c] = mean over (r, k) of x[i][r][k][c], as avg_pool2d_s8 with the divisor rows * columns,
 * which is less than 2^23. An image averaged over its pixels has outer = 1, inner = channels; a
 * channel-blocked one outer = blocks, inner = 16. */
typedef struct pienn_mean_s8_params {
    int32_t outer;           /* >= 1, kept */
    int32_t rows;            /* >= 1, averaged */
    int32_t columns;         /* >= 1, averaged */
    int32_t inner;           /* >= 1, kept, contiguous in x and y */
    int32_t x_outer_stride;  /* bytes */
    int32_t x_row_stride;    /* bytes */
    int32_t x_column_stride; /* bytes */
    int32_t y_outer_stride;  /* bytes */
    int32_t x_zero_point;    /* 0 or -128 */
    int32_t y_zero_point;    /* 0 or -128 */
    int32_t shift;           /* e_y - e_x, -15..31 */
} pienn_mean_s8_params;
PIENN_LAYOUT(pienn_mean_s8_params, shift, 0, 11);

/* ---- Windows ---- */

/* max_pool2d_s8. Maximum over the elements of the window that lie inside x; there is at least one. */
typedef struct pienn_max_pool2d_s8_params {
    pienn_view x;
    pienn_view y;
    int32_t kernel_height; /* >= 1 */
    int32_t kernel_width;  /* >= 1 */
    int32_t stride_y;      /* >= 1 */
    int32_t stride_x;      /* >= 1 */
    int32_t dilation_y;    /* >= 1 */
    int32_t dilation_x;    /* >= 1 */
    int32_t padding_top;   /* >= 0 */
    int32_t padding_left;  /* >= 0 */
} pienn_max_pool2d_s8_params;
PIENN_LAYOUT(pienn_max_pool2d_s8_params, padding_left, 0, 20);

/* avg_pool2d_s8. With n = divisor, or where that is 0 the number of counted elements of the window (those
 * inside x, and with count_include_pad those inside the padding):
 * y = sat8(floor(sum(x - x_zero_point) / (n * 2^shift) + 1/2) + y_zero_point), exact.
 * The kernel has less than 2^23 elements: sums fit int32; with divisor < 2^30 all quotients fit int64. */
typedef struct pienn_avg_pool2d_s8_params {
    pienn_view x;
    pienn_view y;
    int32_t kernel_height;     /* >= 1 */
    int32_t kernel_width;      /* >= 1 */
    int32_t stride_y;          /* >= 1 */
    int32_t stride_x;          /* >= 1 */
    int32_t padding_top;       /* >= 0 */
    int32_t padding_left;      /* >= 0 */
    int32_t padding_bottom;    /* >= 0; windows may end beyond it (ceil_mode), those elements never count */
    int32_t padding_right;     /* >= 0 */
    int32_t count_include_pad; /* 0 or 1 */
    int32_t divisor;           /* >= 1, or 0: count */
    int32_t x_zero_point;      /* 0 or -128 */
    int32_t y_zero_point;      /* 0 or -128 */
    int32_t shift;             /* e_y - e_x, -15..31 */
} pienn_avg_pool2d_s8_params;
PIENN_LAYOUT(pienn_avg_pool2d_s8_params, shift, 0, 25);

/* ---- Other sizes ---- */

/* resize_nearest_s8. y(i, j) = x(rows[i], columns[j]). */
typedef struct pienn_resize_nearest_s8_params {
    const int32_t *rows;    /* [y.height], 0..x.height - 1 */
    const int32_t *columns; /* [y.width], 0..x.width - 1 */
    pienn_view x;
    pienn_view y; /* same channels as x */
} pienn_resize_nearest_s8_params;
PIENN_LAYOUT(pienn_resize_nearest_s8_params, y.block_stride, 2, 12);

/* resize_bilinear_s8. Output row i mixes rows rows[i] and min(rows[i] + 1, x.height - 1) with weights
 * 64 - row_weights[i] and row_weights[i], columns alike:
 * y = sat8(round(sum of the four (x - x_zero_point) * row weight * column weight, shift) + y_zero_point). */
typedef struct pienn_resize_bilinear_s8_params {
    const int32_t *rows;          /* [y.height], 0..x.height - 1 */
    const int8_t *row_weights;    /* [y.height], 0..64 */
    const int32_t *columns;       /* [y.width], 0..x.width - 1 */
    const int8_t *column_weights; /* [y.width], 0..64 */
    pienn_view x;
    pienn_view y;         /* same channels as x */
    int32_t x_zero_point; /* 0 or -128 */
    int32_t y_zero_point; /* 0 or -128 */
    int32_t shift;        /* 12 + e_y - e_x, 0..31 */
} pienn_resize_bilinear_s8_params;
PIENN_LAYOUT(pienn_resize_bilinear_s8_params, shift, 4, 15);

/* ---- Moving bytes ----
 *
 * Boxes of four axes, strides in bytes; lower ranks have leading axes of size 1. */

/* copy_s8. A box of bytes from x to y: an operand of concat (y at its place in the result), or a slice (x at
 * its first element, strides times the steps of the slice). */
typedef struct pienn_copy_s8_params {
    int32_t shape[PIENN_RANK]; /* >= 1 each */
    int32_t x_strides[PIENN_RANK];
    int32_t y_strides[PIENN_RANK];
} pienn_copy_s8_params;
PIENN_LAYOUT(pienn_copy_s8_params, y_strides[3], 0, 12);

/* pad_s8. y has low[i] elements before and high[i] elements behind x on axis i, all of them `value`. */
typedef struct pienn_pad_s8_params {
    int32_t shape[PIENN_RANK]; /* of x, >= 1 each */
    int32_t low[PIENN_RANK];   /* >= 0 each */
    int32_t high[PIENN_RANK];  /* >= 0 each */
    int32_t x_strides[PIENN_RANK];
    int32_t y_strides[PIENN_RANK];
    int32_t value; /* -128..127, stored value */
} pienn_pad_s8_params;
PIENN_LAYOUT(pienn_pad_s8_params, value, 0, 21);

/* halo_s8. Fills what surrounds an image in its buffer. y is the buffer's first byte: `before` bytes of rows
 * above and pixels left of the image, then rows of the image, left alone, with `gap` bytes behind each but
 * the last, then `after` bytes; with a row of 0 bytes, all in `before`. x is not read. */
typedef struct pienn_halo_s8_params {
    int32_t value;  /* -128..127, stored value */
    int32_t before; /* bytes, >= 0 */
    int32_t row;    /* bytes of an image row, >= 0 */
    int32_t gap;    /* bytes, >= 0 */
    int32_t gaps;   /* rows of the image less one, >= 0 */
    int32_t after;  /* bytes, >= 0 */
} pienn_halo_s8_params;
PIENN_LAYOUT(pienn_halo_s8_params, after, 0, 6);

/* transpose_s8. Axis i of y is axis permutation[i] of x. */
typedef struct pienn_transpose_s8_params {
    int32_t shape[PIENN_RANK];       /* of x, >= 1 each */
    int32_t permutation[PIENN_RANK]; /* of 0, 1, 2, 3 */
    int32_t x_strides[PIENN_RANK];   /* by axis of x */
    int32_t y_strides[PIENN_RANK];   /* by axis of y */
} pienn_transpose_s8_params;
PIENN_LAYOUT(pienn_transpose_s8_params, y_strides[3], 0, 16);

/* ---- Symbols ---- */

#define PIENN_UNARY_PARAMETERS(name) (const int8_t *x, int8_t *y, const pienn_##name##_params *p)
#define PIENN_UNARY_ARGUMENTS (x, y, p)
#define PIENN_BINARY_PARAMETERS(name)                                                                        \
    (const int8_t *a, const int8_t *b, int8_t *y, const pienn_##name##_params *p)
#define PIENN_BINARY_ARGUMENTS (a, b, y, p)

/* All versions: pienn_<kernel>_ref, and those of the chips where there are any. */
#define PIENN_KERNEL(name, operands, p4, s3, alignment, revision, bench)                                     \
    void pienn_##name##_ref PIENN_##operands##_PARAMETERS(name);                                             \
    void pienn_##name##_##p4 PIENN_##operands##_PARAMETERS(name);                                            \
    void pienn_##name##_##s3 PIENN_##operands##_PARAMETERS(name);
#include "pienn/kernels.inc"

/* The public names. A build for a chip defines PIENN_TARGET_P4 or PIENN_TARGET_S3, others use _ref. */
#if defined(PIENN_TARGET_P4)
#define PIENN_VERSION(p4, s3) p4
#elif defined(PIENN_TARGET_S3)
#define PIENN_VERSION(p4, s3) s3
#else
#define PIENN_VERSION(p4, s3) ref
#endif
#define PIENN_SYMBOL(name, version) PIENN_PASTE(name, version)
#define PIENN_PASTE(name, version) pienn_##name##_##version
#define PIENN_KERNEL(name, operands, p4, s3, alignment, revision, bench)                                     \
    static inline void pienn_##name PIENN_##operands##_PARAMETERS(name) {                                    \
        PIENN_SYMBOL(name, PIENN_VERSION(p4, s3)) PIENN_##operands##_ARGUMENTS;                              \
    }
#include "pienn/kernels.inc"

#ifdef __cplusplus
}
#endif

#endif
