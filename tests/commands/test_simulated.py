"""Whole networks on the simulated chips: every tensor is the interpreter's, and cycles are counted."""

from __future__ import annotations

import numpy as np
import pytest
from random_graphs import random_graph, random_inputs
from test_verify import sample_graph

from pienn.commands.cycles import figures
from pienn.commands.simulated import Simulated
from pienn.ir import interpreter
from pienn.ir.graph import Graph
from pienn.plan.plan import plan

CHIPS = [("esp32p4", 1), ("esp32p4", 3), ("esp32s3", 3)]


def first_wrong(graph: Graph, target: str, revision: int, seed: int) -> str | None:
    """The first value in which the chip differs from the interpreter, or None."""
    inputs = random_inputs(graph, seed, batch=2)
    expected: dict[str, np.ndarray] = {}
    results = interpreter.run(graph, inputs, expected)
    found: dict[str, np.ndarray] = {}
    outputs = Simulated(plan(graph, target), revision=revision).run(inputs, found)
    for name, array in found.items():
        if name in expected and not np.array_equal(array, expected[name]):
            return name
    return None if all(np.array_equal(a, b) for a, b in zip(outputs, results)) else "results"


@pytest.mark.parametrize(("target", "revision"), CHIPS)
def test_sample_network(target, revision):
    assert first_wrong(sample_graph(), target, revision, 3) is None


@pytest.mark.parametrize(("target", "revision"), CHIPS)
@pytest.mark.parametrize("seed", range(12))
def test_random_networks(target, revision, seed):
    assert first_wrong(random_graph(seed, 8), target, revision, seed) is None


def test_figures_count_what_was_simulated():
    simulated = Simulated(plan(sample_graph(), "esp32p4"))
    simulated.run(random_inputs(sample_graph(), 0, batch=2))
    report = figures(simulated, 2)
    assert report["cycles"] == sum(row["cycles"] or 0 for row in report["layers"])
    assert report["reference_calls"] == sum(row["cycles"] is None for row in report["layers"])
    for row in report["layers"]:
        assert row["why"].startswith("reference: ") == (row["cycles"] is None)
