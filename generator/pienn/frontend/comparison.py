"""Float and quantised values of a prepared graph side by side: SQNR per layer, bias correction.

SQNR is 10 log10(sum of squared float values / sum of squared differences), in decibel.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from pienn.frontend.observers import ActivationObserver, WeightObserver
from pienn.frontend.quantizer import WEIGHTED, layer_name, operator_name


def sqnr(reference: Tensor, other: Tensor) -> float:
    """Signal to quantisation noise ratio in dB; infinite where nothing differs."""
    signal = float(torch.sum(reference.double() ** 2))
    noise = float(torch.sum((reference.double() - other.double()) ** 2))
    return _decibel(signal, noise)


def _decibel(signal: float, noise: float) -> float:
    if noise == 0.0:
        return math.inf
    return 10.0 * math.log10(signal / noise) if signal > 0.0 else -math.inf


@dataclass
class Comparison:
    """Sums over all inputs compared so far, by layer name; `output` over all outputs together."""

    signal: dict[str, float] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, reference: Tensor, other: Tensor) -> None:
        difference = (reference - other).double()
        self.signal[name] = self.signal.get(name, 0.0) + float(torch.sum(reference.double() ** 2))
        self.noise[name] = self.noise.get(name, 0.0) + float(torch.sum(difference**2))

    def decibels(self) -> dict[str, float]:
        return {name: _decibel(self.signal[name], self.noise[name]) for name in self.signal}


OUTPUT = "(output)"


def observers(prepared: GraphModule) -> dict[Node, ActivationObserver | WeightObserver]:
    """The observer that each call_module node of a prepared graph calls."""
    modules = dict(prepared.named_modules(remove_duplicate=False))
    found: dict[Node, ActivationObserver | WeightObserver] = {}
    for node in prepared.graph.nodes:
        if node.op == "call_module":
            module = modules.get(str(node.target))
            if isinstance(module, (ActivationObserver, WeightObserver)):
                found[node] = module
    return found


def set_mode(prepared: GraphModule, mode: str) -> None:
    for module in prepared.modules():
        if isinstance(module, (ActivationObserver, WeightObserver)):
            module.mode = mode


def output_tensors(result: Any) -> list[Tensor]:
    """The tensors of a module's result, in order."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, dict):
        result = list(result.values())
    return [t for part in result for t in output_tensors(part)] if isinstance(result, (list, tuple)) else []


class SideBySide:
    """Runs a prepared graph node by node, once with float and once with quantised values."""

    def __init__(self, prepared: GraphModule) -> None:
        self.prepared = prepared
        self.observers = observers(prepared)
        self.corrections: dict[Node, Tensor] = {}
        self._last_reader: dict[Node, Node] = {}
        for node in prepared.graph.nodes:
            for operand in node.all_input_nodes:
                self._last_reader[operand] = node

    def run(
        self, inputs: Sequence[Tensor], comparison: Comparison | None = None, correct_bias: bool = False
    ) -> None:
        """Adds the figures of this batch to `comparison`.

        With `correct_bias` the mean difference per output channel that its quantised operands cause in a
        weighted operator goes into `corrections`, before anything behind it runs. Later runs apply
        `corrections` on the quantised side.
        """
        exact: dict[Node, Any] = {}
        coded: dict[Node, Any] = {}
        remaining = iter(inputs)
        with torch.no_grad():
            for node in self.prepared.graph.nodes:
                if node.op == "placeholder":
                    exact[node] = coded[node] = next(remaining)
                elif node.op == "get_attr":
                    exact[node] = coded[node] = operator.attrgetter(str(node.target))(self.prepared)
                elif node.op == "call_module" and node in self.observers:
                    self._observe(node, exact, coded, comparison)
                elif node.op == "call_function":
                    self._call(node, exact, coded, correct_bias)
                elif node.op == "output" and comparison is not None:
                    reference = output_tensors(self._resolve(node.args[0], exact))
                    for a, b in zip(reference, output_tensors(self._resolve(node.args[0], coded))):
                        comparison.add(OUTPUT, a, b)
                for operand in node.all_input_nodes:
                    if self._last_reader[operand] is node:
                        exact.pop(operand, None)
                        coded.pop(operand, None)

    @staticmethod
    def _resolve(argument: Any, values: dict[Node, Any]) -> Any:
        return map_arg(argument, lambda n: values[n])

    def _observe(
        self, node: Node, exact: dict[Node, Any], coded: dict[Node, Any], comparison: Comparison | None
    ) -> None:
        source = node.args[0]
        assert isinstance(source, Node)
        observer = self.observers[node]
        mode, observer.mode = observer.mode, "quantise"
        exact[node] = exact[source]
        coded[node] = observer(coded[source])
        observer.mode = mode
        if comparison is not None and isinstance(observer, ActivationObserver):
            comparison.add(layer_name(source), exact[node], coded[node])

    def _call(self, node: Node, exact: dict[Node, Any], coded: dict[Node, Any], correct_bias: bool) -> None:
        for values in (exact, coded):
            args = self._resolve(node.args, values)
            values[node] = node.target(*args, **self._resolve(node.kwargs, values))  # type: ignore[operator]
        if correct_bias and bias_of(self.prepared, node) is not None:
            difference = (exact[node] - coded[node]).double()
            axis = difference.dim() - 1 if operator_name(node) == "linear" else 1
            mean = difference.mean([d for d in range(difference.dim()) if d != axis], keepdim=True)
            self.corrections[node] = mean.to(coded[node].dtype)
        if node in self.corrections:
            coded[node] = coded[node] + self.corrections[node]

    def biases(self) -> list[Tensor]:
        """The biases that `commit` changes."""
        return [
            bias for bias in (bias_of(self.prepared, node) for node in self.corrections) if bias is not None
        ]

    def commit(self) -> None:
        """Move the corrections into the biases of the prepared graph."""
        with torch.no_grad():
            for node, delta in self.corrections.items():
                bias = bias_of(self.prepared, node)
                assert bias is not None
                bias.add_(delta.reshape(-1))
        self.corrections = {}


def bias_of(model: GraphModule, node: Node) -> Tensor | None:
    """The bias tensor of a convolution or linear node, None where there is none."""
    if operator_name(node) not in WEIGHTED or len(node.args) < 3 or not isinstance(node.args[2], Node):
        return None
    if node.args[2].op != "get_attr":
        return None
    return operator.attrgetter(str(node.args[2].target))(model)
