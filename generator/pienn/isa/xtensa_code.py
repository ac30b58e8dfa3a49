"""The fragments of an Xtensa section: instructions, labels, spare literals; their bytes and relocations."""

from __future__ import annotations

from dataclasses import dataclass, field

from pienn.isa.expressions import Expression, ExpressionError, evaluate
from pienn.isa.program import Fragment, Layout, Relocation, Symbol, known_distance
from pienn.isa.source import AssemblyError
from pienn.isa.xtensa_forms import Machine

Group = tuple[Machine, ...]


@dataclass(eq=False)
class Mark(Fragment):
    """The place of a label."""

    aligning: bool = True

    def contents(self, layout: Layout) -> bytes:
        return b""


@dataclass(eq=False)
class Code(Fragment):
    """An instruction statement. `emitted` (offset in the fragment, instruction) is set by the layout."""

    machines: tuple[Machine, ...] = ()
    specific: bool = False
    transform: bool = True
    longcalls: bool = False
    literal: Literal | None = None
    emitted: list[tuple[int, Machine]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.is_code = True
        self.fixed = False
        self.size = sum(m.size for m in self.machines)

    def contents(self, layout: Layout) -> bytes:
        data = bytearray(self.size)
        for offset, machine in self.emitted:
            encoded = self._encode(layout, machine, self.offset + offset)
            data[offset : offset + len(encoded)] = encoded
        return bytes(data)

    def _encode(self, layout: Layout, machine: Machine, offset: int) -> bytes:
        values = dict(machine.values)
        isa = layout.target.isa
        if machine.open_operand is None:
            return isa.encode_instruction(machine.instruction, values, None)
        operand = machine.instruction.operand(machine.open_operand)
        distance = machine.distance
        if distance is None:
            assert machine.place is not None
            value = layout.value(machine.place, self.location)
            section = layout.section_of(self)
            if value.plus is None or value.minus is not None:
                raise AssemblyError(self.location, f"the target of {machine.mnemonic} must be a label")
            if value.plus.section is not section or value.plus.binding != "local":
                relocation = Relocation(
                    offset, "R_XTENSA_SLOT0_OP", value.plus, value.constant, self.location
                )
                section.relocations.append(relocation)
                return _without_operand(machine)
            distance = value.plus.position + value.constant - offset
        values[operand.name] = distance
        anchored = distance - {"down": -(offset & 3), "up": -offset & 3, None: 0}[operand.anchor]
        if not operand.allows(anchored):
            raise AssemblyError(self.location, out_of_reach(machine, distance))
        return isa.encode_instruction(machine.instruction, values, None, pc=offset)


@dataclass(eq=False)
class Literal(Fragment):
    """A word in the literal section that is needed only if an instruction takes its long form."""

    expression: Expression | None = None

    def need(self) -> None:
        self.size = 4

    def contents(self, layout: Layout) -> bytes:
        if not self.size:
            return b""
        assert self.expression is not None
        value = layout.value(self.expression, self.location)
        return layout.target.relocate_data(layout, self, self.offset, 4, value).to_bytes(4, "little")


def _without_operand(machine: Machine) -> bytes:
    """The instruction with its pc-relative field zero: the linker fills it."""
    encoding = machine.instruction.encodings[0]
    word = encoding.match
    for name, value in machine.values.items():
        raw = machine.instruction.operand(name).field_of(value)
        for position, bit in enumerate(encoding.fields[name]):
            word |= (raw >> position & 1) << bit
    return word.to_bytes(encoding.length, "little")


def out_of_reach(machine: Machine, distance: int) -> str:
    assert machine.open_operand is not None
    operand = machine.instruction.operand(machine.open_operand)
    remedy = {
        "l32r": "the literal must lie before the instruction, 4-aligned, at most 256 KiB away",
        "call": "its target must be 4-aligned (.align 4)" if distance % 4 else "split the code",
    }.get("call" if machine.is_call else machine.mnemonic, "move the target nearer")
    if machine.is_loop:
        remedy = "shorten the loop body; longer ones need a counter other than a1 and no _ before the loop"
    return f"{machine.mnemonic}: the target is {distance} bytes away, reach is {operand.limits()}: {remedy}"


def symbol_of(expression: Expression) -> Symbol | None:
    """The label that an expression names, without resolving addresses."""
    try:
        return evaluate(expression, known_distance).plus
    except ExpressionError:
        return None
