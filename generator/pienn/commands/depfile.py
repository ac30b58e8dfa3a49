"""`--depfile`: what a result was made from, in the form that make and ninja read.

A build that lists only the model as its input misses the files named inside it and the generator's own sources.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import pienn
from pienn.component import component_folder
from pienn.errors import PiennError

INSTALLED = ("site-packages", "dist-packages")
PACKAGE = Path(pienn.__file__).resolve().parent


def write_depfile(depfile: Path, product: Path, inputs: Iterable[Path | None]) -> None:
    """Write the rule that `product` depends on `inputs` and on the sources of the generator that are in use now.

    Missing inputs (None) are left out. Paths are absolute. The file appears whole or not at all.
    """
    write_rule(depfile, product, [*(path for path in inputs if path is not None), *sources()])


def write_rule(depfile: Path, product: Path, inputs: Iterable[Path | str]) -> None:
    """Write the rule that `product` depends on `inputs`, and on nothing else."""
    files = {os.path.abspath(path) for path in inputs}
    lines = [f"{escape(os.path.abspath(product))}:", *(f"  {escape(file)}" for file in sorted(files))]
    partial = depfile.with_name(depfile.name + ".partial")
    partial.write_text(" \\\n".join(lines) + "\n", newline="\n")
    partial.replace(depfile)


def sources() -> list[str]:
    """The files behind the modules loaded so far, the templates and the kernel list."""
    templates = map(str, (PACKAGE / "codegen" / "templates").iterdir())
    kernels = str(component_folder() / "include" / "pienn" / "kernels.inc")
    return sorted({*loaded_sources(), *templates, kernels})


def loaded_sources() -> list[str]:
    """The files behind the modules loaded so far: the generator's and the user's, not those of installed packages."""
    library = sysconfig.get_path("stdlib")
    found = []
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path is None or not path.endswith(".py") or path.startswith(library) or not os.path.isfile(path):
            continue  # torch has modules whose file does not exist: what is missing is remade at every build
        if Path(path).resolve().is_relative_to(PACKAGE) or not set(INSTALLED) & set(Path(path).parts):
            found.append(os.path.abspath(path))
    return sorted(set(found))


def escape(path: str) -> str:
    """The path as depfiles want it; raises PiennError for one that no depfile can hold."""
    if "\n" in path or "\r" in path:
        raise PiennError(f"{path!r}: a line break in a path cannot be written to a dependency file")
    return path.replace("\\", "/").replace(" ", "\\ ").replace("#", "\\#").replace("$", "$$")
