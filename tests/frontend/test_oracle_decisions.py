"""The choices of numbers: rounding, exponents that make the arithmetic possible, tables."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pienn.errors import PiennError
from pienn.frontend import decisions
from pienn.frontend.operators import Encoding
from pienn.frontend.oracle import quantise, requantise


@given(st.floats(-1e9, 1e9))
def test_half_up_is_the_floor_of_one_half_more(value: float) -> None:
    expected = (Fraction(value) + Fraction(1, 2)).__floor__()
    assert int(decisions.half_up(np.array(value))) == expected


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 31), st.sampled_from([0, -128]))
def test_requantisation_is_the_rational_rounded_half_up(acc: int, shift: int, zero_point: int) -> None:
    exact = (Fraction(acc, 2**shift) + Fraction(1, 2)).__floor__() + zero_point
    assert int(requantise(torch.tensor(acc), shift, zero_point)) == min(max(exact, -128), 127)


@given(st.floats(width=32), st.integers(-20, 20), st.sampled_from([0, -128]))
def test_inputs_are_rounded_half_up_and_saturate(value: float, exponent: int, zero_point: int) -> None:
    got = int(quantise(torch.tensor(value), Encoding(exponent, zero_point)))
    if np.isnan(value):
        assert got == zero_point
    elif np.isinf(value):
        assert got == (127 if value > 0 else -128)
    else:
        exact = (Fraction(value) / Fraction(2) ** exponent + Fraction(1, 2)).__floor__() + zero_point
        assert got == min(max(exact, -128), 127)


def test_float64_inputs_pass_through_float32_first() -> None:
    just_below = torch.tensor(0.5 - 1e-12, dtype=torch.float64)
    assert int(quantise(just_below, Encoding(0, 0))) == 1


ENCODINGS = st.builds(Encoding, st.integers(-12, 4), st.sampled_from([0, -128]))


@given(ENCODINGS, st.integers(0, 2**32 - 1), st.integers(-40, 2), st.integers(-20, 20), st.floats(-30, 20))
def test_weights_always_fit_the_accumulator(
    x: Encoding, seed: int, exponent: int, wanted: int, size: float
) -> None:
    random = np.random.default_rng(seed)
    codes = random.integers(-127, 128, (4, 9))
    codes[0] = 0
    exponents = exponent + random.integers(0, 5, 4)
    bias = random.normal(size=4) * 2.0**size
    try:
        weights, result = decisions.integer_weights(codes, exponents.tolist(), bias, x, wanted, "layer")
    except PiennError as error:
        assert "does not fit int32" in str(error) and size > wanted + 20
        return
    assert result >= wanted
    for channel in range(4):
        shift = result - x.exponent - weights.exponents[channel]
        peak = abs(int(weights.bias[channel])) + 255 * int(np.abs(weights.codes[channel].astype(int)).sum())
        assert 0 <= shift <= 31
        assert peak + (1 << shift >> 1) + (128 << shift) < 2**31 or x.zero_point == 0
        real = codes[channel] * 2.0 ** exponents[channel]
        kept = weights.codes[channel] * 2.0 ** weights.exponents[channel]
        assert np.abs(real - kept).max() <= 2.0 ** (weights.exponents[channel] - 1) + 1e-30


def test_an_ordinary_layer_is_left_alone() -> None:
    codes = np.array([[100, -50], [127, 3]])
    weights, result = decisions.integer_weights(
        codes, [-7, -8], np.array([0.5, -0.25]), Encoding(-4, 0), -3, "layer"
    )
    assert result == -3
    assert weights.exponents == (-7, -8)
    assert np.array_equal(weights.codes, codes)
    assert weights.bias.tolist() == [1024, -1024]


def test_a_negative_shift_is_mended_by_finer_weights_where_they_fit() -> None:
    codes = np.array([[10, -31]])
    weights, result = decisions.integer_weights(codes, [0], np.zeros(1), Encoding(0, 0), -2, "layer")
    assert (result, weights.exponents, weights.codes.tolist()) == (-2, (-2,), [[40, -124]])


def test_a_negative_shift_raises_the_result_exponent_otherwise() -> None:
    codes = np.array([[100, -31], [1, 1]])
    weights, result = decisions.integer_weights(codes, [0, -2], np.zeros(2), Encoding(0, 0), -2, "layer")
    assert (result, weights.exponents) == (0, (0, -2))


def test_a_near_dead_channel_gets_a_coarser_exponent() -> None:
    codes = np.array([[1, 0]])
    weights, result = decisions.integer_weights(codes, [-40], np.array([0.75]), Encoding(-7, 0), -7, "layer")
    assert result == -7
    shift = -weights.exponents[0]
    assert shift < 31 and weights.codes.tolist() == [[0, 0]]
    assert int(weights.bias[0]) >> shift == 96


@pytest.mark.parametrize("value", [1e-9, 0.1, 0.5, 0.999, 1.0, 3.0, 127.4, 1e20])
def test_constants_take_the_finest_exponent_that_fits(value: float) -> None:
    codes, exponent = decisions.constant_codes(np.array([value, -value / 3]))
    assert 63 <= abs(int(codes[0])) <= 127
    assert abs(codes[0] * 2.0**exponent - value) <= 2.0 ** (exponent - 1)


def test_a_table_is_refused_where_the_function_is_not_defined() -> None:
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(PiennError, match=r"layer: the function is not defined at -16"),
    ):
        decisions.lookup_table(np.sqrt, Encoding(-3, 0), Encoding(-3, 0), -np.inf, np.inf, "layer")


def test_tables_round_half_up_clamp_and_saturate() -> None:
    table = decisions.lookup_table(lambda x: x / 2, Encoding(0, 0), Encoding(0, 0), -10.0, np.inf, "layer")
    assert table[128 + 1] == 1 and table[128 - 1] == 0 and table[128 - 3] == -1 and table[0] == -10
    steep = decisions.lookup_table(np.exp, Encoding(2, 0), Encoding(-3, -128), -np.inf, np.inf, "layer")
    assert steep[255] == 127 and steep[0] == -128


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize(("size", "new"), [(5, 13), (9, 4), (1, 6), (7, 1), (6, 6)])
def test_bilinear_tables_follow_torch(size: int, new: int, corners: bool) -> None:
    first, weight = decisions.bilinear_axis(size, new, corners, None)
    line = torch.arange(size, dtype=torch.float64).reshape(1, 1, 1, size) ** 2
    expected = torch.nn.functional.interpolate(
        line, (1, new), mode="bilinear", align_corners=corners
    ).flatten()
    values = line.flatten().numpy()
    share = weight / 64
    got = values[first] * (1 - share) + values[np.minimum(first + 1, size - 1)] * share
    assert np.abs(got - expected.numpy()).max() <= (2 * size) / 128


def test_softmax_table_falls_from_one() -> None:
    table = decisions.softmax_table(Encoding(-4, 0))
    assert table[0] == 32768 and table[16] == 12055 and (np.diff(table.astype(int)) <= 0).all()
