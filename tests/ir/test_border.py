"""The float border, to the bit: rounding, NaN, infinities, subnormals, double rounding."""

from __future__ import annotations

from fractions import Fraction
from math import floor, isinf, isnan

import numpy as np
import pytest
from hypothesis import given, strategies

from pienn.ir.border import dequantise, quantise


def exactly(x: float, exponent: int, zero_point: int) -> int:
    """The stored value of one float32, by rational arithmetic."""
    if isnan(x):
        return zero_point
    if isinf(x):
        return 127 if x > 0 else -128
    return min(max(floor(Fraction(x) / Fraction(2) ** exponent + Fraction(1, 2)) + zero_point, -128), 127)


@given(
    x=strategies.floats(width=32) | strategies.integers(-2000, 2000).map(lambda n: n / 16),
    exponent=strategies.integers(-64, 63),
    zero_point=strategies.sampled_from((0, -128)),
)
def test_rounds_half_up_exactly(x: float, exponent: int, zero_point: int) -> None:
    array = np.array([x], np.float32)
    assert quantise(array, exponent, zero_point)[0] == exactly(float(array[0]), exponent, zero_point)


@pytest.mark.parametrize("zero", [0, -128])
def test_special_values(zero: int) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, -1e-45, 0.0, -0.0], np.float32)
    for exponent in (-64, 0, 63):
        expected = [zero, 127, -128, 127, -128, *[zero] * 4]
        assert quantise(x, exponent, zero).tolist() == expected
    assert quantise(np.array([0.5, -0.5, 1.5, -1.5]), 0, 0).tolist() == [1, 0, 2, -1]


def test_float64_rounds_to_float32_first() -> None:
    just_below = np.nextafter(0.5, 0)  # in float64; the nearest float32 is 0.5
    assert quantise(np.array([just_below]), 0, 0).tolist() == [1]
    assert quantise(np.array([np.nextafter(np.float32(0.5), np.float32(0))]), 0, 0).tolist() == [0]
    assert quantise(np.array([1e300, -1e300]), 0, 0).tolist() == [127, -128]


def test_int8_is_stored_already_and_other_integers_are_reals() -> None:
    stored = np.arange(-128, 128).astype(np.int8)
    assert quantise(stored, -7, -128).tolist() == stored.tolist()
    assert quantise(np.array([0, 1, 255], np.uint8), 0, -128).tolist() == [-128, -127, 127]


@given(exponent=strategies.integers(-64, 63), zero_point=strategies.sampled_from((0, -128)))
def test_there_and_back(exponent: int, zero_point: int) -> None:
    stored = np.arange(-128, 128).astype(np.int8)
    real = dequantise(stored, exponent, zero_point)
    assert real.dtype == np.float32
    assert real.tolist() == [float((q - zero_point) * Fraction(2) ** exponent) for q in range(-128, 128)]
    assert quantise(real, exponent, zero_point).tolist() == stored.tolist()
