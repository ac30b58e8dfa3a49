/* conv_transpose2d_s8
 *
 * formula    y(i, j, o) = clamp(sat8((bias[o] + sum of value * weight[o][ky][kx][c]) >> shift[o])),
 *            value = x(row, column, c) where row * stride_y + ky * dilation_y - padding_top = i has a
 *            solution inside x, and column alike; else padding_value; c in the channels of o's group
 * rounding   half up, by the half that the generator added to bias
 * ranges     weights -127..127; shift 0..31; bias and all partial sums fit int32
 * alignment  any
 * aliasing   y overlaps nothing
 * tail       channels need not fill blocks of 16; the fill of packed weights is not used
 */
#include "pienn/layers.h"
#include "arithmetic.h"

/* The row (column) of x that a tap meets `distance` rows below the first row's, or -1. */
static int32_t source(int32_t distance, int32_t stride, int32_t size) {
    if (distance < 0 || distance % stride != 0 || distance / stride >= size) {
        return -1;
    }
    return distance / stride;
}

void pienn_conv_transpose2d_s8_ref(const int8_t *x, int8_t *y, const pienn_conv_transpose2d_s8_params *p) {
    const int32_t depth = p->x.channels / p->groups;
    const int32_t outputs = p->y.channels / p->groups;
    const int32_t block_size = p->kernel_height * p->kernel_width * depth * PIENN_LANES;

    for (int32_t i = 0; i < p->y.height; i++) {
        for (int32_t j = 0; j < p->y.width; j++) {
            for (int32_t o = 0; o < p->y.channels; o++) {
                const int8_t *weight = p->weights + o / PIENN_LANES * block_size + o % PIENN_LANES;
                const int32_t first = o / outputs * depth;
                int32_t sum = p->bias[o];
                for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                    for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                        const int32_t row =
                            source(i + p->padding_top - ky * p->dilation_y, p->stride_y, p->x.height);
                        const int32_t column =
                            source(j + p->padding_left - kx * p->dilation_x, p->stride_x, p->x.width);
                        for (int32_t c = first; c < first + depth; c++) {
                            const int32_t value = row >= 0 && column >= 0
                                                      ? x[pienn_offset(&p->x, row, column, c)]
                                                      : p->padding_value;
                            sum += value * *weight;
                            weight += PIENN_LANES;
                        }
                    }
                }
                y[pienn_offset(&p->y, i, j, o)] =
                    (int8_t)clamp(saturate8(sum >> p->shift[o]), p->minimum, p->maximum);
            }
        }
    }
}
