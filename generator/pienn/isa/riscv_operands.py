"""Operands of RISC-V instructions: from text to values, with messages that name the allowed set and a way out."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pienn.isa.expressions import Expression, ExpressionError, Function, Number, evaluate
from pienn.isa.program import known_distance
from pienn.isa.riscv_branches import high_part, low_part
from pienn.isa.source import Statement, split_operands

if TYPE_CHECKING:
    from pienn.isa.assembler import Assembler
    from pienn.isa.table import Instruction, Isa, Operand

_REGISTERS = {"x": "integer register", "f": "float register", "q": "vector register"}
_FENCE = {"i": 8, "o": 4, "r": 2, "w": 1}


@dataclass(frozen=True)
class Parsed:
    """Values known now, and the operand (if any) whose value is an expression that layout or linker resolves."""

    values: dict[str, int]
    pending: tuple[str, Expression] | None = None
    from_function: bool = False
    """A value came from %hi or %lo."""


@functools.cache
def templates(instruction: Instruction, revision: int | None) -> tuple[tuple[str, str], ...]:
    """For each comma-separated operand: (text outside brackets, text inside), of operand names or literals."""
    present = {o.name for o in instruction.operands_at(revision)}
    _, _, text = instruction.syntax.partition(" ")
    groups: list[tuple[str, str]] = []
    for group, _ in split_operands(text):
        found = re.fullmatch(r"(\w*)(?:\((\w+)\))?", group)
        assert found, instruction.syntax
        outer, inner = found[1], found[2] or ""
        names = {o.name for o in instruction.operands}
        if outer in names and outer not in present:
            continue
        groups.append((outer, inner))
    return tuple(groups)


class OperandReader:
    """Reads the operands of one statement."""

    def __init__(self, isa: Isa, revision: int | None, statement: Statement, assembler: Assembler) -> None:
        self.isa = isa
        self.revision = revision
        self.statement = statement
        self.assembler = assembler
        self.pending: tuple[str, Expression] | None = None
        self.values: dict[str, int] = {}
        self.from_function = False

    def read(self, instruction: Instruction, operands: list[tuple[str, int]]) -> Parsed:
        """`operands`: texts with their index in statement.text."""
        groups = templates(instruction, self.revision)
        optional = self._optional(instruction, groups)
        if not len(groups) - optional <= len(operands) <= len(groups):
            raise self.statement.error(
                f"{instruction.mnemonic} takes {_count(len(groups), optional)}, not {len(operands)}: "
                f"{self._syntax(instruction, groups)}"
            )
        position = 0
        for number, group in enumerate(groups):
            if position == len(operands):
                break
            text, index = operands[position]
            last_ones = number >= len(groups) - optional
            if last_ones and not self._may_be(
                instruction, group, text, len(operands) - position, number, groups
            ):
                continue
            position += 1
            self._group(instruction, group, text, index)
        if position < len(operands):
            text, index = operands[position]
            raise self.statement.error(
                f"{instruction.mnemonic}: unexpected operand {text!r}: {self._syntax(instruction, groups)}",
                index,
            )
        return Parsed(self.values, self.pending, self.from_function)

    def _optional(self, instruction: Instruction, groups: tuple[tuple[str, str], ...]) -> int:
        """How many trailing operands may be left out."""
        count = 0
        for outer, inner in reversed(groups):
            if inner or not outer or not self._operand(instruction, outer):
                break
            if not instruction.operand(outer).may_be_omitted(self.revision):
                break
            count += 1
        return count

    def _may_be(
        self,
        instruction: Instruction,
        group: tuple[str, str],
        text: str,
        left: int,
        number: int,
        groups: tuple[tuple[str, str], ...],
    ) -> bool:
        """Whether an optional operand takes this text: all are given, or its words include it."""
        if left == len(groups) - number:
            return True
        operand = instruction.operand(group[0])
        if text in operand.names:
            return True
        later = {word for outer, _ in groups[number + 1 :] for word in instruction.operand(outer).names}
        return text not in later

    def _operand(self, instruction: Instruction, name: str) -> bool:
        return any(o.name == name for o in instruction.operands)

    def _syntax(self, instruction: Instruction, groups: tuple[tuple[str, str], ...]) -> str:
        parts = [outer + (f"({inner})" if inner else "") for outer, inner in groups]
        return f"write {instruction.mnemonic} {', '.join(parts)}".rstrip()

    def _group(self, instruction: Instruction, group: tuple[str, str], text: str, index: int) -> None:
        outer, inner = group
        if inner:
            found = re.search(r"\(\s*([^()]*?)\s*\)$", text)
            if not found:
                raise self.statement.error(
                    f"{instruction.mnemonic}: {text!r} needs the form {outer}({inner}), "
                    f"e.g. {'4' if outer else ''}(a0)",
                    index,
                )
            self._single(instruction, inner, found[1], index + found.start(1))
            text = text[: found.start()].strip()
            if not outer and text not in ("", "0"):
                raise self.statement.error(f"{instruction.mnemonic} has no offset: write (register)", index)
            if not text:
                if outer:
                    self.values[outer] = 0
                return
        if outer:
            self._single(instruction, outer, text, index)

    def _single(self, instruction: Instruction, name: str, text: str, index: int) -> None:
        if not self._operand(instruction, name):  # a fixed register of the syntax
            if self._register("x", text) != self.isa.names["x"].get(name):
                raise self.statement.error(
                    f"{instruction.mnemonic}: this operand is always {name}, not {text!r}", index
                )
            return
        operand = instruction.operand(name)
        if operand.is_register:
            self.values[name] = self._checked_register(instruction, operand, text, index)
        elif operand.type == "fence_set":
            self.values[name] = self._fence(text, index)
        elif operand.kind == "csr" and text in self.isa.names["csr"]:
            self.values[name] = self.isa.names["csr"][text]
        elif text in operand.names and text != "-":
            self._refuse_names(instruction, operand, text, index)
            self.values[name] = operand.minimum + operand.names.index(text)
        else:
            self._number(instruction, operand, text, index)

    def _refuse_names(self, instruction: Instruction, operand: Operand, text: str, index: int) -> None:
        if operand.default_since is not None and (self.revision or 0) < operand.default_since:
            value = operand.minimum + operand.names.index(text)
            raise self.statement.error(
                f"{instruction.mnemonic}: the word {text} needs revision {operand.default_since}: write {value}",
                index,
            )

    def _register(self, kind: str, text: str) -> int | None:
        if re.fullmatch(kind + r"(\d|[1-9]\d)", text):
            return int(text[1:])
        return self.isa.names.get(kind, {}).get(text)

    def _checked_register(self, instruction: Instruction, operand: Operand, text: str, index: int) -> int:
        number = self._register(operand.kind, text)
        what = _REGISTERS[operand.kind]
        if number is None or number > max(31 if operand.kind != "q" else 7, operand.maximum):
            raise self.statement.error(
                f"{instruction.mnemonic}: {text!r} is no {what}: {operand.name} takes {self._allowed(operand)}",
                index,
            )
        if not operand.allows(number):
            plain = f" ({operand.kind}{number})" if text != f"{operand.kind}{number}" else ""
            raise self.statement.error(
                f"{instruction.mnemonic}: {text}{plain} cannot be {operand.name}, allowed: {self._allowed(operand)}; "
                f"copy it to one of these first",
                index,
            )
        return number

    def _allowed(self, operand: Operand) -> str:
        """The allowed registers by number and, for subsets, by name."""
        text = operand.limits()
        if operand.kind == "x" and len(operand.all_values()) - len(operand.excluded) < 30:
            text += f" ({register_names(self.isa, operand.all_values())})"
        return text

    def _fence(self, text: str, index: int) -> int:
        value = 0
        for letter in text:
            if letter not in _FENCE or value & _FENCE[letter]:
                if text == "0":
                    return 0
                raise self.statement.error(
                    f"fence: {text!r} is not made of the letters i, o, r, w once each", index
                )
            value |= _FENCE[letter]
        return value

    def _number(self, instruction: Instruction, operand: Operand, text: str, index: int) -> None:
        expression = self.assembler.expression(text, self.statement, index)
        if isinstance(expression, Function):
            value = self._function_value(expression, index)
            if value is None:
                self.pending = (operand.name, expression)
                self.values[operand.name] = 0
                return
            self.from_function = True
            expression = Number(value)
        try:
            value = evaluate(expression, known_distance)
        except ExpressionError as error:
            raise self.statement.error(str(error), index) from error
        if operand.names and not value.is_absolute:
            words = [w for o in instruction.operands if o.names for w in o.names if w != "-"]
            raise self.statement.error(
                f"{instruction.mnemonic}: {text!r} is no value of {operand.name} ({operand.limits()}): the words are "
                + ", ".join(words),
                index,
            )
        if operand.kind == "pcrel" or not value.is_absolute:
            self._refuse_register_name(instruction, operand, text, index)
            self.pending = (operand.name, expression)
            self.values[operand.name] = 0
            return
        self.values[operand.name] = self._checked_number(instruction, operand, value.constant, index)

    def _refuse_register_name(
        self, instruction: Instruction, operand: Operand, text: str, index: int
    ) -> None:
        for kind in _REGISTERS:
            if self._register(kind, text) is not None:
                raise self.statement.error(
                    f"{instruction.mnemonic}: register {text} stands where {operand.name} must be a "
                    f"{'label' if operand.kind == 'pcrel' else 'number'}",
                    index,
                )

    def _checked_number(self, instruction: Instruction, operand: Operand, value: int, index: int) -> int:
        value = normalised(operand, value)
        if operand.allows(value):
            return value
        raise self.statement.error(
            f"{instruction.mnemonic}: {operand.name} = {value} is not allowed: {operand.limits()}"
            + nearest(operand, value)
            + advice(instruction, operand, value),
            index,
        )

    def _function_value(self, function: Function, index: int) -> int | None:
        """%hi and %lo of a number; None for addresses."""
        try:
            value = evaluate(function.operand, known_distance)
        except ExpressionError as error:
            raise self.statement.error(str(error), index) from error
        if not value.is_absolute or function.name.startswith("pcrel"):
            return None
        if function.name == "hi":
            return high_part(value.constant)
        if function.name == "lo":
            return low_part(value.constant)
        return None


def normalised(operand: Operand, value: int) -> int:
    """GNU as takes a 32-bit number with the sign bit set for the negative one of the same bits."""
    if operand.signed and operand.minimum < 0 and 0x80000000 <= value <= 0xFFFFFFFF:
        return value - (1 << 32)
    return value


def nearest(operand: Operand, value: int) -> str:
    """The allowed neighbours of a value that is between two steps."""
    if operand.values is None and operand.minimum <= value <= operand.maximum and operand.scale > 1:
        below = value - (value - operand.base) % operand.scale
        return f", nearest {below} and {min(below + operand.scale, operand.maximum)}"
    return ""


def advice(instruction: Instruction, operand: Operand, value: int) -> str:
    """What to do instead of a number that is out of range."""
    if operand.minimum <= value <= operand.maximum:
        return ""
    if instruction.mnemonic.endswith(".ip"):
        return f"; use {instruction.mnemonic[:-2]}xp with the step in a register"
    if instruction.mnemonic == "addi":
        return "; use li and add"
    if operand.name == "count":
        return "; split the loop or use a register count with esp.lp.setup"
    return ""


def register_names(isa: Isa, numbers: tuple[int, ...]) -> str:
    names = {number: name for name, number in isa.names["x"].items() if name != "fp"}
    return ", ".join(names[number] for number in numbers)


def _count(total: int, optional: int) -> str:
    if optional:
        return f"{total - optional} to {total} operands"
    return f"{total} operand{'' if total == 1 else 's'}" if total else "no operands"
