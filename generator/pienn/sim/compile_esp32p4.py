"""Makes ESP32-P4 programs from C and assembly files with Debian's RISC-V compiler and its small C library, picolibc.

Its assembler knows no PIE, so assembly files go through ours; the compiler's linker takes both.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pienn.errors import PiennError
from pienn.isa.object import Object
from pienn.isa.source import Location
from pienn.sim.assembled import assembled
from pienn.sim.elf import read_elf
from pienn.sim.line_table import with_lines

COMPILER = "riscv64-unknown-elf-gcc"
OPTIONS = (
    "-march=rv32imafc",
    "-mabi=ilp32f",
    "--specs=picolibc.specs",
    "--oslib=semihost",
    "--crt0=semihost",
    "-g1",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wl,--gc-sections",
)
# Code and constants lie in flash, all else in the internal SRAM with the stack at its end.
PLACES = {"__flash": 0x4000_0000, "__flash_size": 16 << 20, "__ram": 0x4FF0_0000, "__ram_size": 768 << 10}


def build_program(sources: Sequence[Path], options: Sequence[str] = ("-O2",), revision: int = 3) -> bytes:
    """An ELF executable of C files (.c) and assembly files (.S, .s). PiennError carries the tools' first error."""
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise PiennError(
            f"compiling C for the ESP32-P4 needs {COMPILER} and picolibc: install gcc-riscv64-unknown-elf "
            "and picolibc-riscv64-unknown-elf"
        )
    places = [f"-Wl,--defsym={name}={value:#x}" for name, value in PLACES.items()]
    with tempfile.TemporaryDirectory(prefix="pienn-riscv-") as name:
        folder = Path(name)
        objects: list[Object] = []
        files: list[str] = []
        for number, path in enumerate(sources):
            if path.suffix in (".S", ".s"):
                objects.append(assembled(path, "esp32p4", revision))
                path = folder / f"{number}-{path.stem}.o"
                path.write_bytes(objects[-1].elf())
            files.append(str(path))
        program = folder / "program.elf"
        command = [compiler, *OPTIONS, *options, *places, *files, "-o", str(program), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            marks = ("error", "undefined reference", "multiple definition")
            raise PiennError(next((line for line in lines if any(mark in line for mark in marks)), lines[0]))
        data = program.read_bytes()
    return with_lines(data, _assembly_lines(data, objects))


def _assembly_lines(program: bytes, objects: Sequence[Object]) -> dict[int, Location]:
    """Source lines of the assembled sections that are in the program: a symbol of each says where it lies."""
    symbols = read_elf(program).symbols
    found: dict[int, Location] = {}
    for one in objects:
        bases = {
            section: symbols[name] - offset
            for name, (section, offset) in one.symbols.items()
            if section and name in symbols and one.symbol_table[name].binding != "local"
        }
        for line in one.lines:
            if line.is_code and line.section in bases:
                found[bases[line.section] + line.offset] = line.location
    return found
