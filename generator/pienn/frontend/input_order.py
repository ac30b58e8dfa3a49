"""In which order the graph takes an input: the one that its first operator wants."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pienn.frontend import operators as ops
from pienn.frontend.layout import Layout, Shape
from pienn.frontend.operators import QuantisedProgram, Tensor
from pienn.frontend.placement import channels_last

IMAGE = (
    ops.Convolution,
    ops.TransposedConvolution,
    ops.MaxPool,
    ops.AveragePool,
    ops.ResizeNearest,
    ops.ResizeBilinear,
)
FOLLOWS = (ops.Requantize, ops.Lookup, ops.Prelu, ops.Pad, ops.Slice, ops.Concat, ops.Binary)


def input_order(tensor: Tensor, users: dict[Tensor, list[ops.Operator]]) -> Shape:
    """The order of an input's axes that spares the first operator which cares a transpose."""
    rank = len(tensor.shape)
    path: list[ops.Operator] = []
    current = tensor
    while users.get(current) and (not path or isinstance(path[-1], (*FOLLOWS, ops.Reshape, ops.Permute))):
        path.append(users[current][0])
        current = path[-1].result
    usual = (channels_last(rank), tuple(range(rank)))
    usual = usual if path and isinstance(path[-1], IMAGE) else usual[::-1]
    for order in (*usual, *itertools.permutations(range(rank))):
        if _pleases(Layout.ordered(tensor.shape, order), path):
            return order
    return usual[0]


def _pleases(layout: Layout, path: Sequence[ops.Operator]) -> bool:
    """Whether an input in this layout reaches the last operator of the path in the order that it wants."""
    for operator in path:
        if isinstance(operator, ops.Permute):
            layout = layout.permuted(operator.order)
        elif isinstance(operator, ops.Reshape):
            reshaped = layout.reshaped(operator.result.shape)
            if reshaped is None:
                return False
            layout = reshaped
        elif isinstance(operator, FOLLOWS):
            order = layout.axis_order()
            if order is None or len(operator.result.shape) != len(order):
                return False
            layout = Layout.ordered(operator.result.shape, order)
    rank = len(layout.axes)
    if path and isinstance(path[-1], IMAGE):
        return layout.has_order(channels_last(rank))
    return layout.has_order(range(rank))


def users_of(program: QuantisedProgram) -> dict[Tensor, list[ops.Operator]]:
    """The operators that read each tensor, in order."""
    users: dict[Tensor, list[ops.Operator]] = {}
    for operator in program.operators:
        for tensor in ops.operands(operator):
            users.setdefault(tensor, []).append(operator)
    return users
