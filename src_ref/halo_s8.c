/* halo_s8
 *
 * formula    every byte of y before, between and behind the rows of the image = value
 * rounding   none
 * ranges     value -128..127
 * alignment  any
 * aliasing   x is not read
 * tail       none: any sizes
 */
#include "pienn/layers.h"

void pienn_halo_s8_ref(const int8_t *x, int8_t *y, const pienn_halo_s8_params *p) {
    (void)x;
    for (int32_t i = 0; i < p->before; i++) {
        *y++ = (int8_t)p->value;
    }
    y += p->row;
    for (int32_t gap = 0; gap < p->gaps; gap++) {
        for (int32_t i = 0; i < p->gap; i++) {
            *y++ = (int8_t)p->value;
        }
        y += p->row;
    }
    for (int32_t i = 0; i < p->after; i++) {
        *y++ = (int8_t)p->value;
    }
}
