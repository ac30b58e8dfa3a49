"""Makes windowed ESP32-S3 programs from C with Debian's compiler for another Xtensa core.

`xtensa-lx106-elf-gcc -mabi=windowed` compiles to assembly text; its own assembler, linker and library know neither the
windowed instructions nor their calling convention. So the text is assembled and linked here, with the small library of
`runtime/esp32s3` (start, console by `simcall`, printf, memory, double precision).
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pienn.errors import PiennError
from pienn.isa.assembler import assemble
from pienn.isa.object import Image, Object
from pienn.sim.linker import executable, link_objects

COMPILER = "xtensa-lx106-elf-gcc"
RUNTIME = Path(__file__).parent / "runtime" / "esp32s3"
OPTIONS = (
    "-mabi=windowed",
    "-ffreestanding",
    "-fno-tree-loop-distribute-patterns",
    f"-I{RUNTIME / 'include'}",
)
CODE, DATA, END = 0x4037_0000, 0x3FC8_8000, 0x3FD0_0000
STACK_BYTES = 64 << 10


def build_program(sources: Sequence[Path], options: Sequence[str] = ("-O2",)) -> bytes:
    """An ELF executable of C files (.c) and assembly files (.S, .s). PiennError carries the compiler's first error."""
    image = link_program(sources, options)
    return executable(image, image.symbols["_start"], "esp32s3")


def link_program(sources: Sequence[Path], options: Sequence[str] = ("-O2",)) -> Image:
    """The sources and the library as one image in the internal SRAM: stack at its end, heap between it and the data."""
    objects = [*_library(), *(compile_source(path, options) for path in sources)]
    return link_objects(objects, CODE, DATA, {"_stack": END, "_heap_end": END - STACK_BYTES})


@functools.lru_cache(maxsize=1)
def _library() -> tuple[Object, ...]:
    names = ("start.S", "integer.c", "double.c", "library.c", "print.c")
    return tuple(compile_source(RUNTIME / name) for name in names)


def compile_source(path: Path, options: Sequence[str] = ("-O2",)) -> Object:
    """One C or assembly file as an object."""
    if path.suffix in (".S", ".s"):
        return assemble(path, "esp32s3")
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise PiennError(f"{path}: compiling C for the ESP32-S3 needs {COMPILER}: install gcc-xtensa-lx106")
    with tempfile.TemporaryDirectory(prefix="pienn-xtensa-") as folder:
        text = Path(folder) / f"{path.stem}.s"
        command = [compiler, *OPTIONS, *options, "-S", str(path), "-o", str(text)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
            raise PiennError(first)
        return assemble(text, "esp32s3")
