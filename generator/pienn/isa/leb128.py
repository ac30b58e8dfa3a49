"""`.uleb128` and `.sleb128`: numbers in groups of seven bits, as debug information holds them."""

from __future__ import annotations

from dataclasses import dataclass

from pienn.isa.expressions import Expression
from pienn.isa.program import Fragment, Layout
from pienn.isa.source import AssemblyError


def encode(number: int, signed: bool) -> bytes:
    """The shortest encoding."""
    result = bytearray()
    while True:
        group = number & 0x7F
        number >>= 7
        done = number == (-1 if group & 0x40 else 0) if signed else number == 0
        result.append(group if done else group | 0x80)
        if done:
            return bytes(result)


@dataclass(eq=False)
class Leb128(Fragment):
    """One number, maybe a difference of labels that is known only after layout; it never shrinks."""

    expression: Expression | None = None
    signed: bool = False

    def __post_init__(self) -> None:
        self.fixed = False
        self.size = 1

    def _encoded(self, layout: Layout) -> bytes:
        assert self.expression is not None
        value = layout.value(self.expression, self.location)
        if not value.is_absolute:
            raise AssemblyError(self.location, "a LEB128 number must be a number or a difference of labels")
        if value.constant < 0 and not self.signed:
            raise AssemblyError(self.location, f".uleb128 {value.constant} is negative: use .sleb128")
        return encode(value.constant, self.signed)

    def relax(self, layout: Layout) -> bool:
        size = max(self.size, len(self._encoded(layout)))
        changed, self.size = size != self.size, size
        return changed

    def contents(self, layout: Layout) -> bytes:
        data = self._encoded(layout)
        missing = self.size - len(data)
        if not missing:
            return data
        extension = 0x7F if data[-1] & 0x40 and self.signed else 0
        middle = bytes([data[-1] | 0x80]) + bytes([extension | 0x80]) * (missing - 1)
        return data[:-1] + middle + bytes([extension])
