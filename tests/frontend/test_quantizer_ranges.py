"""Exponents from statistics, against exhaustive search."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pienn.errors import PiennError
from pienn.frontend.observers import quantised
from pienn.frontend.ranges import activation_exponent, covering_exponent, weight_exponents

reals = st.floats(-1e6, 1e6, allow_nan=False, width=32)


@given(reals, reals, st.booleans())
def test_covering_exponent_is_the_finest_that_does_not_saturate(a, b, unsigned):
    low, high = min(a, b), max(a, b)
    if unsigned:
        low, high = abs(low), max(abs(low), abs(high))
    lowest, highest = (0, 255) if unsigned else (-128, 127)
    exponent = covering_exponent(low, high, lowest, highest)
    if max(abs(low), abs(high)) == 0.0:
        return

    def fits(e: int) -> bool:
        return high * 2.0**-e <= highest + 0.5 and low * 2.0**-e >= lowest - 0.5

    assert fits(exponent) or exponent == 63
    assert not fits(exponent - 1) or exponent == -64


def test_covering_exponent_at_exact_powers_of_two():
    assert covering_exponent(0.0, 127.5, -128, 127) == 0
    assert covering_exponent(0.0, math.nextafter(127.5, 200), -128, 127) == 1
    assert covering_exponent(-128.5, 0.0, -128, 127) == 0
    assert covering_exponent(0.0, 255.0, 0, 255) == 0


def test_range_with_nan_is_refused():
    with pytest.raises(PiennError, match="finite"):
        covering_exponent(float("nan"), 1.0, -128, 127)


@settings(max_examples=50)
@given(st.integers(0, 10_000))
def test_squared_error_rule_finds_the_least_error_of_its_candidates(seed):
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(500, generator=generator) ** 3
    low, high = float(sample.min()), float(sample.max())
    chosen = activation_exponent(sample, low, high, False, "mse")

    def error(exponent: int) -> float:
        codes = torch.clamp(torch.floor(sample.double() * 2.0**-exponent + 0.5), -128, 127)
        return float(((codes * 2.0**exponent - sample.double()) ** 2).sum())

    cover = covering_exponent(low, high, -128, 127)
    assert error(chosen) == min(error(e) for e in range(cover - 4, cover + 1)), f"seed {seed}"


def test_percentile_ignores_a_rare_outlier_that_min_max_follows():
    sample = torch.cat([torch.linspace(-1, 1, 100_000), torch.tensor([1000.0])])
    assert activation_exponent(sample, -1.0, 1000.0, False, "minmax") == 3
    assert activation_exponent(sample, -1.0, 1000.0, False, "percentile") == -6


@pytest.mark.parametrize("axis", [0, 1])
def test_weight_exponents_of_the_four_granularities(axis):
    torch.manual_seed(0)
    weight = torch.randn(40, 6) * torch.exp2(torch.randint(-6, 3, (40, 1)).float())
    weight = weight if axis == 0 else weight.t()
    exponents = {
        g: weight_exponents(weight, axis, g, "mse") for g in ("tensor", "block", "sorted", "channel")
    }
    assert len(set(exponents["tensor"].tolist())) == 1
    for start in range(0, 40, 16):
        assert len(set(exponents["block"][start : start + 16].tolist())) == 1
    in_order = torch.sort(exponents["sorted"], descending=True).values
    for start in range(0, 40, 16):
        assert len(set(in_order[start : start + 16].tolist())) == 1
    assert len(set(exponents["channel"].tolist())) > 3

    def error(name: str) -> float:
        scale = torch.exp2(exponents[name].float())
        scale = scale.unsqueeze(1 - axis)
        return float(((torch.clamp(torch.round(weight / scale), -127, 127) * scale - weight) ** 2).sum())

    assert error("channel") <= error("sorted") <= error("tensor")
    assert error("channel") <= error("block") <= error("tensor")


def test_weight_rules():
    weight = torch.tensor([[1.0, -0.7], [2.9, 0.1]])
    assert weight_exponents(weight, 0, "channel", "ceil").tolist() == [-6, -5]
    assert weight_exponents(weight, 0, "channel", "round").tolist() == [-7, -5]
    assert weight_exponents(torch.zeros(3, 2), 0, "channel", "mse").tolist() == [-7, -7, -7]


@given(st.lists(st.floats(-300, 300, width=32), min_size=1, max_size=40), st.integers(-6, 3), st.booleans())
def test_imitated_quantisation_rounds_half_up_and_saturates(values, exponent, unsigned):
    low, high = (0, 255) if unsigned else (-128, 127)
    x = torch.tensor(values, dtype=torch.float64)
    measured = quantised(x, torch.tensor(2.0**exponent, dtype=torch.float64), low, high)
    expected = [min(max(math.floor(v * 2.0**-exponent + 0.5), low), high) * 2.0**exponent for v in values]
    assert measured.tolist() == pytest.approx(expected, abs=1e-9)


def test_gradient_passes_inside_the_range_and_stops_outside():
    x = torch.tensor([-300.0, -1.2, 0.4, 126.0, 300.0], requires_grad=True)
    quantised(x, torch.tensor(1.0), -128, 127).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
