"""Moves a pad into the `padding` of the windows that read it.

* conv2d reads its padding as real zero: so may a pad with `value` z_x be.
* max_pool2d leaves its padding out: as good as padding with -128, if every window has an element of x.
* avg_pool2d adds real zeros; the padding counts where `count_include_pad` says so, as the pad's elements did.
* pad behind pad with the same value is one pad.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pienn.ir.dialect import AvgPool2dOp, Conv2dOp, MaxPool2dOp, PadOp, PiennOp, encoding_of, tensor_type
from pienn.ir.graph import Graph
from pienn.passes.graph_pass import GraphPass, Replacement, rewrite_layers


@dataclass(frozen=True)
class AbsorbPadding(GraphPass):
    name = "absorb-padding"

    def rewrite(self, graph: Graph) -> None:
        rewrite_layers(graph, absorb)


def absorb(op: PiennOp, graph: Graph) -> Replacement:
    """`op` on the operand of the pad before it; the pad stays for those that cannot do without."""
    pad = op.operands[0].owner if op.operands else None
    if not isinstance(pad, PadOp):
        return None
    given: dict[str, Any] = pad.parameters
    parameters: dict[str, Any] = op.parameters
    if isinstance(op, PadOp):
        if parameters["value"] != given["value"]:
            return None
        for side in ("low", "high"):
            parameters[side] = [sum(pair) for pair in zip(parameters[side], given[side])]
    elif isinstance(op, (Conv2dOp, MaxPool2dOp, AvgPool2dOp)):
        if given["low"][2] or given["high"][2] or not _reads_alike(op, given["value"], parameters):
            return None
        widths = (*given["low"][:2], *given["high"][:2])
        parameters["padding"] = [sum(pair) for pair in zip(parameters["padding"], widths)]
    else:
        return None
    return type(op).make([pad.x, *op.operands[1:]], tensor_type(op.result), layer=op.layer, **parameters)


def _reads_alike(op: PiennOp, value: int, parameters: dict[str, Any]) -> bool:
    """Whether the operation reads its own padding as it reads stored `value`; may set count_include_pad."""
    if isinstance(op, MaxPool2dOp):
        return value == -128
    if value != encoding_of(op.operands[0]).zero_point:
        return False
    if isinstance(op, AvgPool2dOp) and not parameters["divisor"] and not parameters["count_include_pad"]:
        parameters["count_include_pad"] = True
        return not any(parameters["padding"])
    return True
