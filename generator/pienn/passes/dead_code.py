"""Removes operations whose results reach no result of the graph."""

from __future__ import annotations

from dataclasses import dataclass

from pienn.ir.graph import Graph
from pienn.passes.graph_pass import GraphPass, erase_dead


@dataclass(frozen=True)
class DeadCode(GraphPass):
    name = "dead-code"

    def rewrite(self, graph: Graph) -> None:
        for op in reversed(graph.layers):
            if op.parent is not None:
                erase_dead(op)
