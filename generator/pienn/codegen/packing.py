"""Constants as the kernels read them: the one place that knows the packed layouts of `pienn/layers.h`.

Every function takes constants and encodings of an op as `docs/SPEC.md` names them and returns arrays or
numbers for fields of the parameter structs. Blocks have 16 output channels, the lanes of a vector; what
fills up the last block is zero, but for shifts, which repeat the last channel's so that a block with one
shift stays one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pienn.errors import PiennError
from pienn.ir.dialect import Encoding

LANES = 16


@dataclass(frozen=True)
class Filter:
    """Fields `weights`, `bias`, `shift` of a convolution or a fully connected layer."""

    weights: np.ndarray  # int8, blocks of 16 outputs innermost
    bias: np.ndarray  # int32 [ceil16(outputs)], folded
    shift: np.ndarray  # uint8 [ceil16(outputs)]


def padded(channels: int) -> int:
    """Channels rounded up to whole blocks."""
    return -(-channels // LANES) * LANES


def fill_block(array: np.ndarray) -> np.ndarray:
    """Zeros behind the last element of the first axis up to a whole block."""
    missing = padded(array.shape[0]) - array.shape[0]
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])


def block_weights(weight: np.ndarray) -> np.ndarray:
    """`[O, ...]` to `[ceil(O/16), ..., 16]`: conv2d, conv_transpose2d and fully_connected alike."""
    filled = fill_block(weight)
    blocks = filled.reshape(-1, LANES, *weight.shape[1:])
    return np.ascontiguousarray(np.moveaxis(blocks, 1, -1))


def shifts(weight_exponents: np.ndarray, x: Encoding, y: Encoding) -> np.ndarray:
    """Right shift per output channel, uint8 `[ceil16(O)]`."""
    shift = y.exponent - x.exponent - np.asarray(weight_exponents, np.int64)
    if shift.min() < 0 or shift.max() > 31:
        raise PiennError(
            f"shifts {shift.min()}..{shift.max()} are not in 0..31: move the exponent of the result"
        )
    return np.pad(shift, (0, padded(len(shift)) - len(shift)), mode="edge").astype(np.uint8)


def rounding(shift: np.ndarray) -> np.ndarray:
    """Half of what the shift drops; int64."""
    return (np.int64(1) << shift.astype(np.int64)) >> 1


def folded_bias(
    weight: np.ndarray, bias: np.ndarray, shift: np.ndarray, x: Encoding, y: Encoding
) -> np.ndarray:
    """bias - z_x * sum(weights) + rounding + z_y * 2^shift, int32 `[ceil16(O)]`; `shift` from `shifts`."""
    outputs = len(bias)
    used = shift[:outputs].astype(np.int64)
    sums = weight.reshape(outputs, -1).sum(axis=1, dtype=np.int64)
    folded = bias.astype(np.int64) - x.zero_point * sums + rounding(used) + (np.int64(y.zero_point) << used)
    worst = int(np.argmax(np.abs(folded)))
    if not -(2**31) <= folded[worst] < 2**31:
        raise PiennError(
            f"output channel {worst}: bias, rounding and zero point sum to {folded[worst]}, beyond 32 bits: "
            "raise the exponent of the channel's weights"
        )
    return fill_block(folded.astype(np.int32))


def filter_of(
    weight: np.ndarray,
    bias: np.ndarray,
    weight_exponents: np.ndarray,
    x: Encoding,
    y: Encoding,
    depthwise: bool = False,
) -> Filter:
    """Weight int8 `[O, kh, kw, I/groups]` or `[O, K]`, bias int32 `[O]`; depthwise drops the last axis, 1."""
    shift = shifts(weight_exponents, x, y)
    taps = weight[..., 0] if depthwise else weight
    return Filter(block_weights(taps), folded_bias(weight, bias, shift, x, y), shift)


def addition_shifts(a: Encoding, b: Encoding, y: Encoding) -> tuple[int, int, int]:
    """Fields `a_shift`, `b_shift`, `shift` of add_s8 and sub_s8."""
    finest = min(a.exponent, b.exponent)
    return a.exponent - finest, b.exponent - finest, y.exponent - finest


def requantize_shifts(x: Encoding, y: Encoding) -> tuple[int, int]:
    """Fields `left_shift`, `shift` of requantize_s8."""
    difference = y.exponent - x.exponent
    return max(-difference, 0), max(difference, 0)


def nearest_indices(size: int, result: int) -> np.ndarray:
    """Rows or columns that resize_nearest reads without tables in the op: floor(i * size / result), int32."""
    return (np.arange(result, dtype=np.int64) * size // result).astype(np.int32)
