"""Every choice of a number between the q/dq program and the integer one; pure functions of plain numbers.

Rounding is half up throughout: floor(v + 1/2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from pienn.errors import PiennError
from pienn.frontend.operators import Encoding, Weights

LARGEST_SHIFT = 31
LARGEST_ALIGNMENT = 15
ACCUMULATOR_LIMIT = 2**31 - 1


def half_up(values: np.ndarray) -> np.ndarray:
    """Round to the nearest integer, ties towards plus infinity; float64 in and out."""
    floor = np.floor(values)
    return floor + (values - floor >= 0.5)


def stored(real: float, encoding: Encoding) -> int:
    """The int8 value that holds `real`; what is too large, infinity included, saturates."""
    scaled = half_up(np.array(math.ldexp(min(max(real, -1e30), 1e30), -encoding.exponent)))
    return int(min(max(float(scaled) + encoding.zero_point, -128), 127))


def clamp_bounds(low: float, high: float, encoding: Encoding) -> tuple[int, int]:
    """`minimum`, `maximum` of an operator whose real result is clamped to low..high."""
    minimum, maximum = stored(low, encoding), stored(high, encoding)
    return minimum, max(minimum, maximum)


def exponent_between(wanted: int, lowest: int, highest: int) -> int:
    """The result exponent nearest to the wanted one that the operator can produce."""
    return min(max(wanted, lowest), highest)


def sums_fit(peak: int, shift: int) -> bool:
    """Whether sums up to `peak`, with the rounding constant and a shifted zero point of -128, fit int32."""
    return peak + (1 << shift >> 1) + (128 << shift) <= ACCUMULATOR_LIMIT


def integer_weights(
    codes: np.ndarray, exponents: Sequence[int], bias: np.ndarray, x: Encoding, wanted: int, layer: str
) -> tuple[Weights, int]:
    """Weights, biases and the result exponent of a convolution or linear.

    codes: integers `(O, ...)`, output channels first; bias: float64 `(O,)`; `wanted`: the result's exponent. A
    channel whose shift would exceed 31, or whose sums would exceed int32, gets coarser weights; where the shift
    would be negative, finer weights if they fit int8, else the result exponent is raised.
    """
    rows = codes.reshape(codes.shape[0], -1).astype(np.int64)
    scales = [int(exponent) for exponent in exponents]
    for channel, row in enumerate(rows):
        if np.abs(row).max(initial=0) > 127:
            row, scales[channel] = half_up(row / 2).astype(np.int64), scales[channel] + 1
        while wanted - x.exponent - scales[channel] < 0 and np.abs(row).max(initial=0) <= 63:
            row, scales[channel] = row * 2, scales[channel] - 1
        rows[channel] = row
    exponent = max([wanted, *(x.exponent + scale for scale in scales)])
    largest_input = 255 if x.zero_point else 128
    biases = np.zeros(len(rows), np.int64)
    for channel, row in enumerate(rows):
        fine, scale = row, scales[channel]
        while True:
            shift = exponent - x.exponent - scale
            whole = half_up(np.array(math.ldexp(float(bias[channel]), -(x.exponent + scale))))
            peak = float(np.abs(whole)) + float(np.abs(row).sum()) * largest_input
            if peak < 2**31 and shift <= LARGEST_SHIFT and sums_fit(int(peak), shift):
                break
            if shift == 0:
                raise PiennError(
                    f"{layer}: the bias {bias[channel]:g} of channel {channel} or its sum of products does not fit "
                    "int32: quantise the result more coarsely"
                )
            scale += 1
            row = half_up(np.ldexp(fine.astype(np.float64), scales[channel] - scale)).astype(np.int64)
        rows[channel], scales[channel], biases[channel] = row, scale, int(whole)
    return Weights(
        rows.reshape(codes.shape).astype(np.int8), biases.astype(np.int32), tuple(scales)
    ), exponent


def constant_codes(values: np.ndarray) -> tuple[np.ndarray, int]:
    """int8 codes and the exponent (zero point 0) of a constant operand: the finest whose codes stay in -127..127."""
    peak = float(np.abs(values).max(initial=0.0))
    if peak == 0.0:
        return np.zeros(values.shape, np.int8), -7
    exponent = math.frexp(peak)[1] - 7
    if half_up(np.array(math.ldexp(peak, -exponent))) > 127:
        exponent += 1
    exponent = max(exponent, -64)
    return half_up(np.ldexp(values.astype(np.float64), -exponent)).astype(np.int8), exponent


def slope_codes(slopes: np.ndarray, layer: str) -> tuple[np.ndarray, int]:
    """int8 slopes and their exponent, -15..0."""
    for exponent in range(-15, 1):
        codes = half_up(np.ldexp(slopes.astype(np.float64), -exponent))
        if np.abs(codes).max() <= 127:
            return codes.astype(np.int8), exponent
    raise PiennError(f"{layer}: a PReLU slope of {np.abs(slopes).max():g} is beyond 127")


def lookup_table(
    function: Callable[[np.ndarray], np.ndarray],
    x: Encoding,
    result: Encoding,
    low: float,
    high: float,
    layer: str,
) -> np.ndarray:
    """The int8 table of an elementwise function (float64 to float64) clamped to low..high."""
    reals = np.ldexp(np.arange(-128, 128, dtype=np.float64) - x.zero_point, x.exponent)
    values = np.clip(function(reals), low, high)
    if np.isnan(values).any():
        first = reals[np.isnan(values)][0]
        raise PiennError(f"{layer}: the function is not defined at {first:g}, which its input can hold")
    with np.errstate(over="ignore"):
        scaled = half_up(np.clip(np.ldexp(values, -result.exponent), -1e6, 1e6))
    return np.clip(scaled + result.zero_point, -128, 127).astype(np.int8)


SOFTMAX_ENCODING = Encoding(-8, -128)


def softmax_table(x: Encoding) -> np.ndarray:
    """uint16 `(256,)`: exp of minus the distance to the maximum, 32768 for 1."""
    distance = np.ldexp(np.arange(256, dtype=np.float64), x.exponent)
    return half_up(32768 * np.exp(-distance)).astype(np.uint16)


def bilinear_axis(
    size: int, new_size: int, align_corners: bool, factor: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """First neighbours (int32) and weights of the second ones in 64ths (int8), by torch's index rule."""
    position = np.arange(new_size, dtype=np.float64)
    if align_corners:
        source = position * ((size - 1) / (new_size - 1) if new_size > 1 else 0.0)
    else:
        step = 1 / factor if factor else size / new_size
        source = np.maximum((position + 0.5) * step - 0.5, 0.0)
    first = np.minimum(np.floor(source), size - 1)
    return first.astype(np.int32), half_up((source - first).clip(0, 1) * 64).astype(np.int8)
