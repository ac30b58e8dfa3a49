"""Constants that pass through SRAM in parts, and arenas under budgets, change no bit."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_graphs import random_graph, random_inputs

from pienn.codegen.generate import generate
from pienn.codegen.native import Native
from pienn.codegen.packed import Packed, pack
from pienn.commands.simulated import Simulated
from pienn.component import component_folder
from pienn.ir import interpreter
from pienn.plan.constants import Budget
from pienn.plan.memory_costs import CacheLevel, Memories, MemoryCosts
from pienn.plan.plan import plan

# A cache of four lines holds no filter: whatever can be staged is.
SLOW = Memories(
    "slow",
    {
        "SRAM": MemoryCosts("SRAM"),
        "flash": MemoryCosts("flash", (CacheLevel(64, 16, 4, 5000.0),)),
        "PSRAM": MemoryCosts("PSRAM", (CacheLevel(64, 16, 4, 2500.0),)),
    },
)
NAMES = ("conv2d", "conv2d", "conv2d", "fully_connected", "add", "max_pool2d", "concat", "reshape")


def staged(packed: Packed) -> int:
    return sum(bool(call.home.parts) for call in packed.plan.calls)


def parts_fill_their_call(packed: Packed) -> None:
    """Every part begins where the last one ended, in outputs and in bytes, and no storage overlaps another."""
    for call in packed.plan.calls:
        channels = offset = 0
        for part in call.home.parts:
            assert (part.first, part.offset) == (channels, offset)
            channels, offset = part.first + part.channels, part.offset + part.bytes
        assert not call.home.parts or channels == call.writes.shape[-1]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32 - 1), operations=st.integers(1, 10), share=st.sampled_from([None, 0, 300, 3000])
)
def test_staged_c_computes_what_the_interpreter_computes(seed, operations, share):
    graph = random_graph(seed, operations, names=NAMES)
    inputs = random_inputs(graph, seed)
    expected: dict[str, np.ndarray] = {}
    results = interpreter.run(graph, inputs, expected)
    packed = pack(plan(graph, "esp32s3", simd=False))
    sram = None if share is None else packed.plan.arena.total + share
    packed = packed.placed(Budget(SLOW, "flash", sram))
    parts_fill_their_call(packed)
    if sram is not None:
        assert packed.plan.sram_bytes <= sram
    found: dict[str, np.ndarray] = {}
    with Native(packed) as native:
        outputs = native.run(inputs, found)
    for name, array in found.items():
        if name in expected:
            assert np.array_equal(array, expected[name]), name
    for array, right in zip(outputs, results):
        assert np.array_equal(array, right)


def test_that_random_graphs_are_staged_at_all():
    counts = [
        staged(
            pack(plan(random_graph(seed, 8, names=NAMES), "esp32s3", simd=False)).placed(
                Budget(SLOW, "flash")
            )
        )
        for seed in range(10)
    ]
    assert sum(counts) >= 10


@pytest.mark.parametrize("target", ["esp32p4", "esp32s3"])
@pytest.mark.parametrize("seed", range(6))
def test_staged_kernels_compute_what_the_interpreter_computes(target, seed):
    graph = random_graph(seed, 8, names=NAMES)
    inputs = random_inputs(graph, seed, batch=2)
    expected: dict[str, np.ndarray] = {}
    results = interpreter.run(graph, inputs, expected)
    simulated = Simulated(plan(graph, target), budget=Budget(SLOW, "PSRAM"))
    found: dict[str, np.ndarray] = {}
    outputs = simulated.run(inputs, found)
    for name, array in found.items():
        if name in expected:
            assert np.array_equal(array, expected[name]), name
    assert all(np.array_equal(a, b) for a, b in zip(outputs, results))


@pytest.mark.parametrize("seed", range(4))
def test_an_arena_too_large_for_its_budget_lies_in_psram_with_a_buffer_for_staging_beside_it(seed):
    graph = random_graph(seed, 8, names=NAMES)
    packed = pack(plan(graph, "esp32p4"))
    inputs = random_inputs(graph, seed)
    simulated = Simulated(packed, budget=Budget(SLOW, "flash", packed.plan.arena.total - 1))
    assert simulated.plan.arena_memory == "PSRAM"
    assert simulated.plan.staging_bytes <= simulated.plan.sram_bytes < packed.plan.arena.total
    assert bool(simulated.plan.staging_bytes) == any(call.home.parts for call in simulated.plan.calls)
    expected = interpreter.run(graph, inputs)
    assert all(np.array_equal(a, b) for a, b in zip(simulated.run(inputs), expected))
    plain = pack(plan(graph, "esp32p4", simd=False)).placed(
        Budget(SLOW, "flash", packed.plan.arena.total - 1)
    )
    with Native(plain) as native:
        assert all(np.array_equal(a, b) for a, b in zip(native.run(inputs), expected))


def test_generated_c_of_a_budget_is_clean_and_stays_in_its_arena(tool, tmp_path):
    """The arena is as large as promised, from malloc, so that the sanitizer sees a byte too many."""
    graph = random_graph(5, 8, names=NAMES)
    packed = pack(plan(graph, "esp32s3", simd=False)).placed(Budget(SLOW, "flash"))
    assert staged(packed)
    generate(packed, tmp_path, "net")
    component = component_folder()
    sizes = [int(np.prod(port.shape)) for port in (*graph.inputs, *graph.outputs)]
    buffers = ", ".join(f"calloc({size}, 1)" for size in sizes)
    (tmp_path / "main.c").write_text(
        '#include "net.h"\n#include <stdlib.h>\n'
        f"int main(void) {{\n    int8_t *b[] = {{{buffers}}};\n"
        "    void *arena = aligned_alloc(16, NET_ARENA_BYTES);\n"
        f"    net_run_in(arena, {', '.join(f'b[{i}]' for i in range(len(sizes)))});\n"
        f"    for (int i = 0; i < {len(sizes)}; i++) free(b[i]);\n    free(arena);\n    return 0;\n}}\n"
    )
    command = [
        tool("gcc"), "-std=c11", "-g", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all", "-I", tmp_path, "-I", component / "include", "-I", component / "src_ref",
        *tmp_path.glob("*.c"), *(component / "src_ref").glob("*.c"), "-o", tmp_path / "net",
    ]  # fmt: skip
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([tmp_path / "net"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
