"""Writes source lines into ELF programs, as line number programs of DWARF 2 (section .debug_line)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from pienn.isa.leb128 import encode
from pienn.isa.source import Location
from pienn.sim.line_numbers import (
    ADVANCE_LINE,
    ADVANCE_PC,
    COPY,
    END_SEQUENCE,
    SET_ADDRESS,
    SET_FILE,
)

LONGEST_INSTRUCTION = 4  # bytes; a larger step between two addresses is a gap
OPERANDS = (0, 1, 1, 1, 1, 0, 0, 0, 1)  # of the standard opcodes 1 to 9
LINE_BASE, LINE_RANGE = -5, 14  # of the special opcodes, which are not used
SECTION_HEADER = struct.Struct("<10I")


def line_program(lines: Mapping[int, Location]) -> bytes:
    """A unit of .debug_line with the source line of every instruction's address."""
    files = {name: number for number, name in enumerate(dict.fromkeys(one.file for one in lines.values()), 1)}
    body = b"".join(_rows(lines, files))
    names = b"".join(name.encode() + b"\0" + bytes(3) for name in files)
    header = struct.pack("<BBbBB", 1, 1, LINE_BASE, LINE_RANGE, len(OPERANDS) + 1) + bytes(OPERANDS)
    header += b"\0" + names + b"\0"  # no folders
    unit = struct.pack("<HI", 2, len(header)) + header + body
    return struct.pack("<I", len(unit)) + unit


def _rows(lines: Mapping[int, Location], files: Mapping[str, int]) -> Iterator[bytes]:
    at, file, line = None, 1, 1
    for address in sorted(lines):
        location = lines[address]
        if at is None or address - at > LONGEST_INSTRUCTION:
            if at is not None:
                yield _end()
            yield bytes([0, 5, SET_ADDRESS]) + struct.pack("<I", address)
            file, line = 1, 1
        else:
            yield bytes([ADVANCE_PC]) + encode(address - at, False)
        if files[location.file] != file:
            file = files[location.file]
            yield bytes([SET_FILE]) + encode(file, False)
        if location.line != line:
            yield bytes([ADVANCE_LINE]) + encode(location.line - line, True)
            line = location.line
        yield bytes([COPY])
        at = address
    if at is not None:
        yield _end()


def _end() -> bytes:
    return bytes([ADVANCE_PC, LONGEST_INSTRUCTION, 0, 1, END_SEQUENCE])


def with_lines(program: bytes, lines: Mapping[int, Location]) -> bytes:
    """The ELF file with further lines behind those of its section .debug_line; as it is where it has none."""
    at, size, count, names_index = (
        *struct.unpack_from("<I", program, 32),
        *struct.unpack_from("<3H", program, 46),
    )
    names_at = SECTION_HEADER.unpack_from(program, at + names_index * size)[4]
    for place in range(at, at + count * size, size):
        header = list(SECTION_HEADER.unpack_from(program, place))
        name_at = names_at + header[0]
        if program[name_at : program.index(0, name_at)] == b".debug_line":
            content = program[header[4] :][: header[5]] + line_program(lines)
            header[4], header[5] = len(program), len(content)
            return program[:place] + SECTION_HEADER.pack(*header) + program[place + size :] + content
    return program
