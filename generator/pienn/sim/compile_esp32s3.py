"""Makes windowed ESP32-S3 programs from C with Debian's compiler for another Xtensa core.

`xtensa-lx106-elf-gcc -mabi=windowed` compiles to assembly text; its own assembler, linker and library know neither the
windowed instructions nor their calling convention. So the text is assembled and linked here, with the small library of
`runtime/esp32s3` (start, console by `simcall`, printf, memory, double precision).
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pienn.errors import PiennError
from pienn.isa.assembler import assemble
from pienn.isa.object import Image, Object
from pienn.isa.source import Location
from pienn.sim.assembled import assembled, kept
from pienn.sim.linker import executable, link_objects

COMPILER = "xtensa-lx106-elf-gcc"
RUNTIME = Path(__file__).parent / "runtime" / "esp32s3"
OPTIONS = (
    "-mabi=windowed",
    "-ffreestanding",
    "-fno-tree-loop-distribute-patterns",
    "-g1",
    f"-I{RUNTIME / 'include'}",
)
CODE, DATA, END, CONSTANTS = 0x4037_0000, 0x3FC8_8000, 0x3FD0_0000, 0x4200_0000
STACK_BYTES = 64 << 10
LARGEST_KEPT = 200_000  # bytes of text; weights are larger, and change with every model
WORD = "\t.word\t"
LONGEST_LINE = 1000  # characters
# In the compiler's text: `.file 1 "main.c"` numbers a source file, `.loc 1 23 5` says where the next code comes from.
FILE, PLACE = re.compile(r'\t\.file (\d+) "(.*?)"$'), re.compile(r"\t\.loc (\d+) (\d+) (\d+)")


def build_program(sources: Sequence[Path], options: Sequence[str] = ("-O2",)) -> bytes:
    """An ELF executable of C files (.c) and assembly files (.S, .s). PiennError carries the compiler's first error."""
    image = link_program(sources, options)
    return executable(image, image.symbols["_start"], "esp32s3")


def link_program(sources: Sequence[Path], options: Sequence[str] = ("-O2",)) -> Image:
    """The sources and the library as one image: code and data in the internal SRAM with the stack at its end and the
    heap between it and the data, constants in flash."""
    objects = [*_library(), *(compile_source(path, options) for path in sources)]
    return link_objects(objects, CODE, DATA, CONSTANTS, {"_stack": END, "_heap_end": END - STACK_BYTES})


@functools.lru_cache(maxsize=1)
def _library() -> tuple[Object, ...]:
    names = ("start.S", "integer.c", "double.c", "library.c", "print.c")
    return tuple(compile_source(RUNTIME / name) for name in names)


def compile_source(path: Path, options: Sequence[str] = ("-O2",)) -> Object:
    """One C or assembly file as an object."""
    if path.suffix in (".S", ".s"):
        return assembled(path, "esp32s3")
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
        return _assembled_text(text, path)


def _assembled_text(text: Path, source: Path) -> Object:
    """The compiler's assembly text as an object whose lines are those of the C files; debug information is left out."""
    files: dict[str, str] = {}
    places: dict[int, Location] = {}
    place = Location(str(source), 1)
    lines: list[str] = []
    in_debug = False
    for line in text.read_text().splitlines():
        if line.startswith("\t.section") or line == "\t.text":
            in_debug = ".debug_" in line
        elif found := FILE.match(line):
            files[found[1]] = found[2]
        elif found := PLACE.match(line):
            place = Location(files.get(found[1], str(source)), int(found[2]), max(1, int(found[3])))
        if in_debug:
            continue
        if line.startswith(WORD) and lines[-1].startswith(WORD) and len(lines[-1]) < LONGEST_LINE:
            lines[-1] += f", {line[len(WORD) :]}"  # data is assembled faster in few statements
            continue
        lines.append(line)
        places[len(lines)] = place
    code = "\n".join(lines) + "\n"
    text.write_text(code)

    def make() -> Object:
        return _with_places(assemble(text, "esp32s3"), places)

    return kept([code.encode(), repr(places).encode()], make) if len(code) < LARGEST_KEPT else make()


def _with_places(result: Object, places: Mapping[int, Location]) -> Object:
    """The object with other source lines: those that `places` gives for the lines of its text."""
    for section in result.sections.values():
        for fragment in section.fragments:
            fragment.location = places.get(fragment.location.line, fragment.location)
    return result
