"""RISC-V fragments whose bytes depend on addresses: branches that grow, address pairs, padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pienn.isa.expressions import Expression, Value
from pienn.isa.program import Align, Fragment, Layout, Relocation, Symbol
from pienn.isa.source import AssemblyError

if TYPE_CHECKING:
    from pienn.isa.table import Instruction, Isa

NOP = (0x00000013).to_bytes(4, "little")
SHORT_NOP = (0x0001).to_bytes(2, "little")


@dataclass(eq=False)
class CodeAlign(Align):
    """Padding with no-operations: zero for an odd byte, at most one of 2 bytes, then 4 bytes each.

    `wanted`: the alignment of a directive that, like in GNU as, does nothing: under `.option norvc` one to 4 bytes
    is taken for granted, even where 16-bit instructions before it have left another address.
    """

    wanted: int = 1

    def contents(self, layout: Layout) -> bytes:
        size = self.size
        if self.offset % self.wanted:
            layout.warnings.append(
                f"{self.location}: warning: the code is not aligned to {self.wanted} here, and under "
                ".option norvc this directive does not align it: put it before .option norvc"
            )
        return b"\0" * (size % 2) + SHORT_NOP * (size % 4 // 2) + NOP * (size // 4)


@dataclass(eq=False)
class Patched(Fragment):
    """One instruction whose immediate is an address part or a distance: resolved here or by a relocation.

    `operand` is the operand that gets a distance inside this section; None leaves every case to the linker.
    """

    instruction: Instruction | None = None
    values: dict[str, int] | None = None
    operand: str | None = None
    expression: Expression | None = None
    kind: str = ""
    isa: Isa | None = None
    revision: int | None = None

    def contents(self, layout: Layout) -> bytes:
        assert self.instruction and self.values is not None and self.isa and self.expression is not None
        value = layout.value(self.expression, self.location)
        distance = _distance(layout, self, value)
        values = dict(self.values)
        if self.operand is not None and distance is not None:
            values[self.operand] = distance
            check_distance(self, self.instruction, self.operand, distance)
        elif self.operand is not None:
            mnemonic = self.instruction.mnemonic
            raise AssemblyError(self.location, f"{mnemonic}: {self.operand} must be a label of this section")
        else:
            note_relocation(layout, self, 0, self.kind, value)
            if self.kind in (
                "R_RISCV_HI20",
                "R_RISCV_LO12_I",
                "R_RISCV_LO12_S",
            ):  # GNU as writes the addend, too
                part = high_part if self.kind == "R_RISCV_HI20" else low_part
                values["imm"] = part(value.constant)
        return self.isa.encode_instruction(self.instruction, values, self.revision)


@dataclass(eq=False)
class Branch(Fragment):
    """A branch or jump in the shortest form that reaches: 2, 4, or inverted branch + jump (6 or 8 bytes)."""

    instruction: Instruction | None = None
    values: dict[str, int] | None = None
    short: tuple[Instruction, dict[str, int]] | None = None
    expression: Expression | None = None
    isa: Isa | None = None
    revision: int | None = None

    def __post_init__(self) -> None:
        self.fixed = False
        self.size = 2 if self.short else 4

    @property
    def is_jump(self) -> bool:
        assert self.instruction is not None
        return self.instruction.mnemonic == "jal"

    def relax(self, layout: Layout) -> bool:
        assert self.expression is not None
        size = self._wanted(layout, layout.value(self.expression, self.location))
        changed, self.size = size != self.size, size
        return changed

    def _wanted(self, layout: Layout, value: Value) -> int:
        distance = _distance(layout, self, value)
        if distance is None or (value.plus and value.plus.binding == "weak"):
            return 4 if self.is_jump else 8
        reach = 2048 if self.is_jump else 256
        if self.short and -reach <= distance < reach:
            return 2
        if self.is_jump or -4096 <= distance < 4096:
            return 4
        return 6 if self.short else 8

    def contents(self, layout: Layout) -> bytes:
        assert self.instruction and self.isa and self.expression is not None and self.values is not None
        value = layout.value(self.expression, self.location)
        distance = _distance(layout, self, value)
        if self.size == 2:
            assert self.short is not None
            return self._encode(layout, *self.short, 0, value, distance)
        if self.size == 4:
            return self._encode(layout, self.instruction, self.values, 0, value, distance)
        inverted = {"beq": "bne", "bne": "beq", "blt": "bge", "bge": "blt", "bltu": "bgeu", "bgeu": "bltu"}
        if self.size == 6:
            assert self.short is not None
            name = {"c.beqz": "c.bnez", "c.bnez": "c.beqz"}[self.short[0].mnemonic]
            skip = self.isa.encode(name, {**self.short[1], "offset": 6}, self.revision)
        else:
            name = inverted[self.instruction.mnemonic]
            skip = self.isa.encode(name, {**self.values, "offset": 8}, self.revision)
        jump = self._encode(layout, self.isa["jal"], {"rd": 0}, len(skip), value, distance)
        return skip + jump

    def _encode(
        self,
        layout: Layout,
        instruction: Instruction,
        values: dict[str, int],
        at: int,
        value: Value,
        distance: int | None,
    ) -> bytes:
        assert self.isa is not None
        if distance is None:
            kind = BRANCH_RELOCATIONS[
                instruction.mnemonic.removeprefix("c.")[0], instruction.encodings[0].length
            ]
            note_relocation(layout, self, at, kind, value)
            if self.size == 2:
                distance = at
            else:  # the linker fills it; until then the field tells the distance to 0, as GNU as writes it
                distance = value.constant - self.offset
        check_distance(self, instruction, "offset", distance - at)
        return self.isa.encode_instruction(instruction, {**values, "offset": distance - at}, self.revision)


BRANCH_RELOCATIONS = {
    ("b", 4): "R_RISCV_BRANCH",
    ("j", 4): "R_RISCV_JAL",
    ("b", 2): "R_RISCV_RVC_BRANCH",
    ("j", 2): "R_RISCV_RVC_JUMP",
}


@dataclass(eq=False)
class AddressPair(Fragment):
    """auipc and a second instruction that together hold an address relative to the program counter."""

    first: bytes = b""
    second: bytes = b""
    kinds: tuple[str, str] = ("", "")
    expression: Expression | None = None

    def __post_init__(self) -> None:
        self.size = len(self.first) + len(self.second)

    def contents(self, layout: Layout) -> bytes:
        assert self.expression is not None
        note_relocation(layout, self, 0, self.kinds[0], layout.value(self.expression, self.location))
        if self.kinds[1]:
            section = layout.section_of(self)
            anchor = Symbol(".L0 ", section, self)
            relocation = Relocation(self.offset + 4, self.kinds[1], anchor, 0, self.location)
            section.relocations.append(relocation)
        return self.first + self.second


def low_part(value: int) -> int:
    """The lower 12 bits as the sign-extended immediate that completes `high_part`."""
    return ((value & 0xFFF) ^ 0x800) - 0x800


def high_part(value: int) -> int:
    """The upper 20 bits for lui and auipc, rounded so that adding `low_part` gives the value."""
    return (value - low_part(value) >> 12) & 0xFFFFF


def _distance(layout: Layout, fragment: Fragment, value: Value) -> int | None:
    """Bytes from the fragment to the value when both are in one section, else None."""
    if value.plus is None or value.minus is not None or value.plus.section is None:
        return None
    if value.plus.section is not layout.section_of(fragment):
        return None
    return value.plus.position + value.constant - fragment.offset


def note_relocation(layout: Layout, fragment: Fragment, at: int, kind: str, value: Value) -> None:
    if value.minus is not None:
        raise AssemblyError(fragment.location, "a difference of two addresses cannot stand here")
    layout.section_of(fragment).relocations.append(
        Relocation(fragment.offset + at, kind, value.plus, value.constant, fragment.location)
    )


def check_distance(fragment: Fragment, instruction: Instruction, operand: str, distance: int) -> None:
    limits = instruction.operand(operand)
    if limits.allows(distance):
        return
    where = f"{instruction.mnemonic}: the target is {distance} bytes away, allowed: {limits.limits()}"
    if distance % 2:
        remedy = "align the target"
    elif instruction.issue_class == "loop":
        remedy = "let the loop stand after the instruction" if distance < 0 else "make the loop body shorter"
    else:
        remedy = "move the target nearer or jump through a register"
    raise AssemblyError(fragment.location, f"{where}; {remedy}")
