"""The list of kernels, `include/pienn/kernels.inc`, as Python objects and as a page of the manual."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pienn.component import component_folder
from pienn.errors import PiennError

_ROW = re.compile(r"^PIENN_KERNEL\((.*?)\)$", re.MULTILINE | re.DOTALL)
_FIELDS = re.compile(r"(\w+), (UNARY|BINARY), (\w+), (\w+), (\d+), (\d+),\s*((?:\"[^\"]*\"\s*)+)")


@dataclass(frozen=True)
class ListedKernel:
    """One row; the fields are explained at the top of the list."""

    name: str
    operands: str  # UNARY or BINARY
    p4: str  # suffix of the version that the chip uses
    s3: str
    alignment: int  # bytes
    revision: int  # of the ESP32-P4, major * 100 + minor
    bench: tuple[dict[str, int], ...]  # shapes to measure


def read_kernels(path: Path | None = None) -> list[ListedKernel]:
    """All rows in order; raises PiennError for a row that cannot be read."""
    path = path or component_folder() / "include" / "pienn" / "kernels.inc"
    kernels = []
    for row in _ROW.findall(path.read_text()):
        match = _FIELDS.fullmatch(row.strip())
        if match is None:
            raise PiennError(f"{path}: cannot read the row PIENN_KERNEL({row.splitlines()[0]}")
        name, operands, p4, s3, alignment, revision, text = match.groups()
        shapes = re.sub(r"\"\s*\"", "", text.strip()).strip('"')
        bench = tuple(
            {word: int(value) for word, value in re.findall(r"(\w+)=(\d+)", shape)}
            for shape in shapes.split("; ")
        )
        kernels.append(ListedKernel(name, operands, p4, s3, int(alignment), int(revision), bench))
    return kernels


def support_matrix(kernels: list[ListedKernel]) -> str:
    """A Markdown table: which version of a kernel each target has."""

    def version(chip: str, suffix: str, kernel: ListedKernel) -> str:
        if suffix == "ref":
            return "C"
        folder = {"p4": "esp32p4", "s3": "esp32s3"}[chip]
        since = ""
        if chip == "p4" and kernel.revision:
            since = f", revision >= {kernel.revision // 100}.{kernel.revision % 100}"
        return f"[assembly](../src_asm/{folder}/{kernel.name}.S){since}"

    lines = ["| kernel | reference | ESP32-P4 | ESP32-S3 | alignment of operands |", "|---|---|---|---|---|"]
    for kernel in kernels:
        reference = f"[C](../src_ref/{kernel.name}.c)"
        chips = f"{version('p4', kernel.p4, kernel)} | {version('s3', kernel.s3, kernel)}"
        alignment = "any" if kernel.alignment == 1 else f"{kernel.alignment} bytes"
        lines.append(f"| `{kernel.name}` | {reference} | {chips} | {alignment} |")
    return "\n".join(lines) + "\n"


def page(kernels: list[ListedKernel]) -> str:
    """The text of docs/kernels.md."""
    benches = "".join(
        f"| `{kernel.name}` | "
        + "; ".join(" ".join(f"{w}={v}" for w, v in b.items()) for b in kernel.bench)
        + " |\n"
        for kernel in kernels
    )
    return f"""<!-- Made by `python -m pienn.plan.kernel_list` from include/pienn/kernels.inc. Do not edit. -->

# Kernels

All tensors are int8, channels last. [layers.h](../include/pienn/layers.h) is the manual: one parameter struct per
kernel, a comment per field, and the contract. [SPEC.md](SPEC.md) says what is computed, to the bit.

## Which target runs what

C is the reference, which defines what is right; it runs everywhere. A chip uses its assembly where there is any.

{support_matrix(kernels)}
## Bench shapes

| kernel | shapes to measure, in the words of the parameter structs |
|---|---|
{benches}
## Add a kernel

1. `include/pienn/layers.h`: the parameter struct, a comment per field, and the `PIENN_LAYOUT` line.
2. `include/pienn/kernels.inc`: one row. Declarations and the public name follow from it.
3. `src_ref/<kernel>.c`: plain loops under a contract block; list the file in `CMakeLists.txt`.
4. `tests/reference/reference_cases.py`: how to draw a random call of it.
5. `generator/pienn/codegen/parameters.py`: how the generator fills the struct.
6. `make test`, then this page anew.
"""


if __name__ == "__main__":
    target = component_folder() / "docs" / "kernels.md"
    target.write_text(page(read_kernels()))
    print(target)
