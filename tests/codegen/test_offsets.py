"""src_asm/params.h gives assembly the offsets that a C compiler for a 32-bit chip gives the structs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pienn.codegen.offsets import params_header, params_path, struct_offsets
from pienn.component import component_folder
from pienn.errors import PiennError


def test_the_committed_header_is_current() -> None:
    again = "python -m pienn.codegen.offsets"
    assert params_path().read_text() == params_header(), f"run {again}"


def test_a_32_bit_compiler_gives_the_same_offsets(tool, tmp_path: Path) -> None:
    folder = component_folder() / "include"
    texts = [(folder / "pienn" / name).read_text() for name in ("tensor.h", "layers.h")]
    checks = ['#include "pienn/layers.h"']
    for name, fields in struct_offsets("".join(texts)).items():
        for field, offset in fields.items():
            value = f"sizeof({name})" if field == "sizeof" else f"offsetof({name}, {field})"
            checks.append(f'_Static_assert({value} == {offset}, "{name} {field}");')
    source = tmp_path / "offsets.c"
    source.write_text("\n".join(checks) + "\n")
    command = [
        tool("riscv64-unknown-elf-gcc"),
        "-march=rv32imafc",
        "-mabi=ilp32f",
        "-ffreestanding",
    ]
    done = subprocess.run(
        [*command, "-std=c11", "-fsyntax-only", "-I", folder, source],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(checks) > 300


def test_a_field_that_cannot_be_read_is_named() -> None:
    with pytest.raises(PiennError, match="odd_params: cannot read the field"):
        struct_offsets("typedef struct odd_params {\n    int32_t a : 3;\n} odd_params;")
