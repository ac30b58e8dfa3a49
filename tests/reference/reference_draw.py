"""The random choices of a call: sizes, encodings, values, and where tensors lie in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from pienn.codegen import packing
from pienn.ir.dialect import Encoding


@dataclass(frozen=True)
class Placement:
    """Where a tensor lies: offsets in bytes of its elements from the base, in a buffer of `size` bytes."""

    offsets: np.ndarray
    base: int
    size: int
    fields: Mapping[str, Any]  # what the parameter struct says about it


class Draw:
    """The random choices of one case."""

    def __init__(self, seed: int, words: Mapping[str, int] | None = None):
        self.rng = np.random.default_rng(seed)
        self.words = dict(words or {})
        self.used: set[str] = set()

    def integer(self, low: int, high: int) -> int:
        """Both ends included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float = 0.5) -> bool:
        return bool(self.rng.random() < probability)

    def size(self, word: str, low: int, high: int) -> int:
        """A size: the one given by that word, or a random one."""
        drawn = self.integer(low, high)
        self.used.add(word)
        return self.words.get(word, drawn)

    def channels(self, word: str = "channels") -> int:
        """1..67, the neighbours of whole blocks more often than others."""
        odd = [1, 2, 3, 15, 16, 17, 31, 32, 33, 48, 64, 67]
        drawn = odd[self.integer(0, len(odd) - 1)] if self.chance() else self.integer(1, 67)
        self.used.add(word)
        return self.words.get(word, drawn)

    def encoding(self, low: int = -8, high: int = 4) -> Encoding:
        return Encoding(self.integer(low, high), -128 if self.chance() else 0)

    def clamp(self) -> dict[str, int]:
        """minimum and maximum: none, a relu, or any."""
        if self.chance(0.4):
            return {"minimum": -128, "maximum": 127}
        low, high = sorted((self.integer(-128, 127), self.integer(-128, 127)))
        return {"minimum": 0 if self.chance() and high >= 0 else low, "maximum": high}

    def values(self, shape: Sequence[int]) -> np.ndarray:
        """int8: uniform, near zero, or on the rails."""
        kind = self.integer(0, 4)
        if kind == 0:
            return self.rng.choice(np.array([-128, 127], np.int8), shape)
        if kind == 1:
            return np.full(shape, self.rng.choice([-128, 127]), np.int8)
        if kind == 2:
            return self.rng.integers(-9, 10, shape).astype(np.int8)
        return self.rng.integers(-128, 128, shape).astype(np.int8)

    def weights(self, shape: Sequence[int]) -> np.ndarray:
        """int8 -127..127."""
        if self.chance(0.2):
            return self.rng.choice(np.array([-127, 127], np.int8), shape)
        return self.rng.integers(-127, 128, shape).astype(np.int8)

    def image(self, shape: Sequence[int]) -> Placement:
        """Up to rank 3: plain, a slice of channels, or channel blocks; with or without a halo."""
        height, width, channels = (1,) * (3 - len(shape)) + tuple(shape)
        blocked = self.chance(0.3)
        spare = 0 if blocked else self.integer(0, 20) if self.chance() else 0
        first = self.integer(0, spare)
        halo = self.integer(0, 2) if self.chance(0.3) else 0
        pixel = packing.LANES if blocked else channels + spare
        row = (width + 2 * halo) * pixel
        block = row * (height + 2 * halo) if blocked else packing.LANES
        size = row * (height + 2 * halo) * (-(-channels // packing.LANES) if blocked else 1)
        y, x, c = np.ogrid[:height, :width, :channels]
        offsets = y * row + x * pixel + c // packing.LANES * block + c % packing.LANES
        view = {
            "height": height,
            "width": width,
            "channels": channels,
            "row_stride": row,
            "pixel_stride": pixel,
            "block_stride": block,
        }
        base = halo * (row + pixel) + first
        return Placement(offsets.reshape(shape), base, size, view)

    def box(self, shape: Sequence[int], dense: bool = False) -> Placement:
        """Up to four axes, in any order in memory and with gaps, or row-major and dense."""
        rank = len(shape)
        order = list(range(rank)) if dense or self.chance() else list(self.rng.permutation(rank))
        gap = 0 if dense or self.chance() else self.integer(0, 3)
        sizes = [shape[axis] + gap for axis in order]
        steps = [1, *accumulate(reversed(sizes), lambda a, b: a * b)]
        strides = [0] * rank
        for position, axis in enumerate(order):
            strides[axis] = int(steps[rank - 1 - position])
        offsets = np.zeros((1,) * rank, np.int64)
        for axis, stride in enumerate(strides):
            steps_of_axis = np.arange(shape[axis]) * stride
            offsets = offsets + steps_of_axis.reshape([-1 if i == axis else 1 for i in range(rank)])
        return Placement(offsets, 0, int(steps[-1]), {"strides": [0] * (4 - rank) + strides})

    def rows(self, shape: Sequence[int]) -> Placement:
        """Rows of the last axis, with or without a gap between them."""
        count, length = int(np.prod(shape[:-1], dtype=np.int64)), shape[-1]
        stride = length + (self.integer(0, 9) if self.chance() else 0)
        offsets = np.arange(count)[:, None] * stride + np.arange(length)
        return Placement(offsets.reshape(shape), 0, count * stride, {"row_stride": stride})
