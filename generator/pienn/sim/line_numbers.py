"""Source lines of an ELF program: reads the line number programs of DWARF 2 to 5 (section .debug_line)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pienn.isa.source import Location

# Standard opcodes, extended opcodes, content types and forms of the DWARF standard, sections 6.2 and 7.22.
COPY, ADVANCE_PC, ADVANCE_LINE, SET_FILE, SET_COLUMN = 1, 2, 3, 4, 5
CONST_ADD_PC, FIXED_ADVANCE_PC = 8, 9
END_SEQUENCE, SET_ADDRESS = 1, 2
PATH, DIRECTORY = 1, 2
STRING, STRP, LINE_STRP, UDATA, BLOCK = 0x08, 0x0E, 0x1F, 0x0F, 0x09
SIZES = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16}  # forms of fixed size, in bytes
LONGEST_ROW = 1 << 16  # bytes of code of one line; more is damage
DWARF_64 = 0xFFFF_FFF0  # unit lengths from here on announce another format, which no 32-bit compiler writes


@dataclass
class Reader:
    """A position in a section."""

    data: bytes
    at: int = 0

    def number(self, size: int) -> int:
        value = int.from_bytes(self.data[self.at : self.at + size], "little")
        self.at += size
        return value

    def signed_byte(self) -> int:
        value = self.number(1)
        return value - 256 if value > 127 else value

    def leb128(self, signed: bool = False) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value - (1 << shift) if signed and byte & 64 else value

    def text(self) -> str:
        end = self.data.index(0, self.at)
        value = self.data[self.at : end].decode("utf-8", "replace")
        self.at = end + 1
        return value


def source_lines(sections: dict[str, bytes], step: int) -> dict[int, Location]:
    """Address -> source line, for every `step` bytes of code that the line programs cover.

    `sections` maps names of sections to their content. A damaged section gives the lines read before the damage.
    """
    found: dict[int, Location] = {}
    reader = Reader(sections.get(".debug_line", b""))
    try:
        while reader.at < len(reader.data):
            length = reader.number(4)
            if length >= DWARF_64:
                break
            end = reader.at + length
            for start, stop, location in _ranges(reader, end, sections):
                for address in range(start, min(stop, start + LONGEST_ROW), step):
                    found[address] = location
            reader.at = end
    except (IndexError, KeyError, ValueError):
        pass
    return found


def _ranges(reader: Reader, end: int, sections: dict[str, bytes]) -> Iterator[tuple[int, int, Location]]:
    """(first address, address behind, location) of each row of one unit's table."""
    version = reader.number(2)
    if version >= 5:
        reader.at += 2  # sizes of addresses and segment selectors
    program = reader.number(4) + reader.at
    unit = reader.number(1)
    if version >= 4:
        reader.at += 1  # operations per instruction: 1 but for VLIW machines
    reader.at += 1  # whether rows start as statements
    line_base, line_range, opcode_base = reader.signed_byte(), reader.number(1), reader.number(1)
    arguments = [reader.number(1) for _ in range(opcode_base - 1)]
    files = _files_5(reader, sections) if version >= 5 else _files(reader)
    reader.at = program
    address, file, line, column = 0, 1, 1, 0
    row: tuple[int, Location] | None = None

    def emit() -> Iterator[tuple[int, int, Location]]:
        nonlocal row
        if row is not None and row[0] < address:
            yield row[0], address, row[1]
        name = files[file] if file < len(files) else "?"
        row = address, Location(name, line, max(column, 1))

    while reader.at < end:
        opcode = reader.number(1)
        if opcode >= opcode_base:
            advance = opcode - opcode_base
            address += advance // line_range * unit
            line += line_base + advance % line_range
            yield from emit()
        elif opcode == 0:
            size = reader.leb128()
            after = reader.at + size
            extended = reader.number(1)
            if extended == END_SEQUENCE:
                yield from emit()
                address, file, line, column, row = 0, 1, 1, 0, None
            elif extended == SET_ADDRESS:
                address = reader.number(size - 1)
            reader.at = after
        elif opcode == COPY:
            yield from emit()
        elif opcode == ADVANCE_PC:
            address += reader.leb128() * unit
        elif opcode == ADVANCE_LINE:
            line += reader.leb128(signed=True)
        elif opcode == SET_FILE:
            file = reader.leb128()
        elif opcode == SET_COLUMN:
            column = reader.leb128()
        elif opcode == CONST_ADD_PC:
            address += (255 - opcode_base) // line_range * unit
        elif opcode == FIXED_ADVANCE_PC:
            address += reader.number(2)
        else:
            for _ in range(arguments[opcode - 1]):
                reader.leb128()


def _files(reader: Reader) -> list[str]:
    """File names of versions 2 to 4, counted from 1; folder 0 is where the compiler ran."""
    folders = [""]
    while folder := reader.text():
        folders.append(folder)
    files = ["?"]
    while name := reader.text():
        folder = folders[reader.leb128()]
        reader.leb128()  # time
        reader.leb128()  # size
        files.append(_join(folder, name))
    return files


def _files_5(reader: Reader, sections: dict[str, bytes]) -> list[str]:
    """File names of version 5, counted from 0; folder 0 is where the compiler ran."""
    folders = ["" if i == 0 else str(entry[PATH]) for i, entry in enumerate(_entries(reader, sections))]
    return [
        _join(folders[int(entry.get(DIRECTORY, 0))], str(entry[PATH])) for entry in _entries(reader, sections)
    ]


def _entries(reader: Reader, sections: dict[str, bytes]) -> list[dict[int, str | int]]:
    formats = [(reader.leb128(), reader.leb128()) for _ in range(reader.number(1))]
    return [
        {content: _value(reader, form, sections) for content, form in formats} for _ in range(reader.leb128())
    ]


def _value(reader: Reader, form: int, sections: dict[str, bytes]) -> str | int:
    if form == STRING:
        return reader.text()
    if form in (STRP, LINE_STRP):
        strings = sections[".debug_str" if form == STRP else ".debug_line_str"]
        return Reader(strings, reader.number(4)).text()
    if form == UDATA:
        return reader.leb128()
    if form == BLOCK:
        return reader.number(reader.leb128())
    if form not in SIZES:
        raise ValueError(f"form {form:#x}")
    return reader.number(SIZES[form])


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder and not name.startswith("/") else name
