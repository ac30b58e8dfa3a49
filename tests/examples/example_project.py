"""Examples as a user runs them: their script in a process of its own, their program built by CMake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = {key: value for key, value in os.environ.items() if key != "IDF_PATH"}
"""An environment in which an example is a program for this machine."""


def succeed(*command: str | Path) -> str:
    """Standard output of a command that must not fail."""
    environment = {**HERE, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def train(script: Path, output: Path, *options: str) -> None:
    succeed(sys.executable, script, "--output", output, *options)


def build(cmake: str, example: Path, folder: Path, *options: str, flags: str = "") -> None:
    """With all warnings as errors; `flags` are more of the C compiler's."""
    flags = f"-Wall -Wextra -Wconversion -Werror {flags}"
    settings = [f"-DPIENN_PYTHON={sys.executable}", "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_C_FLAGS={flags}"]
    succeed(cmake, "-S", example, "-B", folder, *settings, *options)
    succeed(cmake, "--build", folder)
