"""The notebook of the first kernel runs, and shows what is stored in it.

After a change of the notebook or of what it prints, store its outputs anew: python tests/sim/test_notebook.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebooks" / "first_kernel.ipynb"
WORDS_A_MINUTE = 200


def executed() -> Any:
    """The notebook after a run of all its cells, without what differs from run to run."""
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient").NotebookClient
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client(notebook, timeout=60, kernel_name="python3", record_timing=False).execute()
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def shown(cell: Any) -> list[str]:
    """What a cell prints and returns as text; without cells that show random registers."""
    if "varies" in cell.metadata.get("tags", []):
        return []
    return [output.get("text") or output["data"]["text/plain"] for output in cell.outputs]


def test_the_notebook_runs_and_shows_what_is_stored() -> None:
    nbformat = pytest.importorskip("nbformat")
    stored = nbformat.read(NOTEBOOK, as_version=4)
    for number, (now, before) in enumerate(zip(executed().cells, stored.cells, strict=True)):
        if now.cell_type == "code":
            assert shown(now) == shown(before), f"cell {number}; see the head of this file"
    text = "\n".join(line for cell in stored.cells if cell.cell_type == "code" for line in shown(cell))
    assert text.count("equal to numpy: True") == 2 and "still equal: True" in text
    assert "max_pool.S:9:" in text and "after the end of image" in text
    assert any("image/png" in o.get("data", {}) for c in stored.cells for o in c.get("outputs", []))


def test_it_is_read_in_under_five_minutes() -> None:
    nbformat = pytest.importorskip("nbformat")
    words = sum(len(cell.source.split()) for cell in nbformat.read(NOTEBOOK, as_version=4).cells)
    assert words / WORDS_A_MINUTE < 5, f"{words} words, code included"


if __name__ == "__main__":
    import nbformat

    nbformat.write(executed(), NOTEBOOK)
