"""The import rule: data flows one way through the folders, and torch stays in two of them."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "generator" / "pienn"

# folder -> the folders of the package that it may import besides itself
ALLOWED = {
    "isa": set(),
    "sim": {"isa"},
    "ir": set(),
    "passes": {"ir"},
    "plan": {"ir", "passes"},
    "codegen": {"ir", "passes", "plan"},
    "report": {"ir", "passes", "plan", "codegen", "isa", "sim"},
    "frontend": {"ir", "passes", "compress"},
    "compress": {"ir", "frontend"},
}
TORCH_FOLDERS = {"frontend", "compress"}
FORBIDDEN_NAMES = {"utils", "util", "common", "core", "lib", "misc", "helpers"}


def imported_modules(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            raise AssertionError(f"{path}: relative import; write the whole name")


def test_folders_import_only_what_lies_before_them():
    wrong = []
    for folder, allowed in ALLOWED.items():
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            for module in imported_modules(path):
                parts = module.split(".")
                if parts[0] != "pienn" or len(parts) == 1:
                    continue
                if parts[1] in ALLOWED | {"cli": 0, "commands": 0} and parts[1] not in allowed | {folder}:
                    wrong.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_torch_is_imported_in_two_folders_only():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        folder = path.relative_to(PACKAGE).parts[0]
        names = {module.split(".")[0] for module in imported_modules(path)}
        if names & {"torch", "torchao", "torch_pruning"} and folder not in TORCH_FOLDERS:
            wrong.append(str(path.relative_to(PACKAGE)))
    assert not wrong, "\n".join(wrong)


def test_no_folder_or_file_is_a_drawer_for_everything():
    wrong = [str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*") if path.stem in FORBIDDEN_NAMES]
    assert not wrong, "\n".join(wrong)


def test_no_two_test_files_share_a_name():
    """pytest imports test files by their bare names."""
    names = [path.name for path in Path(__file__).parent.rglob("*.py") if path.name != "conftest.py"]
    assert sorted(set(names)) == sorted(names)
