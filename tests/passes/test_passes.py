"""Passes keep every bit: of the results, and of every tensor that remains."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from random_graphs import random_graph, random_inputs

from pienn.commands.places import as_exported
from pienn.errors import PiennError
from pienn.ir import file
from pienn.ir.graph import Graph
from pienn.ir.interpreter import run
from pienn.passes.pipeline import DEFAULT, OWN, PASSES, apply, pipeline, stages
from pienn.plan.plan import TARGETS

CHAINS = {
    "dead-code": None,
    "fold-constants": ("add", "mul", "concat", "reshape", "slice", "requantize"),
    "eliminate-copies": ("slice", "concat", "reshape", "transpose", "pad", "requantize"),
    "merge-requantize": ("requantize", "lut"),
    "fuse-activation": ("conv2d", "add", "requantize", "requantize", "mul", "fully_connected", "matmul"),
    "absorb-padding": ("pad", "pad", "conv2d", "max_pool2d", "avg_pool2d"),
    "common-constants": ("conv2d", "lut", "softmax", "mul"),
    "sort-channels": (
        "conv2d",
        "fully_connected",
        "requantize",
        "add",
        "prelu",
        "concat",
        "avg_pool2d",
        "mean",
    ),
}
"""For each pass the operations among which it finds work (None: all)."""


def same(graph: Graph, name: str, after: Graph, seed: int) -> int:
    """Compares results and remaining tensors; returns how many operations are gone."""
    inputs = random_inputs(graph, seed, batch=3)
    taps: dict[str, np.ndarray] = {}
    taps_after: dict[str, np.ndarray] = {}
    results = run(graph, inputs, taps)
    results_after = run(after, inputs, taps_after)
    assert [(port.name, port.permutation) for port in after.outputs] == [
        (port.name, port.permutation) for port in graph.outputs
    ]
    for ours, theirs in zip(results, results_after):
        np.testing.assert_array_equal(ours, theirs, f"a result changed: random_graph({seed}), pass {name}")
    taps, taps_after = as_exported(graph, taps), as_exported(after, taps_after)
    for layer in taps.keys() & taps_after.keys():
        np.testing.assert_array_equal(
            taps[layer], taps_after[layer], f"{layer} changed: random_graph({seed}), pass {name}"
        )
    return len(graph.layers) - len(after.layers)


@pytest.mark.parametrize("name", PASSES)
@settings(max_examples=40, deadline=None)
@given(seed=strategies.integers(0, 2**32 - 1), operations=strategies.integers(2, 10))
def test_a_pass_keeps_every_bit(name: str, seed: int, operations: int) -> None:
    for names in (None, CHAINS[name]):
        graph = random_graph(seed, operations, names, dead_code=seed % 2 == 0, on_constants=seed % 3 == 0)
        before = graph.text()
        ((_, after),) = apply(graph, [name])
        assert graph.text() == before, "the graph given must stay as it is"
        same(graph, name, after, seed)


@settings(max_examples=40, deadline=None)
@given(seed=strategies.integers(0, 2**32 - 1), operations=strategies.integers(2, 14))
def test_the_pipeline_keeps_every_bit(seed: int, operations: int) -> None:
    graph = random_graph(seed, operations, dead_code=seed % 2 == 0, on_constants=seed % 3 == 0)
    for target in TARGETS:
        for name, after in stages(graph, target):
            same(graph, name, after, seed)
        assert file.to_bytes(pipeline(graph, target)) == file.to_bytes(after)


@pytest.mark.parametrize("name", PASSES)
def test_a_pass_finds_work_and_then_no_more(name: str) -> None:
    """On 60 random graphs each pass changes something, and a second run changes nothing."""
    changed = 0
    for seed in range(60):
        graph = random_graph(seed, 8, CHAINS[name], dead_code=True, on_constants=True)
        if name == "common-constants":
            for other in list(graph.weights):
                twin = next(o for o in graph.weights if graph.weights[o].shape == graph.weights[other].shape)
                if graph.weights[twin].dtype == graph.weights[other].dtype == np.int8:
                    graph.weights[other] = graph.weights[twin]
        (_, once), (_, twice) = apply(graph, [name, name])
        changed += once.text() != graph.text()
        assert twice.text() == once.text(), (
            f"random_graph({seed}, 8, {CHAINS[name]}, dead_code=True, on_constants=True)"
        )
        same(graph, name, once, seed)
    assert changed >= 5


def test_the_pipeline_shortens_graphs() -> None:
    gone = sum(
        same(graph, "pipeline", pipeline(graph, "host"), seed)
        for seed in range(40)
        for graph in [random_graph(seed, 12, dead_code=True)]
    )
    assert gone > 40


def test_unknown_passes_are_named() -> None:
    with pytest.raises(PiennError, match="'nonsense' is no pass; there are dead-code"):
        list(apply(random_graph(0, 1), ["nonsense"]))
    assert {*DEFAULT, *chain.from_iterable(OWN.values())} == set(PASSES)
