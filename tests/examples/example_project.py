"""Examples as a user runs them: their script in a process of its own, their program built by CMake."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


def printed_by_esp_idf(checkout: Path, name: str, folder: Path, *options: str) -> str:
    """What the example prints when ESP-IDF builds it for its linux target; skips where there is no ESP-IDF."""
    if "IDF_PATH" not in os.environ:
        pytest.skip("no ESP-IDF: IDF_PATH is not set")
    component = folder / "pienn"
    unwanted = shutil.ignore_patterns(
        ".*", "build", "build_host", "__pycache__", "*.egg-info", "tests", "test_apps"
    )
    shutil.copytree(checkout, component, ignore=unwanted)
    example = component / "examples" / name
    python = Path(os.environ.get("IDF_PYTHON_ENV_PATH", sys.prefix)) / "bin" / "python"
    idf = [str(python), f"{os.environ['IDF_PATH']}/tools/idf.py", "-C", str(example)]
    settings = [f"-DPIENN_PYTHON={sys.executable}", *options]
    for step in ([*settings, "--preview", "set-target", "linux", "build"], ["build"]):
        done = subprocess.run([*idf, *step], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "no work to do" in done.stdout, "the second build did something"
    try:
        subprocess.run([str(example / "build" / f"{name}.elf")], stdout=subprocess.PIPE, timeout=5)
    except subprocess.TimeoutExpired as stopped:  # FreeRTOS runs on after app_main
        return (stopped.stdout or b"").decode()
    pytest.fail("app_main returned and the program ended: FreeRTOS should run on")
