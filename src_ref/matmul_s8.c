/* matmul_s8
 *
 * formula    y[m][n] = clamp(sat8(round(sum over k of A[m][k] * B[k][n], shift) + y_zero_point)) per batch,
 *            A = a - a_zero_point, B = b - b_zero_point; with transpose_b, b is stored as [n][k]
 * rounding   half up
 * ranges     shift 0..31; the sum with its rounding fits int32
 * alignment  any
 * aliasing   y overlaps nothing; a and b may be the same
 * tail       none: any sizes
 */
#include "pienn/layers.h"
#include "arithmetic.h"

void pienn_matmul_s8_ref(const int8_t *a, const int8_t *b, int8_t *y, const pienn_matmul_s8_params *p) {
    const int32_t b_depth_stride = p->transpose_b ? 1 : p->b_row_stride;
    const int32_t b_column_stride = p->transpose_b ? p->b_row_stride : 1;

    for (int32_t batch = 0; batch < p->batch; batch++) {
        for (int32_t m = 0; m < p->rows; m++) {
            for (int32_t n = 0; n < p->columns; n++) {
                const int8_t *left = a + batch * p->a_batch_stride + m * p->a_row_stride;
                const int8_t *right = b + batch * p->b_batch_stride + n * b_column_stride;
                int32_t sum = 0;
                for (int32_t k = 0; k < p->depth; k++) {
                    sum += (left[k] - p->a_zero_point) * (right[k * b_depth_stride] - p->b_zero_point);
                }
                const int8_t result = saturate8(round_shift(sum, p->shift) + p->y_zero_point);
                y[batch * p->y_batch_stride + m * p->y_row_stride + n] =
                    (int8_t)clamp(result, p->minimum, p->maximum);
            }
        }
    }
}
