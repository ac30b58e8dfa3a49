"""An instruction in words: its text, what it does with its operands, and one English sentence from the table."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from pienn.errors import PiennError
from pienn.isa.disassembler import instruction_text
from pienn.isa.table import Instruction, load
from pienn.isa.target import create

if TYPE_CHECKING:
    from pienn.sim.machine import Machine

LONGEST = 4  # bytes of an instruction


@dataclass(frozen=True)
class Explanation:
    """One instruction of a program; `formula` has the operands filled in, `place` is its source line."""

    address: int
    place: str
    text: str
    description: str
    formula: str
    notes: tuple[str, ...]
    confidence: str

    def __str__(self) -> str:
        lines = [f"{self.place}: {self.text}", f"    {self.description}"]
        lines += [f"    {line}" for line in (self.formula, *self.notes) if line]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        small = "".join(f"<br><small>{escape(line)}</small>" for line in (self.formula, *self.notes) if line)
        head = f"<code>{escape(self.text)}</code> <small>{escape(self.place)}</small>"
        return f"{head}<br>{escape(self.description)}{small}"


def instruction_at(machine: Machine, address: int) -> tuple[Instruction, dict[str, int]] | None:
    """The table's entry and the operand values of the instruction in memory, None where there is none."""
    for size in (LONGEST, 3, 2):
        try:
            data = machine.read(address, size)
        except PiennError:
            continue
        return load(machine.target).decode(data, revision=_revision(machine), pc=address)
    return None


def text_at(machine: Machine, address: int) -> str:
    """The instruction at an address as assembly text, `?` where there is none."""
    found = instruction_at(machine, address)
    if found is None:
        return "?"
    return _name_places(machine, instruction_text(machine.target, *found, _revision(machine), address))


def explain(machine: Machine, address: int) -> Explanation:
    """The instruction at an address. Raises PiennError where there is none."""
    found = instruction_at(machine, address)
    if found is None:
        raise PiennError(f"{machine.place(address)}: there is no instruction of {machine.target}")
    instruction, values = found
    description, shown, shown_values = instruction.description, instruction, values
    if instruction.expansion is not None:  # short forms: the meaning is that of the full instruction
        mnemonic, shown_values = instruction.expand(values)
        shown = load(machine.target)[mnemonic]
        description = f"{shown.description} {description}"
    return Explanation(
        address,
        machine.place(address),
        text_at(machine, address),
        description,
        _fill_in(machine, shown, shown_values, address),
        instruction.notes,
        instruction.confidence,
    )


def _fill_in(machine: Machine, instruction: Instruction, values: dict[str, int], address: int) -> str:
    """The formula with the operands' names replaced by this instruction's registers and numbers."""
    chip = _chip(machine.target, _revision(machine))
    words: dict[str, str] = {}
    for operand in instruction.operands:
        if operand.name not in values:
            continue
        value = values[operand.name]
        if operand.kind == "pcrel":
            words[operand.name] = _name_places(machine, f"0x{address + value & 0xFFFFFFFF:x}")
        elif operand.is_register:
            words[operand.name] = chip.operand_text(operand.kind, value)
        else:
            words[operand.name] = str(value)
    if not words:
        return instruction.formula
    pattern = r"(?<![\w.])(" + "|".join(map(re.escape, sorted(words, key=len, reverse=True))) + r")(?!\w)"
    return re.sub(pattern, lambda match: words[match[1]], instruction.formula)


def _name_places(machine: Machine, text: str) -> str:
    """Hexadecimal addresses of symbols replaced by their names."""
    names = {f"0x{at:x}": name for name, at in machine.symbols.items() if not name.startswith((".", "$"))}
    return re.sub(r"0x[0-9a-f]{5,}", lambda match: names.get(match[0], match[0]), text)


def _revision(machine: Machine) -> int | None:
    return machine.revision if machine.target == "esp32p4" else None


_chip = functools.cache(create)
