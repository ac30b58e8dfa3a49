"""Copies that a network needs on a chip, as slices of everything.

The caller's arrays are dense and may lie anywhere; the kernels of a chip want whole vectors. So the graph that is
planned for a chip begins and ends with copies. Between two images of different shapes the bytes pass through a block
without gaps. A tensor that its readers want in different ways, or with different values around it, is copied for some.
"""

from __future__ import annotations

from xdsl.dialects.func import ReturnOp
from xdsl.ir import SSAValue

from pienn.ir.dialect import PiennOp, ReshapeOp, SliceOp, activation_type, encoding_of, shape_of
from pienn.ir.graph import Graph
from pienn.plan.kernels import macs_of
from pienn.plan.layout import (
    IMAGES,
    has_odd_rows,
    needed_margins,
    readers,
    readers_that_need_dense,
    wanted_layout,
    writer_needs_dense,
)

REASONS = {
    "copied": "the caller's array may lie anywhere",
    "result": "the caller's array may lie anywhere",
    "dense": "a reader wants a block without gaps",
    "image": "a reader wants whole vectors, which cannot be written so",
    "padded": "another reader wants other values around the same image",
}
"""Last part of a copy's name -> why it is there."""


def stage_borders(graph: Graph, target: str) -> Graph:
    """A graph with a copy behind each argument, in front of each result, between reshaped images, and of tensors that
    readers want in different ways."""
    graph = graph.clone()
    block = graph.function.body.block
    for port in graph.inputs:
        copy = _copy(port.value, f"{port.name}.copied")
        block.insert_op_before(copy, block.first_op) if block.first_op else block.add_op(copy)
        port.value.replace_uses_with_if(copy.result, lambda use, copy=copy: use.operation is not copy)
    for op in graph.layers:
        if isinstance(op, ReshapeOp) and _may_have_gaps(op.x) and _may_have_gaps(op.result):
            copy = _copy(op.x, f"{op.layer}.dense")
            block.insert_op_before(copy, op)
            op.operands[0] = copy.result
    terminator = block.last_op
    assert isinstance(terminator, ReturnOp)
    for index, port in enumerate(graph.outputs):
        copy = _copy(port.value, f"{port.name}.result")
        block.insert_op_before(copy, terminator)
        terminator.operands[index] = copy.result
    for op in graph.layers:
        _separate_margins(op)
    for op in graph.layers:
        _separate_layouts(op, target)
    return graph


def _may_have_gaps(value: SSAValue) -> bool:
    """Whether a chip's layout of a tensor may be no block without gaps."""
    return len(shape_of(value)) == 3 or has_odd_rows(shape_of(value))


def _separate_margins(op: PiennOp) -> None:
    """Copy an image for those of its readers that want other values around it than the one with the most work."""
    groups: dict[int, list[PiennOp]] = {}
    if len(shape_of(op.result)) == 3:
        for reader in readers(op.result):
            margins = needed_margins(reader, shape_of(op.result))
            if (
                margins is not None
                and not margins.empty
                and reader not in groups.setdefault(margins.value, [])
            ):
                groups[margins.value].append(reader)
    kept = max(groups, key=lambda value: (sum(map(macs_of, groups[value])), value), default=None)
    for value, group in groups.items():
        if value != kept:
            _read_a_copy(op, group, "padded")


def _separate_layouts(op: PiennOp, target: str) -> None:
    """Copy a tensor whose writer or some of whose readers cannot address what windows or matrix products want."""
    layout = wanted_layout(op, target)
    wanting = IMAGES if layout.is_image else ("fully_connected",)
    wanted = [reader for reader in readers(op.result) if reader.short_name in wanting]
    if layout.pixel_stride is None or not (wanted or op.short_name in wanting):
        return
    if writer_needs_dense(op, layout):
        _read_a_copy(op, wanted, "image")
    elif found := readers_that_need_dense(op, layout):
        _read_a_copy(op, found, "dense")


def _read_a_copy(op: PiennOp, found: list[PiennOp], name: str) -> None:
    """Let some readers of an op's result read a copy of it."""
    copy = _copy(op.result, f"{op.layer}.{name}")
    block = op.parent_block()
    assert block is not None
    block.insert_op_after(copy, op)
    for reader in found:
        for index, operand in enumerate(reader.operands):
            if operand is op.result:
                reader.operands[index] = copy.result


def copy_reason(op: PiennOp) -> str | None:
    """Why one of these copies is there; None for other slices."""
    return (
        REASONS.get(op.layer.rsplit(".", 1)[-1]) if shape_of(op.operands[0]) == shape_of(op.result) else None
    )


def _copy(value: SSAValue, layer: str) -> PiennOp:
    shape, encoding = shape_of(value), encoding_of(value)
    copy = SliceOp.make(
        [value],
        activation_type(shape, encoding.exponent, encoding.zero_point),
        offsets=(0,) * len(shape),
        sizes=shape,
        strides=(1,) * len(shape),
        layer=layer,
    )
    copy.result.name_hint = layer
    return copy
