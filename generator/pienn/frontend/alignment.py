"""Moves exponents of a calibrated graph to where integer arithmetic can follow.

A shift must lie in 0..31 and a bias must fit into 32 bits (SPEC section 3). Where a result is finer than
its exact sum, its exponent rises, which loses nothing; where a channel's weights are so small that its
shift or its bias would not fit, its weight exponent rises. So it does where a bias outweighs all that its channel's
products can sum to and would fill the ESP32-S3's 20 bits alone: what is lost then lies below the result's last bit.
Exponents only ever rise, so this ends.
"""

from __future__ import annotations

import math
import operator

import torch
from torch.fx import GraphModule, Node

from pienn.errors import PiennError
from pienn.frontend.comparison import bias_of, observers
from pienn.frontend.observers import ActivationObserver, WeightObserver
from pienn.frontend.quantizer import AVERAGES, PRODUCTS, WEIGHTED, fused_clamp, layer_name, operator_name
from pienn.frontend.ranges import HIGHEST_EXPONENT

BIAS_BITS = 29
"""|bias| stays below 2^29 accumulator units, which leaves room for the sum and the rounding term."""

NEAR_DEAD_BIAS_BITS = 18
"""The same where the bias is larger than any sum of products: half of what a lane of 20 bits holds."""

HIGHEST_SHIFT = 31
HIGHEST_LEFT_SHIFT = 15


class Aligner:
    """See the module; `run` is the one entry."""

    def __init__(self, prepared: GraphModule) -> None:
        self.model = prepared
        self.observers = observers(prepared)
        self.changed = False

    def run(self) -> None:
        for _ in range(1000):
            self.changed = False
            for node in self.model.graph.nodes:
                self._visit(node)
            if not self.changed:
                return
        raise PiennError("exponents of the network cannot be aligned: its ranges differ by more than 2^100")

    def _encoding(self, node: object) -> ActivationObserver | None:
        found = self.observers.get(node) if isinstance(node, Node) else None
        return found if isinstance(found, ActivationObserver) else None

    def result_of(self, node: Node) -> ActivationObserver | None:
        """The observer behind a node, or behind the clamp that is fused into it."""
        behind = fused_clamp(node) or node
        for user in behind.users:
            found = self._encoding(user)
            if found is not None:
                return found
        return None

    def _raise(self, observer: ActivationObserver, exponent: int, node: Node) -> None:
        if exponent <= observer.exponent or observer.fixed is not None:
            return
        if exponent > HIGHEST_EXPONENT:
            raise PiennError(
                f"{layer_name(node)}: values reach 2^{exponent + 7}, beyond what int8 tensors can say"
            )
        observer.exponent = exponent
        self.changed = True

    def _visit(self, node: Node) -> None:
        name = operator_name(node)
        y = self.result_of(node) if node.op == "call_function" else None
        if y is None:
            return
        operands = [e for e in map(self._encoding, node.args) if e is not None]
        if name in WEIGHTED and operands:
            self._weighted(node, operands[0], y)
        elif name in ("add", "sub") and len(operands) == 2:
            low = min(operands, key=lambda e: e.exponent)
            self._raise(y, low.exponent, node)
            self._raise(low, y.exponent - HIGHEST_SHIFT, node)
        elif (name == "mul" or name in PRODUCTS) and len(operands) == 2:
            a, b = operands
            self._raise(y, a.exponent + b.exponent, node)
            self._raise(a, y.exponent - b.exponent - HIGHEST_SHIFT, node)
        elif name in AVERAGES and operands:
            finest = 12 if name == "upsample_bilinear2d" else HIGHEST_LEFT_SHIFT
            self._raise(y, operands[0].exponent - finest, node)
            self._raise(operands[0], y.exponent - 19, node)
        elif operands and name in ("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max", "prelu"):
            self._raise(y, operands[0].exponent - HIGHEST_LEFT_SHIFT, node)
            self._raise(operands[0], y.exponent - HIGHEST_SHIFT, node)

    def _weighted(self, node: Node, x: ActivationObserver, y: ActivationObserver) -> None:
        weight = self.observers.get(node.args[1]) if isinstance(node.args[1], Node) else None
        if not isinstance(weight, WeightObserver) or weight.exponents is None:
            return
        exponents = weight.exponents
        lowest = torch.full_like(exponents, y.exponent - x.exponent - HIGHEST_SHIFT)
        bias = bias_of(self.model, node)
        if bias is not None:
            if not bool(torch.isfinite(bias).all()):
                raise PiennError(f"{layer_name(node)}: the bias holds NaN or infinity; check the weights")
            per_group = bias.detach().abs().double().reshape(-1, exponents.numel()).amax(0)
            products = self._largest_sums(node, x).reshape(-1, exponents.numel()).amax(0)
            for channel, value in enumerate(per_group.tolist()):
                if value > 0.0:
                    bits = NEAR_DEAD_BIAS_BITS if value > products[channel] else BIAS_BITS
                    need = math.frexp(value)[1] - bits - x.exponent
                    lowest[channel] = max(int(lowest[channel]), need)
        raised = torch.maximum(exponents, lowest)
        if bool((raised != exponents).any()):
            weight.exponents = raised
            self.changed = True
        self._raise(y, x.exponent + int(raised.max()), node)

    def _largest_sums(self, node: Node, x: ActivationObserver) -> torch.Tensor:
        """What the products of each output channel can sum to, [channels]."""
        source = node.args[1].args[0]  # type: ignore[union-attr]
        rows = operator.attrgetter(str(source.target))(self.model).detach().double()  # type: ignore[union-attr]
        if operator_name(node).startswith("conv_transpose"):
            rows = rows.transpose(0, 1)
        return rows.abs().flatten(1).sum(1) * (128 - x.zero_point) * 2.0**x.exponent


def align(prepared: GraphModule) -> None:
    """Raise exponents until every shift and every bias fits."""
    Aligner(prepared).run()
