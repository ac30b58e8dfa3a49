/* resize_nearest_s8
 *
 * formula    y(i, j, c) = x(rows[i], columns[j], c)
 * rounding   none
 * ranges     rows[i] 0..x.height - 1, columns[j] 0..x.width - 1
 * alignment  any
 * aliasing   y overlaps nothing
 * tail       none: any channels
 */
#include "pienn/layers.h"

void pienn_resize_nearest_s8_ref(const int8_t *x, int8_t *y, const pienn_resize_nearest_s8_params *p) {
    for (int32_t i = 0; i < p->y.height; i++) {
        for (int32_t j = 0; j < p->y.width; j++) {
            for (int32_t c = 0; c < p->y.channels; c++) {
                y[pienn_offset(&p->y, i, j, c)] = x[pienn_offset(&p->x, p->rows[i], p->columns[j], c)];
            }
        }
    }
}
