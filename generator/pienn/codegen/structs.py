"""Parameter structs as bytes, for memory that no C compiler has laid out: the simulated chip's, and ctypes calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from pienn.codegen.offsets import component_structs
from pienn.component import component_folder

WORD = 4


@cache
def _layouts() -> dict[str, dict[str, int]]:
    return component_structs()


@cache
def pointer_fields(kernel: str) -> tuple[str, ...]:
    """The pointers of a kernel's struct, in order: they come first."""
    text = (component_folder() / "include" / "pienn" / "layers.h").read_text()
    body = re.search(rf"typedef struct pienn_{kernel}_params \{{(.*?)\n\}}", text, re.DOTALL)
    return (
        tuple(re.findall(r"^\s*const \w+ \*(?:const \*)?(\w+);", body.group(1), re.MULTILINE)) if body else ()
    )


def struct_bytes(
    kernel: str, pointers: Mapping[str, int], fields: Mapping[str, Any], pointer_bytes: int = 4
) -> bytes:
    """The struct of a call, little-endian.

    `pointers` by field, those left out are NULL; `fields` as `Parameters` has them.
    """
    offsets = _layouts()[f"pienn_{kernel}_params"]
    names = pointer_fields(kernel)
    words = np.zeros((offsets["sizeof"] - WORD * len(names)) // WORD, "<i4")
    for name, value in _flat(fields):
        words[(offsets[name] - WORD * len(names)) // WORD :][: np.size(value)] = value
    addresses = b"".join(int(pointers.get(name, 0)).to_bytes(pointer_bytes, "little") for name in names)
    return addresses + words.tobytes()


def _flat(fields: Mapping[str, Any]):
    """Fields of inner structs as outer.inner."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            for inner, number in value.items():
                yield f"{name}.{inner}", number
        else:
            yield name, value
