"""Computes operations on nothing but constants now: their results become constants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pienn.ir.dialect import ConstantOp, PiennOp, encoding_of
from pienn.ir.graph import Graph
from pienn.ir.interpreter import EVALUATE, Layer
from pienn.passes.graph_pass import GraphPass, Replacement, add_constant, is_returned, rewrite_layers


@dataclass(frozen=True)
class FoldConstants(GraphPass):
    name = "fold-constants"

    def rewrite(self, graph: Graph) -> None:
        rewrite_layers(graph, fold)


def fold(op: PiennOp, graph: Graph) -> Replacement:
    """The constant that an operation yields."""
    if is_returned(op.result) or not all(isinstance(operand.owner, ConstantOp) for operand in op.operands):
        return None
    values = {operand: graph.array(operand)[None] for operand in op.operands}
    result = np.ascontiguousarray(EVALUATE[type(op)](Layer(op, graph, values))[0])
    return add_constant(graph, op, op.layer, result, encoding_of(op.result))
