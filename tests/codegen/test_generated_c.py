"""Generated C computes what the interpreter computes, in every tensor, and is C that people accept."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_graphs import minimise, random_graph, random_inputs

from pienn.codegen.generate import generate
from pienn.codegen.native import Native
from pienn.component import component_folder
from pienn.errors import PiennError
from pienn.ir import interpreter
from pienn.ir.builder import GraphBuilder
from pienn.plan.plan import plan

WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]


def differs(graph, seed):
    """The first value in which the C differs from the interpreter, or None."""
    inputs = random_inputs(graph, seed)
    expected: dict[str, np.ndarray] = {}
    results = interpreter.run(graph, inputs, expected)
    with Native(plan(graph)) as native:
        found: dict[str, np.ndarray] = {}
        outputs = native.run(inputs, found)
    for name, array in found.items():
        if not np.array_equal(array, expected[name]):
            return name
    for port, array, right in zip(graph.outputs, outputs, results):
        if not np.array_equal(array, right):
            return f"result {port.name}"
    return None


@pytest.mark.parametrize("share", range(4))  # four of 100, so that several processes can take them
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), operations=st.integers(1, 10))
def test_random_graphs_are_equal_in_every_tensor(share, seed, operations):
    graph = random_graph(seed, operations)
    name = differs(graph, seed)
    if name is not None:
        small = minimise(graph, lambda candidate: differs(candidate, seed) is not None)
        pytest.fail(
            f"{name} differs; rerun with: python -m pytest tests/codegen -k one_random_graph "
            f"with PIENN_GRAPH={seed}:{operations}; the smallest graph that fails:\n{small.text()}"
        )


def test_one_random_graph():
    """The case named by PIENN_GRAPH=<seed>:<operations>, as a failure of the test above prints it."""
    seed, operations = map(int, os.environ.get("PIENN_GRAPH", "1:8").split(":"))
    assert differs(random_graph(seed, operations), seed) is None


def test_native_sees_a_changed_layer():
    graph = random_graph(3, 6, names=("conv2d",))
    inputs = random_inputs(graph, 3)
    expected = interpreter.run(graph, inputs)
    for array in graph.weights.values():
        if array.dtype == np.int8:
            array[...] = np.roll(array, 1, axis=0)  # output channels swapped
    with Native(plan(graph)) as native:
        outputs = native.run(inputs)
    assert any(not np.array_equal(a, b) for a, b in zip(outputs, expected))


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """C of a graph with every kind of operation and of constant."""
    folder = tmp_path_factory.mktemp("generated")
    graph = random_graph(11, 40)
    generate(plan(graph), folder, "sample")
    return graph, folder


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("extra", [[], ["-DPIENN_TAP"]])
def test_strict_warnings(sample, tool, compiler, extra, tmp_path):
    _, folder = sample
    for source in ("sample.c", "sample_weights.c"):
        command = [tool(compiler), *WARNINGS, *extra, "-c", folder / source, "-o", tmp_path / "out.o"]
        done = subprocess.run(
            [*command, "-I", component_folder() / "include"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def test_no_allocation_and_no_recursion(sample):
    _, folder = sample
    text = (folder / "sample.c").read_text()
    assert "malloc" not in text and "free(" not in text
    assert text.count("sample_run(") == 1  # defined, never called


def main_program(graph) -> str:
    """A main() that runs fixed inputs in an arena of exactly the promised size and prints every result byte."""
    inputs = [f"in{i}" for i in range(len(graph.inputs))]
    outputs = [f"out{i}" for i in range(len(graph.outputs))]
    declare = "".join(
        f"    int8_t *{name} = malloc({int(np.prod(port.shape))});\n"
        f"    for (int i = 0; i < {int(np.prod(port.shape))}; i++) {name}[i] = (int8_t)(i * 37 + 11);\n"
        for name, port in zip(inputs + outputs, graph.inputs + graph.outputs)
    )
    show = "".join(
        f'    for (int i = 0; i < {int(np.prod(port.shape))}; i++) printf("%d\\n", {name}[i]);\n'
        for name, port in zip(outputs, graph.outputs)
    )
    free = "".join(f"    free({name});\n" for name in inputs + outputs)
    return textwrap.dedent("""\
        #include "sample.h"
        #include <stdio.h>
        #include <stdlib.h>
        int main(void) {
            void *arena = aligned_alloc(16, (SAMPLE_ARENA_BYTES + 15) / 16 * 16);
        """) + (
        f"{declare}    sample_run_in(arena, {', '.join(inputs + outputs)});\n{show}{free}"
        "    free(arena);\n    return 0;\n}\n"
    )


@pytest.mark.parametrize("seed", range(4))
def test_sanitizers_are_silent(tool, tmp_path, seed):
    graph = random_graph(seed + 100, 25)
    generate(plan(graph), tmp_path, "sample")
    (tmp_path / "main.c").write_text(main_program(graph))
    component = component_folder()
    sources = [tmp_path / name for name in ("main.c", "sample.c", "sample_weights.c")]
    command = [
        tool("gcc"),
        "-std=c11",
        "-g",
        "-O1",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    ]
    command += [*sources, *(component / "src_ref").glob("*.c"), "-o", tmp_path / "sample"]
    command += ["-I", component / "include", "-I", component / "src_ref"]
    subprocess.run(command, check=True)
    done = subprocess.run([tmp_path / "sample"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    inputs = [
        ((np.arange(np.prod(port.shape)) * 37 + 11) & 255)
        .astype(np.uint8)
        .view(np.int8)
        .reshape(1, *port.shape)
        for port in graph.inputs
    ]
    expected = np.concatenate([array.ravel() for array in interpreter.run(graph, inputs)])
    assert np.array_equal(np.array(done.stdout.split(), int), expected)


def test_same_bytes_whatever_the_hash_seed(tmp_path):
    script = (
        "import sys; from random_graphs import random_graph; from pienn.plan.plan import plan;"
        "from pienn.codegen.generate import generate; generate(plan(random_graph(5, 20)), sys.argv[1], 'same')"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent.parent)}
        subprocess.run([sys.executable, "-c", script, tmp_path / seed], check=True, env=environment)
    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert names == ["same.c", "same.h", "same_weights.c", "same_weights.h"]
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


@pytest.mark.parametrize("name", ["2fast", "int", "a-b", "a b", "", "x" * 64, "é"])
def test_names_that_are_no_identifiers_are_refused(name, tmp_path):
    with pytest.raises(PiennError, match="--name"):
        generate(plan(random_graph(1, 1)), tmp_path / "out", name or " ")
    assert not (tmp_path / "out").exists()


def test_layers_called_like_c_words_and_like_each_other():
    builder = GraphBuilder("m")
    value = builder.input("int", (4,), -4, 0)
    table = builder.constant("static", np.arange(-128, 128).astype(np.int8))
    for layer in ("while", "a.b", "a_b", "arena", "0"):
        value = builder.lut(value, table, exponent=-4, zero_point=0, layer=layer)
    builder.output("return", value)
    assert differs(builder.build(), 0) is None
