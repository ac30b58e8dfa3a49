"""The places where the same numbers must come out, and the search for the first one that differs.

A place maps the inputs to every layer's result, stored int8 in graph layout with a batch axis, by the name of the value
in the graph. Places are compared in the order in which a model travels: torch, interpreter, each pass, C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pienn.codegen.native import Native
from pienn.commands.simulated import Simulated
from pienn.ir import interpreter
from pienn.ir.graph import Graph
from pienn.plan.plan import Plan

Arrays = dict[str, np.ndarray]
CHUNK = 16  # inputs that are computed together: bounds the memory of all intermediate tensors


@dataclass(frozen=True)
class Place:
    """`run` takes stored inputs in graph layout and returns layer results by value name; `name` is printed."""

    name: str
    run: Callable[[Sequence[np.ndarray]], Arrays]


@dataclass(frozen=True)
class Difference:
    """The first element, in program order, in which two places differ."""

    place: str
    against: str
    layer: str
    index: tuple[int, ...]
    values: tuple[int, int]
    elements: int
    """Number of differing elements of this layer in this chunk of inputs."""

    def __str__(self) -> str:
        where = ", ".join(map(str, self.index[1:]))
        return (
            f"{self.place} differs from {self.against} first in layer {self.layer}, input {self.index[0]}, "
            f"element [{where}]: {self.values[0]} instead of {self.values[1]} ({self.elements} elements differ there)"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "place": self.place,
            "against": self.against,
            "layer": self.layer,
            "index": list(self.index),
            "values": list(self.values),
        }


def interpreter_place(name: str, graph: Graph) -> Place:
    def run(inputs: Sequence[np.ndarray]) -> Arrays:
        taps: Arrays = {}
        outputs = interpreter.run(graph, inputs, taps)
        return as_exported(graph, taps) | results_by_port(graph, outputs)

    return Place(name, run)


def native_place(native: Native, plan: Plan) -> Place:
    def run(inputs: Sequence[np.ndarray]) -> Arrays:
        taps: Arrays = {}
        outputs = native.run(inputs, taps)
        return as_exported(plan.graph, taps) | results_by_port(plan.graph, outputs)

    return Place("c", run)


def simulated_place(target: str, simulated: Simulated) -> Place:
    def run(inputs: Sequence[np.ndarray]) -> Arrays:
        taps: Arrays = {}
        outputs = simulated.run(inputs, taps)
        return as_exported(simulated.plan.graph, taps) | results_by_port(simulated.plan.graph, outputs)

    return Place(target, run)


def torch_place(lowered: Any) -> Place:
    """The oracle's results, permuted to graph layout; `lowered` is the front end's, torch stays behind its door."""

    def run(inputs: Sequence[np.ndarray]) -> Arrays:
        return lowered.run_oracle(inputs)

    return Place("torch", run)


def as_exported(graph: Graph, taps: Arrays) -> Arrays:
    """The same with the channels of sorted tensors back where the exported network has them."""
    names = graph.value_names()
    for op in graph.layers:
        name = names[op.result]
        if op.order and name in taps:
            taps[name] = taps[name][..., np.argsort(op.order)]
    return taps


def results_by_port(graph: Graph, outputs: Sequence[np.ndarray]) -> Arrays:
    """Outputs under names that no layer has, so that the network's results are compared too, after all layers."""
    return {f"result {port.name}": array for port, array in zip(graph.outputs, outputs)}


def first_difference(
    order: Sequence[str],
    reference: tuple[str, Mapping[str, np.ndarray]],
    other: tuple[str, Mapping[str, np.ndarray]],
) -> Difference | None:
    """Compare what both places have, in program order; None where every element is equal."""
    name, values = other
    against, expected = reference
    for layer in order:
        if layer not in values or layer not in expected:
            continue
        if values[layer].shape != expected[layer].shape:
            raise AssertionError(
                f"{layer}: {name} has shape {values[layer].shape}, {against} {expected[layer].shape}"
            )
        unequal = values[layer] != expected[layer]
        if unequal.any():
            index = tuple(int(i) for i in np.argwhere(unequal)[0])
            pair = int(values[layer][index]), int(expected[layer][index])
            return Difference(name, against, layer, index, pair, int(unequal.sum()))
    return None


def compare(
    places: Sequence[Place],
    inputs: Sequence[np.ndarray],
    order: Sequence[str],
    follow: Callable[[Iterable[int]], Iterable[int]] = lambda starts: starts,
    dump: Callable[[str, str, int, np.ndarray], None] | None = None,
) -> tuple[Difference | None, dict[str, int]]:
    """Run all inputs through all places, against the first place; stop at the first difference.

    Returns it, and how many layers each place was compared in. `dump(place, layer, start, array)` sees every tensor.
    """
    compared: dict[str, int] = {}
    for start in follow(range(0, len(inputs[0]), CHUNK)):
        chunk = [array[start : start + CHUNK] for array in inputs]
        expected: Arrays = {}
        for place in places:
            values = place.run(chunk)
            if dump is not None:
                for layer, array in values.items():
                    dump(place.name, layer, start, array)
            if place is places[0]:
                expected = values
                continue
            found = first_difference(order, (places[0].name, expected), (place.name, values))
            compared[place.name] = sum(layer in values and layer in expected for layer in order)
            if found is not None:
                index = (found.index[0] + start, *found.index[1:])
                located = Difference(
                    found.place, found.against, found.layer, index, found.values, found.elements
                )
                return located, compared
    return None, compared
