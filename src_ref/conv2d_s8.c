/* conv2d_s8
 *
 * formula    y(i, j, o) = clamp(sat8((bias[o] + sum of value * weight[o][ky][kx][c]) >> shift[o])),
 *            value = x(row, column, c), outside x padding_value; c in the channels of o's group,
 *            row = i * stride_y - padding_top + ky * dilation_y, column alike
 * rounding   half up, by the half that the generator added to bias
 * ranges     weights -127..127; shift 0..31; bias and all partial sums fit int32
 * alignment  any
 * aliasing   y overlaps nothing
 * tail       channels need not fill blocks of 16; what the fill of packed weights gives is not used
 */
#include "pienn/layers.h"
#include "arithmetic.h"

static int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* The outputs of one block that belong to one group read the same channels: they are summed side by side, in
 * the order in which their weights lie. */
void pienn_conv2d_s8_ref(const int8_t *x, int8_t *y, const pienn_conv2d_s8_params *p) {
    const int32_t depth = p->x.channels / p->groups;
    const int32_t outputs = p->y.channels / p->groups;
    const int32_t block_size = p->kernel_height * p->kernel_width * depth * PIENN_LANES;

    for (int32_t i = 0; i < p->y.height; i++) {
        for (int32_t j = 0; j < p->y.width; j++) {
            for (int32_t first = 0, end; first < p->y.channels; first = end) {
                const int32_t group = first / outputs;
                const int32_t block = first / PIENN_LANES;
                const int8_t *weight = p->weights + block * block_size;
                int32_t sum[PIENN_LANES];
                for (int32_t lane = 0; lane < PIENN_LANES; lane++) {
                    sum[lane] = p->bias[block * PIENN_LANES + lane];
                }
                for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                    for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                        const int32_t row = i * p->stride_y - p->padding_top + ky * p->dilation_y;
                        const int32_t column = j * p->stride_x - p->padding_left + kx * p->dilation_x;
                        const int inside =
                            row >= 0 && row < p->x.height && column >= 0 && column < p->x.width;
                        for (int32_t c = group * depth; c < (group + 1) * depth; c++) {
                            const int32_t value =
                                inside ? x[pienn_offset(&p->x, row, column, c)] : p->padding_value;
                            for (int32_t lane = 0; lane < PIENN_LANES; lane++) {
                                sum[lane] += value * weight[lane];
                            }
                            weight += PIENN_LANES;
                        }
                    }
                }
                end = smaller((group + 1) * outputs, (block + 1) * PIENN_LANES);
                for (int32_t o = first; o < end; o++) {
                    const int32_t scaled = sum[o % PIENN_LANES] >> p->shift[o];
                    y[pienn_offset(&p->y, i, j, o)] =
                        (int8_t)clamp(saturate8(scaled), p->minimum, p->maximum);
                }
            }
        }
    }
}
