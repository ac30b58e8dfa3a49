"""Coarser weight exponents where the ESP32-S3 gains cycles by them: what they save, and which are worth their loss.

That chip requantises 16 channels by one shift and sums in 20 bits. So exponents of a layer rise to a floor: channels
with small weights, and dead ones, join the others' shift. They fall to a ceiling, where few channels have such large
weights that nobody misses what saturates. And exponents of single channels rise where a sum could leave 20 bits, which
would make their block run in two digits. A floor below which weights would be finer than the rounding of the result
needs is free; what goes further is an economy, measured before it is taken. Neither costs the ESP32-P4 anything but
accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from pienn.frontend.alignment import Aligner
from pienn.frontend.comparison import bias_of
from pienn.frontend.equalisation import groups_of
from pienn.frontend.observers import ActivationObserver, Coarse, WeightObserver
from pienn.frontend.quantizer import WEIGHTED, layer_name, operator_name
from pienn.frontend.ranges import BLOCK, LOWEST_EXPONENT

LANE = 2**19  # sums of an accumulator lie in -LANE..LANE - 1
OVERHEAD = 7  # cycles per vector of 16 outputs beside the MACs
FIRST_STEP, FURTHER_STEP = 7, 5  # cycles per vector and step from the smallest shift to the largest
MOST_STEPS = 4  # that unrolled bodies take; the walked ones, and those of two digits, take twice as long
MOST_RAISED = 3  # bits that wide channels may lose
FREE_NOISE = 1 / 8  # of weights, as a share of the noise of the result's own rounding


@dataclass(frozen=True)
class Economy:
    """Of one layer: `join` raises the smallest exponents, `clip` lowers the largest, `raise` raises those of wide
    channels."""

    layer: Weighted
    kind: str

    def apply(self) -> None:
        """Fits the exponents anew, as much coarser as it takes to save cycles."""
        layer = self.layer
        before = layer.cycles()
        while layer.can(self.kind) and layer.cycles() >= before:
            coarse, exponents = layer.observer.coarse, layer.observer.exponents
            assert exponents is not None
            if self.kind == "join":
                coarse = replace(coarse, floor=int(exponents.min()) + 1)
            elif self.kind == "clip":
                coarse = replace(coarse, ceiling=int(exponents.max()) - 1)
            else:
                coarse = replace(coarse, raised=coarse.raised + layer.rising().long())
            layer.fit(coarse)


class Weighted:
    """A layer with weights as the chip would compute it."""

    def __init__(
        self, model: GraphModule, node: Node, x: ActivationObserver, y: ActivationObserver, w: WeightObserver
    ) -> None:
        self.name = layer_name(node)
        self.model, self.node, self.x, self.y, self.observer = model, node, x, y, w
        source = node.args[1].args[0]  # type: ignore[union-attr]
        self.weight = model.get_parameter(str(source.target))  # type: ignore[union-attr]
        operand = node.args[0].args[0]  # type: ignore[union-attr]
        self.clamped = x.never_negative and operand.op != "placeholder"  # type: ignore[union-attr]
        shape = node.meta["val"].shape
        self.pixels = math.prod(shape[1:]) // self.weight.shape[0]
        self.depthwise = self.weight.dim() > 2 and self.weight.shape[1] == 1 and groups_of(node) > 1

    def fit(self, coarse: Coarse) -> None:
        """Exponents anew by the observer's granularity and rule."""
        self.observer.fit(self.weight, self.observer.granularity, self.observer.rule, coarse)

    @property
    def free_floor(self) -> int:
        """The floor at which the noise of rounded weights is `FREE_NOISE` of that of the rounded result."""
        power = float((self.x.sample.double() ** 2).mean()) * self.weight[0].numel()
        if power == 0.0:
            return LOWEST_EXPONENT
        return self.y.exponent + math.floor(0.5 * math.log2(FREE_NOISE / power))

    def can(self, kind: str) -> bool:
        """Whether an economy is left to this layer."""
        assert self.observer.exponents is not None
        return bool(self.rising().any()) if kind == "raise" else len(self.observer.exponents.unique()) > 1

    def rising(self) -> Tensor:
        """bool [channels]: wide channels that have not yet lost `MOST_RAISED` bits."""
        return self.wide() & (torch.as_tensor(self.observer.coarse.raised) < MOST_RAISED)

    def wide(self) -> Tensor:
        """bool [channels]: whose sums the chip could not hold."""
        assert self.observer.exponents is not None
        exponents = self.observer.exponents
        rows = self.weight.detach().double()
        rows = (rows.permute(0, *range(2, rows.dim()), 1) if rows.dim() > 2 else rows).flatten(1)
        codes = (rows / torch.exp2(exponents.double()).unsqueeze(1)).round().clamp(-127, 127)
        shift = torch.exp2((self.y.exponent - self.x.exponent - exponents).double())
        start = (shift / 2).floor() + self.y.zero_point * shift - self.x.zero_point * codes.sum(1)
        bias = bias_of(self.model, self.node)
        if bias is not None:
            start += bias.detach().double() * torch.exp2(-(exponents + self.x.exponent).double())
        lowest = 0 if self.clamped and not self.x.zero_point else -128
        steps = codes * lowest, codes * 127
        lows = torch.cat([start.unsqueeze(1), torch.minimum(*steps)], 1).cumsum(1)
        highs = torch.cat([start.unsqueeze(1), torch.maximum(*steps)], 1).cumsum(1)
        # A sum that saturates does no harm where all that can follow leaves it beyond the rail of int8.
        top = torch.where(highs >= LANE, lows[:, -1:] - lows + LANE - 1, math.inf).amin(1)
        bottom = torch.where(lows < -LANE, highs[:, -1:] - highs - LANE, -math.inf).amax(1)
        return (top < 127 * shift) | (bottom >= -127 * shift)

    def cycles(self) -> float:
        """A prediction for the ESP32-S3, channels sorted by exponents."""
        assert self.observer.exponents is not None
        macs = self.weight[0].numel()
        total = 0.0
        order = torch.argsort(self.observer.exponents * 2 + self.wide())
        blocks = zip(self.observer.exponents[order].split(BLOCK), self.wide()[order].split(BLOCK))
        for exponents, wide in blocks:
            differences = (exponents.max() - exponents).tolist()
            steps = max(differences) // max(math.gcd(*differences), 1)
            vector = macs * (2 if self.depthwise else 1) + OVERHEAD
            vector += FIRST_STEP + (steps - 1) * FURTHER_STEP if steps else 0
            total += 2 * vector if steps > MOST_STEPS or bool(wide.any()) else vector
        return total * self.pixels


def weighted_layers(model: GraphModule) -> list[Weighted]:
    """Of a fitted graph, those with an exponent per channel."""
    aligner = Aligner(model)
    found: dict[int, Weighted] = {}
    for node in model.graph.nodes:
        if operator_name(node) not in WEIGHTED or operator_name(node).startswith("conv_transpose"):
            continue
        x, w = aligner.observers.get(node.args[0]), aligner.observers.get(node.args[1])
        y = aligner.result_of(node)
        if isinstance(x, ActivationObserver) and isinstance(w, WeightObserver) and y and w.ch_axis == 0:
            found.setdefault(id(w), Weighted(model, node, x, y, w))
    return list(found.values())


def economies(layer: Weighted) -> Iterator[Economy]:
    """Those that remain to a layer as it is fitted now."""
    return (Economy(layer, kind) for kind in ("join", "clip", "raise") if layer.can(kind))
