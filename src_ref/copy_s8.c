/* copy_s8
 *
 * formula    y[i][j][k][l] = x[i][j][k][l]
 * rounding   none
 * ranges     none
 * alignment  any
 * aliasing   y overlaps nothing
 * tail       none: any shape
 */
#include "pienn/layers.h"

void pienn_copy_s8_ref(const int8_t *x, int8_t *y, const pienn_copy_s8_params *p) {
    const int32_t *s = p->x_strides, *t = p->y_strides;

    for (int32_t i = 0; i < p->shape[0]; i++) {
        for (int32_t j = 0; j < p->shape[1]; j++) {
            for (int32_t k = 0; k < p->shape[2]; k++) {
                for (int32_t l = 0; l < p->shape[3]; l++) {
                    y[i * t[0] + j * t[1] + k * t[2] + l * t[3]] =
                        x[i * s[0] + j * s[1] + k * s[2] + l * s[3]];
                }
            }
        }
    }
}
