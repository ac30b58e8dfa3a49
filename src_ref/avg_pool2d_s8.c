/* avg_pool2d_s8
 *
 * formula    y(i, j, c) = sat8(floor(S / (n * 2^shift) + 1/2) + y_zero_point),
 *            S = sum of x(row, column, c) - x_zero_point over the window's elements that lie inside x,
 *            row = i * stride_y - padding_top + ky, column alike;
 *            n = divisor, or where that is 0 the elements inside x, with count_include_pad those inside the
 *            padding too, but never those beyond it
 * rounding   half up, of the exact quotient
 * ranges     kernel_height * kernel_width < 2^23: the sum fits int32; divisor < 2^30; shift -15..31; n > 0
 * alignment  any
 * aliasing   y overlaps nothing
 * tail       none: any channels
 */
#include "pienn/layers.h"
#include "arithmetic.h"

void pienn_avg_pool2d_s8_ref(const int8_t *x, int8_t *y, const pienn_avg_pool2d_s8_params *p) {
    /* Bounds of the rows and columns that count. */
    const int32_t top = p->count_include_pad ? -p->padding_top : 0;
    const int32_t left = p->count_include_pad ? -p->padding_left : 0;
    const int32_t bottom = p->count_include_pad ? p->x.height + p->padding_bottom : p->x.height;
    const int32_t right = p->count_include_pad ? p->x.width + p->padding_right : p->x.width;

    for (int32_t i = 0; i < p->y.height; i++) {
        for (int32_t j = 0; j < p->y.width; j++) {
            for (int32_t c = 0; c < p->y.channels; c++) {
                int32_t sum = 0;
                int32_t count = 0;
                for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                    for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                        const int32_t row = i * p->stride_y - p->padding_top + ky;
                        const int32_t column = j * p->stride_x - p->padding_left + kx;
                        if (row >= 0 && row < p->x.height && column >= 0 && column < p->x.width) {
                            sum += x[pienn_offset(&p->x, row, column, c)] - p->x_zero_point;
                        }
                        count += row >= top && row < bottom && column >= left && column < right;
                    }
                }
                count = p->divisor ? p->divisor : count;
                y[pienn_offset(&p->y, i, j, c)] =
                    saturate8(round_mean(sum, count, p->shift) + p->y_zero_point);
            }
        }
    }
}
