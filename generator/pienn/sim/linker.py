"""Joins assembled objects into one program, and writes programs as executable ELF files."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pienn.errors import PiennError
from pienn.isa.object import Image, Object, Segment

MACHINES = {"esp32p4": 243, "esp32s3": 94}
PAGE = 4096


def link_objects(
    objects: Sequence[Object], code: int, data: int, symbols: dict[str, int] | None = None
) -> Image:
    """Place all code sections from address `code` on, all others from `data` on, and resolve all references.

    `symbols` gives further addresses. The end of everything placed at `data` is the symbol `_end`. PiennError names a
    symbol that is defined twice, or nowhere.
    """
    places = [_places(o, [code, data]) for o in objects] if not objects else []
    free = [code, data]
    for one in objects:
        places.append(_places(one, free))
    known = dict(symbols or {}) | {"_end": free[1] + -free[1] % 16}
    for one, at in zip(objects, places, strict=True):
        for name, (section, offset) in one.symbols.items():
            if one.symbol_table[name].binding == "local":
                continue
            if name in known:
                raise PiennError(f"symbol {name} is defined twice: keep one definition, or make one local")
            known[name] = offset + (at[section] if section else 0)
    segments: list[Segment] = []
    names: dict[str, int] = {}
    lines: dict[int, object] = {}
    texts: dict[int, str] = {}
    for one, at in zip(objects, places, strict=True):
        image = one.link(at, known)
        segments += image.segments
        names |= image.symbols
        lines |= image.lines
        texts |= image.texts
    return Image(tuple(segments), names | known, lines, texts)  # pyright: ignore[reportArgumentType]


def _places(one: Object, free: list[int]) -> dict[str, int]:
    """Addresses of an object's sections; `free` holds the next addresses of code and data and moves on."""
    places: dict[str, int] = {}
    for section in one.sections.values():
        if "a" not in section.flags or not section.fragments:
            continue
        kind = 0 if section.is_code else 1
        free[kind] += -free[kind] % max(section.alignment, 4)
        places[section.name] = free[kind]
        free[kind] += section.size
    return places


def executable(image: Image, entry: int, target: str) -> bytes:
    """The image as an ELF32 executable: one loadable segment per section, and a symbol table."""
    symbols = sorted(image.symbols.items(), key=lambda item: item[1])
    strings = b"\0" + b"".join(name.encode() + b"\0" for name, _ in symbols)
    table = bytearray(16)
    offset = 1
    for name, address in symbols:
        table += struct.pack(
            "<IIIBBH", offset, address & 0xFFFF_FFFF, 0, 1 << 4, 0, 0xFFF1
        )  # global, absolute
        offset += len(name.encode()) + 1
    names = b"\0.symtab\0.strtab\0.shstrtab\0"
    segments = [s for s in image.segments if s.size]
    contents_at = 52 + 32 * len(segments)
    body = bytearray()
    headers = bytearray()
    for segment in segments:
        body += bytes((segment.address - contents_at - len(body)) % PAGE)
        flags = 4 | 2 * ("w" in segment.flags) | ("x" in segment.flags)
        at = contents_at + len(body)
        headers += struct.pack(
            "<8I", 1, at, segment.address, segment.address, len(segment.data), segment.size, flags, PAGE
        )
        body += segment.data
    body += bytes(-len(body) % 4)
    table_at = contents_at + len(body)
    strings_at = table_at + len(table)
    names_at = strings_at + len(strings)
    sections_at = names_at + len(names)
    sections = bytes(40)
    sections += struct.pack("<10I", 1, 2, 0, 0, table_at, len(table), 2, 1, 4, 16)
    sections += struct.pack("<10I", 9, 3, 0, 0, strings_at, len(strings), 0, 0, 1, 0)
    sections += struct.pack("<10I", 17, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    ident = b"\x7fELF" + bytes([1, 1, 1, 0]) + bytes(8)
    header = struct.pack(
        "<HHIIIIIHHHHHH", 2, MACHINES[target], 1, entry, 52, sections_at, 0, 52, 32, len(segments), 40, 4, 3
    )
    return bytes(ident + header + headers + body + table + strings + names + sections)
