/* requantize_s8
 *
 * formula    y = clamp(sat8(round((x - x_zero_point) << left_shift, shift) + y_zero_point))
 * rounding   half up
 * ranges     left_shift 0..15, shift 0..31, one of them 0; nothing leaves int32
 * alignment  any
 * aliasing   y may be x, with the same strides
 * tail       none: any channels
 */
#include "pienn/layers.h"
#include "arithmetic.h"

void pienn_requantize_s8_ref(const int8_t *x, int8_t *y, const pienn_requantize_s8_params *p) {
    for (int32_t i = 0; i < p->y.height; i++) {
        for (int32_t j = 0; j < p->y.width; j++) {
            for (int32_t c = 0; c < p->y.channels; c++) {
                const int32_t value = x[pienn_offset(&p->x, i, j, c)] - p->x_zero_point;
                const int32_t scaled = round_shift(value * (1 << p->left_shift), p->shift);
                y[pienn_offset(&p->y, i, j, c)] =
                    (int8_t)clamp(saturate8(scaled + p->y_zero_point), p->minimum, p->maximum);
            }
        }
    }
}
