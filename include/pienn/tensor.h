/* How PIE-NN lays out tensors in memory.
 *
 * Activations are int8. An image of height x width x channels is addressed through a view:
 *
 *     element(y, x, c) = base + y * row_stride + x * pixel_stride + (c / 16) * block_stride + c % 16
 *
 * One struct so describes
 *   - plain NHWC: pixel_stride = channels, row_stride = width * channels, block_stride = 16;
 *   - a slice of channels: base at the first channel, strides of the whole buffer, block_stride = 16;
 *   - channel blocks [C/16][H][W][16]: pixel_stride = 16, row_stride = width * 16,
 *     block_stride = height * row_stride;
 *   - a buffer with a halo: base at the first pixel inside, strides of the whole buffer; or base at the
 *     halo's corner, height and width with the halo, and no padding in the layer.
 *
 * A tensor that is no image is an image of height 1, or of height 1 and width 1, where it is contiguous.
 *
 * SIMD kernels want bases, and strides between vectors, aligned to PIENN_ALIGNMENT; the reference takes any.
 * They may read (never use, never write) up to PIENN_READ_AHEAD bytes beyond the last element of an operand
 * or of packed weights, so a buffer must be followed by that many bytes of readable memory. Nothing is
 * written outside the elements of the output; of a channel-blocked output with channels that are no multiple
 * of 16, the lanes above the last channel belong to the buffer and may hold anything.
 */
#ifndef PIENN_TENSOR_H
#define PIENN_TENSOR_H

#include <stddef.h>
#include <stdint.h>

/* Freestanding builds have no assert.h. */
#ifdef __cplusplus
#define PIENN_STATIC_ASSERT static_assert
#else
#define PIENN_STATIC_ASSERT _Static_assert
#endif

#define PIENN_LANES 16      /* int8 elements of a vector; output channels of a block of packed weights */
#define PIENN_ALIGNMENT 16  /* bytes: arenas, packed weights, biases, shifts and tables */
#define PIENN_READ_AHEAD 48 /* bytes that may be read beyond an operand */
#define PIENN_RANK 4        /* axes of a tensor that is no image; lower ranks have leading axes of size 1 */

/* An image. Sizes in elements, strides in bytes. */
typedef struct pienn_view {
    int32_t height;       /* >= 1 */
    int32_t width;        /* >= 1 */
    int32_t channels;     /* >= 1 */
    int32_t row_stride;   /* from (y, x, c) to (y + 1, x, c) */
    int32_t pixel_stride; /* from (y, x, c) to (y, x + 1, c) */
    int32_t block_stride; /* from (y, x, c) to (y, x, c + 16); 16 where the channels are contiguous */
} pienn_view;

/* Offset in bytes of element (y, x, c) from the base of the view. */
static inline int32_t pienn_offset(const pienn_view *view, int32_t y, int32_t x, int32_t c) {
    return y * view->row_stride + x * view->pixel_stride + c / PIENN_LANES * view->block_stride +
           c % PIENN_LANES;
}

/* Assembly reads the fields of a struct by offset: `pointers` pointers first, then int32_t words without a
 * gap. This checks that `last` is word number `words` (from 1) and ends the struct, on 32-bit and 64-bit
 * machines. */
#define PIENN_LAYOUT(type, last, pointers, words)                                                            \
    PIENN_STATIC_ASSERT(offsetof(type, last) + sizeof(int32_t) ==                                            \
                                (pointers) * sizeof(void *) + (words) * sizeof(int32_t) &&                   \
                            sizeof(type) < offsetof(type, last) + sizeof(int32_t) + sizeof(void *),          \
                        #type " has a gap or another number of fields")

PIENN_LAYOUT(pienn_view, block_stride, 0, 6);

#endif
