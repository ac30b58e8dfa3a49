"""Packed constants lie where layers.h says, and say so when they cannot."""

from __future__ import annotations

import numpy as np
import pytest

from pienn.codegen import packing
from pienn.errors import PiennError
from pienn.ir.dialect import Encoding

PLAIN, UNSIGNED = Encoding(0, 0), Encoding(0, -128)


@pytest.mark.parametrize("outputs", [1, 15, 16, 17, 40])
def test_weights_lie_in_blocks_of_sixteen_outputs(outputs: int) -> None:
    rng = np.random.default_rng(outputs)
    weight = rng.integers(-127, 128, (outputs, 2, 3, 5)).astype(np.int8)
    packed = packing.block_weights(weight)
    assert packed.shape == (-(-outputs // 16), 2, 3, 5, 16)
    assert packed.flags.c_contiguous and packed.dtype == np.int8
    for index in np.ndindex(packed.shape):
        block, ky, kx, channel, lane = index
        output = 16 * block + lane
        assert packed[index] == (weight[output, ky, kx, channel] if output < outputs else 0)


def test_depthwise_weights_have_channels_in_the_lanes() -> None:
    weight = np.arange(-60, -60 + 18 * 6).reshape(18, 2, 3, 1).astype(np.int8)
    zeros = np.zeros(18, np.int32)
    packed = packing.filter_of(weight, zeros, np.zeros(18), PLAIN, PLAIN, depthwise=True).weights
    assert packed.shape == (2, 2, 3, 16)
    assert packed[1, 0, 2, 1] == weight[17, 0, 2, 0]
    assert not packed[1, :, :, 2:].any()


def test_folded_bias_is_the_four_parts() -> None:
    weight = np.array([[1, 2, 3], [-4, 5, -6]], np.int8)
    bias = np.array([1000, -1000], np.int32)
    packed = packing.filter_of(weight, bias, np.array([-5, 0]), Encoding(0, -128), Encoding(0, -128))
    assert packed.shift[:2].tolist() == [5, 0]
    # bias - z_x * sum(w) + half + z_y * 2^shift
    first = 1000 + 128 * 6 + 16 - 128 * 32
    second = -1000 + 128 * -5 + 0 - 128
    assert packed.bias.tolist() == [first, second] + [0] * 14
    assert packed.bias.dtype == np.int32 and packed.shift.dtype == np.uint8


def test_fill_repeats_the_last_shift_so_that_a_block_with_one_shift_stays_one() -> None:
    shift = packing.shifts(np.array([-3, -3, -3]), PLAIN, PLAIN)
    assert shift.tolist() == [3] * 16


@pytest.mark.parametrize("exponents", [[0, 1], [0, -32]])
def test_shift_that_no_kernel_has_is_refused(exponents: list[int]) -> None:
    with pytest.raises(PiennError, match=r"not in 0\.\.31"):
        packing.shifts(np.array(exponents), PLAIN, PLAIN)


def test_bias_that_does_not_fit_is_refused_with_its_channel() -> None:
    weight, bias = np.zeros((2, 1), np.int8), np.array([0, -1], np.int32)
    fits = packing.filter_of(weight, bias, np.array([-23, -23]), PLAIN, UNSIGNED)
    assert fits.bias[0] == 2**22 - 2**30
    with pytest.raises(PiennError, match=r"output channel 1: .* beyond 32 bits"):
        packing.filter_of(weight, bias - 2**29, np.array([0, -24]), PLAIN, UNSIGNED)


def test_shifts_of_sums_align_to_the_finer_operand() -> None:
    assert packing.addition_shifts(Encoding(-3, 0), Encoding(-7, 0), Encoding(-4, 0)) == (4, 0, 3)
    assert packing.requantize_shifts(Encoding(-3, 0), Encoding(-5, 0)) == (2, 0)
    assert packing.requantize_shifts(Encoding(-5, 0), Encoding(-3, 0)) == (0, 2)


def test_nearest_indices_floor() -> None:
    assert packing.nearest_indices(3, 5).tolist() == [0, 0, 1, 1, 2]
    assert packing.nearest_indices(5, 2).tolist() == [0, 2]
