/* lut_s8
 *
 * formula    y = table[x + 128]
 * rounding   in the table
 * ranges     x -128..127
 * alignment  any
 * aliasing   y may be x, with the same strides
 * tail       none: any channels
 */
#include "pienn/layers.h"

void pienn_lut_s8_ref(const int8_t *x, int8_t *y, const pienn_lut_s8_params *p) {
    for (int32_t i = 0; i < p->y.height; i++) {
        for (int32_t j = 0; j < p->y.width; j++) {
            for (int32_t c = 0; c < p->y.channels; c++) {
                y[pienn_offset(&p->y, i, j, c)] = p->table[x[pienn_offset(&p->x, i, j, c)] + 128];
            }
        }
    }
}
