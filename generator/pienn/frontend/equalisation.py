"""Equal ranges of channels between two weighted operators, by powers of two.

An activation tensor has one exponent, so a channel of small values gets few codes. Behind a convolution or
linear (and a relu) a channel may be multiplied by 2^k in the weights that produce it and divided by 2^k in
the weights that read it: the network computes the same floats to the bit, but the channel uses more codes.
Where a depthwise convolution reads the tensor this is free, because its weights have an exponent per
channel; elsewhere the reader's weights lose what the activations gain, and k balances the two errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from pienn.frontend.comparison import observers
from pienn.frontend.observers import ActivationObserver, WeightObserver
from pienn.frontend.quantizer import WEIGHTED, operator_name

_HOMOGENEOUS = frozenset(
    {
        "relu",
        "max_pool1d",
        "max_pool2d",
        "avg_pool1d",
        "avg_pool2d",
        "adaptive_avg_pool2d",
        "adaptive_max_pool2d",
    }
)
"""Operators that give a channel times 2^k for a channel times 2^k (and mix no channels)."""


@dataclass
class Reader:
    """A weighted operator behind the tensor; each of its input channels holds `repeat` channels of a flatten."""

    node: Node
    repeat: int


@dataclass
class Pair:
    """A producer, the observer of the tensor between, the readers, and log2 of the factor per channel."""

    producer: Node
    observer: ActivationObserver
    readers: list[Reader]
    factors: Tensor


class Equaliser:
    """Finds the pairs of a prepared, observed and fitted graph; `apply` and `revert` move the factors."""

    def __init__(self, prepared: GraphModule) -> None:
        self.model = prepared
        self.observers = observers(prepared)
        self._uses: dict[str, int] = {}
        for node in prepared.graph.nodes:
            if node.op == "get_attr":
                self._uses[str(node.target)] = self._uses.get(str(node.target), 0) + len(node.users)
        self.pairs = [pair for node in prepared.graph.nodes for pair in self._pair(node)]

    def apply(self) -> None:
        self._scale(1)

    def revert(self) -> None:
        self._scale(-1)

    def _scale(self, sign: int) -> None:
        with torch.no_grad():
            for pair in self.pairs:
                factors = torch.exp2(sign * pair.factors.float())
                weight, axis = self._weight(pair.producer), WEIGHTED[operator_name(pair.producer)]
                weight.mul_(_along(factors, weight.dim(), axis))
                self._parameter(pair.producer, 2).mul_(factors)
                for reader in pair.readers:
                    self._divide(reader, factors)

    def _divide(self, reader: Reader, factors: Tensor) -> None:
        weight, spread = self._weight(reader.node), factors.repeat_interleave(reader.repeat)
        if operator_name(reader.node).startswith("conv_transpose"):
            weight.div_(_along(spread, weight.dim(), 0))
            return
        groups = groups_of(reader.node)
        rows = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
        rows.div_(spread.reshape(groups, 1, -1, *[1] * (weight.dim() - 2)))

    def _parameter(self, node: Node, position: int) -> Tensor:
        source = node.args[position]
        assert isinstance(source, Node)
        if source.op == "call_module":
            source = source.args[0]
            assert isinstance(source, Node)
        return self.model.get_parameter(str(source.target))

    def _weight(self, node: Node) -> Tensor:
        return self._parameter(node, 1)

    def _own(self, node: Node) -> bool:
        """Whether weight and bias of the node are parameters that no other node uses."""
        for operand in node.args[1:3]:
            source = operand.args[0] if isinstance(operand, Node) and operand.op == "call_module" else operand
            if not isinstance(source, Node) or source.op != "get_attr" or self._uses[str(source.target)] != 1:
                return False
        return len(node.args) >= 3

    def _pair(self, node: Node) -> Iterable[Pair]:
        name = operator_name(node)
        if (
            name not in WEIGHTED
            or not self._own(node)
            or (name.startswith("conv_transpose") and groups_of(node) > 1)
        ):
            return
        if name == "linear" and node.meta["val"].dim() != 2:
            return
        tensor = node
        if len(node.users) == 1 and operator_name(next(iter(node.users))) == "relu":
            tensor = next(iter(node.users))
        if len(tensor.users) != 1:
            return
        observed = next(iter(tensor.users))
        observer = self.observers.get(observed)
        readers: list[Reader] = []
        if not isinstance(observer, ActivationObserver) or not self._collect(observed, 1, readers):
            return
        if not readers or observer.channel_peaks is None or observer.channel_power is None:
            return
        factors = self._factors(observer, readers)
        if bool((factors != 0).any()):
            yield Pair(node, observer, readers, factors)

    def _collect(self, node: Node, repeat: int, readers: list[Reader]) -> bool:
        """Follow the tensor to all its readers; False where something reads it that does not scale along."""
        for user in node.users:
            name = operator_name(user)
            if user in self.observers or name in _HOMOGENEOUS:
                good = self._collect(user, repeat, readers)
            elif name in ("pad", "constant_pad_nd"):
                zero = not [a for a in user.args[2:] if isinstance(a, (int, float)) and a != 0]
                spatial = len(_list(user.args[1])) <= 2 * (user.meta["val"].dim() - 2)
                constant = name == "constant_pad_nd" or len(user.args) < 3 or user.args[2] == "constant"
                good = zero and spatial and constant and self._collect(user, repeat, readers)
            elif name == "mean":
                axes = _list(user.args[1]) if len(user.args) > 1 else []
                spatial = bool(axes) and all(axis % len(_shape(node)) >= 2 for axis in axes)
                good = spatial and self._collect(user, repeat, readers)
            elif name == "flatten" and user.args[1:] in ((1,), (1, -1)):
                good = self._collect(user, repeat * math.prod(_shape(node)[2:]), readers)
            elif name in WEIGHTED and user.args[0] is node and self._own(user):
                readers.append(Reader(user, repeat))
                good = True
            else:
                good = False
            if not good:
                return False
        return True

    def _factors(self, observer: ActivationObserver, readers: list[Reader]) -> Tensor:
        """log2 of the factor per channel: the most that the tensor's range allows, less where weights suffer more."""
        assert observer.channel_peaks is not None and observer.channel_power is not None
        peaks, power = observer.channel_peaks.double(), observer.channel_power.double()
        step = 2.0**observer.exponent
        highest = (255 if observer.zero_point else 127) * step
        alive = peaks > 0
        safe = torch.where(alive, peaks, torch.full_like(peaks, highest))
        room = torch.floor(torch.log2(highest / safe)).clamp(0, 12)
        gain, loss = torch.zeros_like(peaks), torch.zeros_like(peaks)
        for reader in readers:
            weight = self._weight(reader.node).detach().double()
            if _depthwise(reader.node):
                continue
            name = operator_name(reader.node)
            source = reader.node.args[1]
            quantiser = self.observers.get(source) if isinstance(source, Node) else None
            assert isinstance(quantiser, WeightObserver) and quantiser.exponents is not None
            noise = torch.exp2(2.0 * quantiser.exponents.double())
            groups = groups_of(reader.node)
            if name.startswith("conv_transpose"):
                energy = (weight**2).flatten(1).sum(1)
                noises = (noise.sum() * weight[0, 0].numel()).expand_as(energy)
            else:
                rows = (weight**2).reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
                energy = rows.sum((1, 3)).reshape(-1)
                noises = (noise.reshape(groups, -1).sum(1) * rows.shape[3]).repeat_interleave(weight.shape[1])
            gain += energy.reshape(-1, reader.repeat).sum(1) * step**2
            loss += noises.reshape(-1, reader.repeat).sum(1) * power
        balanced = torch.where(loss > 0, 0.25 * torch.log2((gain / loss).clamp(min=1e-30)), room)
        return torch.where(
            alive, torch.minimum(torch.round(balanced).clamp(min=0), room), torch.zeros_like(room)
        )


def _shape(node: Node) -> tuple[int, ...]:
    """Shape of an activation, through its observer."""
    while node.op == "call_module":
        source = node.args[0]
        assert isinstance(source, Node)
        node = source
    return tuple(node.meta["val"].shape)


def _along(factors: Tensor, dims: int, axis: int) -> Tensor:
    shape = [1] * dims
    shape[axis] = -1
    return factors.reshape(shape)


def _list(value: object) -> list[int]:
    return (
        [int(v) for v in value]
        if isinstance(value, (list, tuple))
        else [value]
        if isinstance(value, int)
        else []
    )


def groups_of(node: Node) -> int:
    """The groups of a convolution; 1 of anything else."""
    position = {"conv1d": 6, "conv2d": 6, "conv_transpose1d": 6, "conv_transpose2d": 6}.get(
        operator_name(node)
    )
    if position is None or len(node.args) <= position:
        return 1
    groups = node.args[position]
    return groups if isinstance(groups, int) else 1


def _depthwise(node: Node) -> bool:
    weight = node.args[1]
    if operator_name(node) not in ("conv1d", "conv2d") or not isinstance(weight, Node):
        return False
    source = weight.args[0] if weight.op == "call_module" else weight
    return isinstance(source, Node) and source.meta["val"].shape[1] == 1 and groups_of(node) > 1
