/* fully_connected_s8
 *
 * formula    y[row][n] = clamp(sat8((bias[n] + sum over k of x[row][k] * weight[n][k]) >> shift[n]))
 * rounding   half up, by the half that the generator added to bias
 * ranges     weights -127..127; shift 0..31; bias and all partial sums fit int32
 * alignment  any
 * aliasing   y overlaps nothing
 * tail       columns need not fill blocks of 16; the fill of packed weights is not used
 */
#include "pienn/layers.h"
#include "arithmetic.h"

void pienn_fully_connected_s8_ref(const int8_t *x, int8_t *y, const pienn_fully_connected_s8_params *p) {
    for (int32_t row = 0; row < p->rows; row++) {
        for (int32_t n = 0; n < p->columns; n++) {
            const int8_t *weight = p->weights + n / PIENN_LANES * p->depth * PIENN_LANES + n % PIENN_LANES;
            int32_t sum = p->bias[n];
            for (int32_t k = 0; k < p->depth; k++) {
                sum += x[row * p->x_row_stride + k] * weight[k * PIENN_LANES];
            }
            y[row * p->y_row_stride + n] =
                (int8_t)clamp(saturate8(sum >> p->shift[n]), p->minimum, p->maximum);
        }
    }
}
