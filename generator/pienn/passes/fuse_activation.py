"""Moves a requantize that only clamps (relu, relu6, clip) into the `minimum` and `maximum` of its producer.

With equal exponents the requantize maps stored values by a shift of the zero point and a clamp.  Clamps are
monotone, so clamping the producer's saturated value once more is the same as clamping with both bounds mapped.
Where the producer shifts by 0 in every channel, its value is the exact accumulator, and a coarser exponent may move
in as well: floor and clamp are monotone, the bounds map the same way.  Otherwise two roundings would become one, which
is not equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pienn.ir import dialect
from pienn.ir.dialect import PiennOp, RequantizeOp, encoding_of, tensor_type
from pienn.ir.graph import Graph
from pienn.passes.graph_pass import GraphPass, Replacement, producer_used_once, rewrite_layers, table_of


@dataclass(frozen=True)
class FuseActivation(GraphPass):
    name = "fuse-activation"

    def rewrite(self, graph: Graph) -> None:
        rewrite_layers(graph, fuse)


def fuse(op: PiennOp, graph: Graph) -> Replacement:
    """The producer with the clamp of `op`; it is named after `op`, whose tensor it computes now."""
    if not isinstance(op, RequantizeOp):
        return None
    producer = producer_used_once(op.x)
    if not isinstance(producer, dialect.CLAMPED) or isinstance(producer, RequantizeOp):
        return None
    distance = encoding_of(op.result).exponent - encoding_of(op.x).exponent
    if distance and (distance < 0 or any(shifts_of(producer))):
        return None
    parameters: dict[str, Any] = producer.parameters
    bounds = np.array([parameters["minimum"], parameters["maximum"]]).astype(np.int8)
    parameters["minimum"], parameters["maximum"] = (int(bound) for bound in table_of(op, graph, bounds))
    return type(producer).make(list(producer.operands), tensor_type(op.result), layer=op.layer, **parameters)


def shifts_of(op: PiennOp) -> Sequence[int]:
    """The shifts `s` of a clamped operation's result: one, or one per output channel."""
    exponent = encoding_of(op.result).exponent
    if isinstance(op, dialect.WindowOp):
        weights: Any = op.parameters["weight_exponents"]
        return [exponent - encoding_of(op.x).exponent - weight for weight in weights]
    finest = [encoding_of(operand).exponent for operand in op.operands]
    if isinstance(op, (dialect.AddOp, dialect.SubOp)):
        return [exponent - min(finest)]
    return [exponent - sum(finest)]
