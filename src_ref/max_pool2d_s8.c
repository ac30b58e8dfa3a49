/* max_pool2d_s8
 *
 * formula    y(i, j, c) = max of x(row, column, c) over the window's elements that lie inside x
 *            row = i * stride_y - padding_top + ky * dilation_y, column alike
 * rounding   none
 * ranges     every window has an element inside x
 * alignment  any
 * aliasing   y overlaps nothing
 * tail       none: any channels
 */
#include "pienn/layers.h"

void pienn_max_pool2d_s8_ref(const int8_t *x, int8_t *y, const pienn_max_pool2d_s8_params *p) {
    for (int32_t i = 0; i < p->y.height; i++) {
        for (int32_t j = 0; j < p->y.width; j++) {
            for (int32_t c = 0; c < p->y.channels; c++) {
                int8_t maximum = INT8_MIN;
                for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                    for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                        const int32_t row = i * p->stride_y - p->padding_top + ky * p->dilation_y;
                        const int32_t column = j * p->stride_x - p->padding_left + kx * p->dilation_x;
                        if (row >= 0 && row < p->x.height && column >= 0 && column < p->x.width) {
                            const int8_t value = x[pienn_offset(&p->x, row, column, c)];
                            maximum = value > maximum ? value : maximum;
                        }
                    }
                }
                y[pienn_offset(&p->y, i, j, c)] = maximum;
            }
        }
    }
}
