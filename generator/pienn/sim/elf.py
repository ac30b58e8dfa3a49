"""Reads linked ELF32 executables: loadable segments, symbols, entry point."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pienn.errors import PiennError
from pienn.isa.object import Image, Segment
from pienn.sim.line_numbers import source_lines

MACHINES = {243: "esp32p4", 94: "esp32s3"}
_EXECUTABLE = 2
_LOAD = 1
_CODE = 4  # SHF_EXECINSTR
_FUNCTION = 2  # STT_FUNC
_COMPRESSED = 1 << 11  # SHF_COMPRESSED
_CODE_STEP = {"esp32p4": 2, "esp32s3": 1}  # bytes between places where an instruction may start
MAXIMUM_SEGMENT = 64 << 20  # bytes; the chips address no larger memory


@dataclass(frozen=True)
class Executable(Image):
    """An image with its entry point, the chip family that it is for, and which symbols are functions."""

    entry: int = 0
    target: str = ""
    functions: frozenset[str] = frozenset()


def read_elf(data: bytes, name: str = "<elf>") -> Executable:
    """The segments and symbols of an executable. PiennError when the file is something else."""
    if data[:4] != b"\x7fELF" or len(data) < 52:
        raise PiennError(f"{name}: not an ELF file")
    if data[4] != 1 or data[5] != 1:
        raise PiennError(f"{name}: not a little-endian 32-bit ELF file")
    kind, machine, _, entry, program_at, section_at = struct.unpack_from("<HHIIII", data, 16)
    if kind != _EXECUTABLE:
        raise PiennError(f"{name}: not a linked executable; link it first")
    if machine not in MACHINES:
        raise PiennError(f"{name}: made for another processor (ELF machine {machine})")
    size, count, section_size, section_count, names_index = struct.unpack_from("<HHHHH", data, 42)
    try:
        segments = _segments(name, data, program_at, size, count)
        symbols, functions = _symbols(data, section_at, section_size, section_count)
    except (struct.error, IndexError) as error:
        raise PiennError(f"{name}: damaged ELF file: {error}") from error
    debug = _debug_sections(data, section_at, section_size, section_count, names_index)
    return Executable(
        tuple(segments),
        symbols,
        lines=source_lines(debug, _CODE_STEP[MACHINES[machine]]),
        entry=entry,
        target=MACHINES[machine],
        functions=frozenset(functions),
    )


def _segments(name: str, data: bytes, at: int, size: int, count: int) -> list[Segment]:
    """Loadable segments. One whose load address differs from its run address (initialised data, to be copied by
    the program's start code) is given at both."""
    found: list[Segment] = []
    for index in range(count):
        kind, offset, run, stored, in_file, in_memory, flags, _ = struct.unpack_from(
            "<8I", data, at + index * size
        )
        if kind != _LOAD or not in_memory:
            continue
        if in_memory > MAXIMUM_SEGMENT or in_file > in_memory or offset + in_file > len(data):
            raise PiennError(f"{name}: damaged ELF file: segment {index} of {in_memory} bytes at {run:#x}")
        letters = "a" + "w" * bool(flags & 2) + "x" * bool(flags & 1)
        content = data[offset : offset + in_file]
        found.append(Segment(f"segment {index}", run, content, in_memory, letters))
        if stored != run and in_file:
            found.append(Segment(f"segment {index} as stored", stored, content, in_file, "a"))
    return found


def _debug_sections(data: bytes, at: int, size: int, count: int, names_index: int) -> dict[str, bytes]:
    """The content of the sections of debug information, by name; those that are damaged or compressed left out."""
    found: dict[str, bytes] = {}
    try:
        headers = [struct.unpack_from("<10I", data, at + index * size) for index in range(count)]
        names = data[headers[names_index][4] :][: headers[names_index][5]]
        for header in headers:
            name = names[header[0] : names.index(0, header[0])].decode("utf-8", "replace")
            if name.startswith(".debug_") and not header[2] & _COMPRESSED:
                found[name] = data[header[4] : header[4] + header[5]]
    except (struct.error, IndexError, ValueError):
        pass
    return found


def _symbols(data: bytes, at: int, size: int, count: int) -> tuple[dict[str, int], set[str]]:
    """Addresses of all symbols, and the names of functions and of global labels in code."""
    found: dict[str, int] = {}
    functions: set[str] = set()
    sections = [struct.unpack_from("<10I", data, at + index * size) for index in range(count)]
    for index in range(count):
        header = struct.unpack_from("<10I", data, at + index * size)
        if header[1] != 2:  # SHT_SYMTAB
            continue
        strings_at = struct.unpack_from("<10I", data, at + header[6] * size)[4]
        for offset in range(header[4], header[4] + header[5], 16):
            name_at, value, _, info, _, section = struct.unpack_from("<IIIBBH", data, offset)
            if section == 0 or info & 15 > 2 or not name_at:
                continue
            end = data.index(0, strings_at + name_at)
            name = data[strings_at + name_at : end].decode(errors="replace")
            found[name] = value
            in_code = section < count and bool(sections[section][2] & _CODE)
            if in_code and (info & 15 == _FUNCTION or (info >> 4 and not info & 15)):
                functions.add(name)
    return found, functions
