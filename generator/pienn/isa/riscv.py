"""The ESP32-P4's RISC-V side of the assembler: instructions, 16-bit forms, `.option`, relocations."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from pienn.isa.expressions import ExpressionError, Function, evaluate
from pienn.isa.program import Align, Bytes, known_distance
from pienn.isa.riscv_branches import AddressPair, Branch, CodeAlign, Patched, high_part, low_part
from pienn.isa.riscv_operands import OperandReader, Parsed
from pienn.isa.riscv_pseudo import LOADS_AND_STORES, WITH_NUMBER, pseudo_instructions
from pienn.isa.source import Statement, split_operands
from pienn.isa.table import Instruction, Isa, Pattern
from pienn.isa.target import Target

if TYPE_CHECKING:
    from pienn.isa.assembler import Assembler

# Relocation numbers of the RISC-V ELF psABI.
RELOCATIONS = {
    "R_RISCV_32": 1, "R_RISCV_64": 2, "R_RISCV_BRANCH": 16, "R_RISCV_JAL": 17, "R_RISCV_CALL_PLT": 19,
    "R_RISCV_PCREL_HI20": 23, "R_RISCV_PCREL_LO12_I": 24, "R_RISCV_PCREL_LO12_S": 25, "R_RISCV_HI20": 26,
    "R_RISCV_LO12_I": 27, "R_RISCV_LO12_S": 28, "R_RISCV_ADD8": 33, "R_RISCV_ADD16": 34, "R_RISCV_ADD32": 35,
    "R_RISCV_SUB8": 37, "R_RISCV_SUB16": 38, "R_RISCV_SUB32": 39, "R_RISCV_RVC_BRANCH": 44,
    "R_RISCV_RVC_JUMP": 45,
}  # fmt: skip

FUNCTION_RELOCATIONS = {
    ("hi", "u"): "R_RISCV_HI20",
    ("lo", "i"): "R_RISCV_LO12_I",
    ("lo", "s"): "R_RISCV_LO12_S",
    ("pcrel_hi", "u"): "R_RISCV_PCREL_HI20",
    ("pcrel_lo", "i"): "R_RISCV_PCREL_LO12_I",
    ("pcrel_lo", "s"): "R_RISCV_PCREL_LO12_S",
}


class RiscV(Target):
    name = "esp32p4"
    elf_machine = 243
    relocation_numbers = RELOCATIONS
    has_mapping_symbols = True
    data_relocations = {4: "R_RISCV_32", 8: "R_RISCV_64"}

    def __init__(self, revision: int | None) -> None:
        super().__init__(revision)
        self.compressed = True
        self.uses_compressed = False
        self.options: list[bool] = []

    @property
    def elf_flags(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """EF_RISCV_RVC and the single-float ABI (ilp32f)."""
        return 2 | (1 if self.uses_compressed else 0)

    def predefined_macros(self) -> dict[str, str]:
        macros = {
            "__riscv": "1", "__riscv_xlen": "32", "__riscv_flen": "32", "__riscv_float_abi_single": "1",
            "__riscv_mul": "1", "__riscv_div": "1", "__riscv_muldiv": "1", "__riscv_atomic": "1",
            "__riscv_compressed": "1", "__riscv_c": "1", "__riscv_f": "1", "__riscv_xesppie": "1",
            "__riscv_xesploop": "1",
        }  # fmt: skip
        if self.revision == 3:
            macros |= {"__riscv_zba": "1", "__riscv_zbb": "1", "__riscv_zbs": "1"}
        return macros

    def mnemonics(self) -> list[str]:
        pseudo = [mnemonic.lstrip("@") for mnemonic, _ in pseudo_instructions()]
        return [*super().mnemonics(), *pseudo, *(name for name in _SPECIAL if name[0] != ".")]

    # -- instructions -------------------------------------------------------------------------------------

    def instruction(self, mnemonic: str, operands: str, statement: Statement, assembler: Assembler) -> bool:
        start = len(statement.text) - len(operands)
        parts = [(text, start + index) for text, index in split_operands(operands)]
        return self._instruction(mnemonic, parts, statement, assembler)

    def _instruction(
        self, mnemonic: str, parts: list[tuple[str, int]], statement: Statement, assembler: Assembler
    ) -> bool:
        """Assemble one instruction; `parts` are the operands with their place in statement.text."""
        plain = mnemonic.startswith(".plain_")  # of a pseudo-instruction that GNU as leaves in 32 bits
        mnemonic = mnemonic.removeprefix(".plain_")
        special = _SPECIAL.get(mnemonic)
        if special is not None and special(self, mnemonic, parts, statement, assembler):
            return True
        if mnemonic in LOADS_AND_STORES and self._memory_at_symbol(mnemonic, parts, statement, assembler):
            return True
        if mnemonic in WITH_NUMBER and parts and self._is_number(parts[-1][0]):
            plain = mnemonic == "add" and len(parts) == 3 and self._register(parts[1][0]) == 0
            mnemonic = WITH_NUMBER[mnemonic]
        instruction = self.isa.find(mnemonic, self.revision)
        expansion = self._pseudo(mnemonic, len(parts), instruction)
        if expansion is not None:
            for text in expansion:
                self._expand(text, parts, statement, assembler)
            return True
        if instruction is None:
            return self._explain_missing(mnemonic, len(parts), statement)
        parsed = OperandReader(self.isa, self.revision, statement, assembler).read(instruction, parts)
        self._emit(instruction, parsed, statement, assembler, plain or parsed.from_function)
        return True

    def _pseudo(self, mnemonic: str, count: int, instruction: Instruction | None) -> list[str] | None:
        table = pseudo_instructions()
        found = table.get((mnemonic, count))
        if found is None and instruction is None:
            found = table.get(("@" + mnemonic, count))
        return found

    def _explain_missing(self, mnemonic: str, count: int, statement: Statement) -> bool:
        index = statement.text.lower().find(mnemonic)
        known = self.isa.instructions.get(mnemonic)
        if known is not None:
            revision = known.minimum_revision if self.revision == 1 else known.maximum_revision
            raise statement.error(
                f"{mnemonic} ({known.extension}) is not on esp32p4 revision {self.revision}, "
                f"only on revision {revision}: assemble for it with --revision {revision}",
                index,
            )
        counts = sorted(n for name, n in pseudo_instructions() if name.lstrip("@") == mnemonic)
        if counts:
            raise statement.error(
                f"{mnemonic} takes {' or '.join(map(str, counts))} operand(s), not {count}", index
            )
        return False

    def _expand(
        self, text: str, parts: list[tuple[str, int]], statement: Statement, assembler: Assembler
    ) -> None:
        """Assemble one line of a pseudo-instruction with `$n` replaced by the operands."""
        mnemonic, _, rest = text.partition(" ")
        operands: list[tuple[str, int]] = []
        for piece, _ in split_operands(rest):
            if piece.startswith("$"):
                operands.append(parts[int(piece[1:]) - 1])
            else:
                operands.append((piece, 0))
        self._instruction(mnemonic, operands, statement, assembler)

    def _is_number(self, text: str) -> bool:
        return text not in self.isa.names["x"] and not (text[:1] == "x" and text[1:].isdigit())

    def _register(self, text: str) -> int | None:
        if text[:1] == "x" and text[1:].isdigit() and int(text[1:]) < 32:
            return int(text[1:])
        return self.isa.names["x"].get(text)

    # -- emission -----------------------------------------------------------------------------------------

    def _emit(
        self,
        instruction: Instruction,
        parsed: Parsed,
        statement: Statement,
        assembler: Assembler,
        plain: bool = False,
    ) -> None:
        """`plain`: keep the 32-bit form, as GNU as does for some spellings."""
        if parsed.pending is None:
            chosen, values = instruction, parsed.values
            short = None if plain else self._short_form(instruction, values)
            if short is not None:
                chosen, values = short
            if instruction.encodings[0].length == 2 and not self.compressed:
                raise statement.error(
                    f"{instruction.mnemonic} is a 16-bit form: remove .option norvc before it"
                )
            self._emit_bytes(self.isa.encode_instruction(chosen, values, self.revision), statement, assembler)
            return
        name, expression = parsed.pending
        operand = instruction.operand(name)
        if operand.kind == "pcrel" and instruction.issue_class in ("branch", "jump"):
            self._emit_branch(instruction, parsed, statement, assembler)
            return
        kind, inner, resolvable = "", expression, None
        if isinstance(expression, Function):
            form = "u" if operand.type == "u20" else "s" if instruction.stores else "i"
            found = FUNCTION_RELOCATIONS.get((expression.name, form))
            if found is None:
                raise statement.error(
                    f"%{expression.name} cannot be operand {name} of {instruction.mnemonic}: "
                    f"use %hi or %pcrel_hi with lui and auipc, %lo or %pcrel_lo elsewhere"
                )
            kind, inner = found, expression.operand
        elif operand.kind == "pcrel":
            resolvable = name
        else:
            raise statement.error(
                f"{instruction.mnemonic}: {name} must be a number ({operand.limits()}), not an address: "
                f"use %lo(...), or la to get an address into a register"
            )
        fragment = Patched(
            statement.location,
            size=4,
            is_code=True,
            instruction=instruction,
            values=parsed.values,
            operand=resolvable,
            expression=inner,
            kind=kind,
            isa=self.isa,
            revision=self.revision,
        )
        assembler.append(fragment)

    def _emit_branch(
        self, instruction: Instruction, parsed: Parsed, statement: Statement, assembler: Assembler
    ) -> None:
        assert parsed.pending is not None
        values = parsed.values
        short = None
        if instruction.expansion is not None:  # an explicit 16-bit form may grow like any other
            if not self.compressed:
                raise statement.error(
                    f"{instruction.mnemonic} is a 16-bit form: remove .option norvc before it"
                )
            short = (instruction, values)
            name, values = instruction.expand(values)
            instruction = self.isa[name]
        elif instruction.issue_class == "branch":
            short = self._short_form(instruction, values)
        self.uses_compressed |= short is not None
        fragment = Branch(
            statement.location,
            is_code=True,
            instruction=instruction,
            values=values,
            short=short,
            expression=parsed.pending[1],
            isa=self.isa,
            revision=self.revision,
        )
        assembler.append(fragment)

    def _emit_bytes(self, data: bytes, statement: Statement, assembler: Assembler) -> None:
        self.uses_compressed |= len(data) == 2
        assembler.append(Bytes(statement.location, is_code=True, data=data))

    def _short_form(
        self, instruction: Instruction, values: dict[str, int]
    ) -> tuple[Instruction, dict[str, int]] | None:
        """The 16-bit form that GNU as picks, where `.option rvc` is on and one fits."""
        if not self.compressed:
            return None
        for short, pattern in short_forms(self.isa).get(instruction.mnemonic, ()):
            found = match_pattern(short, pattern, values)
            if found is not None:
                return short, found
        return None

    # -- pseudo-instructions that are more than a pattern: each tells whether it took the statement ----------

    def _load_number(
        self, mnemonic: str, parts: list[tuple[str, int]], statement: Statement, assembler: Assembler
    ) -> bool:
        if len(parts) != 2:
            raise statement.error(f"li takes 2 operands, not {len(parts)}: write li rd, number")
        (register, _), (text, index) = parts
        value = assembler.number(text, statement, index)
        if not -(1 << 31) <= value < 1 << 32:
            raise statement.error(f"li: {value} does not fit in 32 bits: -2147483648..4294967295", index)
        is_zero = self._register(register) == 0
        plain = value >= 0xFFFFF800 or is_zero
        value = ((value + (1 << 31)) % (1 << 32)) - (1 << 31)
        low, high = low_part(value), high_part(value)
        if high:
            self._instruction("lui", [parts[0], (str(high), index)], statement, assembler)
        if low or not high or is_zero:
            add = [parts[0], (register if high else "zero", index), (str(low), index)]
            self._instruction(".plain_addi" if plain and not high else "addi", add, statement, assembler)
        return True

    def _move(
        self, mnemonic: str, parts: list[tuple[str, int]], statement: Statement, assembler: Assembler
    ) -> bool:
        if len(parts) != 2:
            raise statement.error(f"{mnemonic} takes 2 operands, not {len(parts)}: write {mnemonic} rd, rs")
        zero = 0 in (self._register(parts[0][0]), self._register(parts[1][0]))
        move = [*parts, ("0", parts[1][1])]
        return self._instruction(".plain_addi" if zero else "addi", move, statement, assembler)

    def _jump(
        self, mnemonic: str, parts: list[tuple[str, int]], statement: Statement, assembler: Assembler
    ) -> bool:
        if len(parts) != 1:
            raise statement.error(f"j takes 1 operand, not {len(parts)}: write j label")
        if self.compressed:
            return self._instruction("c.j", parts, statement, assembler)
        return self._instruction("jal", [("zero", parts[0][1]), *parts], statement, assembler)

    def _register_jump(
        self, mnemonic: str, parts: list[tuple[str, int]], statement: Statement, assembler: Assembler
    ) -> bool:
        """`jr` and `jalr` in all spellings; only without a link operand GNU as picks a 16-bit form."""
        if not parts:
            return False
        implied = mnemonic == "jr" or len(parts) == 1
        link = ("zero" if mnemonic == "jr" else "ra", parts[0][1]) if implied else parts[0]
        rest = parts if implied else parts[1:]
        base, index = rest[0]
        if len(rest) > 2:
            return False
        if len(rest) == 2:
            base = f"{rest[1][0]}({base})"
        elif not base.endswith(")"):
            number = self._register(base)
            if implied and self.compressed and number:
                short = self.isa["c.jr" if mnemonic == "jr" else "c.jalr"]
                data = self.isa.encode_instruction(short, {"rs1": number}, self.revision)
                self._emit_bytes(data, statement, assembler)
                return True
            base = f"0({base})"
        reader = OperandReader(self.isa, self.revision, statement, assembler)
        parsed = reader.read(self.isa["jalr"], [link, (base, index)])
        self._emit(self.isa["jalr"], parsed, statement, assembler)
        return True

    def _unimplemented(
        self, mnemonic: str, parts: list[tuple[str, int]], statement: Statement, assembler: Assembler
    ) -> bool:
        data = bytes(2) if self.compressed else (0xC0001073).to_bytes(4, "little")  # csrrw zero, cycle, zero
        self._emit_bytes(data, statement, assembler)
        return True

    def _pair(
        self,
        first: str,
        second: str,
        kinds: tuple[str, str],
        target: str,
        statement: Statement,
        assembler: Assembler,
    ) -> None:
        """auipc with a second instruction; both texts have immediate 0."""
        reader = OperandReader(self.isa, self.revision, statement, assembler)
        encoded: list[bytes] = []
        for text in (first, second):
            mnemonic, _, rest = text.partition(" ")
            instruction = self.isa[mnemonic]
            reader.values = {}
            index = max(0, statement.text.find(rest.split(",")[0]))
            parsed = reader.read(instruction, [(part, index) for part, _ in split_operands(rest)])
            encoded.append(self.isa.encode_instruction(instruction, parsed.values, self.revision))
        expression = assembler.expression(target, statement, max(0, statement.text.find(target)))
        fragment = AddressPair(
            statement.location,
            is_code=True,
            first=encoded[0],
            second=encoded[1],
            kinds=kinds,
            expression=expression,
        )
        assembler.append(fragment)

    def _pair_call(
        self, mnemonic: str, parts: list[tuple[str, int]], statement: Statement, assembler: Assembler
    ) -> bool:
        link, scratch, target = (text for text, _ in parts)
        first, second = f"auipc {scratch}, 0", f"jalr {link}, 0({scratch})"
        self._pair(first, second, ("R_RISCV_CALL_PLT", ""), target, statement, assembler)
        return True

    def _pair_address(
        self, mnemonic: str, parts: list[tuple[str, int]], statement: Statement, assembler: Assembler
    ) -> bool:
        (register, _), (target, index) = parts
        try:
            value = evaluate(assembler.expression(target, statement, index), known_distance)
        except ExpressionError as error:
            raise statement.error(str(error), index) from error
        if value.is_absolute:
            return self._load_number("li", parts, statement, assembler)
        first, second = f"auipc {register}, 0", f"addi {register}, {register}, 0"
        kinds = ("R_RISCV_PCREL_HI20", "R_RISCV_PCREL_LO12_I")
        self._pair(first, second, kinds, target, statement, assembler)
        return True

    def _memory_at_symbol(
        self, mnemonic: str, parts: list[tuple[str, int]], statement: Statement, assembler: Assembler
    ) -> bool:
        """`lw a0, symbol` and `sw a0, symbol, t0`: a load or store at a symbol's address."""
        if len(parts) < 2 or parts[1][0].endswith(")"):
            return False
        target = parts[1][0]
        is_load = mnemonic[0] == "l" or mnemonic == "flw"
        wanted = 2 if mnemonic != "flw" and is_load else 3
        if len(parts) != wanted or not (target[:1].isalpha() or target[:1] in (".", "_")):
            return False
        scratch = parts[0][0] if wanted == 2 else parts[2][0]
        second = f"{mnemonic} {parts[0][0]}, 0({scratch})"
        low = "R_RISCV_PCREL_LO12_I" if is_load else "R_RISCV_PCREL_LO12_S"
        kinds = ("R_RISCV_PCREL_HI20", low)
        self._pair(f"auipc {scratch}, 0", second, kinds, target, statement, assembler)
        return True

    # -- directives ---------------------------------------------------------------------------------------

    def directive(self, name: str, arguments: str, statement: Statement, assembler: Assembler) -> bool:
        if name == ".option":
            self._option(arguments, statement)
            return True
        return False

    def _option(self, arguments: str, statement: Statement) -> None:
        word = arguments.split(",")[0].strip()
        if word in ("rvc", "norvc"):
            self.compressed = word == "rvc"
        elif word == "push":
            self.options.append(self.compressed)
        elif word == "pop":
            if not self.options:
                raise statement.error(".option pop without .option push: remove it")
            self.compressed = self.options.pop()
        elif word not in ("relax", "norelax", "pic", "nopic", "arch"):
            raise statement.error(f".option {word} is unknown: use rvc, norvc, push or pop")

    def code_alignment(self, alignment: int, maximum: int | None, statement: Statement) -> Align:
        smallest = 2 if self.compressed else 4
        if alignment <= smallest:  # GNU as takes the code to be aligned so far already
            return CodeAlign(
                statement.location, is_code=True, alignment=1, wanted=alignment if statement.text else 1
            )
        return CodeAlign(statement.location, is_code=True, alignment=alignment, maximum=maximum)

    # -- relocations --------------------------------------------------------------------------------------

    def apply(
        self,
        kind: str,
        data: bytearray,
        offset: int,
        place: int,
        value: int,
        find: Callable[[int], int | None],
    ) -> str | None:
        from pienn.isa.riscv_relocations import apply

        return apply(self.isa, self.revision, kind, data, offset, place, value, find)

    def operand_text(self, kind: str, value: int) -> str:
        if kind == "fence_set":
            return "".join(letter for letter, bit in zip("iorw", (8, 4, 2, 1)) if value & bit) or "0"
        if kind == "imm":
            return str(value)
        for name, number in self.isa.names.get(kind, {}).items():
            if number == value:
                return name
        return super().operand_text(kind, value) if kind != "csr" else f"0x{value:03x}"


_SPECIAL: dict[str, Callable[[RiscV, str, list[tuple[str, int]], Statement, Assembler], bool]] = {
    "li": RiscV._load_number,
    "mv": RiscV._move,
    "move": RiscV._move,
    "j": RiscV._jump,
    "jr": RiscV._register_jump,
    "jalr": RiscV._register_jump,
    "unimp": RiscV._unimplemented,
    ".pair_call": RiscV._pair_call,
    ".pair_address": RiscV._pair_address,
}
"""Pseudo-instructions with a method of their own; those with a dot are made by patterns (riscv_pseudo.py)."""


@functools.cache
def short_forms(isa: Isa) -> dict[str, list[tuple[Instruction, Pattern]]]:
    """For each instruction its 16-bit forms that are chosen without being asked for (C, not Zcb)."""
    table: dict[str, list[tuple[Instruction, Pattern]]] = {}
    for instruction in isa.instructions.values():
        if instruction.extension != "C" or instruction.expansion is None:
            continue
        if instruction.issue_class == "jump_register":  # picked by the spelling, see _register_jump
            continue
        for pattern in (instruction.expansion, *instruction.replaces):
            table.setdefault(pattern[0], []).append((instruction, pattern))
    return table


def match_pattern(short: Instruction, pattern: Pattern, values: dict[str, int]) -> dict[str, int] | None:
    """Operand values of the short form that has the same effect, or None; distances are left open."""
    found: dict[str, int] = {}
    for name, source in pattern[1].items():
        if isinstance(source, int):
            if values.get(name) != source:
                return None
        elif name == "offset":
            continue
        elif found.setdefault(source, values[name]) != values[name]:
            return None
    for operand in short.operands:
        if operand.name in found and not operand.allows(found[operand.name]):
            return None
    return found
