"""Joins assembled objects into one program, and writes programs as executable ELF files."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pienn.errors import PiennError
from pienn.isa.object import Image, Object, Segment
from pienn.sim.line_table import line_program

MACHINES = {"esp32p4": 243, "esp32s3": 94}
PAGE = 4096
CONSTRUCTORS = (".init_array", ".ctors")


def link_objects(
    objects: Sequence[Object],
    code: int,
    data: int,
    constants: int | None = None,
    symbols: dict[str, int] | None = None,
) -> Image:
    """Place all code sections from address `code` on, all others from `data` on, and resolve all references.

    `constants` is the address of what is neither code nor writable, where that is not to lie among the data. `symbols`
    gives further addresses. Pointers to constructors lie between `__init_array_start` and `__init_array_end`; the end
    of everything placed at `data` is the symbol `_end`. PiennError names a symbol that is defined twice, or nowhere.
    """
    free = {"code": code, "data": data}
    if constants is not None:
        free["constants"] = constants
    places = [_places(one, free) for one in objects]
    free["data"] += -free["data"] % 4
    constructors_at = free["data"]
    for one, at in zip(objects, places, strict=True):
        at |= _places(one, free, constructors=True)
    known = dict(symbols or {}) | {
        "__init_array_start": constructors_at,
        "__init_array_end": free["data"],
        "_end": free["data"] + -free["data"] % 16,
    }
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


def _places(one: Object, free: dict[str, int], constructors: bool = False) -> dict[str, int]:
    """Addresses of an object's sections, either of those with pointers to constructors or of all others; `free` holds
    the next addresses by kind and moves on."""
    places: dict[str, int] = {}
    for section in one.sections.values():
        if "a" not in section.flags or not section.fragments:
            continue
        if section.name.startswith(CONSTRUCTORS) != constructors:
            continue
        kind = "code" if section.is_code else "data" if "w" in section.flags else "constants"
        kind = kind if kind in free else "data"
        free[kind] += -free[kind] % max(section.alignment, 4)
        places[section.name] = free[kind]
        free[kind] += section.size
    return places


def executable(image: Image, entry: int, target: str) -> bytes:
    """The image as an ELF32 executable: one loadable segment per section, a symbol table, and source lines."""
    symbols = sorted(image.symbols.items(), key=lambda item: item[1])
    strings = b"\0" + b"".join(name.encode() + b"\0" for name, _ in symbols)
    table = bytearray(16)
    offset = 1
    for name, address in symbols:
        table += struct.pack(
            "<IIIBBH", offset, address & 0xFFFF_FFFF, 0, 1 << 4, 0, 0xFFF1
        )  # global, absolute
        offset += len(name.encode()) + 1
    lines = line_program(image.lines)
    names = b"\0.symtab\0.strtab\0.shstrtab\0.debug_line\0"
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
    lines_at = names_at + len(names)
    sections_at = lines_at + len(lines)
    sections = bytes(40)
    sections += struct.pack("<10I", 1, 2, 0, 0, table_at, len(table), 2, 1, 4, 16)
    sections += struct.pack("<10I", 9, 3, 0, 0, strings_at, len(strings), 0, 0, 1, 0)
    sections += struct.pack("<10I", 17, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    sections += struct.pack("<10I", 27, 1, 0, 0, lines_at, len(lines), 0, 0, 1, 0)
    ident = b"\x7fELF" + bytes([1, 1, 1, 0]) + bytes(8)
    header = struct.pack(
        "<HHIIIIIHHHHHH", 2, MACHINES[target], 1, entry, 52, sections_at, 0, 52, 32, len(segments), 40, 5, 3
    )
    return bytes(ident + header + headers + body + table + strings + names + lines + sections)
