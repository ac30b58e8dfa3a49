"""Removes operations that only move bytes: those that move nothing, and chains that one of them can do.

concat, slice, reshape, transpose, pad, and requantize, pools and resizing that change nothing.  What remains of
them is a matter of addresses and strides, which the memory plan decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pienn.ir import dialect
from pienn.ir.dialect import ConcatOp, PiennOp, ReshapeOp, SliceOp, TransposeOp, shape_of, tensor_type
from pienn.ir.graph import Graph
from pienn.passes.graph_pass import GraphPass, Replacement, free_layer, reachable, rewrite_layers, table_of


@dataclass(frozen=True)
class EliminateCopies(GraphPass):
    name = "eliminate-copies"

    def rewrite(self, graph: Graph) -> None:
        rewrite_layers(graph, simplify)


def simplify(op: PiennOp, graph: Graph) -> Replacement:
    """What the first rule that applies makes of an operation."""
    candidates = (rule(op, graph) for rule in (identity, join_slices, slice_of_concat, chain))
    return next((candidate for candidate in candidates if candidate is not None), None)


def identity(op: PiennOp, graph: Graph) -> Replacement:
    """The operand, where the result is the same bytes in the same shape and encoding."""
    if len(op.operands) != 1 or op.operands[0].type != op.result.type:
        return None
    x, parameters = op.operands[0], op.parameters
    if isinstance(op, dialect.RequantizeOp):
        stored = reachable(x)
        return x if np.array_equal(table_of(op, graph, stored), stored) else None
    if isinstance(op, dialect.MaxPool2dOp):
        still = parameters["kernel"] == parameters["strides"] == (1, 1) and parameters["padding"] == (
            0,
            0,
            0,
            0,
        )
        return x if still else None
    if isinstance(op, TransposeOp):
        return x if _moves_nothing(op) else None
    kinds = (ConcatOp, SliceOp, dialect.PadOp, ReshapeOp, dialect.ResizeNearestOp)
    return x if isinstance(op, kinds) else None


def chain(op: PiennOp, graph: Graph) -> Replacement:
    """One operation for a slice, reshape, transpose or concat on the result of another of its kind."""
    if isinstance(op, ConcatOp):
        return _flat_concat(op)
    if isinstance(op, TransposeOp) and _moves_nothing(op):
        return ReshapeOp.make([op.x], tensor_type(op.result), layer=op.layer)
    if not isinstance(op, (SliceOp, ReshapeOp, TransposeOp)) or not isinstance(op.x.owner, type(op)):
        return None
    first: Any = op.x.owner
    inner: dict[str, Any] = first.parameters
    outer: dict[str, Any] = op.parameters
    if isinstance(op, SliceOp):
        triples = zip(inner["offsets"], outer["offsets"], inner["strides"])
        outer["offsets"] = tuple(start + offset * step for start, offset, step in triples)
        outer["strides"] = tuple(a * b for a, b in zip(inner["strides"], outer["strides"]))
    if isinstance(op, TransposeOp):
        outer["permutation"] = tuple(inner["permutation"][axis] for axis in outer["permutation"])
    return type(op).make([first.x], tensor_type(op.result), layer=op.layer, **outer)


def join_slices(op: PiennOp, graph: Graph) -> Replacement:
    """A concat of slices that follow one another in the same tensor takes one slice in their place."""
    if not isinstance(op, ConcatOp):
        return None
    axis: Any = op.parameters["axis"]
    for index, (left, right) in enumerate(zip(op.operands, op.operands[1:])):
        first, second = left.owner, right.owner
        if not isinstance(first, SliceOp) or not isinstance(second, SliceOp) or first.x is not second.x:
            continue
        a: dict[str, Any] = first.parameters
        b: dict[str, Any] = second.parameters
        follows = list(a["offsets"])
        follows[axis] += a["sizes"][axis] * a["strides"][axis]
        sizes = list(a["sizes"])
        sizes[axis] = b["sizes"][axis]
        if follows != list(b["offsets"]) or sizes != list(b["sizes"]) or a["strides"] != b["strides"]:
            continue
        sizes[axis] += a["sizes"][axis]
        encoding = dialect.encoding_of(left)
        joined = SliceOp.make(
            [first.x],
            dialect.activation_type(sizes, *encoding),
            layer=free_layer(graph, f"{second.layer}.joined"),
            offsets=a["offsets"],
            sizes=sizes,
            strides=a["strides"],
        )
        op.parent.insert_op_before(joined, op)  # type: ignore[union-attr]
        operands = [*op.operands[:index], joined.result, *op.operands[index + 2 :]]
        return ConcatOp.make(operands, tensor_type(op.result), layer=op.layer, axis=axis)
    return None


def slice_of_concat(op: PiennOp, graph: Graph) -> Replacement:
    """A slice that lies in one operand of a concat is a slice of that operand: split behind concat."""
    if not isinstance(op, SliceOp) or not isinstance(op.x.owner, ConcatOp):
        return None
    parameters: dict[str, Any] = op.parameters
    axis: Any = op.x.owner.parameters["axis"]
    first = parameters["offsets"][axis]
    last = first + (parameters["sizes"][axis] - 1) * parameters["strides"][axis]
    begin = 0
    for operand in op.x.owner.operands:
        end = begin + shape_of(operand)[axis]
        if begin <= first and last < end:
            offsets = list(parameters["offsets"])
            offsets[axis] -= begin
            parameters["offsets"] = offsets
            return SliceOp.make([operand], tensor_type(op.result), layer=op.layer, **parameters)
        begin = end
    return None


def _flat_concat(op: ConcatOp) -> Replacement:
    """A concat whose operands are no concats along the same axis."""
    axis = op.parameters["axis"]
    operands = []
    for operand in op.operands:
        owner = operand.owner
        nested = isinstance(owner, ConcatOp) and owner.parameters["axis"] == axis
        operands += list(owner.operands) if nested and len(list(operand.uses)) == 1 else [operand]  # type: ignore[union-attr]
    if len(operands) == len(op.operands):
        return None
    return ConcatOp.make(operands, tensor_type(op.result), layer=op.layer, axis=axis)


def _moves_nothing(op: TransposeOp) -> bool:
    """Whether the axes longer than 1 keep their order."""
    shape, permutation = shape_of(op.x), op.parameters["permutation"]
    long: list[Any] = [axis for axis in permutation if shape[axis] > 1]  # type: ignore[union-attr]
    return long == sorted(long)
