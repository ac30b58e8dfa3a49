"""The whole plan, rechecked from its JSON alone: who lives when, and where."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_graphs import random_graph, random_inputs

from pienn.codegen.native import Native
from pienn.ir import interpreter
from pienn.ir.builder import GraphBuilder
from pienn.plan.plan import plan


def groups(rows):
    """Tensors of the arena by the storage they share: an alias names the first tensor of its storage."""
    found: dict[str, list] = {}
    for row in rows:
        if row["memory"] == "arena":
            found.setdefault(row["alias"] or row["name"], []).append(row)
    return found


def extent(group):
    """(first, last, begin, end) of a storage."""
    ends = [
        row["offset"] + 1 + sum((size - 1) * stride for size, stride in zip(row["shape"], row["strides"]))
        for row in group
    ]
    return (
        min(row["first"] for row in group),
        max(row["last"] for row in group),
        min(row["offset"] for row in group),
        max(ends),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), operations=st.integers(1, 14))
def test_storages_that_live_together_do_not_overlap(seed, operations):
    report = plan(random_graph(seed, operations)).to_json()
    extents = [extent(group) for group in groups(report["tensors"]).values()]
    for i, (first, last, begin, end) in enumerate(extents):
        assert end <= report["arena_bytes"]
        for other_first, other_last, other_begin, other_end in extents[:i]:
            if first <= other_last and other_first <= last:
                assert end <= other_begin or other_end <= begin


def test_fifty_random_branching_graphs_have_small_arenas():
    worst = 1.0
    for seed in range(50):
        report = plan(random_graph(seed, 30)).to_json()
        if not report["arena_optimal"] and report["arena_lower_bound"]:
            worst = max(worst, report["arena_bytes"] / report["arena_lower_bound"])
    assert worst <= 1.05


def test_concat_and_split_cost_nothing():
    builder = GraphBuilder("m")
    x = builder.input("x", (6, 5, 32), -4, 0)
    parts = []
    for i in range(2):
        half = builder.slice(x, offsets=(0, 0, 16 * i), sizes=(6, 5, 16), strides=(1, 1, 1), layer=f"half{i}")
        parts.append(builder.max_pool2d(half, kernel=(2, 2), strides=(1, 1), layer=f"pool{i}"))
    builder.output("y", builder.concat(parts, axis=2, layer="joined"))
    assert [call.kernel.name for call in plan(builder.build()).calls] == ["max_pool2d_s8", "max_pool2d_s8"]


def test_elementwise_chain_needs_one_buffer():
    builder = GraphBuilder("m")
    value = builder.input("x", (10, 10, 16), -4, 0)
    for i in range(5):
        value = builder.requantize(value, exponent=-4, zero_point=0, minimum=-100 + i, layer=f"clip{i}")
    builder.output("y", value)
    assert plan(builder.build()).arena.total == 1600


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), operations=st.integers(1, 12))
def test_layouts_of_a_chip_change_no_bit(seed, operations):
    graph = random_graph(seed, operations)
    inputs = random_inputs(graph, seed)
    expected: dict[str, np.ndarray] = {}
    results = interpreter.run(graph, inputs, expected)
    found: dict[str, np.ndarray] = {}
    with Native(plan(graph, "esp32p4", simd=False)) as native:
        outputs = native.run(inputs, found)
    for name, array in found.items():
        if name in expected:
            assert np.array_equal(array, expected[name]), name
    for array, right in zip(outputs, results):
        assert np.array_equal(array, right)
