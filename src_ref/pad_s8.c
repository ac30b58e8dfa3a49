/* pad_s8
 *
 * formula    y[i][j][k][l] = x[i - low[0]][j - low[1]][k - low[2]][l - low[3]] where x has it, else value
 * rounding   none
 * ranges     value -128..127
 * alignment  any
 * aliasing   y overlaps nothing
 * tail       none: any shape
 */
#include "pienn/layers.h"

static int inside(int32_t index, const pienn_pad_s8_params *p, int32_t axis) {
    return index >= p->low[axis] && index < p->low[axis] + p->shape[axis];
}

void pienn_pad_s8_ref(const int8_t *x, int8_t *y, const pienn_pad_s8_params *p) {
    const int32_t *s = p->x_strides, *t = p->y_strides, *low = p->low;
    int32_t size[PIENN_RANK];
    for (int32_t axis = 0; axis < PIENN_RANK; axis++) {
        size[axis] = low[axis] + p->shape[axis] + p->high[axis];
    }

    for (int32_t i = 0; i < size[0]; i++) {
        for (int32_t j = 0; j < size[1]; j++) {
            for (int32_t k = 0; k < size[2]; k++) {
                for (int32_t l = 0; l < size[3]; l++) {
                    int8_t value = (int8_t)p->value;
                    if (inside(i, p, 0) && inside(j, p, 1) && inside(k, p, 2) && inside(l, p, 3)) {
                        value = x[(i - low[0]) * s[0] + (j - low[1]) * s[1] + (k - low[2]) * s[2] +
                                  (l - low[3]) * s[3]];
                    }
                    y[i * t[0] + j * t[1] + k * t[2] + l * t[3]] = value;
                }
            }
        }
    }
}
