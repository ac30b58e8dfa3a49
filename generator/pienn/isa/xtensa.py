"""The ESP32-S3 as a target of the assembler: Xtensa LX7 with PIE, in the syntax and with the bytes of GNU as.

One statement becomes one `Code` fragment. When all statements are read, `before_layout` lays out every code section
(xtensa_layout.py): sizes of branches and loops, nops before loops, 16-bit instructions widened for alignment.
Constants that fit no instruction go to the literal section that belongs to the code section
(`.literal` to `.text`), which must lie before the code and within 256 KiB of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pienn.isa.expressions import Expression, Name, Value
from pienn.isa.program import Align, Fragment, Layout, Relocation, Section, Symbol, Words
from pienn.isa.source import AssemblyError, Statement, split_operands
from pienn.isa.target import Target
from pienn.isa.xtensa_code import Code, Literal, Mark, out_of_reach
from pienn.isa.xtensa_forms import CALLS, Machine, expand_constant, fits, make, narrowed
from pienn.isa.xtensa_loops import check_loops
from pienn.isa.xtensa_planner import Planner
from pienn.isa.xtensa_statement import Reader

if TYPE_CHECKING:
    from pienn.isa.assembler import Assembler


@dataclass
class Mode:
    """What `.begin` and `.end` switch."""

    transform: bool = True
    longcalls: bool = False
    literal_prefix: str = ""


class Xtensa(Target):
    name = "esp32s3"
    elf_machine = 94
    elf_flags = 0x300
    relocation_numbers = {
        "R_XTENSA_NONE": 0,
        "R_XTENSA_32": 1,
        "R_XTENSA_DIFF8": 17,
        "R_XTENSA_DIFF16": 18,
        "R_XTENSA_DIFF32": 19,
        "R_XTENSA_SLOT0_OP": 20,
    }
    data_relocations = {4: "R_XTENSA_32"}
    align_is_exponent = False
    pads_section_ends = False

    def __init__(self, revision: int | None) -> None:
        super().__init__(revision)
        self.mode = Mode()
        self.saved: list[tuple[str, Mode]] = []
        self.reader = Reader(self.isa)

    def predefined_macros(self) -> dict[str, str]:
        return {"__XTENSA__": "1", "__XTENSA_EL__": "1", "__XTENSA_WINDOWED_ABI__": "1"}

    def mnemonics(self) -> list[str]:
        return [*self.isa.instructions, "mov", "bbsi.l", "bbci.l", "rsr", "wsr", "xsr", "rur", "wur", "j.l"]

    # ------------------------------------------------------------------------------ statements

    def instruction(self, mnemonic: str, operands: str, statement: Statement, assembler: Assembler) -> bool:
        transform = self.mode.transform
        specific = mnemonic.startswith("_") or not transform
        machine = self.reader.read(mnemonic, operands, statement, assembler, not specific)
        if machine is None:
            return False
        literal = None
        if specific:
            machines: tuple[Machine, ...] = (machine,)
        else:
            if machine.mnemonic in ("movi", "movi.n") and machine.place is not None:
                machine = make(
                    self.isa, "l32r", *machine.arguments(), place=self._literal(machine.place, assembler)
                )
            machine = narrowed(self.isa, machine)
            machines = (machine,)
            if not fits(machine):
                expanded = expand_constant(self.isa, machine, lambda e: self._literal(e, assembler))
                machines = expanded or machines
        for one in machines:
            if not fits(one):
                raise self.reader.limit_error(one, statement)
        if not specific and (
            machine.is_loop
            or machine.spare is not None
            or (machine.mnemonic in CALLS and self.mode.longcalls)
        ):
            assert machine.place is not None
            literal = self._spare_literal(machine.place, assembler)
        assembler.current.alignment = max(assembler.current.alignment, 4)
        assembler.current.flags = assembler.current.flags or "ax"
        assembler.append(
            Code(
                statement.location,
                machines=machines,
                specific=specific,
                transform=transform,
                longcalls=self.mode.longcalls,
                literal=literal,
            )
        )
        return True

    def label(self, name: str, assembler: Assembler) -> None:
        aligning = self.mode.transform and not name.startswith((".Ln", ".LM"))
        assembler.append(Mark(assembler.statement.location, aligning=aligning))

    def code_alignment(self, alignment: int, maximum: int | None, statement: Statement) -> Align:
        """Padding in Xtensa code is zero bytes, as GNU as does it: an alignment stands where no path leads."""
        return Align(statement.location, alignment=alignment, fill=b"\0", maximum=maximum)

    def directive(self, name: str, arguments: str, statement: Statement, assembler: Assembler) -> bool:
        if name == ".literal":
            self._literal_directive(arguments, statement, assembler)
        elif name == ".begin":
            self._begin(arguments, statement)
        elif name == ".end" and arguments.strip():
            self._end(arguments, statement)
        elif name == ".literal_prefix":
            self.mode.literal_prefix = arguments.strip()
        else:
            return name in (".literal_position", ".frequency")
        return True

    def _begin(self, arguments: str, statement: Statement) -> None:
        word, _, rest = arguments.strip().partition(" ")
        kind = word.removeprefix("no-")
        kind = "transform" if kind == "generics" else kind
        names = (
            "transform",
            "longcalls",
            "literal_prefix",
            "schedule",
            "freeregs",
            "absolute-literals",
        )
        if kind not in names:
            raise statement.error(
                f".begin {word!r} is unknown: use one of {', '.join(names)}, or no- before it"
            )
        self.saved.append((kind, Mode(**self.mode.__dict__)))
        if kind == "literal_prefix":
            self.mode.literal_prefix = rest.strip()
        elif kind == "absolute-literals" and not word.startswith("no-"):
            raise statement.error("this core has no absolute literals: leave out .begin absolute-literals")
        elif kind in ("transform", "longcalls"):
            setattr(self.mode, kind, not word.startswith("no-"))

    def _end(self, arguments: str, statement: Statement) -> None:
        kind = arguments.strip().removeprefix("no-")
        kind = "transform" if kind == "generics" else kind
        if not self.saved or self.saved[-1][0] != kind:
            opened = f": the open one is {self.saved[-1][0]}" if self.saved else ": no .begin is open"
            raise statement.error(f".end {arguments.strip()} does not match its .begin{opened}")
        self.mode = self.saved.pop()[1]

    # ------------------------------------------------------------------------------ literals

    def _literal_section(self, assembler: Assembler) -> Section:
        name = self.mode.literal_prefix or assembler.current.name
        if name.startswith(".text"):
            name = ".literal" + name[5:]
        else:
            name = name.removesuffix(".text") + ".literal"
        section = assembler.section(name, "ax")
        section.alignment = 4
        return section

    def _in_literals(self, assembler: Assembler, fragment: Fragment) -> Symbol:
        """Append to the literal section; returns a nameless symbol for the place."""
        section = self._literal_section(assembler)
        fragment.text = assembler.statement.text
        section.append(fragment)
        return Symbol("", section=section, fragment=fragment)

    def _literal(self, expression: Expression, assembler: Assembler) -> Expression:
        location = assembler.statement.location
        return Name(self._in_literals(assembler, Words(location, width=4, expressions=(expression,))))

    def _spare_literal(self, expression: Expression, assembler: Assembler) -> Literal:
        literal = Literal(assembler.statement.location, expression=expression)
        self._in_literals(assembler, literal)
        return literal

    def _literal_directive(self, arguments: str, statement: Statement, assembler: Assembler) -> None:
        operands = split_operands(arguments)
        if len(operands) < 2:
            raise statement.error(".literal needs a name and a value: .literal NAME, VALUE")
        start = len(statement.text) - len(arguments)
        expressions = tuple(assembler.expression(text, statement, start + at) for text, at in operands[1:])
        place = self._in_literals(assembler, Words(statement.location, width=4, expressions=expressions))
        symbol = assembler.symbol(operands[0][0])
        if symbol.is_defined:
            raise statement.error(f"{symbol.name} is already defined: choose another name", start)
        symbol.section, symbol.fragment, symbol.location = place.section, place.fragment, statement.location

    # ------------------------------------------------------------------------------ layout

    def before_layout(self, sections: list[Section], assembler: Assembler) -> None:
        if self.saved:
            raise AssemblyError(
                assembler.statement.location, f".begin {self.saved[-1][0]} has no .end: add it"
            )
        unreachable_count = 0
        for section in sections:
            if any(isinstance(fragment, Code) for fragment in section.fragments):
                assembler.warnings += check_loops(section)
                planner = Planner(self.isa, section, assembler, unreachable_count)
                planner.run()
                unreachable_count = planner.layout.unreachable_count
        for section in sections:
            offset = 0
            for fragment in section.fragments:
                fragment.offset = offset
                offset += fragment.size
        ordered = sorted(assembler.sections.items(), key=lambda item: not item[0].startswith(".literal"))
        assembler.sections.clear()
        assembler.sections.update(ordered)

    def relocate_data(self, layout: Layout, fragment: Fragment, place: int, width: int, value: Value) -> int:
        if width == 4 and value.plus is not None and value.minus is None:
            section = layout.section_of(fragment)
            section.relocations.append(
                Relocation(place, "R_XTENSA_32", value.plus, value.constant, fragment.location)
            )
            return 0
        return super().relocate_data(layout, fragment, place, width, value)

    def apply(
        self,
        kind: str,
        data: bytearray,
        offset: int,
        place: int,
        value: int,
        find: Callable[[int], int | None],
    ) -> str | None:
        if kind == "R_XTENSA_32":
            data[offset : offset + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")
            return None
        found = self.isa.decode_encoding(bytes(data[offset : offset + 4]), pc=place)
        assert found is not None
        instruction, encoding, values = found
        operand = next(o for o in instruction.operands if o.kind == "pcrel")
        values[operand.name] = value - place
        anchored = value - place - {"down": -(place & 3), "up": -place & 3, None: 0}[operand.anchor]
        if not operand.allows(anchored):
            return out_of_reach(Machine(instruction, {}, operand.name), value - place)
        encoded = self.isa.encode_instruction(instruction, values, None, pc=place)
        data[offset : offset + encoding.length] = encoded
        return None
