"""Which channels of which tensors must keep one order among themselves: the freedom that sorting channels has.

The last axis of every activation is a row of groups. A group is born where an operation computes free channels, and
goes through all that treats each channel by itself; where two tensors meet element by element their groups become one.
A concatenation joins rows, flattening an image repeats its row for every pixel. A group that reaches an input, a result
or an operation that ties channels to their places is fixed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

from pienn.ir import dialect
from pienn.ir.dialect import PiennOp, is_activation, shape_of
from pienn.ir.graph import Graph

PER_CHANNEL = (
    dialect.RequantizeOp,
    dialect.LutOp,
    dialect.PreluOp,
    dialect.SoftmaxOp,
    dialect.MaxPool2dOp,
    dialect.AvgPool2dOp,
    dialect.ResizeNearestOp,
    dialect.ResizeBilinearOp,
)
"""Operations whose result has the channels of their first operand; softmax sums over all of them, in any order."""


@dataclass(eq=False)
class Group:
    """Channels that keep one order in all tensors that hold them."""

    size: int
    fixed: bool = False
    makers: list[tuple[PiennOp, int]] = field(default_factory=list)
    """Operations with weights that compute these channels, and which of their outputs is the first of them."""
    order: np.ndarray | None = None
    """What is chosen: the channel at each place; None for the order as it is."""


Row = tuple[Group, ...]


def channels_of(value: SSAValue) -> int:
    """Length of the last axis; 1 of a single number."""
    return (1, *shape_of(value))[-1]


def is_depthwise(op: PiennOp) -> bool:
    return isinstance(op, dialect.Conv2dOp) and op.parameters["groups"] == channels_of(op.x) > 1


class ChannelAxes:
    """The groups of a graph's activations; `row` and `order` of a value, `free` for what may be sorted."""

    def __init__(self, graph: Graph) -> None:
        self._merged: dict[Group, Group] = {}
        self._rows: dict[SSAValue, Row] = {port.value: self._tied(port.value) for port in graph.inputs}
        for op in graph.ops:
            if is_activation(op.result):
                self._rows[op.result] = self._row_of(op)
        for port in graph.outputs:
            self._fix(port.value)

    def row(self, value: SSAValue) -> Row:
        """The groups along an activation's last axis."""
        return tuple(map(self._root, self._rows[value]))

    @property
    def free(self) -> list[Group]:
        """Groups with more than one channel whose order is open, in the order of the graph."""
        found = dict.fromkeys(group for value in self._rows for group in self.row(value))
        return [group for group in found if not group.fixed and group.size > 1 and group.makers]

    def order(self, value: SSAValue) -> np.ndarray | None:
        """The element at each place of the value's last axis; None where nothing moves."""
        row = self.row(value)
        if all(group.order is None for group in row):
            return None
        starts = np.cumsum([0, *(group.size for group in row)])
        parts = (np.arange(group.size) if group.order is None else group.order for group in row)
        return np.concatenate([start + part for start, part in zip(starts, parts)])

    def _root(self, group: Group) -> Group:
        while group in self._merged:
            group = self._merged[group]
        return group

    def _tied(self, value: SSAValue) -> Row:
        return (Group(channels_of(value), fixed=True),)

    def _fix(self, value: SSAValue) -> None:
        for group in self.row(value):
            group.fixed = True

    def _share(self, first: Row, second: Row) -> None:
        """Both rows keep one order, pair by pair where they are cut alike."""
        first, second = tuple(map(self._root, first)), tuple(map(self._root, second))
        if [group.size for group in first] != [group.size for group in second]:
            for group in (*first, *second):
                group.fixed = True
            return
        for a, b in zip(first, second):
            a, b = self._root(a), self._root(b)
            if a is not b:
                a.fixed |= b.fixed
                a.makers += b.makers
                self._merged[b] = a

    def _row_of(self, op: PiennOp) -> Row:
        """The row of a result; fixes operands whose places matter to the operation."""
        given: dict[str, Any] = op.parameters
        rows = [self._rows[operand] for operand in op.operands if operand in self._rows]
        channels = channels_of(op.result)
        if isinstance(op, dialect.WindowOp):
            if given.get("groups", 1) == 1:
                return (Group(channels, makers=[(op, 0)]),)
            if is_depthwise(op) and channels == given["groups"]:
                start = 0
                for group in self.row(op.x):
                    group.makers.append((op, start))
                    start += group.size
                return rows[0]
        elif isinstance(op, (dialect.AddOp, dialect.SubOp, dialect.MulOp)):
            whole = [row for row in rows if sum(group.size for group in row) == channels]
            for row in whole[1:]:
                self._share(whole[0], row)
            return whole[0]
        elif _keeps_last_axis(op, given):
            return rows[0]
        elif isinstance(op, dialect.ReshapeOp) and channels % channels_of(op.x) == 0:
            return rows[0] * (channels // channels_of(op.x))
        elif isinstance(op, dialect.SliceOp) and given["sizes"]:
            part = self._sliced(rows[0], given)
            if part is not None:
                return part
        elif isinstance(op, dialect.ConcatOp):
            if given["axis"] == len(shape_of(op.result)) - 1:
                return tuple(group for row in rows for group in row)
            for row in rows[1:]:
                self._share(rows[0], row)
            return rows[0]
        for operand in op.operands:
            if operand in self._rows:
                self._fix(operand)
        return self._tied(op.result)

    @staticmethod
    def _sliced(row: Row, given: dict[str, Any]) -> Row | None:
        """The groups that a slice takes, if it takes whole ones."""
        first, end = given["offsets"][-1], given["offsets"][-1] + given["sizes"][-1]
        starts = np.cumsum([0, *(group.size for group in row)])
        if given["strides"][-1] != 1 or first not in starts or end not in starts:
            return None
        return row[int(np.searchsorted(starts, first)) : int(np.searchsorted(starts, end))]


def _keeps_last_axis(op: PiennOp, given: dict[str, Any]) -> bool:
    """Whether the result has the channels of the first operand, each computed from that one alone."""
    if isinstance(op, dialect.MeanOp):
        return given["last_axis"] < len(shape_of(op.x)) - 1
    if isinstance(op, dialect.TransposeOp):
        return given["permutation"][-1] == len(shape_of(op.x)) - 1
    if isinstance(op, dialect.PadOp):
        return not given["low"][-1] and not given["high"][-1]
    return isinstance(op, PER_CHANNEL)


def pixels(op: PiennOp) -> int:
    """Of a result."""
    return prod(shape_of(op.result)[:-1])
