"""The reference kernels, compiled once per test process."""

from __future__ import annotations

from pathlib import Path

import pytest
from reference_library import Library, compile_library


@pytest.fixture(scope="session")
def reference(tool, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """All reference kernels as gcc compiles them, warnings being errors."""
    folder: Path = tmp_path_factory.mktemp("reference")
    return Library(compile_library(folder / "reference.so", cc=tool("gcc")))
