"""The proof about 20-bit accumulators, against a lane that saturates at every step."""

from __future__ import annotations

import numpy as np
import pytest

from pienn.plan.qacc_proof import (
    CARRY_FACTORS,
    HIGHEST,
    LOWEST,
    Block,
    Proof,
    carry,
    carry_weights,
    digits,
    prove,
    tamed,
)


def exact(block: Block, x: np.ndarray) -> np.ndarray:
    sums = block.start + block.weights.astype(np.int64).T @ x
    return np.clip(sums >> block.shift, block.minimum, block.maximum)


def saturating(start: np.ndarray, weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """QACC after every MAC."""
    lanes = np.clip(start, LOWEST, HIGHEST)
    for row, value in zip(weights.astype(np.int64), x):
        lanes = np.clip(lanes + row * value, LOWEST, HIGHEST)
    return lanes


def naive(block: Block, x: np.ndarray) -> np.ndarray:
    lanes = saturating(block.start, block.weights, x) >> block.shift
    return np.clip(lanes, block.minimum, block.maximum)


def in_two_digits(block: Block, proof: Proof, x: np.ndarray) -> np.ndarray:
    bits = proof.digit_bits
    start, added = carry(block.start, bits) if proof.carries else (block.start, 0 * block.start)
    lower, upper = digits(block.weights, proof.high, bits)
    lanes = saturating(start, lower, x) >> bits
    lanes = saturating(lanes, carry_weights(added), CARRY_FACTORS)
    lanes = saturating(lanes, upper, x) >> (block.shift - bits)
    return np.clip(lanes, block.minimum, block.maximum)


def inputs(rng: np.random.Generator, count: int, block: Block) -> np.ndarray:
    """Random, and those that drive single lanes to their ends."""
    random = rng.integers(block.low, block.high + 1, (40, count))
    up = np.where(block.weights.T > 0, block.high, block.low)
    down = np.where(block.weights.T > 0, block.low, block.high)
    half = up.copy()
    half[:, count // 2 :] = down[:, count // 2 :]
    return np.concatenate([random, up, down, half])


@pytest.mark.parametrize("seed", range(60))
def test_what_is_proved_is_computed_exactly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 200))
    size = int(rng.integers(1, 128))
    shift = np.full(16, rng.integers(0, 13)) if seed % 3 else rng.integers(4, 30, 16)
    block = Block(
        rng.integers(-size, size + 1, (count, 16)),
        (rng.normal(size=16) * 100 * 2.0**shift).astype(np.int64),
        shift.astype(np.int64),
        *[(-128, 127), (0, 127), (-128, 0)][seed % 3],
        *[(-128, 127), (0, 127), (-20, 30)][seed // 3 % 3],
    )
    calm = tamed(block)
    for x in inputs(rng, count, block):
        np.testing.assert_array_equal(exact(calm, x), exact(block, x))
    proof = prove(calm, [np.arange(count) < count // 2, np.ones(count, bool)])
    if proof is None:
        return
    for x in inputs(rng, count, calm):
        got = in_two_digits(calm, proof, x) if proof.mode == "two digits" else naive(calm, x)
        np.testing.assert_array_equal(got, exact(calm, x), err_msg=f"seed {seed}: {proof}")


def block_of(weights: list[int], start: int, shift: int, low: int = -128, high: int = 127) -> Block:
    """16 equal lanes."""
    columns = np.repeat(np.array(weights)[:, None], 16, axis=1)
    return Block(columns, np.full(16, start), np.full(16, shift), low, high)


def test_small_sums_have_a_margin() -> None:
    proof = prove(block_of([127] * 8, 0, 10))
    assert proof is not None
    assert str(proof) == "QACC, margin 2.0 bits"


def test_saturation_beyond_the_rail_is_harmless() -> None:
    block = block_of([127] * 40, 0, 4, low=0)
    proof = prove(block)
    assert proof is not None and proof.mode == "harmless saturation" and proof.margin < 0
    x = np.full(40, 127)
    np.testing.assert_array_equal(naive(block, x), exact(block, x))


def test_a_block_that_overflows_a_naive_accumulator_needs_two_digits() -> None:
    block = block_of([127] * 40 + [-127] * 40, 0, 10, low=0)
    x = np.full(80, 127)
    assert (naive(block, x) != exact(block, x)).all()
    proof = prove(block, [np.arange(80) < 20, np.arange(80) < 40, np.ones(80, bool)])
    assert proof is not None and proof.mode == "two digits"
    np.testing.assert_array_equal(in_two_digits(block, proof, x), exact(block, x))


def test_without_choices_such_a_block_has_no_proof() -> None:
    assert prove(block_of([127] * 40 + [-127] * 40, 0, 10, low=0)) is None


def test_a_dead_channel_with_a_large_shift_becomes_small() -> None:
    block = block_of([3, -5], (1 << 27) + (1 << 26) - 100, 27)
    calm = tamed(block)
    assert np.abs(calm.start).max() < 1 << 19
    proof = prove(calm)
    assert proof is not None and proof.mode == "QACC"


def test_a_large_bias_is_carried_to_the_second_pass() -> None:
    rng = np.random.default_rng(0)
    block = Block(
        rng.integers(-127, 128, (144, 16)),
        np.full(16, -(128 << 13)),
        np.full(16, 13),
        -128,
        127,
    )
    proof = prove(block, [np.ones(144, bool)])
    assert proof is not None and proof.carries
    for x in inputs(rng, 144, block):
        np.testing.assert_array_equal(in_two_digits(block, proof, x), exact(block, x))
