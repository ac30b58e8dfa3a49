"""Where each buffer of the arena lies: dynamic storage allocation with known lifetimes.

Greedy placement under several orders finds the optimum of most networks: the total then equals the lower bound, the
largest sum of buffers that are live together. Where it does not, a branch and bound search looks on. It tries buffers
in the order of their offsets, each at the lowest place it fits (an optimal packing of that form always exists: push
every buffer of any optimal packing down as far as it goes), and it either ends, which proves the best packing
optimal, or stops after a number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

ALIGNMENT = 16  # bytes: one 128-bit vector
SEARCH_STEPS = 300_000  # places tried before the search gives up: one or two seconds


@dataclass(frozen=True)
class Buffer:
    """Bytes that are needed from step `first` to step `last`, both included."""

    name: str
    size: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Placement:
    """Offsets in bytes by buffer name; `optimal` says that no smaller `total` exists."""

    offsets: dict[str, int]
    total: int
    lower_bound: int
    optimal: bool


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """The largest sum of aligned sizes that are live at one step: no packing can be smaller."""
    steps = {buffer.first for buffer in buffers}  # the sum only grows where a buffer begins
    return max(
        (sum(aligned(b.size) for b in buffers if b.first <= step <= b.last) for step in steps), default=0
    )


def place(buffers: Sequence[Buffer], steps: int = SEARCH_STEPS) -> Placement:
    """Pack the buffers into one arena so that no two that are live together overlap."""
    if len({buffer.name for buffer in buffers}) != len(buffers):
        raise ValueError("buffer names are not unique")
    bound = lower_bound(buffers)
    problem = _Problem(buffers)
    packings = [problem.first_fit(order) for order in problem.greedy_orders()]
    best = min(packings, key=problem.total)
    total = problem.total(best)
    optimal = total == bound
    if not optimal:
        best, total, optimal = _Search(problem, best, total, bound, steps).run()
    offsets = {buffer.name: offset for buffer, offset in zip(buffers, best)}
    return Placement(offsets, total, bound, optimal)


class _Problem:
    """Sizes and neighbours of the buffers by index."""

    def __init__(self, buffers: Sequence[Buffer]):
        self.buffers = buffers
        self.sizes = [aligned(buffer.size) for buffer in buffers]
        self.neighbours = [
            [j for j, other in enumerate(buffers) if j != i and buffer.meets(other)]
            for i, buffer in enumerate(buffers)
        ]

    def total(self, offsets: Sequence[int]) -> int:
        """Bytes of the arena under a packing."""
        return max((offset + size for offset, size in zip(offsets, self.sizes)), default=0)

    def greedy_orders(self) -> list[list[int]]:
        """Orders that are each the best one on some kind of network."""
        indices = range(len(self.buffers))

        def by(key: Callable[[int], tuple[int, ...]]) -> list[int]:
            return sorted(indices, key=lambda i: (*key(i), i))

        size, buffers = self.sizes, self.buffers
        duration = [buffer.last - buffer.first for buffer in buffers]
        pressure = [size[i] + sum(size[j] for j in self.neighbours[i]) for i in indices]
        return [
            by(lambda i: (-size[i],)),
            by(lambda i: (-size[i] * (duration[i] + 1),)),
            by(lambda i: (-pressure[i], -size[i])),
            by(lambda i: (-duration[i], -size[i])),
            by(lambda i: (buffers[i].first, -size[i])),
            by(lambda i: (-buffers[i].last, -size[i])),
        ]

    def lowest_fit(self, i: int, offsets: Sequence[int], placed: Sequence[bool]) -> int:
        """The lowest offset where buffer i overlaps no placed neighbour."""
        taken = sorted((offsets[j], offsets[j] + self.sizes[j]) for j in self.neighbours[i] if placed[j])
        offset = 0
        for start, end in taken:
            if offset + self.sizes[i] <= start:
                break
            offset = max(offset, end)
        return offset

    def first_fit(self, order: Sequence[int]) -> list[int]:
        offsets = [0] * len(self.sizes)
        placed = [False] * len(self.sizes)
        for i in order:
            offsets[i] = self.lowest_fit(i, offsets, placed)
            placed[i] = True
        return offsets


class _Search:
    """Depth-first branch and bound with an explicit stack (no recursion limit to meet)."""

    def __init__(self, problem: _Problem, best: list[int], total: int, bound: int, steps: int):
        self.problem, self.best, self.total, self.bound, self.steps = problem, best, total, bound, steps

    def candidates(self, offsets: list[int], placed: list[bool], floor: int) -> list[tuple[int, int]] | None:
        """(offset, index) of each next buffer, or None where some buffer can no longer fit under the best total."""
        found = []
        for i, done in enumerate(placed):
            if done:
                continue
            self.steps -= 1
            offset = self.problem.lowest_fit(i, offsets, placed)
            if offset + self.problem.sizes[i] >= self.total:
                return None
            if offset >= floor:
                found.append((offset, i))
            # A buffer that fits below the floor was passed over: pushing it down gives a packing seen elsewhere.
        found.sort(key=lambda pair: (pair[0], -self.problem.sizes[pair[1]], pair[1]))
        return found

    def run(self) -> tuple[list[int], int, bool]:
        problem = self.problem
        count = len(problem.sizes)
        offsets, placed = [0] * count, [False] * count
        stack: list[tuple[list[tuple[int, int]], int]] = [(self.candidates(offsets, placed, 0) or [], -1)]
        while stack:
            options, current = stack[-1]
            if current >= 0:
                placed[current] = False
            if not options:
                stack.pop()
                continue
            if self.steps < 0:
                return self.best, self.total, False
            offset, i = options.pop(0)
            stack[-1] = (options, i)
            offsets[i], placed[i] = offset, True
            if len(stack) == count:
                if problem.total(offsets) < self.total:
                    self.best, self.total = list(offsets), problem.total(offsets)
                    if self.total == self.bound:
                        return self.best, self.total, True
                continue
            following = self.candidates(offsets, placed, offset)
            stack.append((following or [], -1))
        return self.best, self.total, True
