/* resize_bilinear_s8
 *
 * formula    y(i, j, c) = sat8(round(sum over the four neighbours of X * row weight * column weight, shift) +
 *            y_zero_point), X = x - x_zero_point; rows rows[i] and the next one inside x, weights
 *            64 - row_weights[i] and row_weights[i]; columns alike
 * rounding   half up, once
 * ranges     weights 0..64; shift 0..31; nothing leaves int32
 * alignment  any
 * aliasing   y overlaps nothing
 * tail       none: any channels
 */
#include "pienn/layers.h"
#include "arithmetic.h"

void pienn_resize_bilinear_s8_ref(const int8_t *x, int8_t *y, const pienn_resize_bilinear_s8_params *p) {
    for (int32_t i = 0; i < p->y.height; i++) {
        const int32_t above = p->rows[i];
        const int32_t below = above + 1 < p->x.height ? above + 1 : above;
        const int32_t down = p->row_weights[i];
        for (int32_t j = 0; j < p->y.width; j++) {
            const int32_t left = p->columns[j];
            const int32_t right = left + 1 < p->x.width ? left + 1 : left;
            const int32_t across = p->column_weights[j];
            for (int32_t c = 0; c < p->y.channels; c++) {
                const int32_t upper =
                    (x[pienn_offset(&p->x, above, left, c)] - p->x_zero_point) * (64 - across) +
                    (x[pienn_offset(&p->x, above, right, c)] - p->x_zero_point) * across;
                const int32_t lower =
                    (x[pienn_offset(&p->x, below, left, c)] - p->x_zero_point) * (64 - across) +
                    (x[pienn_offset(&p->x, below, right, c)] - p->x_zero_point) * across;
                const int32_t sum = upper * (64 - down) + lower * down;
                y[pienn_offset(&p->y, i, j, c)] = saturate8(round_shift(sum, p->shift) + p->y_zero_point);
            }
        }
    }
}
