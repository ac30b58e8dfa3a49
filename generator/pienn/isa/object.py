"""The result of an assembly: sections, symbols and source lines, to be written or placed at addresses."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pienn.isa.expressions import ExpressionError, evaluate
from pienn.isa.program import Fragment, Layout, Relocation, Section, Symbol
from pienn.isa.source import AssemblyError, Location

if TYPE_CHECKING:
    from pienn.isa.target import Target


@dataclass(frozen=True)
class Line:
    """The source of `size` bytes at `offset` of a section."""

    section: str
    offset: int
    size: int
    location: Location
    text: str
    is_code: bool


@dataclass(frozen=True)
class Segment:
    """A placed section; bytes beyond `data` up to `size` are zero (.bss)."""

    name: str
    address: int
    data: bytes
    size: int
    flags: str


@dataclass(frozen=True)
class Image:
    """A linked program: segments, addresses of all symbols, and address -> source line of every instruction."""

    segments: tuple[Segment, ...]
    symbols: dict[str, int]
    lines: dict[int, Location] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    _starts: list[int] | None = field(default=None, repr=False, compare=False)

    def line_at(self, address: int) -> Location | None:
        """The source line of the instruction or data at an address."""
        if self._starts is None:
            object.__setattr__(self, "_starts", sorted(self.lines))
        starts = self._starts or []
        index = bisect.bisect_right(starts, address) - 1
        return self.lines[starts[index]] if index >= 0 else None

    @property
    def base(self) -> int:
        return min(segment.address for segment in self.segments)

    def flat(self) -> bytes:
        """All segments as one block from the lowest address, gaps zero, trailing .bss left out."""
        base = self.base
        end = max((s.address + len(s.data) for s in self.segments if s.data), default=base)
        block = bytearray(end - base)
        for segment in self.segments:
            start = segment.address - base
            block[start : start + len(segment.data)] = segment.data
        return bytes(block)


class Object:
    """An assembled source. `symbols` maps a name to (section name, offset); section None = absolute value."""

    def __init__(
        self,
        target: Target,
        sections: dict[str, Section],
        symbols: dict[str, Symbol],
        layout: Layout,
        warnings: list[str],
    ) -> None:
        self.target = target
        self.sections = sections
        self.symbol_table = symbols
        self.layout = layout
        self.warnings = warnings

    @property
    def symbols(self) -> dict[str, tuple[str | None, int]]:
        found: dict[str, tuple[str | None, int]] = {}
        for name, symbol in self.symbol_table.items():
            place = self.place_of(symbol)
            if place is not None:
                found[name] = (place[0].name if place[0] else None, place[1])
        return found

    @property
    def undefined(self) -> list[str]:
        """Names that another object must define."""
        return sorted(s.name for s in self.symbol_table.values() if not s.is_defined and s.common is None)

    @property
    def lines(self) -> list[Line]:
        return [
            Line(section.name, f.offset, f.size, f.location, f.text, f.is_code)
            for section in self.sections.values()
            for f in section.fragments
            if f.size
        ]

    def place_of(self, symbol: Symbol) -> tuple[Section | None, int] | None:
        """Section and offset of a symbol (section None: a number); None when it is undefined."""
        if symbol.expression is not None:
            try:
                value = evaluate(symbol.expression, self.layout.distance)
            except ExpressionError as error:
                raise AssemblyError(symbol.location or Location("", 0), f"{symbol.name}: {error}") from error
            if value.is_absolute:
                return None, value.constant
            if value.plus is None or value.minus is not None:
                return None
            base = self.place_of(value.plus)
            return None if base is None else (base[0], base[1] + value.constant)
        if symbol.fragment is None:
            return None
        return symbol.section, symbol.position

    def reached_from(self, names: Iterable[str]) -> Object:
        """What a linker with --gc-sections keeps for these symbols: their sections and all that those refer to."""
        kept: dict[str, Section] = {}
        found = [self.symbol_table[name].section for name in names if name in self.symbol_table]
        while found:
            section = found.pop()
            if section is not None and section.name not in kept:
                kept[section.name] = section
                found += [r.symbol.section for r in section.relocations if r.symbol is not None]
        sections = {name: section for name, section in self.sections.items() if name in kept}
        symbols = {
            name: symbol
            for name, symbol in self.symbol_table.items()
            if symbol.section is None or symbol.section.name in kept
        }
        return Object(self.target, sections, symbols, self.layout, self.warnings)

    def link(self, base: int | dict[str, int] = 0, symbols: dict[str, int] | None = None) -> Image:
        """Place the sections and resolve all references.

        `base` is the address of the first section (code, then read-only data, data and .bss follow, each
        aligned), or a dict of section name to address (`""` for the others). `symbols` gives the addresses of
        names defined elsewhere. PiennError names an undefined symbol or a distance that is too long.
        """
        places = self._place_sections(base)
        addresses = dict(symbols or {})
        free = max((places[n] + self.sections[n].size for n in places), default=0)
        for symbol in self.symbol_table.values():
            if symbol.common is not None:
                size, alignment = symbol.common
                free += -free % max(1, alignment)
                addresses[symbol.name] = free
                free += size

        def address(symbol: Symbol) -> int | None:
            place = self.place_of(symbol)
            if place is None:
                known = addresses.get(symbol.name)
                return 0 if known is None and symbol.binding == "weak" else known
            return place[1] + (places[place[0].name] if place[0] else 0)

        segments: list[Segment] = []
        image_lines: dict[int, Location] = {}
        texts: dict[int, str] = {}
        for name, start in places.items():
            section = self.sections[name]
            data = self._relocated(section, start, address)
            segments.append(Segment(name, start, data, section.size, section.flags))
            for fragment in section.fragments:
                for place in self._starts(fragment, data):
                    image_lines[start + place] = fragment.location
                    texts[start + place] = fragment.text
        names = {name: at for name, s in self.symbol_table.items() if (at := address(s)) is not None}
        return Image(tuple(segments), names, image_lines, texts)

    def _starts(self, fragment: Fragment, data: bytes) -> Iterator[int]:
        """Offsets of the machine instructions of a statement; of data, its first offset."""
        offset, end = fragment.offset, fragment.offset + fragment.size
        while offset < end:
            yield offset
            if not fragment.is_code:
                return
            offset += self.target.isa.length_at(data[offset])

    def _place_sections(self, base: int | dict[str, int]) -> dict[str, int]:
        fixed = base if isinstance(base, dict) else {"": base}
        free = fixed.get("", 0)
        places: dict[str, int] = {}
        for section in sorted(self.sections.values(), key=_section_order):
            if "a" not in section.flags or not section.fragments:
                continue
            if section.name in fixed:
                places[section.name] = fixed[section.name]
                continue
            free += -free % max(section.alignment, 4)
            places[section.name] = free
            free += section.size
        return places

    def _relocated(self, section: Section, start: int, address: Callable[[Symbol], int | None]) -> bytes:
        data = bytearray(section.data)
        values: dict[int, int] = {}
        for relocation in section.relocations:
            values[start + relocation.offset] = self._target_of(relocation, address)
        for relocation in section.relocations:
            place = start + relocation.offset
            value = self._target_of(relocation, address)
            problem = self.target.apply(relocation.kind, data, relocation.offset, place, value, values.get)
            if problem:
                raise AssemblyError(relocation.location, problem)
        return bytes(data)

    def _target_of(self, relocation: Relocation, address: Callable[[Symbol], int | None]) -> int:
        if relocation.symbol is None:
            return relocation.addend
        at = address(relocation.symbol)
        if at is None:
            raise AssemblyError(
                relocation.location,
                f"undefined symbol {relocation.symbol.name}: define it, or give its address to link(symbols=...)",
            )
        return at + relocation.addend

    def flat(self, base: int = 0) -> bytes:
        """The linked program as one block that starts at address `base`."""
        return self.link(base).flat()

    def elf(self) -> bytes:
        """A relocatable ELF file."""
        from pienn.isa.elf import relocatable

        return relocatable(self)

    def listing(self) -> str:
        """Offsets, bytes and source lines as text."""
        from pienn.isa.listing import listing

        return listing(self)


def _section_order(section: Section) -> int:
    if section.is_code:
        return 0
    if section.type == "nobits":
        return 3
    return 2 if "w" in section.flags else 1
