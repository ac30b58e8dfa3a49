/* prelu_s8
 *
 * formula    y = sat8(round(X >= 0 ? X << left_shift : X * slope[c], shift) + y_zero_point),
 *            X = x - x_zero_point
 * rounding   half up
 * ranges     slope -128..127; left_shift 0..15; shift 0..31; nothing leaves int32
 * alignment  any
 * aliasing   y may be x, with the same strides
 * tail       none: any channels
 */
#include "pienn/layers.h"
#include "arithmetic.h"

void pienn_prelu_s8_ref(const int8_t *x, int8_t *y, const pienn_prelu_s8_params *p) {
    for (int32_t i = 0; i < p->y.height; i++) {
        for (int32_t j = 0; j < p->y.width; j++) {
            for (int32_t c = 0; c < p->y.channels; c++) {
                const int32_t value = x[pienn_offset(&p->x, i, j, c)] - p->x_zero_point;
                const int32_t product = value >= 0 ? value * (1 << p->left_shift) : value * p->slope[c];
                y[pienn_offset(&p->y, i, j, c)] = saturate8(round_shift(product, p->shift) + p->y_zero_point);
            }
        }
    }
}
