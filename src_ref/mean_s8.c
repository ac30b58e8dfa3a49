/* mean_s8
 *
 * formula    y[i][c] = sat8(floor(S / (n * 2^shift) + 1/2) + y_zero_point), n = rows * columns,
 *            S = sum over (row, column) of x[i][row][column][c] - x_zero_point
 * rounding   half up, of the exact quotient
 * ranges     n < 2^23: the sum fits int32; shift -15..31
 * alignment  any
 * aliasing   y overlaps nothing
 * tail       none: any sizes
 */
#include "pienn/layers.h"
#include "arithmetic.h"

void pienn_mean_s8_ref(const int8_t *x, int8_t *y, const pienn_mean_s8_params *p) {
    for (int32_t i = 0; i < p->outer; i++) {
        for (int32_t c = 0; c < p->inner; c++) {
            int32_t sum = 0;
            for (int32_t row = 0; row < p->rows; row++) {
                for (int32_t column = 0; column < p->columns; column++) {
                    sum +=
                        x[i * p->x_outer_stride + row * p->x_row_stride + column * p->x_column_stride + c] -
                        p->x_zero_point;
                }
            }
            y[i * p->y_outer_stride + c] =
                saturate8(round_mean(sum, p->rows * p->columns, p->shift) + p->y_zero_point);
        }
    }
}
