"""From bytes to assembly text, driven by the instruction table."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pienn.errors import PiennError
from pienn.isa.source import split_operands
from pienn.isa.table import Instruction
from pienn.isa.target import Target, create


@dataclass(frozen=True)
class Decoded:
    """One instruction or, where `instruction` is None, bytes that are none."""

    address: int
    data: bytes
    text: str
    instruction: Instruction | None
    values: dict[str, int]


def disassemble(
    data: bytes,
    target: str,
    address: int = 0,
    revision: int | None = None,
    symbols: dict[int, str] | None = None,
) -> Iterator[Decoded]:
    """Decode from the first byte on; unknown words become `.byte`. `symbols` (address to name) label targets."""
    chip = _chip(target, revision)
    offset = 0
    while offset < len(data):
        found = chip.isa.decode_encoding(data, offset, chip.revision, address + offset)
        if found is None:
            size = max(1, chip.unknown_length(data, offset))
            piece = data[offset : offset + size]
            text = ".byte " + ", ".join(f"0x{byte:02x}" for byte in piece)
            yield Decoded(address + offset, piece, text, None, {})
        else:
            instruction, encoding, values = found
            size = encoding.length
            text = _text(chip, instruction, values, address + offset, symbols)
            yield Decoded(address + offset, data[offset : offset + size], text, instruction, values)
        offset += size


def instruction_text(
    target: str,
    instruction: Instruction,
    values: dict[str, int],
    revision: int | None = None,
    pc: int | None = None,
) -> str:
    """The statement of one decoded instruction. Without `pc`, places are written relative to it (`. + 8`)."""
    return _text(_chip(target, revision), instruction, values, pc, None)


@functools.cache
def _chip(target: str, revision: int | None) -> Target:
    return create(target, revision)


def _text(
    chip: Target,
    instruction: Instruction,
    values: dict[str, int],
    pc: int | None,
    symbols: dict[int, str] | None,
) -> str:
    present = {operand.name: operand for operand in instruction.operands_at(chip.revision)}
    omitted = _omitted(chip, instruction, values)
    written: list[str] = []
    _, _, syntax = instruction.syntax.partition(" ")
    for group, _ in split_operands(syntax):
        outer, bracket, inner = group.partition("(")
        names = {o.name for o in instruction.operands}
        if outer in names and (outer not in present or outer in omitted):
            continue
        text = _operand(chip, instruction, outer, values, pc, symbols) if outer else ""
        if bracket:
            text += "(" + _operand(chip, instruction, inner.rstrip(")"), values, pc, symbols) + ")"
        written.append(text)
    mnemonic, written = chip.aliases(instruction.mnemonic, written)
    return f"{mnemonic} {', '.join(written)}".strip()


def _omitted(chip: Target, instruction: Instruction, values: dict[str, int]) -> set[str]:
    """Trailing operands that may be left out because they have their default value."""
    omitted: set[str] = set()
    for operand in reversed(instruction.operands_at(chip.revision)):
        if not operand.may_be_omitted(chip.revision) or values[operand.name] != operand.default:
            break
        omitted.add(operand.name)
    return omitted


def _operand(
    chip: Target,
    instruction: Instruction,
    name: str,
    values: dict[str, int],
    pc: int | None,
    symbols: dict[int, str] | None,
) -> str:
    operand = next((o for o in instruction.operands if o.name == name), None)
    if operand is None:
        return name
    value = values[name]
    if operand.kind == "pcrel":
        if pc is None:
            return f". {'-' if value < 0 else '+'} {abs(value)}"
        address = pc + value & 0xFFFFFFFF
        return (symbols or {}).get(address) or f"0x{address:x}"
    if operand.names and operand.may_be_omitted(chip.revision):
        return operand.names[value - operand.minimum]
    return chip.operand_text(operand.type if operand.type == "fence_set" else operand.kind, value)


@dataclass(frozen=True)
class CodeSection:
    name: str
    address: int
    data: bytes
    symbols: dict[int, str]
    """Names by address."""
    marks: tuple[tuple[int, bool], ...] = ((0, True),)
    """Offsets where code (True) or data (False) starts."""


def disassemble_section(section: CodeSection, target: str, revision: int | None = None) -> Iterator[Decoded]:
    """Like `disassemble`, with the data between the code as `.word` and `.byte`."""
    ends = [offset for offset, _ in section.marks[1:]] + [len(section.data)]
    for (start, is_code), end in zip(section.marks, ends):
        piece, address = section.data[start:end], section.address + start
        if is_code:
            yield from disassemble(piece, target, address, revision, section.symbols)
            continue
        for offset in range(0, len(piece), 4):
            word = piece[offset : offset + 4]
            text = f".word 0x{int.from_bytes(word, 'little'):08x}"
            if len(word) < 4:
                text = ".byte " + ", ".join(f"0x{byte:02x}" for byte in word)
            yield Decoded(address + offset, word, text, None, {})


def code_sections(data: bytes, name: str) -> list[CodeSection]:
    """The executable sections of a 32-bit little-endian ELF file, with the symbols in each."""
    if len(data) < 52 or data[4] != 1 or data[5] != 1:
        raise PiennError(
            f"{name}: not a 32-bit little-endian ELF file: give a flat image or another ELF file"
        )
    table, size, count, names_index = (
        struct.unpack_from("<I", data, 32)[0],
        *struct.unpack_from("<HHH", data, 46),
    )
    headers = [struct.unpack_from("<10I", data, table + size * i) for i in range(count)]

    def text(header: tuple[int, ...], offset: int) -> str:
        start = header[4] + offset
        return data[start : data.index(b"\0", start)].decode("utf-8", "replace")

    symbols: dict[int, dict[int, str]] = {}
    marks: dict[int, dict[int, bool]] = {}
    for header in headers:
        if header[1] != 2:
            continue
        for place in range(header[4], header[4] + header[5], 16):
            label, value, _, info, _, where = struct.unpack_from("<IIIBBH", data, place)
            label_text = text(headers[header[6]], label)
            if label_text[:2] in ("$x", "$d"):
                marks.setdefault(where, {})[value] = label_text[1] == "x"
            elif info & 15 < 3 and label_text and not label_text.startswith(("$", ".L")):
                symbols.setdefault(where, {})[value] = label_text
    sections: list[CodeSection] = []
    for index, header in enumerate(headers):
        if header[1] != 1 or not header[2] & 4 or not header[5]:
            continue
        address, content = header[3], data[header[4] : header[4] + header[5]]
        linked = struct.unpack_from("<H", data, 16)[0] != 1  # in objects, values count from the section
        start = address if linked else 0
        names = {address + value - start: name for value, name in symbols.get(index, {}).items()}
        own = {value - start: is_code for value, is_code in marks.get(index, {}).items()}
        places = tuple(sorted(({0: True} | own).items()))
        sections.append(CodeSection(text(headers[names_index], header[0]), address, content, names, places))
    return sections
