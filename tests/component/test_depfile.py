"""`pienn compile --depfile` lists what the C was made from, and only that."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from component_project import write_model

from pienn import cli
from pienn.commands.depfile import escape, sources
from pienn.errors import PiennError


def test_depfile_lists_model_generator_and_templates(tmp_path: Path, checkout: Path) -> None:
    model, depfile = tmp_path / "my #1 model.pie", tmp_path / "net.d"
    write_model(model, 1)
    with pytest.raises(SystemExit) as stopped:
        cli.main(
            ["compile", str(model), "-o", str(tmp_path / "o"), "--name", "net", "--depfile", str(depfile)]
        )
    assert not stopped.value.code
    target, _, rest = depfile.read_text().replace("\\\n", "").partition(":")
    assert target == str(tmp_path / "o" / "net.c")
    listed = [path.replace("\\ ", " ").replace("\\#", "#") for path in re.split(r"(?<!\\)\s+", rest.strip())]
    package = checkout / "generator" / "pienn"
    for path in (
        model,
        checkout / "include/pienn/kernels.inc",
        package / "ir/file.py",
        package / "passes/fold_constants.py",
        package / "plan/memory.py",
        package / "codegen/generate.py",
        package / "codegen/templates/model_weights.c.jinja",
    ):
        assert str(path) in listed, path
    assert all(Path(path).is_file() for path in listed)
    assert not [path for path in listed if "site-packages" in path or "/lib/python" in path]


def test_modules_without_a_file_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = ModuleType("made_up")
    made_up.__file__ = "made_up.py"
    monkeypatch.setitem(sys.modules, "made_up", made_up)
    assert not [path for path in sources() if path.endswith("made_up.py")]


def test_paths_are_escaped_or_refused() -> None:
    assert escape("/a b/c#d$e") == "/a\\ b/c\\#d$$e"
    with pytest.raises(PiennError, match="line break"):
        escape("/a\nb")
