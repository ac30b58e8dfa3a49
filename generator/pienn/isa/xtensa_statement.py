"""Reading one Xtensa instruction statement: mnemonics of GNU as, operands, their limits."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from pienn.isa.expressions import Expression, ExpressionError, evaluate
from pienn.isa.program import known_distance
from pienn.isa.source import AssemblyError, Statement, split_operands
from pienn.isa.table import Instruction, Isa, Operand
from pienn.isa.xtensa_forms import COMPARE_WITH_ZERO, Machine

if TYPE_CHECKING:
    from pienn.isa.assembler import Assembler

_REGISTER = re.compile(r"[$%]?([a-zA-Z]+)(\d+)$")
_SAME = {"bbsi.l": "bbsi", "bbci.l": "bbci"}
_EXPANDABLE = ("addi", "addmi", "l8ui", "l16ui", "l16si", "l32i", "s8i", "s16i", "s32i")
_FILES = {"a": "address", "q": "vector", "f": "float", "b": "boolean", "m": "MAC16"}


class Reader:
    """Turns the text of an instruction into a `Machine`."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.operands: list[tuple[str, int]] = []  # text and place of the operands of the last statement
        self.special = self._register_numbers(("rsr.", "wsr.", "xsr."), 8, 8)
        self.user_read = self._register_numbers(("rur.",), 4, 8)
        self.user_write = self._register_numbers(("wur.",), 8, 8)

    def _register_numbers(self, prefixes: tuple[str, ...], low: int, width: int) -> dict[int, list[str]]:
        numbers: dict[int, list[str]] = {}
        for mnemonic, instruction in self.isa.instructions.items():
            if mnemonic.startswith(prefixes):
                number = instruction.encodings[0].match >> low & (1 << width) - 1
                numbers.setdefault(number, []).append(mnemonic[4:])
        return numbers

    def read(
        self,
        mnemonic: str,
        text: str,
        statement: Statement,
        assembler: Assembler,
        transform: bool,
    ) -> Machine | None:
        """None when the mnemonic is unknown. `transform`: another instruction of the same effect may be chosen."""
        start = len(statement.text) - len(text)
        operands = [(word, start + index) for word, index in split_operands(text)]
        name = mnemonic.removeprefix("_")
        name = _SAME.get(name, name)
        if name == "mov":
            if len(operands) != 2:
                raise statement.error(f"mov needs 2 operands, not {len(operands)}: mov at, as", start)
            name = "mov.n" if transform else "or"
            operands += [operands[1]] if name == "or" else []
        elif name == "j.l":
            return self._far_jump(operands, statement, assembler)
        elif name in ("rsr", "wsr", "xsr", "rur", "wur"):
            name, operands = self._register_access(name, operands, statement, assembler)
        elif name in COMPARE_WITH_ZERO and transform and self._is_zero(operands[1:2], assembler):
            name = COMPARE_WITH_ZERO[name]
            del operands[1]
        if name not in self.isa:
            return None
        instruction = self.isa[name]
        if len(operands) != len(instruction.operands):
            raise statement.error(
                f"{name} needs {len(instruction.operands)} operand(s), not {len(operands)}: {instruction.syntax}",
                start if operands else max(0, start - 1),
            )
        self.operands = operands
        machine = self._values(instruction, operands, statement, assembler)
        self._check_writes(machine, statement, operands)
        if name == "extui" and machine.values["sae"] + machine.values["op2p1"] > 32:
            raise statement.error(
                "extui: shift and width together exceed 32: take fewer bits", operands[2][1]
            )
        return machine

    def _far_jump(
        self, operands: list[tuple[str, int]], statement: Statement, assembler: Assembler
    ) -> Machine:
        """`j.l label, a2`: a jump that may use the register when the label is far."""
        if len(operands) != 2:
            raise statement.error("j.l needs a label and a register that it may overwrite: j.l label, a2")
        text, index = operands[1]
        jump = self._values(self.isa["j"], operands[:1], statement, assembler)
        register = self.isa["jx"].operands[0]
        return replace(jump, spare=self._register(self.isa["jx"], register, text, index, statement))

    def _register_access(
        self, name: str, operands: list[tuple[str, int]], statement: Statement, assembler: Assembler
    ) -> tuple[str, list[tuple[str, int]]]:
        """`rsr a2, sar` and `rsr a2, 3` as `rsr.sar a2`."""
        if len(operands) != 2:
            raise statement.error(f"{name} needs a register a0..a15 and a name or number: {name} a2, sar")
        word, index = operands[1]
        mnemonic = f"{name}.{word.lower()}"
        if mnemonic in self.isa:
            return mnemonic, operands[:1]
        number = self._constant(word, assembler)
        table = {"rur": self.user_read, "wur": self.user_write}.get(name, self.special)
        for candidate in table.get(-1 if number is None else number, []):
            if f"{name}.{candidate}" in self.isa:
                return f"{name}.{candidate}", operands[:1]
        kind = "user" if name in ("rur", "wur") else "special"
        raise statement.error(
            f"{word} is no {kind} register that {name} can access: see `pienn isa list`", index
        )

    def _is_zero(self, operands: list[tuple[str, int]], assembler: Assembler) -> bool:
        return bool(operands) and self._constant(operands[0][0], assembler) == 0

    def _constant(self, text: str, assembler: Assembler) -> int | None:
        """The number that an expression is now, None for labels and names."""
        try:
            value = evaluate(assembler.expression(text, assembler.statement), known_distance)
        except (ExpressionError, AssemblyError):
            return None
        return value.constant if value.is_absolute else None

    def _values(
        self,
        instruction: Instruction,
        operands: list[tuple[str, int]],
        statement: Statement,
        assembler: Assembler,
    ) -> Machine:
        values: dict[str, int] = {}
        open_operand: str | None = None
        place: Expression | None = None
        for operand, (text, index) in zip(instruction.operands, operands, strict=True):
            if operand.is_register:
                values[operand.name] = self._register(instruction, operand, text, index, statement)
                continue
            if _REGISTER.match(text) and text[0] in "aqfbm" and text not in assembler.symbols:
                raise statement.error(
                    f"{instruction.mnemonic}: {operand.name} is a number, not register {text}", index
                )
            expression = assembler.expression(text, statement, index)
            try:
                value = evaluate(expression, known_distance)
            except ExpressionError as error:
                raise statement.error(str(error), index) from error
            if operand.kind == "pcrel":
                if value.is_absolute:
                    raise statement.error(
                        f"{instruction.mnemonic}: the target must be a label, not the number {value.constant}",
                        index,
                    )
                open_operand, place = operand.name, expression
            elif value.is_absolute:
                values[operand.name] = _signed(value.constant, operand)
            elif instruction.mnemonic in ("movi", "movi.n"):
                open_operand, place = operand.name, expression
            else:
                culprit = value.plus or value.minus
                name = culprit.name if culprit and culprit.name else text
                raise statement.error(
                    f"{instruction.mnemonic}: {operand.name} must be a number known here, {name} is not: define it "
                    "above with .set, or load it with movi",
                    index,
                )
        return Machine(instruction, values, open_operand, place)

    def _register(
        self, instruction: Instruction, operand: Operand, text: str, index: int, statement: Statement
    ) -> int:
        word = "a1" if text.lower().lstrip("$%") == "sp" else text
        found = _REGISTER.match(word)
        if not found or found[1].lower() != operand.kind:
            raise statement.error(
                f"{instruction.mnemonic}: {operand.name} must be {_article(operand.kind)} register "
                f"({operand.limits()}), not {text!r}",
                index,
            )
        number = int(found[2])
        if not operand.allows(number):
            raise statement.error(
                f"{instruction.mnemonic}: {text} is not possible as {operand.name}, use {operand.limits()}",
                index,
            )
        return number

    def _check_writes(self, machine: Machine, statement: Statement, operands: list[tuple[str, int]]) -> None:
        """One statement must not write a register twice: what it would hold is undefined."""
        written: dict[tuple[str, int], str] = {}
        for operand, (text, index) in zip(machine.instruction.operands, operands, strict=True):
            if "w" not in operand.access or not operand.is_register:
                continue
            key = (operand.kind, machine.values[operand.name])
            if key in written:
                raise statement.error(
                    f"{machine.mnemonic} writes {text} twice, as {written[key]} and as {operand.name}: "
                    "use different registers",
                    index,
                )
            written[key] = operand.name

    def limit_error(self, machine: Machine, statement: Statement) -> AssemblyError:
        """The message for the first operand of the statement read last that cannot be encoded."""
        for number, operand in enumerate(machine.instruction.operands):
            value = machine.values.get(operand.name)
            if value is not None and not operand.allows(value):
                remedy = f"use {operand.limits()}"
                if machine.mnemonic in _EXPANDABLE:
                    remedy += ", or movi the number into a register"
                _, index = self.operands[min(number, len(self.operands) - 1)]
                return statement.error(
                    f"{machine.mnemonic}: {operand.name} = {value} is not possible, {remedy}", index
                )
        raise AssertionError("every operand fits")


def _article(kind: str) -> str:
    word = _FILES[kind]
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _signed(value: int, operand: Operand) -> int:
    """Numbers of 32 bits may be written without sign: 0xffffffff is -1 where negative numbers are allowed."""
    if 1 << 31 <= value < 1 << 32 and (operand.minimum < 0 or operand.values is not None):
        return value - (1 << 32)
    return value
