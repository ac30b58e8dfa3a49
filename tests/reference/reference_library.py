"""The reference kernels as a shared library, and their parameter structs as ctypes read from the header itself."""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[2]
INCLUDE = CHECKOUT / "include"
SOURCES = CHECKOUT / "src_ref"
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wmissing-prototypes", "-Werror")
SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

_STRUCT = re.compile(r"typedef struct (\w+) \{(.*?)\n\} \1;", re.DOTALL)
_ALIAS = re.compile(r"typedef (pienn_\w+) (pienn_\w+);")
_FIELD = re.compile(r"(const )?(\w+) (\*?(?:const \*)?)(\w+)(?:\[PIENN_RANK\])?;")


def _read_structs() -> dict[str, type[ctypes.Structure]]:
    """Every struct of tensor.h and layers.h by name."""
    structs: dict[str, type[ctypes.Structure]] = {}
    text = "".join((INCLUDE / "pienn" / name).read_text() for name in ("tensor.h", "layers.h"))
    for name, body in _STRUCT.findall(text):
        fields: list[tuple[str, Any]] = []
        for line in re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL).splitlines():
            if not line.strip():
                continue
            match = _FIELD.fullmatch(line.strip())
            if match is None:
                raise ValueError(f"{name}: cannot read the field {line.strip()!r}")
            if match[3]:
                kind: Any = ctypes.c_void_p
            elif match[2] == "int32_t":
                kind = ctypes.c_int32 * 4 if "[" in line else ctypes.c_int32
            else:
                kind = structs[match[2]]
            fields.append((match[4], kind))
        structs[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
    for known, alias in _ALIAS.findall(text):
        structs[alias] = structs[known]
    return structs


STRUCTS = _read_structs()


def fill(struct: type[ctypes.Structure], values: Mapping[str, Any]) -> ctypes.Structure:
    """The struct with every field given; arrays by address, so the caller keeps them alive."""
    names = [field[0] for field in struct._fields_]
    if sorted(names) != sorted(values):
        raise ValueError(f"{struct.__name__} has the fields {sorted(names)}, given are {sorted(values)}")
    filled = struct()
    for field in struct._fields_:
        name, kind = field[0], field[1]
        value = values[name]
        if isinstance(value, Mapping):
            value = fill(kind, value)
        elif isinstance(value, np.ndarray):
            value = value.ctypes.data
        elif isinstance(value, Sequence):
            value = kind(*value)
        setattr(filled, name, value)
    return filled


def compile_library(
    output: Path,
    sources: Sequence[Path] | None = None,
    flags: Sequence[str] = ("-O2",),
    cc: str = "gcc",
) -> Path:
    """Compile kernels (all by default), warnings being errors."""
    files = sorted(SOURCES.glob("*.c")) if sources is None else sources
    includes = [f"-I{INCLUDE}", f"-I{SOURCES}"]
    command = [
        cc,
        *WARNINGS,
        *flags,
        *includes,
        "-shared",
        "-fPIC",
        *map(str, files),
        "-o",
        str(output),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return output


class Library:
    """Reference kernels of a shared library."""

    def __init__(self, path: Path):
        self._library = ctypes.CDLL(str(path))

    def call(self, kernel: str, addresses: Sequence[int], values: Mapping[str, Any]) -> None:
        """Run pienn_<kernel>_ref on the operands' addresses (the last one is y) and the struct's fields."""
        function = self._library[f"pienn_{kernel}_ref"]
        function.restype = None
        parameters = fill(STRUCTS[f"pienn_{kernel}_params"], values)
        function(
            *(ctypes.c_void_p(address) for address in addresses),
            ctypes.byref(parameters),
        )
