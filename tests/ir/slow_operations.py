"""The operations of docs/SPEC.md as nested loops over Python integers: slow, and obvious.

Functions take stored values as nested numpy arrays without batch axis, encodings as (exponent, zero point), and
share no code with the interpreter.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np

Encoding = tuple[int, int]


def sat8(value: int) -> int:
    return min(max(value, -128), 127)


def requantize(acc: int, s: int, z: int, minimum: int = -128, maximum: int = 127) -> int:
    assert 0 <= s <= 31
    r = 2 ** (s - 1) if s > 0 else 0
    assert -(2**31) <= acc <= acc + r < 2**31
    return min(max(sat8(floor(Fraction(acc + r, 2**s)) + z), minimum), maximum)


def fill(shape: Any, function: Any) -> np.ndarray:
    """An int8 array from a function of the index."""
    y = np.zeros(shape, np.int8)
    for index in itertools.product(*map(range, shape)):
        y[index] = function(*index)
    return y


def conv2d(x, weight, bias, ex: Encoding, ey: Encoding, shape, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    outputs, kernel_height, kernel_width, depth = weight.shape
    top, left = p["padding"][:2]

    def pixel(i: int, j: int, o: int) -> int:
        acc = int(bias[o])
        first = o // (outputs // p["groups"]) * depth
        for ky, kx, c in itertools.product(range(kernel_height), range(kernel_width), range(depth)):
            row = i * p["strides"][0] + ky * p["dilation"][0] - top
            column = j * p["strides"][1] + kx * p["dilation"][1] - left
            if 0 <= row < x.shape[0] and 0 <= column < x.shape[1]:
                acc += (int(x[row, column, first + c]) - ex[1]) * int(weight[o, ky, kx, c])
        s = ey[0] - ex[0] - p["weight_exponents"][o]
        return requantize(acc, s, ey[1], p["minimum"], p["maximum"])

    return fill(shape, pixel)


def conv_transpose2d(x, weight, bias, ex: Encoding, ey: Encoding, shape, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    outputs, kernel_height, kernel_width, depth = weight.shape
    acc = np.zeros(shape, object) + [int(b) for b in bias]
    for iy, ix, ky, kx in itertools.product(
        range(x.shape[0]), range(x.shape[1]), range(kernel_height), range(kernel_width)
    ):
        row = iy * p["strides"][0] + ky * p["dilation"][0] - p["padding"][0]
        column = ix * p["strides"][1] + kx * p["dilation"][1] - p["padding"][1]
        if not (0 <= row < shape[0] and 0 <= column < shape[1]):
            continue
        for o, c in itertools.product(range(outputs), range(depth)):
            channel = o // (outputs // p["groups"]) * depth + c
            acc[row, column, o] += (int(x[iy, ix, channel]) - ex[1]) * int(weight[o, ky, kx, c])
    return fill(
        shape,
        lambda i, j, o: requantize(
            acc[i, j, o], ey[0] - ex[0] - p["weight_exponents"][o], ey[1], p["minimum"], p["maximum"]
        ),
    )


def fully_connected(x, weight, bias, ex: Encoding, ey: Encoding, shape, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    def element(*index: int) -> int:
        *lead, o = index
        acc = int(bias[o])
        for k in range(weight.shape[1]):
            acc += (int(x[(*lead, k)]) - ex[1]) * int(weight[o, k])
        return requantize(acc, ey[0] - ex[0] - p["weight_exponents"][o], ey[1], p["minimum"], p["maximum"])

    return fill(shape, element)


def matmul(a, b, ea: Encoding, eb: Encoding, ey: Encoding, shape, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    def element(*index: int) -> int:
        *lead, m, n = index
        acc = 0
        for k in range(a.shape[-1]):
            other = b[(*lead, n, k)] if p["transpose_b"] else b[(*lead, k, n)]
            acc += (int(a[(*lead, m, k)]) - ea[1]) * (int(other) - eb[1])
        return requantize(acc, ey[0] - ea[0] - eb[0], ey[1], p["minimum"], p["maximum"])

    return fill(shape, element)


def _at(array: np.ndarray, index: tuple[int, ...]) -> int:
    """An element of an array that broadcasts."""
    own = index[len(index) - array.ndim :]
    return int(array[tuple(0 if size == 1 else i for size, i in zip(array.shape, own))])


def binary(kind: str, a, b, ea: Encoding, eb: Encoding, ey: Encoding, shape, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    def element(*index: int) -> int:
        left, right = _at(a, index) - ea[1], _at(b, index) - eb[1]
        if kind == "mul":
            return requantize(left * right, ey[0] - ea[0] - eb[0], ey[1], p["minimum"], p["maximum"])
        m = min(ea[0], eb[0])
        left, right = left * 2 ** (ea[0] - m), right * 2 ** (eb[0] - m)
        acc = left + right if kind == "add" else left - right
        return requantize(acc, ey[0] - m, ey[1], p["minimum"], p["maximum"])

    return fill(shape, element)


def requantize_op(x, ex: Encoding, ey: Encoding, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    d = ey[0] - ex[0]

    def element(*index: int) -> int:
        value = int(x[index]) - ex[1]
        acc, s = (value, d) if d >= 0 else (value * 2**-d, 0)
        return requantize(acc, s, ey[1], p["minimum"], p["maximum"])

    return fill(x.shape, element)


def prelu(x, slope, ex: Encoding, ey: Encoding, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    exponent = p["slope_exponent"]

    def element(*index: int) -> int:
        value = int(x[index]) - ex[1]
        acc = value * 2**-exponent if value >= 0 else value * int(slope[index[-1]])
        return requantize(acc, ey[0] - ex[0] - exponent, ey[1])

    return fill(x.shape, element)


def lut(x, table) -> np.ndarray:  # type: ignore[no-untyped-def]
    return fill(x.shape, lambda *index: table[int(x[index]) + 128])


def softmax(x, table) -> np.ndarray:  # type: ignore[no-untyped-def]
    def element(*index: int) -> int:
        row = [int(value) for value in x[index[:-1]]]
        exponentials = [int(table[max(row) - value]) for value in row]
        total = sum(exponentials)
        assert total < 2**31
        return min(255, (512 * exponentials[index[-1]] + total) // (2 * total)) - 128

    return fill(x.shape, element)


def max_pool2d(x, shape, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    def pixel(i: int, j: int, c: int) -> int:
        window = []
        for ky, kx in itertools.product(range(p["kernel"][0]), range(p["kernel"][1])):
            row = i * p["strides"][0] + ky * p["dilation"][0] - p["padding"][0]
            column = j * p["strides"][1] + kx * p["dilation"][1] - p["padding"][1]
            if 0 <= row < x.shape[0] and 0 <= column < x.shape[1]:
                window.append(int(x[row, column, c]))
        return max(window)

    return fill(shape, pixel)


def average(total: int, n: int, ex: Encoding, ey: Encoding) -> int:
    scaled = Fraction(total) * Fraction(2) ** (ex[0] - ey[0]) / n
    return sat8(floor(scaled + Fraction(1, 2)) + ey[1])


def avg_pool2d(x, ex: Encoding, ey: Encoding, shape, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    top, left, bottom, right = p["padding"]

    def pixel(i: int, j: int, c: int) -> int:
        total = n = 0
        for ky, kx in itertools.product(range(p["kernel"][0]), range(p["kernel"][1])):
            row, column = i * p["strides"][0] + ky - top, j * p["strides"][1] + kx - left
            if 0 <= row < x.shape[0] and 0 <= column < x.shape[1]:
                total += int(x[row, column, c]) - ex[1]
                n += 1
            elif p["count_include_pad"] and row < x.shape[0] + bottom and column < x.shape[1] + right:
                n += 1
        return average(total, p["divisor"] or n, ex, ey)

    return fill(shape, pixel)


def mean(x, ex: Encoding, ey: Encoding, shape, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    first, last = p["first_axis"], p["last_axis"]
    counts = [range(size) for size in x.shape[first : last + 1]]

    def element(*index: int) -> int:
        tail = index[last + 1 :] if p["keep"] else index[first:]
        items = [int(x[(*index[:first], *middle, *tail)]) - ex[1] for middle in itertools.product(*counts)]
        return average(sum(items), len(items), ex, ey)

    return fill(shape, element)


def resize_nearest(x, shape, rows=None, columns=None) -> np.ndarray:  # type: ignore[no-untyped-def]
    if rows is None or columns is None:
        rows = [floor(Fraction(i * x.shape[0], shape[0])) for i in range(shape[0])]
        columns = [floor(Fraction(j * x.shape[1], shape[1])) for j in range(shape[1])]
    return fill(shape, lambda i, j, c: x[rows[i], columns[j], c])


def resize_bilinear(x, rows, row_weights, columns, column_weights, ex: Encoding, ey: Encoding) -> np.ndarray:  # type: ignore[no-untyped-def]
    height, width, channels = x.shape

    def pixel(i: int, j: int, c: int) -> int:
        acc = 0
        for row, row_weight in (
            (rows[i], 64 - row_weights[i]),
            (min(rows[i] + 1, height - 1), row_weights[i]),
        ):
            for column, column_weight in (
                (columns[j], 64 - column_weights[j]),
                (min(columns[j] + 1, width - 1), column_weights[j]),
            ):
                acc += (int(x[row, column, c]) - ex[1]) * int(row_weight) * int(column_weight)
        return requantize(acc, 12 + ey[0] - ex[0], ey[1])

    return fill((len(rows), len(columns), channels), pixel)


def concat(xs, shape, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    def element(*index: int) -> int:
        position = index[p["axis"]]
        for x in xs:
            if position < x.shape[p["axis"]]:
                return x[(*index[: p["axis"]], position, *index[p["axis"] + 1 :])]
            position -= x.shape[p["axis"]]
        raise AssertionError("beyond the last operand")

    return fill(shape, element)


def slice_(x, shape, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    return fill(
        shape, lambda *index: x[tuple(o + i * s for o, i, s in zip(p["offsets"], index, p["strides"]))]
    )


def pad(x, shape, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    def element(*index: int) -> int:
        inside = tuple(i - low for i, low in zip(index, p["low"]))
        return x[inside] if all(0 <= i < size for i, size in zip(inside, x.shape)) else p["value"]

    return fill(shape, element)


def reshape(x, shape, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    items = [x[index] for index in itertools.product(*map(range, x.shape))]
    counter = iter(items)
    return fill(shape, lambda *index: next(counter))


def transpose(x, shape, p) -> np.ndarray:  # type: ignore[no-untyped-def]
    axes = p["permutation"]
    return fill(shape, lambda *index: x[tuple(index[axes.index(axis)] for axis in range(len(axes)))])
