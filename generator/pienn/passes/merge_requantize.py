"""Makes one operation of two requantizes in a row, where that is equal, and composes tables.

Two roundings are not one: the merged requantize is tried on every stored value that can occur and taken only if it
agrees on all of them.  A requantize before or behind a lut disappears into the table, and so do two luts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pienn.ir.dialect import LutOp, PiennOp, RequantizeOp, encoding_of, tensor_type
from pienn.ir.graph import Graph
from pienn.passes.graph_pass import (
    GraphPass,
    Replacement,
    add_constant,
    producer_used_once,
    reachable,
    rewrite_layers,
    table_of,
)


@dataclass(frozen=True)
class MergeRequantize(GraphPass):
    name = "merge-requantize"

    def rewrite(self, graph: Graph) -> None:
        rewrite_layers(graph, merge)


def merge(op: PiennOp, graph: Graph) -> Replacement:
    """One operation for `op` and its producer; it is named after `op`, whose tensor it computes."""
    if not isinstance(op, (RequantizeOp, LutOp)):
        return None
    first = producer_used_once(op.x)
    if not isinstance(first, (RequantizeOp, LutOp)):
        return None
    kind = tensor_type(op.result)
    if isinstance(op, RequantizeOp) and isinstance(first, RequantizeOp):
        stored = reachable(first.x)
        wanted = table_of(op, graph, table_of(first, graph, stored))
        if not -15 <= encoding_of(op.result).exponent - encoding_of(first.x).exponent <= 31:
            return None
        merged = RequantizeOp.make(
            [first.x], kind, layer=op.layer, minimum=int(wanted.min()), maximum=int(wanted.max())
        )
        if np.array_equal(table_of(merged, graph, stored), wanted):
            return merged
        merged.erase()
        return None
    stored = np.arange(-128, 128).astype(np.int8)
    table = table_of(op, graph, table_of(first, graph, stored))
    return LutOp.make([first.x, add_constant(graph, op, f"{op.layer}.table", table)], kind, layer=op.layer)
