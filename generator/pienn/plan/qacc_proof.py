"""The ESP32-S3's accumulator has lanes of 20 bits that saturate: which blocks of 16 outputs it computes exactly.

Interval arithmetic over the values that the input can have, in the order in which the kernel accumulates:

QACC                 no prefix of any lane's sum leaves 20 bits.
harmless saturation  a prefix may leave them, but what follows cannot bring such a sum back between the rails of the
                     result: if lane and sum part at the upper end, both end at or above the result's maximum.
two digits           weights are split, w = 2^t * high + low. The low digits (and the whole weights of inputs that
                     need no second MAC) are summed with the bias, shifted right by t, then the high digits are added:
                     floor((2^t A + B) / 2^s) = floor((A + floor(B / 2^t)) / 2^(s - t)). Where the bias is large, its
                     high part is carried to the second sum.

Before that, lanes whose result is constant or crosses one step only are rewritten with an equal result and smaller
numbers: channels near death have shifts beyond what 20 bits can hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pienn.errors import PiennError

LOWEST, HIGHEST = -(2**19), 2**19 - 1
DIGIT_BITS = (4, 3, 5, 2, 6, 1)
"""Widths of the low digit, in the order in which they are tried."""
CARRY_FACTORS = np.array([1, *[127] * 15], np.int8)
"""What 16 MACs multiply to add the carried part of the bias."""
CARRY_LIMIT = 63 + 15 * 127 * 127


@dataclass(frozen=True)
class Block:
    """16 outputs as a kernel computes them; `result = clamp((start + sum(x * weights)) >> shift)`."""

    weights: np.ndarray
    """int `[inputs, 16]` in the order of accumulation."""
    start: np.ndarray
    """int64 `[16]`: bias with rounding and zero points."""
    shift: np.ndarray
    """int64 `[16]`."""
    low: int
    """Of the stored input."""
    high: int
    minimum: int = -128
    maximum: int = 127


@dataclass(frozen=True)
class Proof:
    """How a block runs. `high`: bool `[inputs]`, which inputs have a second MAC; none unless in two digits."""

    mode: str
    margin: float
    """Bits between the largest prefix and what a lane holds; negative where a prefix may leave it."""
    high: np.ndarray
    digit_bits: int = 0
    """Of the low digit."""
    carries: bool = False
    """Whether the high part of the bias is added in the second pass."""

    @property
    def fraction(self) -> float:
        """Of the inputs that need both digits."""
        return float(self.high.mean()) if self.high.size else 0.0

    def __str__(self) -> str:
        if self.mode == "QACC":
            return f"QACC, margin {self.margin:.1f} bits"
        return self.mode if self.mode != "two digits" else f"two digits, f = {self.fraction:.2f}"


def terms(weights: np.ndarray, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest product of each weight with an input of low..high."""
    ends = weights.astype(np.int64) * low, weights.astype(np.int64) * high
    return np.minimum(*ends), np.maximum(*ends)


def prefixes(
    smallest: np.ndarray, largest: np.ndarray, first: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of every partial sum from a start in first..last, the start included: `[inputs + 1, 16]`."""
    return (
        np.concatenate([first[None], first + np.cumsum(smallest, axis=0)]),
        np.concatenate([last[None], last + np.cumsum(largest, axis=0)]),
    )


def _fits(lows: np.ndarray, highs: np.ndarray) -> bool:
    return bool(lows.min() >= LOWEST and highs.max() <= HIGHEST)


def _harmless(block: Block, shift: np.ndarray, lows: np.ndarray, highs: np.ndarray) -> bool:
    """Whether every saturation leaves the result at the rail where the exact sum is."""
    # What can still come after each prefix, at worst: the bounds of the whole sum less those of the prefix.
    back = (lows[-1] - lows) + HIGHEST
    forth = (highs[-1] - highs) + LOWEST
    top = np.where(highs > HIGHEST, back, np.iinfo(np.int64).max).min(axis=0)
    bottom = np.where(lows < LOWEST, forth, np.iinfo(np.int64).min).max(axis=0)
    return bool(
        np.all(top >= np.int64(block.maximum) << shift)
        and np.all(bottom < np.int64(block.minimum + 1) << shift)
    )


def tamed(block: Block) -> Block:
    """The block with lanes rewritten that have one result, or two neighbouring ones, for all inputs."""
    smallest, largest = terms(block.weights, block.low, block.high)
    least, most = block.start + smallest.sum(axis=0), block.start + largest.sum(axis=0)
    first, last = least >> block.shift, most >> block.shift
    lowest = np.clip(first, block.minimum, block.maximum)
    highest = np.clip(last, block.minimum, block.maximum)
    weights, start, shift = block.weights.copy(), block.start.copy(), block.shift.copy()

    constant = lowest == highest
    alive = block.shift[~constant & (block.shift <= 12)]
    common = int(np.bincount(alive).argmax()) if len(alive) else 0
    weights[:, constant] = 0
    shift[constant] = common
    start[constant] = lowest[constant] << common

    for lane in np.flatnonzero(~constant & (last == first + 1)):
        step = last[lane] << block.shift[lane]
        reach = max(int(step - least[lane]), int(most[lane] - step) + 1)
        smaller = max(reach - 1, 0).bit_length()
        if smaller < block.shift[lane]:
            start[lane] = (last[lane] << smaller) + block.start[lane] - step
            shift[lane] = smaller
    return Block(weights, start, shift, block.low, block.high, block.minimum, block.maximum)


def digits(weights: np.ndarray, high: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """(what the first pass multiplies, what the second does): of the inputs not in `high` all in the first."""
    upper = np.where(high[:, None], (weights.astype(np.int64) + (1 << bits >> 1)) >> bits, 0)
    return weights - (upper << bits), upper


def carry(start: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """(start of the first pass, what is added to its sum shifted by `bits`)."""
    upper = start >> bits
    return start - (upper << bits), upper


def carry_weights(upper: np.ndarray) -> np.ndarray:
    """`[16, 16]`: weights of CARRY_FACTORS whose products sum to `upper` of each lane."""
    rows = np.zeros((16, 16), np.int64)
    rest = (upper + 63) // 127
    rows[0] = upper - 127 * rest
    for row in rows[1:]:
        row[:] = np.clip(rest, -127, 127)
        rest = rest - row
    return rows


def _in_two_digits(block: Block, high: np.ndarray, bits: int, carries: bool) -> bool:
    """Whether both passes are exact."""
    start, added = carry(block.start, bits) if carries else (block.start, np.zeros_like(block.start))
    if np.abs(added).max() > CARRY_LIMIT:
        return False
    lower, upper = digits(block.weights, high, bits)
    lows, highs = prefixes(*terms(lower, block.low, block.high), start, start)
    if not _fits(lows, highs):
        return False
    first, last = lows[-1] >> bits, highs[-1] >> bits
    # The carried part goes one way, but for up to 63 at its begin.
    if not _fits(first + np.minimum(added, 0) - 64, last + np.maximum(added, 0) + 64):
        return False
    lows, highs = prefixes(*terms(upper, block.low, block.high), first + added, last + added)
    return _fits(lows, highs) or _harmless(block, block.shift - bits, lows, highs)


def prove(block: Block, choices: Iterable[np.ndarray] = ()) -> Proof | None:
    """The cheapest way to compute a (tamed) block exactly, None where none of them is.

    choices: for two digits, which inputs may be given a second MAC, bool `[inputs]` each, cheapest first.
    """
    none = np.zeros(len(block.weights), bool)
    lows, highs = prefixes(*terms(block.weights, block.low, block.high), block.start, block.start)
    largest = max(-int(lows.min()), int(highs.max()) + 1, 1)
    margin = 19 - float(np.log2(largest))
    if _fits(lows, highs):
        return Proof("QACC", margin, none)
    if _harmless(block, block.shift, lows, highs):
        return Proof("harmless saturation", margin, none)
    for high in choices:
        for carries in (False, True):
            for bits in DIGIT_BITS:
                if bits <= block.shift.min() and _in_two_digits(block, high, bits, carries):
                    return Proof("two digits", margin, high, bits, carries)
    return None


def refusal(block: Block, name: str) -> PiennError:
    """For a block without proof."""
    reach = np.abs(block.weights.astype(np.int64)).sum(axis=0) * max(abs(block.low), abs(block.high))
    largest = int((reach + np.abs(block.start)).max())
    return PiennError(
        f"{name}: sums reach {largest}, beyond the ESP32-S3's 20 bits also in two digits "
        f"(shifts {block.shift.min()}..{block.shift.max()}): raise the exponent of the layer's weights"
    )
