"""Relocatable ELF files (32-bit little endian) from an assembled object."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pienn.errors import PiennError
from pienn.isa.program import Relocation, Section, Symbol

if TYPE_CHECKING:
    from pienn.isa.object import Object

_TYPES = {"progbits": 1, "nobits": 8, "note": 7, "init_array": 14, "fini_array": 15}
_FLAGS = {"w": 1, "a": 2, "x": 4, "M": 0x10, "S": 0x20, "G": 0x200, "T": 0x400}
_SYMBOL_TYPES = {"notype": 0, "object": 1, "function": 2}
_BINDINGS = {"local": 0, "global": 1, "weak": 2}
_ABSOLUTE, _COMMON = 0xFFF1, 0xFFF2


class _Strings:
    """A string table; equal strings share their place."""

    def __init__(self) -> None:
        self.data = bytearray(b"\0")
        self.places: dict[str, int] = {"": 0}

    def add(self, text: str) -> int:
        if text not in self.places:
            self.places[text] = len(self.data)
            self.data += text.encode() + b"\0"
        return self.places[text]


@dataclass
class _Header:
    name: str
    type: int
    flags: int = 0
    data: bytes = b""
    size: int | None = None
    link: int = 0
    info: int = 0
    alignment: int = 1
    entry_size: int = 0
    offset: int = field(default=0)


def relocatable(object_: Object) -> bytes:
    """The ELF file: allocated and other sections, symbols, and RELA relocations."""
    target = object_.target
    sections = [s for s in object_.sections.values() if s.fragments or s.name in (".text", ".data", ".bss")]
    headers = [_Header("", 0, alignment=0)]
    index_of: dict[str, int] = {}
    for section in sections:
        index_of[section.name] = len(headers)
        headers.append(
            _Header(
                section.name,
                _TYPES.get(section.type, 1),
                sum(_FLAGS.get(letter, 0) for letter in set(section.flags)),
                section.data,
                section.size,
                alignment=section.alignment,
                entry_size=section.entry_size,
            )
        )
    symbols, symbol_index, first_global, names = _symbol_table(object_, sections, index_of)
    table_index = len(headers) + sum(1 for s in sections if s.relocations)
    for section in sections:
        if section.relocations:
            records = b"".join(_relocation(object_, r, symbol_index) for r in section.relocations)
            headers.append(
                _Header(
                    ".rela" + section.name, 4, 0x40, records, None, table_index, index_of[section.name], 4, 12
                )
            )
    headers.append(_Header(".symtab", 2, 0, symbols, None, table_index + 1, first_global, 4, 16))
    headers.append(_Header(".strtab", 3, 0, bytes(names.data)))
    headers.append(_Header(".shstrtab", 3))
    return _file(headers, target.elf_machine, target.elf_flags)


def _symbol_table(
    object_: Object, sections: list[Section], index_of: dict[str, int]
) -> tuple[bytes, dict[int, int], int, _Strings]:
    """Symbol records, index by id(symbol), index of the first global, and the names."""
    names = _Strings()
    records = [bytes(16)]
    index: dict[int, int] = {}
    for section in sections:
        records.append(struct.pack("<IIIBBH", 0, 0, 0, 3, 0, index_of[section.name]))
    used = {id(r.symbol): r.symbol for s in sections for r in s.relocations if r.symbol is not None}
    named = {id(s): s for s in object_.symbol_table.values()}
    wanted = [s for s in {**named, **used}.values() if _is_written(s, id(s) in used)]
    wanted.sort(key=lambda symbol: _is_global(symbol))
    if object_.target.has_mapping_symbols:
        for section in sections:
            for label, offset in _mapping(section):
                place = names.add(label), offset, 0, 0, 0, index_of[section.name]
                records.append(struct.pack("<IIIBBH", *place))
    first_global = len(records) + sum(not _is_global(s) for s in wanted)
    for symbol in wanted:
        index[id(symbol)] = len(records)
        records.append(_symbol(object_, symbol, index_of, names))
    return b"".join(records), index, first_global, names


def _mapping(section: Section) -> list[tuple[str, int]]:
    """`$x` where code starts and `$d` where data starts, in a code section."""
    marks: list[tuple[str, int]] = []
    if section.is_code:
        for fragment in section.fragments:
            label = "$x" if fragment.is_code else "$d"
            if fragment.size and (not marks or marks[-1][0] != label):
                marks.append((label, fragment.offset))
    return marks


def _is_written(symbol: Symbol, is_used: bool) -> bool:
    if is_used:
        return True
    if not symbol.is_defined and symbol.common is None:
        return symbol.binding != "local"
    return not symbol.is_temporary


def _is_global(symbol: Symbol) -> bool:
    return symbol.binding != "local" or not symbol.is_defined


def _symbol(object_: Object, symbol: Symbol, index_of: dict[str, int], names: _Strings) -> bytes:
    binding = "global" if symbol.binding == "local" and not symbol.is_defined else symbol.binding
    info = _BINDINGS[binding] << 4 | _SYMBOL_TYPES[symbol.type]
    size = 0
    if symbol.size is not None:
        value = object_.layout.value(symbol.size, symbol.location) if symbol.location else None
        size = value.constant if value and value.is_absolute else 0
    place = object_.place_of(symbol)
    if symbol.common is not None:
        size, address = symbol.common
        where = _COMMON
    elif place is None:
        address, where = 0, 0
    else:
        address = place[1] & 0xFFFFFFFF
        where = index_of[place[0].name] if place[0] else _ABSOLUTE
    name = f".L{symbol.name}" if symbol.name[:1].isdigit() else symbol.name
    return struct.pack("<IIIBBH", names.add(name), address, size, info, 0, where)


def _relocation(object_: Object, relocation: Relocation, symbol_index: dict[int, int]) -> bytes:
    number = object_.target.relocation_numbers.get(relocation.kind)
    if number is None:
        raise PiennError(
            f"{relocation.location}: error: {relocation.kind} has no ELF number: link to a flat image"
        )
    index = symbol_index[id(relocation.symbol)] if relocation.symbol else 0
    return struct.pack("<IIi", relocation.offset, index << 8 | number, relocation.addend)


def _file(headers: list[_Header], machine: int, flags: int) -> bytes:
    names = _Strings()
    for header in headers:
        names.add(header.name)
    headers[-1].data = bytes(names.data)
    body = bytearray(52)
    for header in headers[1:]:
        body += bytes(-len(body) % max(1, header.alignment))
        header.offset = len(body)
        if header.type != _TYPES["nobits"]:
            body += header.data
    body += bytes(-len(body) % 4)
    table = len(body)
    for header in headers:
        size = len(header.data) if header.size is None else header.size
        body += struct.pack(
            "<10I", names.add(header.name), header.type, header.flags, 0, header.offset if header.type else 0,
            size if header.type else 0, header.link, header.info, header.alignment, header.entry_size,
        )  # fmt: skip
    identification = b"\x7fELF" + bytes([1, 1, 1]) + bytes(9)
    body[:52] = identification + struct.pack(
        "<HHIIIIIHHHHHH", 1, machine, 1, 0, 0, table, flags, 52, 0, 0, 40, len(headers), len(headers) - 1
    )
    return bytes(body)
