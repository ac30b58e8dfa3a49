"""A copy of the component, so that tests may touch its files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

SHIPPED = ("CMakeLists.txt Kconfig idf_component.yml project_include.cmake LICENSE README.md").split()
FOLDERS = ("component", "examples", "generator", "include", "src_asm", "src_ref")


@pytest.fixture(scope="session")
def component(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the component ships, in a folder with a space in its path."""
    folder = tmp_path_factory.mktemp("with component") / "pienn"
    folder.mkdir()
    for name in SHIPPED:
        shutil.copy2(checkout / name, folder / name)
    for name in FOLDERS:
        unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*_cache", "build")
        shutil.copytree(checkout / name, folder / name, ignore=unwanted)
    return folder
