/* sub_s8
 *
 * formula    y = clamp(sat8(round(A - B, shift) + y_zero_point)) for every element of the box,
 *            A = (a - a_zero_point) << a_shift, B = (b - b_zero_point) << b_shift
 * rounding   half up
 * ranges     a_shift, b_shift 0..15; shift 0..31; nothing leaves int32
 * alignment  any
 * aliasing   y may be a or b, with the same strides
 * tail       none: any shape; a stride of 0 repeats an operand
 */
#include "pienn/layers.h"
#include "arithmetic.h"

void pienn_sub_s8_ref(const int8_t *a, const int8_t *b, int8_t *y, const pienn_sub_s8_params *p) {
    const int32_t *s = p->a_strides, *t = p->b_strides, *u = p->y_strides;

    for (int32_t i = 0; i < p->shape[0]; i++) {
        for (int32_t j = 0; j < p->shape[1]; j++) {
            for (int32_t k = 0; k < p->shape[2]; k++) {
                for (int32_t l = 0; l < p->shape[3]; l++) {
                    const int32_t left = a[i * s[0] + j * s[1] + k * s[2] + l * s[3]] - p->a_zero_point;
                    const int32_t right = b[i * t[0] + j * t[1] + k * t[2] + l * t[3]] - p->b_zero_point;
                    const int32_t difference = left * (1 << p->a_shift) - right * (1 << p->b_shift);
                    const int8_t result = saturate8(round_shift(difference, p->shift) + p->y_zero_point);
                    y[i * u[0] + j * u[1] + k * u[2] + l * u[3]] =
                        (int8_t)clamp(result, p->minimum, p->maximum);
                }
            }
        }
    }
}
