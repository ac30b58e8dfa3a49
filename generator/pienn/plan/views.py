"""Every tensor as a view of some storage: how concat, slice and reshape come to cost nothing.

A producer that can write with strides writes straight into its place in a concatenation; a consumer that can read with
strides reads straight out of a slice; a reshape is another name for the same bytes. Where a kernel cannot address the
view, the plan gets a copy, visibly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides in elements (bytes of int8) of a block without gaps."""
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


@dataclass(frozen=True)
class View:
    """Elements of a storage: `offset` and `strides` in bytes."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @staticmethod
    def whole(storage: str, shape: Sequence[int]) -> View:
        return View(storage, 0, tuple(shape), row_major(shape))

    @property
    def bytes(self) -> int:
        return prod(self.shape)

    @property
    def contiguous(self) -> bool:
        """No gaps, row-major; the stride of an axis of size 1 does not matter."""
        dense = row_major(self.shape)
        return all(size == 1 or a == b for size, a, b in zip(self.shape, self.strides, dense))

    @property
    def row_stride(self) -> int | None:
        """The one stride between neighbouring vectors of the last axis; None where there is no such stride."""
        stride, rows = None, 1
        for size, step in reversed(list(zip(self.shape[:-1], self.strides[:-1]))):
            if size > 1:
                if stride is not None and step != stride * rows:
                    return None
                stride = step if stride is None else stride
                rows *= size
        return self.shape[-1] if stride is None else stride

    def reshaped(self, shape: Sequence[int]) -> View:
        """The same bytes under another shape; only for contiguous views."""
        if not self.contiguous:
            raise ValueError("a view with gaps cannot be reshaped")
        return View(self.storage, self.offset, tuple(shape), row_major(shape))

    def part(self, offsets: Sequence[int], sizes: Sequence[int], steps: Sequence[int] | None = None) -> View:
        """The sub-block that begins at `offsets`, takes `sizes` elements, every `steps`-th, along each axis."""
        steps = steps or (1,) * len(self.shape)
        return View(
            self.storage,
            self.offset + sum(o * s for o, s in zip(offsets, self.strides)),
            tuple(sizes),
            tuple(s * step for s, step in zip(self.strides, steps)),
        )

    def moved(self, storage: str) -> View:
        return replace(self, storage=storage)
