/* depthwise_conv2d_s8
 *
 * formula    y(i, j, c) = clamp(sat8((bias[c] + sum of value * weight[c][ky][kx]) >> shift[c])),
 *            value = x(row, column, c), outside x padding_value;
 *            row = i * stride_y - padding_top + ky * dilation_y, column alike
 * rounding   half up, by the half that the generator added to bias
 * ranges     weights -127..127; shift 0..31; bias and all partial sums fit int32
 * alignment  any
 * aliasing   y overlaps nothing
 * tail       channels need not fill blocks of 16; the fill of packed weights is not used
 */
#include "pienn/layers.h"
#include "arithmetic.h"

void pienn_depthwise_conv2d_s8_ref(const int8_t *x, int8_t *y, const pienn_depthwise_conv2d_s8_params *p) {
    const int32_t block_size = p->kernel_height * p->kernel_width * PIENN_LANES;

    for (int32_t i = 0; i < p->y.height; i++) {
        for (int32_t j = 0; j < p->y.width; j++) {
            for (int32_t c = 0; c < p->y.channels; c++) {
                const int8_t *weight = p->weights + c / PIENN_LANES * block_size + c % PIENN_LANES;
                int32_t sum = p->bias[c];
                for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                    for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                        const int32_t row = i * p->stride_y - p->padding_top + ky * p->dilation_y;
                        const int32_t column = j * p->stride_x - p->padding_left + kx * p->dilation_x;
                        const int inside =
                            row >= 0 && row < p->x.height && column >= 0 && column < p->x.width;
                        const int32_t value =
                            inside ? x[pienn_offset(&p->x, row, column, c)] : p->padding_value;
                        sum += value * *weight;
                        weight += PIENN_LANES;
                    }
                }
                y[pienn_offset(&p->y, i, j, c)] =
                    (int8_t)clamp(saturate8(sum >> p->shift[c]), p->minimum, p->maximum);
            }
        }
    }
}
