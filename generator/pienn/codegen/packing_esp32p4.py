"""Records that the ESP32-P4's kernels read through `blocks`: weights in the order of the MACs, bias, shifts.

One record per block of 16 outputs; a record stands for itself, so that a call can be given any part of them.

conv2d_s8
    word 0        0: offset of the body (`Conv2dBody`) in the call's list, which has one
    word 1        bytes of the record
    word 2        bytes of one run of input (a kernel row of packed pixels)
    word 3        minus the bytes of streamed weights
    16 int32      folded bias
    4 vectors     weights that stay in registers; bodies without them have the shifts in the fourth
    vectors       the other weights, in order
    1 vector      shifts (bodies with resident weights)

fully_connected_s8
    word 0        bytes of x that are taken 64 at a time
    word 1        bytes of the record
    word 2        bytes of x after those
    16 int32      folded bias, its quarters in the order 0, 2, 1, 3
    1 vector      shifts
    vectors       weights, zero up to a multiple of 16 elements of x


depthwise_conv2d_s8
    word 0        0: offset of the body (`DepthwiseBody`) in the call's list, which has one
    word 1        bytes of the record
    16 int32      folded bias
    1 vector      shifts
    4 vectors     weights that stay in registers
    vectors       the other weights, in order

A weight vector holds the weights of 16 outputs for one input, or one tap.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from pienn.codegen.packing import LANES, Filter

RESIDENT = 4  # vectors
HEAD_BYTES = 16


class Conv2dBody(IntEnum):
    """Bodies of src_asm/esp32p4/conv2d_s8.S."""

    SHORT_8 = 0
    SHORT_16 = 1
    SHORT_32 = 2
    SHORT_64 = 3
    SHORT_8_CLAMPED = 4
    SHORT_16_CLAMPED = 5
    SHORT_24_CLAMPED = 6
    SHORT_32_CLAMPED = 7
    SHORT_64_CLAMPED = 8
    SHORT_128_CLAMPED = 9
    SHORT_8_APART = 10
    SHORT_16_APART = 11
    SHORT_24_APART = 12
    SHORT_32_APART = 13
    SHORT_40_APART = 14
    SHORT_48_APART = 15
    SHORT_72_APART = 16
    NINE_TAPS_16 = 17
    NINE_TAPS_24 = 18
    NINE_TAPS_32 = 19
    LONG_4 = 20
    RUNS_6 = 21
    RUNS_3 = 22
    RUNS_1 = 23
    TAPS_24 = 24
    TAPS_40 = 25
    TAPS_WHOLE = 26
    TAPS_HALF = 27
    TAPS_WHOLE_HALF = 28
    RGB_STEP_3 = 29
    RGB_STEP_6 = 30
    RGB_PAIRS_STEP_6 = 31
    RUNS_OF_4_STEP_2 = 32
    TEN_ROWS_OF_4 = 33


SHORT = {
    8: Conv2dBody.SHORT_8,
    16: Conv2dBody.SHORT_16,
    32: Conv2dBody.SHORT_32,
    64: Conv2dBody.SHORT_64,
}
SHORT_CLAMPED = {
    8: Conv2dBody.SHORT_8_CLAMPED,
    16: Conv2dBody.SHORT_16_CLAMPED,
    24: Conv2dBody.SHORT_24_CLAMPED,
    32: Conv2dBody.SHORT_32_CLAMPED,
    64: Conv2dBody.SHORT_64_CLAMPED,
    128: Conv2dBody.SHORT_128_CLAMPED,
}
SHORT_APART = {lanes: Conv2dBody[f"SHORT_{lanes}_APART"] for lanes in (8, 16, 24, 32, 40, 48, 72)}
TAPS = {24: Conv2dBody.TAPS_24, 40: Conv2dBody.TAPS_40}
NINE_TAPS = {16: Conv2dBody.NINE_TAPS_16, 24: Conv2dBody.NINE_TAPS_24, 32: Conv2dBody.NINE_TAPS_32}
# Bodies that count all lanes of a pixel's last vector; the others count 8 where the rest is fill.
WHOLE_VECTORS = (
    Conv2dBody.NINE_TAPS_16,
    Conv2dBody.LONG_4,
    Conv2dBody.RUNS_6,
    Conv2dBody.RUNS_3,
    Conv2dBody.RUNS_1,
    Conv2dBody.TAPS_WHOLE,
)
FOUR_RESIDENT = (
    Conv2dBody.SHORT_64,
    Conv2dBody.SHORT_64_CLAMPED,
    Conv2dBody.SHORT_128_CLAMPED,
    Conv2dBody.NINE_TAPS_32,
)
TWO_RESIDENT = (
    Conv2dBody.RGB_STEP_3,
    Conv2dBody.RGB_STEP_6,
    Conv2dBody.RGB_PAIRS_STEP_6,
    Conv2dBody.TEN_ROWS_OF_4,
)
PAIRED_OUTPUTS = LANES // 2
"""Of a body that computes two pixels at once."""


@dataclass(frozen=True)
class Layout:
    """What of the call's memory and window the choice of a body depends on."""

    x_pixel_stride: int  # bytes
    stride_x: int = 1
    dilation_x: int = 1
    clamped: bool = True  # minimum > -128 or maximum < 127
    outputs: int = LANES


def rounded_up(channels: int, unit: int) -> int:
    return -(-channels // unit) * unit


def choose_body(kernel: tuple[int, int], channels: int, layout: Layout) -> Conv2dBody:
    """The fastest body for these taps and channels of input. Pixels that are no whole vectors are for
    `choose_first_body`, or stand alone."""
    first = choose_first_body(kernel, channels, layout)
    if first is not None:
        return first
    padded = rounded_up(channels, LANES)
    lanes = rounded_up(channels, LANES // 2)
    dense = layout.x_pixel_stride == padded and layout.dilation_x == 1
    if kernel == (1, 1) and layout.stride_x == 1 and dense and lanes in SHORT_CLAMPED:
        return SHORT[lanes] if lanes in SHORT and not layout.clamped else SHORT_CLAMPED[lanes]
    if kernel == (1, 1) and lanes in SHORT_APART:
        return SHORT_APART[lanes]
    if kernel == (3, 3) and dense and lanes in NINE_TAPS:
        return NINE_TAPS[lanes]
    groups = kernel[1] * padded // LANES
    if lanes != padded or not (dense or kernel[1] == 1):
        if lanes in TAPS:
            return TAPS[lanes]
        whole, half = lanes >= LANES, lanes % LANES > 0
        return Conv2dBody.TAPS_WHOLE if not half else Conv2dBody(Conv2dBody.TAPS_HALF + whole)
    if kernel == (1, 1) and groups % 4 == 0:
        return Conv2dBody.LONG_4
    for size, body in ((6, Conv2dBody.RUNS_6), (3, Conv2dBody.RUNS_3)):
        if groups % size == 0:
            return body
    return Conv2dBody.RUNS_1


def choose_first_body(kernel: tuple[int, int], channels: int, layout: Layout) -> Conv2dBody | None:
    """The body for a first layer whose pixels are packed without gaps; None where there is none."""
    if layout.x_pixel_stride != channels or layout.dilation_x != 1:
        return None
    run, step = kernel[1] * channels, layout.stride_x * channels
    if kernel == (3, 3) and channels == 3 and layout.stride_x in (1, 2):
        if layout.stride_x == 2 and layout.outputs <= PAIRED_OUTPUTS:
            return Conv2dBody.RGB_PAIRS_STEP_6
        return Conv2dBody.RGB_STEP_3 if layout.stride_x == 1 else Conv2dBody.RGB_STEP_6
    if (run, step) == (4, 2) and kernel[0] % 2 == 0:
        return Conv2dBody.TEN_ROWS_OF_4 if kernel[0] == 10 else Conv2dBody.RUNS_OF_4_STEP_2
    return None


def conv2d_blocks(packed: Filter, body: Conv2dBody, kernel: tuple[int, int], channels: int) -> np.ndarray:
    """All records as uint8; `packed.weights` is `[blocks, kh, kw, channels, 16]` as packing.filter_of makes it."""
    if body == Conv2dBody.RGB_PAIRS_STEP_6:
        packed, channels = _of_pairs(packed, 2 * channels), 1  # bytes
    is_packed = body >= Conv2dBody.RGB_STEP_3
    lanes = channels if is_packed else rounded_up(channels, LANES if body in WHOLE_VECTORS else LANES // 2)
    blocks = packed.weights.shape[0]
    weights = packed.weights.reshape(blocks, -1, channels, LANES)
    weights = np.pad(weights, ((0, 0), (0, 0), (0, lanes - channels), (0, 0))).reshape(blocks, -1, LANES)
    resident, streamed = order_of_weights(body, weights.shape[1])
    run = kernel[1] * rounded_up(channels, LANES)
    if body >= Conv2dBody.TAPS_24:
        run = 0 if is_packed else lanes // LANES * LANES
    return records(packed, weights, run, resident, streamed)


def _of_pairs(packed: Filter, step: int) -> Filter:
    """The filter of two pixels `step` bytes apart: their runs side by side, each for half of the lanes; one block."""
    height = packed.weights.shape[1]
    taps = packed.weights.reshape(height, -1, LANES)[:, :, :PAIRED_OUTPUTS]
    run = taps.shape[1]
    weights = np.zeros((1, height, run + step, 1, LANES), np.int8)
    weights[0, :, :run, 0, :PAIRED_OUTPUTS] = taps
    weights[0, :, step:, 0, PAIRED_OUTPUTS:] = taps
    return Filter(weights, *(np.tile(array[:PAIRED_OUTPUTS], 2) for array in (packed.bias, packed.shift)))


def order_of_weights(body: Conv2dBody, count: int) -> tuple[list[int], list[int]]:
    """Which weight vectors stay in registers, and the others in the order in which a body uses them."""
    last: list[int] = []
    if body == Conv2dBody.NINE_TAPS_16:
        resident = [0, 1, 2 * LANES + 4, 3 * LANES + 4]
        last = [7 * LANES + 15]  # so that both input registers are free for the next pixel
    elif body in FOUR_RESIDENT:
        resident = [0, 1, LANES + 4, 2 * LANES + 4]
    elif body == Conv2dBody.NINE_TAPS_24:
        resident = [0, 1, LANES + 4, LANES + 8 + 4]
    elif body <= Conv2dBody.SHORT_72_APART or body in TWO_RESIDENT:
        resident = [0, 1]
    else:
        resident = []
    return resident, [i for i in range(count) if i not in resident and i not in last] + last


def records(
    packed: Filter, weights: np.ndarray, run: int, resident: list[int], streamed: list[int]
) -> np.ndarray:
    """Records of blocks with weight vectors `weights` int8 `[blocks, count, 16]`."""
    blocks = weights.shape[0]
    shifts = packed.shift.view(np.int8).reshape(blocks, 1, LANES)
    kept = np.zeros((blocks, RESIDENT, LANES), np.int8)
    kept[:, : len(resident)] = weights[:, resident]
    if not resident:
        kept[:, RESIDENT - 1 :] = shifts
    stream = weights[:, streamed]
    bias = packed.bias.reshape(blocks, LANES).view(np.int8).reshape(blocks, 4, LANES)
    parts = [bias, kept, stream, shifts] if resident else [bias, kept, stream]
    vectors = np.concatenate(parts, axis=1)
    size = HEAD_BYTES + vectors.shape[1] * LANES
    return with_heads(vectors, (0, size, run, -stream.shape[1] * LANES))


def fully_connected_blocks(packed: Filter, depth: int) -> np.ndarray:
    """All records as uint8; `packed.weights` is `[blocks, depth, 16]` as packing.filter_of makes it."""
    blocks = packed.weights.shape[0]
    padded = rounded_up(depth, LANES)
    weights = np.pad(packed.weights, ((0, 0), (0, padded - depth), (0, 0)))
    shifts = packed.shift.view(np.int8).reshape(blocks, 1, LANES)
    bias = packed.bias.reshape(blocks, 4, 4)[:, [0, 2, 1, 3]].copy().view(np.int8).reshape(blocks, 4, LANES)
    vectors = np.concatenate([bias, shifts, weights], axis=1)
    by_four = padded // (4 * LANES) * 4 * LANES
    return with_heads(vectors, (by_four, HEAD_BYTES + vectors.shape[1] * LANES, padded - by_four, 0))


def with_heads(vectors: np.ndarray, head: tuple[int, int, int, int]) -> np.ndarray:
    """The four words before the vectors of every block, int8 `[blocks, vectors, 16]`; uint8."""
    blocks = vectors.shape[0]
    heads = np.broadcast_to(np.array(head, np.int32), (blocks, 4)).copy().view(np.uint8)
    return np.concatenate([heads, vectors.reshape(blocks, -1).view(np.uint8)], axis=1).reshape(-1)


class DepthwiseBody(IntEnum):
    """Bodies of src_asm/esp32p4/depthwise_conv2d_s8.S."""

    STRIDE_1 = 0
    STRIDE_1_CLAMPED = 1
    STRIDE_2 = 2
    STRIDE_2_CLAMPED = 3
    TWENTY_FIVE_TAPS = 4
    TWENTY_FIVE_TAPS_CLAMPED = 5
    ANY_TAPS = 6


# Taps, row by row, whose weights stay in registers, and the others in the order in which a body streams them.
_DEPTHWISE_ORDER = {
    DepthwiseBody.STRIDE_1: ([0, 1, 6, 7], [2, 3, 4, 5, 8]),
    DepthwiseBody.STRIDE_2: ([3, 0, 6, 5], [2, 1, 4, 7, 8]),
    DepthwiseBody.TWENTY_FIVE_TAPS: ([0, 1, 4, 23], [2, 3, *range(5, 23), 24]),
}


def choose_depthwise_body(kernel: tuple[int, int], layout: Layout, dilation_y: int = 1) -> DepthwiseBody:
    """The fastest body for this window."""
    dense = layout.dilation_x == 1 and dilation_y == 1
    if kernel == (3, 3) and dense and layout.stride_x in (1, 2):
        body = DepthwiseBody.STRIDE_1 if layout.stride_x == 1 else DepthwiseBody.STRIDE_2
    elif kernel == (5, 5):
        body = DepthwiseBody.TWENTY_FIVE_TAPS
    else:
        return DepthwiseBody.ANY_TAPS
    return DepthwiseBody(body + layout.clamped)


def depthwise_blocks(packed: Filter, body: DepthwiseBody) -> np.ndarray:
    """All records as uint8; `packed.weights` is `[blocks, kh, kw, 16]` as packing.filter_of makes it."""
    blocks = packed.weights.shape[0]
    weights = packed.weights.reshape(blocks, -1, LANES)
    if body == DepthwiseBody.ANY_TAPS:
        resident, streamed = [], list(range(weights.shape[1]))
    else:
        resident, streamed = _DEPTHWISE_ORDER[DepthwiseBody(body // 2 * 2)]
    kept = np.zeros((blocks, RESIDENT, LANES), np.int8)
    kept[:, : len(resident)] = weights[:, resident]
    shifts = packed.shift.view(np.int8).reshape(blocks, 1, LANES)
    bias = packed.bias.reshape(blocks, LANES).view(np.int8).reshape(blocks, 4, LANES)
    vectors = np.concatenate([bias, shifts, kept, weights[:, streamed]], axis=1)
    return with_heads(vectors, (0, HEAD_BYTES + vectors.shape[1] * LANES, 0, 0))
