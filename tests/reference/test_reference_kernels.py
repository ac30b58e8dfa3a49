"""Every reference kernel equals the interpreter, bit for bit, and touches nothing but its output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from reference_cases import CASES, WITHOUT_OPERATION
from reference_check import difference
from reference_draw import Draw
from reference_library import CHECKOUT, SANITIZERS, Library, compile_library

from pienn.plan.kernel_list import ListedKernel, read_kernels

SEEDS = 80  # per kernel
SEEDS_SANITIZED = 20
BENCHED = [
    (kernel, number)
    for kernel in read_kernels()
    if kernel.name not in WITHOUT_OPERATION
    for number in range(len(kernel.bench))
]


@pytest.mark.parametrize("kernel", CASES)
def test_random_calls_equal_the_interpreter(reference: Library, kernel: str) -> None:
    for seed in range(SEEDS):
        found = difference(reference, CASES[kernel](Draw(seed)), seed)
        assert found is None, (
            f"{found}\nagain: python tests/reference/reference_check.py --kernel {kernel} --seed {seed}"
        )


@pytest.mark.parametrize(("kernel", "number"), BENCHED, ids=lambda part: getattr(part, "name", part))
def test_bench_shapes_equal_the_interpreter(reference: Library, kernel: ListedKernel, number: int) -> None:
    draw = Draw(number, kernel.bench[number])
    case = CASES[kernel.name](draw)
    assert draw.used >= set(draw.words), f"the case has no {set(draw.words) - draw.used}"
    assert difference(reference, case, 0) is None


def test_sanitizers_find_nothing(tool, tmp_path: Path) -> None:
    """The same calls under address and undefined-behaviour sanitizers, in a process that loads them first."""
    gcc = tool("gcc")
    library = compile_library(tmp_path / "sanitized.so", flags=SANITIZERS, cc=gcc)
    runtime = subprocess.run(
        [gcc, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    command = [
        sys.executable,
        str(CHECKOUT / "tests" / "reference" / "reference_check.py"),
        *("--library", str(library), "--seed", "500", "--count", str(SEEDS_SANITIZED)),
    ]
    environment = {**os.environ, "LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, (
        f"again: LD_PRELOAD={runtime} {' '.join(command)}\n{done.stdout}{done.stderr}"
    )
