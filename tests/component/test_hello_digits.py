"""The example's firmware, with an untrained network in the trained one's place: on this machine, and in ESP-IDF."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from component_project import run

from pienn.ir import border, file, interpreter
from pienn.ir.builder import GraphBuilder
from pienn.ir.graph import Graph


def digits_like_graph() -> Graph:
    """Input and output as those of the trained network."""
    source = np.random.default_rng(3)
    b = GraphBuilder("digits")
    x = b.input("x", (8, 8, 1), -3, -128, (1, 2, 0))
    flat = b.reshape(x, shape=(64,), layer="flat")
    scores = b.fully_connected(
        flat,
        b.constant("w", source.integers(-127, 128, (10, 64)).astype(np.int8)),
        b.constant("b", source.integers(-400, 400, 10).astype(np.int32)),
        weight_exponents=[-7] * 10,
        exponent=0,
        zero_point=0,
        layer="classifier",
    )
    b.output("y", scores, (0,))
    return b.build()


def expected_lines(graph: Graph, main: Path) -> list[str]:
    """What the firmware prints, times aside, worked out from the scans in its source."""
    text = main.read_text()
    table = re.search(r"scans\[.*?= \{(.*?)\};", text, re.DOTALL)
    labels = re.search(r"labels\[\w+\] = \{(.*?)\};", text)
    assert table and labels
    scans = np.array(re.findall(r"\d+", table[1]), np.float32).reshape(3, 8, 8, 1)
    (port,) = graph.inputs
    (scores,) = interpreter.run(graph, [border.quantise(scans, port.exponent, port.zero_point)])
    found = scores.argmax(axis=1)
    wanted = [int(label) for label in labels[1].split(",")]
    lines = [f"scan of a {label}: recognised as {digit}" for label, digit in zip(wanted, found)]
    return [*lines, f"{np.sum(found == wanted)} of 3 recognised"]


def printed(output: str) -> list[str]:
    lines = [line for line in output.splitlines() if "recognised" in line]
    return [re.sub(r" in \d+ us$", "", line) for line in lines]


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    graph = digits_like_graph()
    file.write(graph, tmp_path / "digits.pie")
    return graph


def test_the_program_recognises_what_the_interpreter_does(
    component: Path, graph: Graph, tmp_path: Path, tool
) -> None:
    example, build = component / "examples" / "hello_digits", tmp_path / "build"
    environment = {key: value for key, value in os.environ.items() if key != "IDF_PATH"}
    options = [f"-DDIGITS_MODEL={tmp_path}/digits.pie", f"-DPIENN_PYTHON={sys.executable}"]
    for command in (
        [tool("cmake"), "-S", str(example), "-B", str(build), *options],
        [tool("cmake"), "--build", str(build)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
    done = run([str(build / "hello_digits")])
    assert printed(done.stdout) == expected_lines(graph, example / "main" / "main.c")


def test_a_missing_model_is_named_with_the_remedy(component: Path, tmp_path: Path, tool) -> None:
    example = component / "examples" / "hello_digits"
    done = run(
        [tool("cmake"), "-S", str(example), "-B", str(tmp_path / "b"), f"-DDIGITS_MODEL={tmp_path}/gone.pie"]
    )
    assert done.returncode != 0 and f"{tmp_path}/gone.pie is missing: run `make demo`" in done.stderr


@pytest.mark.skipif("IDF_PATH" not in os.environ, reason="no ESP-IDF: IDF_PATH is not set")
def test_esp_idf_builds_it_for_linux(component: Path, graph: Graph, tmp_path: Path) -> None:
    """Builds once, then does nothing, then regenerates once for a touched model."""
    folder = tmp_path / "pienn"
    shutil.copytree(component, folder)
    example = folder / "examples" / "hello_digits"
    python = Path(os.environ.get("IDF_PYTHON_ENV_PATH", sys.prefix)) / "bin" / "python"
    idf = [str(python), f"{os.environ['IDF_PATH']}/tools/idf.py", "-C", str(example)]
    options = [f"-DDIGITS_MODEL={tmp_path}/digits.pie", f"-DPIENN_PYTHON={sys.executable}"]
    done = run([*idf, *options, "--preview", "set-target", "linux", "build"])
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        subprocess.run([str(example / "build/hello_digits.elf")], stdout=subprocess.PIPE, timeout=3)
        pytest.fail("app_main returned and the program ended: FreeRTOS should run on")
    except subprocess.TimeoutExpired as stopped:
        output = (stopped.stdout or b"").decode()
    assert printed(output) == expected_lines(graph, example / "main" / "main.c")

    assert "no work to do" in run([*idf, "build"]).stdout
    os.utime(tmp_path / "digits.pie")
    again = run([*idf, "build"]).stdout
    assert again.count("PIE-NN: compiling") == 1 and "Building C" not in again
    assert "no work to do" in run([*idf, "build"]).stdout
