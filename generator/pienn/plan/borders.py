"""Copies that a network needs on a chip, as slices of everything.

The caller's arrays are dense and may lie anywhere; the kernels of a chip want whole vectors. So the graph that is
planned for a chip begins and ends with copies. Between two images of different shapes the bytes pass through a block
without gaps.
"""

from __future__ import annotations

from xdsl.dialects.func import ReturnOp
from xdsl.ir import SSAValue

from pienn.ir.dialect import PiennOp, ReshapeOp, SliceOp, activation_type, encoding_of, shape_of
from pienn.ir.graph import Graph


def stage_borders(graph: Graph) -> Graph:
    """A graph with a copy behind each argument, in front of each result, and between reshaped images."""
    graph = graph.clone()
    block = graph.function.body.block
    for port in graph.inputs:
        copy = _copy(port.value, f"{port.name}.copied")
        block.insert_op_before(copy, block.first_op) if block.first_op else block.add_op(copy)
        port.value.replace_uses_with_if(copy.result, lambda use, copy=copy: use.operation is not copy)
    for op in graph.layers:
        if isinstance(op, ReshapeOp) and len(shape_of(op.x)) == len(shape_of(op.result)) == 3:
            copy = _copy(op.x, f"{op.layer}.dense")
            block.insert_op_before(copy, op)
            op.operands[0] = copy.result
    terminator = block.last_op
    assert isinstance(terminator, ReturnOp)
    for index, port in enumerate(graph.outputs):
        copy = _copy(port.value, f"{port.name}.result")
        block.insert_op_before(copy, terminator)
        terminator.operands[index] = copy.result
    return graph


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
