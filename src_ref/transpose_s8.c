/* transpose_s8
 *
 * formula    y[index[permutation[0]]]...[index[permutation[3]]] = x[index[0]]...[index[3]]
 * rounding   none
 * ranges     permutation of 0..3
 * alignment  any
 * aliasing   y overlaps nothing
 * tail       none: any shape
 */
#include "pienn/layers.h"

void pienn_transpose_s8_ref(const int8_t *x, int8_t *y, const pienn_transpose_s8_params *p) {
    const int32_t *s = p->x_strides;
    int32_t t[PIENN_RANK]; /* strides of y by axis of x */
    for (int32_t axis = 0; axis < PIENN_RANK; axis++) {
        t[p->permutation[axis]] = p->y_strides[axis];
    }

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
