/* softmax_s8
 *
 * formula    per row: E[i] = table[max(x) - x[i]], S = sum(E),
 *            y[i] = min(255, (512 * E[i] + S) / (2 * S)) - 128
 * rounding   half up: the quotient is floor(256 * E / S + 1/2)
 * ranges     1..65535 channels: S < 2^31, 512 * E + S < 2^32; table[0] = 32768, so S > 0
 * alignment  any
 * aliasing   y may be x, with the same stride
 * tail       none: any channels
 */
#include "pienn/layers.h"

void pienn_softmax_s8_ref(const int8_t *x, int8_t *y, const pienn_softmax_s8_params *p) {
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *from = x + row * p->x_row_stride;
        int8_t *to = y + row * p->y_row_stride;
        int32_t maximum = INT8_MIN;
        for (int32_t i = 0; i < p->channels; i++) {
            maximum = from[i] > maximum ? from[i] : maximum;
        }
        uint32_t sum = 0;
        for (int32_t i = 0; i < p->channels; i++) {
            sum += p->table[maximum - from[i]];
        }
        for (int32_t i = 0; i < p->channels; i++) {
            const uint32_t share = (512u * p->table[maximum - from[i]] + sum) / (2u * sum);
            to[i] = (int8_t)((share < 255u ? (int32_t)share : 255) - 128);
        }
    }
}
