"""What the assembler builds: sections of fragments, symbols, relocations, and their layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pienn.isa.expressions import Expression, ExpressionError, Value, evaluate
from pienn.isa.source import AssemblyError, Location

if TYPE_CHECKING:
    from pienn.isa.target import Target

MAXIMUM_ROUNDS = 1000
MAXIMUM_FILL = 1 << 28  # bytes, far above the memory of the chips


@dataclass(eq=False)
class Symbol:
    """A label (section, fragment, offset), a `.set` value (expression), or an undefined name."""

    name: str
    section: Section | None = None
    fragment: Fragment | None = None
    offset: int = 0
    expression: Expression | None = None
    variable: bool = False
    binding: str = "local"
    type: str = "notype"
    size: Expression | None = None
    common: tuple[int, int] | None = None  # size and alignment of a .comm symbol
    location: Location | None = None
    evaluating: bool = False

    @property
    def is_defined(self) -> bool:
        return self.fragment is not None or self.expression is not None

    @property
    def is_temporary(self) -> bool:
        """Not written to the object's symbol table."""
        return self.name.startswith(".L") or not self.name or self.name[0].isdigit()

    @property
    def position(self) -> int:
        """Offset in the section; valid after layout."""
        assert self.fragment is not None
        return self.fragment.offset + self.offset


@dataclass(frozen=True)
class Relocation:
    """A place that the linker fills: `kind` is the target's name, e.g. R_RISCV_HI20."""

    offset: int
    kind: str
    symbol: Symbol | None
    addend: int
    location: Location


@dataclass(eq=False)
class Fragment:
    """A piece of a section made by one statement.

    `size` is the present size, `fixed` says that it can no longer change. Subclasses override `relax`
    (called in rounds until no fragment changes) and `contents` (called once, after layout).
    """

    location: Location
    size: int = 0
    fixed: bool = True
    is_code: bool = False
    offset: int = 0
    index: int = 0
    text: str = ""  # the statement, for listings

    def relax(self, layout: Layout) -> bool:
        """Adapt `size` to the present layout; True when it changed."""
        return False

    def contents(self, layout: Layout) -> bytes:
        raise NotImplementedError


@dataclass(eq=False)
class Bytes(Fragment):
    """Known bytes."""

    data: bytes = b""

    def __post_init__(self) -> None:
        self.size = len(self.data)

    def contents(self, layout: Layout) -> bytes:
        return self.data


@dataclass(eq=False)
class Words(Fragment):
    """`.word a, b - c, ...`: numbers of `width` bytes each, any of them known only after layout."""

    width: int = 4
    expressions: tuple[Expression, ...] = ()

    def __post_init__(self) -> None:
        self.size = self.width * len(self.expressions)

    def contents(self, layout: Layout) -> bytes:
        result = bytearray()
        for position, expression in enumerate(self.expressions):
            value = layout.value(expression, self.location)
            place = self.offset + position * self.width
            number = value.constant
            if not value.is_absolute:
                number = layout.target.relocate_data(layout, self, place, self.width, value)
            limit = 1 << 8 * self.width
            if not -limit // 2 <= number < limit:
                raise AssemblyError(
                    self.location,
                    f"{number} does not fit in {self.width} byte(s): {-limit // 2}..{limit - 1}",
                )
            result += (number % limit).to_bytes(self.width, "little")
        return bytes(result)


@dataclass(eq=False)
class Fill(Fragment):
    """`.fill`/`.space`: `count` (maybe known only after layout) times a unit."""

    count: Expression | None = None
    unit: bytes = b"\0"

    def __post_init__(self) -> None:
        self.fixed = False

    def relax(self, layout: Layout) -> bool:
        assert self.count is not None
        value = layout.value(self.count, self.location)
        if not value.is_absolute or not 0 <= value.constant <= MAXIMUM_FILL:
            raise AssemblyError(self.location, f"the size must be a number 0..{MAXIMUM_FILL}")
        changed = self.size != value.constant * len(self.unit)
        self.size = value.constant * len(self.unit)
        return changed

    def contents(self, layout: Layout) -> bytes:
        return self.unit * (self.size // max(1, len(self.unit)))


@dataclass(eq=False)
class Align(Fragment):
    """Padding to a multiple of `alignment`; targets have subclasses that pad code with no-operations."""

    alignment: int = 1
    fill: bytes = b"\0"
    maximum: int | None = None

    def __post_init__(self) -> None:
        self.fixed = self.alignment == 1

    def relax(self, layout: Layout) -> bool:
        size = -self.offset % self.alignment
        if self.maximum is not None and size > self.maximum:
            size = 0
        changed, self.size = size != self.size, size
        return changed

    def contents(self, layout: Layout) -> bytes:
        return (self.fill * (self.size // len(self.fill) + 1))[: self.size]


@dataclass(eq=False)
class Origin(Fragment):
    """`.org`: go on at a given offset of the section."""

    to: Expression | None = None
    fill: int = 0

    def __post_init__(self) -> None:
        self.fixed = False

    def relax(self, layout: Layout) -> bool:
        assert self.to is not None
        value = layout.value(self.to, self.location)
        if value.minus is not None or (value.plus is not None and value.plus.fragment is None):
            raise AssemblyError(self.location, ".org needs an offset or a label of this section")
        start = value.constant + (value.plus.position if value.plus else 0)
        if start < self.offset and layout.settled:
            raise AssemblyError(self.location, f".org cannot go back from offset {self.offset} to {start}")
        size = max(0, start - self.offset)
        if size > MAXIMUM_FILL:
            raise AssemblyError(
                self.location, f".org {start} is too far: at most {MAXIMUM_FILL} bytes are skipped"
            )
        changed, self.size = size != self.size, size
        return changed

    def contents(self, layout: Layout) -> bytes:
        return bytes([self.fill]) * self.size


@dataclass(eq=False)
class Section:
    name: str
    flags: str = ""  # letters of GNU .section: a(llocated) w(ritable) x(ecutable) M S
    type: str = "progbits"
    alignment: int = 1
    entry_size: int = 0
    fragments: list[Fragment] = field(default_factory=list)
    relocations: list[Relocation] = field(default_factory=list)
    data: bytes = b""

    @property
    def is_code(self) -> bool:
        return "x" in self.flags

    @property
    def size(self) -> int:
        last = self.fragments[-1] if self.fragments else None
        return last.offset + last.size if last else 0

    def append(self, fragment: Fragment) -> None:
        last = self.fragments[-1] if self.fragments else None
        fragment.index = len(self.fragments)
        fragment.offset = last.offset + last.size if last else 0
        self.fragments.append(fragment)


class Layout:
    """Addresses of everything; sizes of fragments that depend on them are settled here."""

    def __init__(self, sections: list[Section], target: Target) -> None:
        self.sections = sections
        self.target = target
        self.settled = False
        self.warnings: list[str] = []

    def settle(self) -> None:
        """Repeat until no fragment changes its size, then make the bytes and relocations of each section.

        More than one choice of sizes can be consistent. To choose the one that GNU as chooses, its order is
        followed: an estimate from the front, in which places further on are not known yet (they count from
        the last fragment of variable size), then passes that shift what follows a change.
        """
        self._place_before_estimate()
        for _ in range(MAXIMUM_ROUNDS):
            before = [f.offset for section in self.sections for f in section.fragments]
            for section in self.sections:
                self._estimate(section)
                self._adapt(section)
            if before == [f.offset for section in self.sections for f in section.fragments]:
                break
        else:
            raise AssemblyError(self.sections[0].fragments[0].location, "the layout does not settle")
        self.settled = True
        for section in self.sections:
            section.relocations.clear()
            if section.type == "nobits":
                section.data = b""
                continue
            parts: list[bytes] = []
            for fragment in section.fragments:
                contents = fragment.contents(self)
                assert len(contents) == fragment.size, (fragment, contents)
                parts.append(contents)
            section.data = b"".join(parts)

    def _place_before_estimate(self) -> None:
        for section in self.sections:
            offset = 0
            for fragment in section.fragments:
                fragment.offset = offset
                ends_piece = not fragment.fixed or isinstance(fragment, Fill)
                offset = 0 if ends_piece else offset + fragment.size

    def _estimate(self, section: Section) -> None:
        offset = 0
        for fragment in section.fragments:
            fragment.offset = offset
            if not fragment.fixed:
                fragment.relax(self)
            offset += fragment.size

    def _adapt(self, section: Section) -> None:
        for _ in range(MAXIMUM_ROUNDS):
            shift = 0
            changed = False
            for fragment in section.fragments:
                fragment.offset += shift
                if not fragment.fixed:
                    size = fragment.size
                    changed = fragment.relax(self) or changed
                    shift += fragment.size - size
            if not changed:
                return

    def distance(self, plus: Symbol, minus: Symbol) -> int | None:
        """Bytes from one symbol to another of the same section, else None."""
        if plus.section is None or plus.section is not minus.section:
            return None
        return plus.position - minus.position

    def value(self, expression: Expression, location: Location) -> Value:
        try:
            return evaluate(expression, self.distance)
        except ExpressionError as error:
            raise AssemblyError(location, str(error)) from error

    def section_of(self, fragment: Fragment) -> Section:
        for section in self.sections:
            if fragment.index < len(section.fragments) and section.fragments[fragment.index] is fragment:
                return section
        raise AssertionError("a fragment without section")


def known_distance(plus: Symbol, minus: Symbol) -> int | None:
    """The distance between two symbols before layout: known when nothing between them can change its size."""
    if plus.section is None or plus.section is not minus.section or not plus.fragment or not minus.fragment:
        return None
    if plus.fragment is minus.fragment:
        return plus.offset - minus.offset
    low, high = sorted((plus, minus), key=lambda symbol: symbol.fragment.index if symbol.fragment else 0)
    assert low.fragment is not None and high.fragment is not None
    between = plus.section.fragments[low.fragment.index : high.fragment.index]
    if not all(fragment.fixed for fragment in between):
        return None
    size = sum(fragment.size for fragment in between) - low.offset + high.offset
    return size if high is plus else -size
