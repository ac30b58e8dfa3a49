"""Offsets of the parameter structs for assembly: `src_asm/params.h`, from `include/pienn/layers.h`.

Both chips have 32-bit pointers and words, and PIENN_LAYOUT makes sure that the structs have no gaps, so an offset is
the number of words before the field. `python -m pienn.codegen.offsets` writes the file anew; a test compares.
"""

from __future__ import annotations

import re
from pathlib import Path

from pienn.component import component_folder
from pienn.errors import PiennError

WORD = 4
RANK = 4
_STRUCT = re.compile(r"typedef struct (\w+) \{(.*?)\n\} \1;", re.DOTALL)
_ALIAS = re.compile(r"typedef (pienn_\w+_params) (pienn_\w+_params);")
_FIELD = re.compile(r"(?:const )?(\w+) (\*?(?:const \*)?)(\w+)(\[PIENN_RANK\])?;")


def struct_offsets(text: str) -> dict[str, dict[str, int]]:
    """Byte offsets on a 32-bit machine, by struct and field.

    Fields of an inner struct are `outer.inner`, the size is `sizeof`. `text`: the headers, inner structs first.
    """
    structs: dict[str, dict[str, int]] = {}
    for name, body in _STRUCT.findall(text):
        fields: dict[str, int] = {}
        offset = 0
        for line in re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL).splitlines():
            if not line.strip():
                continue
            match = _FIELD.fullmatch(line.strip())
            if match is None:
                raise PiennError(f"{name}: cannot read the field {line.strip()!r}")
            kind, pointer, field, is_array = match.groups()
            if kind in structs and not pointer:
                inner = structs[kind]
                fields |= {f"{field}.{key}": offset + at for key, at in inner.items() if key != "sizeof"}
                offset += inner["sizeof"]
            else:
                fields[field] = offset
                offset += RANK * WORD if is_array else WORD
        structs[name] = fields | {"sizeof": offset}
    for known, alias in _ALIAS.findall(text):
        structs[alias] = structs[known]
    return structs


def component_structs() -> dict[str, dict[str, int]]:
    """`struct_offsets` of the component's headers."""
    folder = component_folder() / "include" / "pienn"
    return struct_offsets((folder / "tensor.h").read_text() + (folder / "layers.h").read_text())


def params_header() -> str:
    """The text of src_asm/params.h."""
    structs = component_structs()
    lines = [
        "/* Byte offsets of the parameter structs of include/pienn/layers.h, for assembly.",
        " * Made by `python -m pienn.codegen.offsets`. Do not edit. */",
        "#ifndef PIENN_SRC_ASM_PARAMS_H",
        "#define PIENN_SRC_ASM_PARAMS_H",
    ]
    for name, fields in structs.items():
        if not name.endswith("_params"):
            continue
        lines.append("")
        for field, offset in fields.items():
            if field != "sizeof":
                word = field.replace(".", "_").upper()
                lines.append(f"#define {name.removesuffix('_params').upper()}_{word} {offset}")
    return "\n".join([*lines, "", "#endif", ""])


def params_path() -> Path:
    return component_folder() / "src_asm" / "params.h"


if __name__ == "__main__":
    params_path().write_text(params_header())
    print(params_path())
