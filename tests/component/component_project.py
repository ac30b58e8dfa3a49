"""A CMake project around the component, and small models for it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pienn.ir import file
from pienn.ir.builder import GraphBuilder
from pienn.ir.graph import Graph


def small_graph(seed: int, channels: int) -> Graph:
    """A convolution and a classifier of 3 outputs over a 6 x 5 image; weights follow the seed."""
    source = np.random.default_rng(seed)
    b = GraphBuilder("small")
    x = b.input("x", (6, 5, channels), -5, -128, (1, 2, 0))
    stem = b.conv2d(
        x,
        b.constant("w", source.integers(-127, 128, (8, 3, 3, channels)).astype(np.int8)),
        b.constant("b", source.integers(-4000, 4000, 8).astype(np.int32)),
        weight_exponents=[-7] * 8,
        padding=(1, 1, 1, 1),
        exponent=-2,
        zero_point=-128,
        layer="stem",
    )
    flat = b.reshape(stem, shape=(240,), layer="flat")
    scores = b.fully_connected(
        flat,
        b.constant("v", source.integers(-127, 128, (3, 240)).astype(np.int8)),
        b.constant("c", source.integers(-4000, 4000, 3).astype(np.int32)),
        weight_exponents=[-9] * 3,
        exponent=1,
        zero_point=0,
        layer="classifier",
    )
    b.output("y", scores, (0,))
    return b.build()


def write_model(path: Path, seed: int, channels: int = 3) -> Graph:
    graph = small_graph(seed, channels)
    file.write(graph, path)
    return graph


class Project:
    """A CMake project of the test and its build folder."""

    def __init__(self, folder: Path, cmake: str, generator: str):
        self.folder, self.cmake, self.generator = folder, cmake, generator
        self.build_folder = folder / "build folder"

    def configure(self, *options: str) -> subprocess.CompletedProcess[str]:
        where = ["-S", str(self.folder), "-B", str(self.build_folder)]
        return run([self.cmake, *where, "-G", self.generator, f"-DPIENN_PYTHON={sys.executable}", *options])

    def build(self, *options: str) -> subprocess.CompletedProcess[str]:
        return run([self.cmake, "--build", str(self.build_folder), *options])

    def steps(self) -> dict[str, int]:
        """Build, which must succeed, and count what ran: generator runs, compilations, links."""
        done = self.build()
        assert done.returncode == 0, done.stdout + done.stderr
        patterns = {"generated": "PIE-NN: compiling ", "compiled": "Building C ", "linked": "Linking C "}
        return {step: len(re.findall(pattern, done.stdout)) for step, pattern in patterns.items()}


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True)


def errors(text: str) -> list[str]:
    """The lines that report an error of ours."""
    return [line.strip() for line in text.splitlines() if ": error: " in line]
