"""Exact sums of products, as fast as BLAS goes.

A float32 product of matrices is exact while every partial sum, in any order, stays below 2**24, a float64
product while it stays below 2**53.  The bound is proven from the actual weights each time; no tensor that the
verifier admits reaches 2**53.  Activations come as X = x - zero_point, batch axis first, accumulators leave as
int32 without the bias: they may wrap there, adding the bias then wraps back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pienn.ir import bounds

COLUMN_BYTES = 1 << 26
"""Images are taken together as long as their unfolded windows stay below this."""


def exact_float(largest_sum: int) -> type[np.floating]:
    """The float type whose sums are exact up to this magnitude."""
    if largest_sum < 1 << 24:
        return np.float32
    assert largest_sum < 1 << 53
    return np.float64


def to_int32(exact: np.ndarray) -> np.ndarray:
    """Integers in a float array as int32, modulo 2**32."""
    return exact.astype(np.int32) if exact.dtype == np.float32 else exact.astype(np.int64).astype(np.int32)


def matrix_product(x: np.ndarray, weight: np.ndarray, zero_point: int) -> np.ndarray:
    """X [P, K] times weight [N, K] transposed, int32 [P, N]."""
    kind = exact_float(bounds.largest_partial_sum(weight, zero_point))
    return to_int32(x.astype(kind) @ weight.astype(kind).T)


def activation_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A [..., M, K] times B [..., K, N], int32."""
    kind = exact_float(a.shape[-1] * 255 * 255)
    return to_int32(a.astype(kind) @ b.astype(kind))


def convolution(
    x: np.ndarray,
    weight: np.ndarray,
    zero_point: int,
    strides: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    size: Sequence[int],
) -> np.ndarray:
    """X int16 [B, H, W, I] by weight [O, kh, kw, I/groups], int32 [B, *size, O]."""
    outputs, kernel_height, kernel_width, depth = weight.shape
    x = window_rows(x, (kernel_height, kernel_width), strides, padding, dilation, size, 0)
    if depth == 1:
        return _depthwise(x, weight, strides, dilation, groups, size)
    kind = exact_float(bounds.largest_partial_sum(weight, zero_point))
    matrices = weight.reshape(groups, outputs // groups, -1).astype(kind).transpose(0, 2, 1)
    result = np.empty((x.shape[0], *size, outputs), np.int32)
    per_image = size[0] * size[1] * kernel_height * kernel_width * x.shape[-1] * np.dtype(kind).itemsize
    step = max(1, COLUMN_BYTES // per_image)
    for start in range(0, x.shape[0], step):
        columns = _columns(x[start : start + step].astype(kind), weight.shape, strides, dilation, groups)
        result[start : start + step] = _grouped(columns, matrices).reshape(-1, *size, outputs)
    return result


def transposed_convolution(
    x: np.ndarray,
    weight: np.ndarray,
    zero_point: int,
    strides: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    size: Sequence[int],
) -> np.ndarray:
    """X int16 [B, H, W, I] by weight [O, kh, kw, I/groups], int32 [B, *size, O]."""
    batch, height, width, _ = x.shape
    outputs, kernel_height, kernel_width, depth = weight.shape
    kind = exact_float(bounds.largest_partial_sum(weight, zero_point))
    rows = x.reshape(-1, groups, depth).astype(kind).transpose(1, 0, 2)
    extent = [
        max(before + out, (count - 1) * stride + spread * (kernel - 1) + 1)
        for before, out, count, stride, spread, kernel in zip(
            padding[:2], size, (height, width), strides, dilation, (kernel_height, kernel_width)
        )
    ]
    canvas = np.zeros((batch, *extent, outputs), np.int32)
    for row, column in np.ndindex(kernel_height, kernel_width):
        matrix = (
            weight[:, row, column].reshape(groups, outputs // groups, depth).astype(kind).transpose(0, 2, 1)
        )
        top, left = row * dilation[0], column * dilation[1]
        canvas[
            :,
            top : top + (height - 1) * strides[0] + 1 : strides[0],
            left : left + (width - 1) * strides[1] + 1 : strides[1],
        ] += _grouped(rows, matrix).reshape(batch, height, width, outputs)
    return canvas[:, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]


def window_rows(
    x: np.ndarray,
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    size: Sequence[int],
    value: int,
) -> np.ndarray:
    """x [B, H, W, C] padded with `value`, or cut, to the rows and columns that `size` windows cover."""
    widths = [(0, 0)]
    for axis in (0, 1):
        covered = (size[axis] - 1) * strides[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        widths.append((padding[axis], max(0, covered - padding[axis] - x.shape[axis + 1])))
        kept = covered - padding[axis]
        x = x[(slice(None),) * (axis + 1) + (slice(max(0, kept)),)]
        if kept < 0:
            widths[-1] = (covered, 0)
    widths.append((0, 0))
    return np.pad(x, widths, constant_values=value) if any(map(any, widths)) else x


def taps(kernel: int, stride: int, dilation: int, size: int) -> Iterator[slice]:
    """For each element of a window along one axis, the positions it takes in all `size` windows."""
    for tap in range(kernel):
        yield slice(tap * dilation, tap * dilation + (size - 1) * stride + 1, stride)


def _depthwise(
    x: np.ndarray,
    weight: np.ndarray,
    strides: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    size: Sequence[int],
) -> np.ndarray:
    """Groups of one input channel; x padded, X int16 [B, ., ., I]."""
    outputs, kernel_height, kernel_width, _ = weight.shape
    x = np.repeat(x, outputs // groups, axis=-1) if outputs != groups else x
    result = np.zeros((x.shape[0], *size, outputs), np.int32)
    product = np.empty_like(result)
    for row, rows in enumerate(taps(kernel_height, strides[0], dilation[0], size[0])):
        for column, columns in enumerate(taps(kernel_width, strides[1], dilation[1], size[1])):
            np.multiply(x[:, rows, columns], weight[:, row, column, 0].astype(np.int32), out=product)
            result += product
    return result


def _columns(
    x: np.ndarray, weight_shape: Sequence[int], strides: Sequence[int], dilation: Sequence[int], groups: int
) -> np.ndarray:
    """Windows of the padded x, unfolded: [groups, windows, kh * kw * I/groups]."""
    _, kernel_height, kernel_width, depth = weight_shape
    if kernel_height == kernel_width == 1:
        return x[:, :: strides[0], :: strides[1]].reshape(-1, groups, depth).transpose(1, 0, 2)
    extent = (dilation[0] * (kernel_height - 1) + 1, dilation[1] * (kernel_width - 1) + 1)
    windows = sliding_window_view(x, extent, axis=(1, 2))
    windows = windows[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]
    batch, rows, columns = windows.shape[:3]
    split = windows.reshape(batch, rows, columns, groups, depth, kernel_height, kernel_width)
    return split.transpose(3, 0, 1, 2, 5, 6, 4).reshape(groups, batch * rows * columns, -1)


def _grouped(columns: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """columns [groups, P, K] times matrices [groups, K, N], int32 [P, groups * N]."""
    if columns.shape[0] == 1:
        return to_int32(columns[0] @ matrices[0])
    product = to_int32(columns @ matrices)
    return product.transpose(1, 0, 2).reshape(columns.shape[1], -1)
