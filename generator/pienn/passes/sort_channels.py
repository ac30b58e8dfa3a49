"""Brings channels with equal shifts together, for kernels that requantise 16 of them by one shift.

The ESP32-S3 shifts 16 lanes at once and has lanes of 20 bits: a block of 16 output channels with several shifts pays
for each further one, and a block with a single sum that leaves 20 bits runs in two digits. Channels of a layer are
therefore sorted by shift, and within a shift by the reach of their sums; with them goes all that reads or computes the
same channels. The graph's inputs and results keep their order. Every result says in its attribute `order` which of the
exported network's elements stand where, so that tensors can still be compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from pienn.ir import bounds, dialect
from pienn.ir.dialect import ConstantOp, PiennOp, encoding_of, to_attribute
from pienn.ir.graph import Graph
from pienn.passes.channel_axes import ChannelAxes, is_depthwise, pixels
from pienn.passes.graph_pass import GraphPass, add_constant

LANES = 16
HIGHEST = 2**19  # what a lane of the accumulator holds
FIRST_STEP = 7  # cycles per vector of 16 outputs, for one step from the smallest shift to the largest
FURTHER_STEP = 5  # for each one more
MOST_STEPS = 4  # that unrolled bodies take
WALKED = 50  # cycles per vector more in a body that takes any
MOST_KEYS = 3  # layers whose every order of precedence is tried


@dataclass(frozen=True)
class SortChannels(GraphPass):
    name = "sort-channels"

    def rewrite(self, graph: Graph) -> None:
        axes = ChannelAxes(graph)
        for group in axes.free:
            makers = [Maker.of(op, start, group.size, graph) for op, start in group.makers]
            chosen = min(orders(makers), key=lambda order: sum(maker.cycles(order) for maker in makers))
            group.order = None if np.array_equal(chosen, np.arange(group.size)) else chosen
        for op in graph.layers:
            _move_constants(op, graph, axes)
            order = axes.order(op.result)
            if order is not None:
                before = np.array(op.order or range(len(order)))
                op.properties["order"] = to_attribute(tuple(before[order]))


@dataclass(frozen=True)
class Maker:
    """What the order of a group's channels costs one of the layers that compute them."""

    pixels: int
    products: int
    """MACs per vector of 16 outputs."""
    shift: np.ndarray
    """Weight exponent per channel, which differs from the shift by a constant."""
    reach: np.ndarray
    """Largest magnitude of each channel's sum."""

    @classmethod
    def of(cls, op: PiennOp, start: int, size: int, graph: Graph) -> Maker:
        exponents: Any = op.parameters["weight_exponents"]
        weight, bias = graph.array(op.operands[1]), graph.array(op.operands[2])
        least, most = bounds.weighted_sum(weight, bias, encoding_of(op.operands[0]).zero_point)
        part = slice(start, start + size)
        reach = np.maximum(np.abs(least), np.abs(most))[part]
        return cls(pixels(op), weight[0].size, np.array(exponents)[part], reach)

    def cycles(self, order: np.ndarray) -> int:
        """What blocks of several shifts or wide sums cost beyond blocks without."""
        total = 0
        for first in range(0, len(order), LANES):
            block = order[first : first + LANES]
            above = self.shift[block] - self.shift[block].min()
            steps = int(above.max()) // max(int(np.gcd.reduce(above)), 1)
            total += FIRST_STEP + (steps - 1) * FURTHER_STEP if steps else 0
            total += WALKED if steps > MOST_STEPS else 0
            total += self.products if self.reach[block].max() >= HIGHEST else 0
        return total * self.pixels


def orders(makers: list[Maker]) -> Iterator[np.ndarray]:
    """The orders worth trying, the present one first."""
    size = len(makers[0].shift)
    yield np.arange(size)
    makers = sorted(makers, key=lambda maker: -maker.pixels * maker.products)
    for ranked in permutations(makers[:MOST_KEYS]):
        keys = [maker.shift for maker in (*ranked, *makers[MOST_KEYS:])]
        by_reach = np.lexsort([-ranked[0].reach, *reversed(keys)])
        yield by_reach
        yield np.lexsort([*reversed(keys), np.sum(keys, axis=0)])
        yield np.lexsort([*reversed(keys), keys[0] // 2])
        yield whole_blocks_first(by_reach, np.stack(keys, axis=1))


def whole_blocks_first(order: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """As many blocks of equal keys as there are, and then the rest; `order` is sorted by the keys `[channel, key]`."""
    rows = [tuple(keys[channel]) for channel in order]
    left = {row: count // LANES * LANES for row, count in Counter(rows).items()}
    whole, rest = [], []
    for channel, row in zip(order, rows):
        (whole if left[row] > 0 else rest).append(channel)
        left[row] -= 1
    return np.array([*whole, *rest])


def _move_constants(op: PiennOp, graph: Graph, axes: ChannelAxes) -> None:
    """Weights, biases, exponents and slopes in the order of the channels that they belong to."""
    if isinstance(op, dialect.WindowOp):
        outputs, inputs = axes.order(op.result), axes.order(op.x)
        if outputs is not None:
            exponents: Any = op.parameters["weight_exponents"]
            op.properties["weight_exponents"] = to_attribute(tuple(np.array(exponents)[outputs]))
            _replace(op, 1, graph.array(op.weight)[outputs], graph)
            _replace(op, 2, graph.array(op.bias)[outputs], graph)
        if inputs is not None and not is_depthwise(op):
            _replace(op, 1, graph.array(op.weight)[..., inputs], graph)
    elif isinstance(op, dialect.PreluOp):
        order = axes.order(op.x)
        if order is not None:
            _replace(op, 1, graph.array(op.slope)[order], graph)


def _replace(op: PiennOp, index: int, array: np.ndarray, graph: Graph) -> None:
    """A constant operand with new values; one that others read too stays as it is for them."""
    constant = op.operands[index].owner
    assert isinstance(constant, ConstantOp)
    array = np.ascontiguousarray(array)
    if len(list(constant.result.uses)) == 1:
        graph.weights[constant.tensor_name] = array
    else:
        op.operands[index] = add_constant(graph, op, constant.tensor_name, array)
