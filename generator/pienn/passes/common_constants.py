"""Makes constants of one type and equal values one constant, the first of them."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import Attribute, SSAValue

from pienn.ir.dialect import ConstantOp
from pienn.ir.graph import Graph
from pienn.passes.graph_pass import GraphPass


@dataclass(frozen=True)
class CommonConstants(GraphPass):
    name = "common-constants"

    def rewrite(self, graph: Graph) -> None:
        first: dict[tuple[Attribute, bytes], SSAValue] = {}
        for op in graph.ops:
            if isinstance(op, ConstantOp):
                key = op.result.type, graph.weights[op.tensor_name].tobytes()
                same = first.setdefault(key, op.result)
                if same is not op.result:
                    op.result.replace_all_uses_with(same)
