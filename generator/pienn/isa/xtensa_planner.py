"""Lays out one Xtensa code section: hands its fragments to xtensa_layout.py and takes the sizes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pienn.isa.expressions import ExpressionError, Name, Number, evaluate
from pienn.isa.program import Align, Bytes, Fill, Fragment, Origin, Section, Symbol, Words, known_distance
from pienn.isa.source import AssemblyError
from pienn.isa.table import Isa
from pienn.isa.xtensa_code import Code, Group, Mark, symbol_of
from pienn.isa.xtensa_forms import LOOPS, Machine, far_call, far_jump, long_loop, make, over_jump, widened
from pienn.isa.xtensa_layout import Form, Piece
from pienn.isa.xtensa_layout import Fragment as Place
from pienn.isa.xtensa_layout import Layout as CodeLayout

if TYPE_CHECKING:
    from pienn.isa.assembler import Assembler

LARGEST_GROWTH = {"branch": 6, "call": 6, "jump": 6, "loop": 27}
"""Bytes that GNU as reserves for the long form of an instruction (loopnez and loopgtz: 3 and 6 more)."""


class Planner:
    """Lays out one code section."""

    def __init__(self, isa: Isa, section: Section, assembler: Assembler, unreachable_count: int) -> None:
        self.isa = isa
        self.section = section
        self.assembler = assembler
        self.places: dict[int, tuple[Place[Group], int]] = {}
        self.layout: CodeLayout[Group] = CodeLayout(self._resolve, self._nop, unreachable_count)
        self.checked: list[tuple[Place[Group], Code]] = []

    def run(self) -> None:
        forward, backward, loop_ends = self._targets()
        labels: list[Mark] = []  # labels that wait for the instruction they stand before
        for fragment in self.section.fragments:
            if isinstance(fragment, Mark):
                if fragment.aligning or id(fragment) in loop_ends:
                    self.layout.label(id(fragment) in forward, id(fragment) in loop_ends, fragment.aligning)
                labels.append(fragment)
                for label in labels:
                    self.places[id(label)] = self.layout.place()
                continue
            self.layout.owner = fragment  # the nop before a loop's end belongs to the instruction before that
            self.places[id(fragment)] = self.layout.place()
            if isinstance(fragment, Code):
                self._code(fragment)
            elif isinstance(fragment, Align):
                self.layout.align(fragment.alignment, fragment.maximum)
            elif isinstance(fragment, Origin):
                self.layout.move_to(fragment)
            elif isinstance(fragment, Fill) and not fragment.fixed:
                raise AssemblyError(
                    fragment.location, "in code, the size of .space must be a number known here"
                )
            elif fragment.size:
                self.layout.data(fragment.size, (), self.isa.length_at(_first_byte(fragment)))
            else:
                continue
            labels.clear()
        for mark in backward:
            self.places[mark][0].is_branch_target = True
        self.layout.relax(self._origin)
        self._write_back()

    def _targets(self) -> tuple[set[int], set[int], set[int]]:
        """Labels that conditional branches name before and after their definition, and that end loops."""
        forward: set[int] = set()
        backward: set[int] = set()
        loops: set[int] = set()
        seen: set[int] = set()
        for fragment in self.section.fragments:
            if isinstance(fragment, Mark):
                seen.add(id(fragment))
            for machine in fragment.machines if isinstance(fragment, Code) else ():
                symbol = symbol_of(machine.place) if machine.place is not None else None
                if (
                    symbol is None
                    or not isinstance(symbol.fragment, Mark)
                    or symbol.section is not self.section
                ):
                    continue
                if machine.is_branch:
                    (backward if id(symbol.fragment) in seen else forward).add(id(symbol.fragment))
                elif machine.is_loop:
                    loops.add(id(symbol.fragment))
        return forward, backward, loops

    def _resolve(self, target: object) -> tuple[Place[Group], int] | None:
        try:
            value = evaluate(target, known_distance)  # type: ignore[arg-type]
        except ExpressionError:
            return None
        symbol = value.plus
        if symbol is None or value.minus is not None or symbol.section is not self.section:
            return None
        if symbol.binding == "weak" or symbol.fragment is None:
            return None
        place, offset = self.places[id(symbol.fragment)]
        return place, offset + symbol.offset + value.constant

    def _origin(self, fragment: object) -> int:
        assert isinstance(fragment, Origin) and fragment.to is not None
        value = evaluate(fragment.to, known_distance)
        start = value.constant
        if value.plus is not None:
            place = self._resolve(Name(value.plus))
            if place is not None:
                start += place[0].address + place[1]
        return start

    def _nop(self, size: int) -> Group:
        return (make(self.isa, "nop.n" if size == 2 else "nop"),)

    def _code(self, fragment: Code) -> None:
        for machine in fragment.machines:
            self._one(fragment, machine)

    def _one(self, fragment: Code, machine: Machine) -> None:
        layout, transform = self.layout, fragment.transform
        layout.prepare_code(transform, fragment.specific)
        if machine.is_loop:
            layout.loop_alignment(transform)
        if machine.mnemonic == "entry" and not fragment.specific:
            self.checked.append((layout.align(4, None), fragment))
        piece = Piece(machine.size, (machine,))
        wide = None if fragment.specific or machine.size != 2 else widened(self.isa, machine)
        if machine.place is None:
            if wide is None:
                layout.code(piece)
                if machine.is_jump or machine.is_branch:
                    layout.close()
            else:
                layout.narrow(piece, (wide,))
        elif fragment.specific or machine.mnemonic == "l32r" or (machine.is_jump and machine.spare is None):
            layout.code(piece)
            ended = layout.close()
            if machine.is_loop:
                ended.loop_offset = LOOPS[machine.mnemonic]
        else:
            self._growing(fragment, machine)
        if transform:
            if machine.is_jump:
                layout.after_jump()
            elif machine.is_branch:
                layout.after_branch()
            if machine.is_call:
                layout.after_call()
            if fragment.specific:
                layout.close()

    def _growing(self, fragment: Code, machine: Machine) -> None:
        candidates: list[tuple[Machine, ...]] = [(machine,)]
        kind = next(k for k in LARGEST_GROWTH if k in machine.instruction.flow)
        growth = LARGEST_GROWTH[kind]
        loop_offset = LOOPS[machine.mnemonic] if machine.is_loop else None
        on_grow = fragment.literal.need if fragment.literal else None
        if machine.is_branch:
            wide = widened(self.isa, machine)
            if wide is not None:
                candidates.append((wide,))
            candidates.append(over_jump(self.isa, machine))
        elif fragment.literal is not None:
            literal = Name(Symbol("", section=self._literal_section(fragment), fragment=fragment.literal))
            if machine.is_loop:
                growth += LOOPS[machine.mnemonic]
                if machine.arguments() != [1]:
                    candidates.append(long_loop(self.isa, machine, literal))
            elif machine.is_jump:
                candidates.append(far_jump(self.isa, machine, literal))
            else:
                candidates.append(far_call(self.isa, machine, literal))
        low, high = machine.reach()
        forms = []
        for number, machines in enumerate(candidates):
            if number and len(machines) == 1:
                low, high = machines[0].reach()
            forms.append(Form(sum(m.size for m in machines), low, high, machines))
        assert machine.place is not None
        self.layout.growing(tuple(forms), growth, machine.place, loop_offset, on_grow)

    def _literal_section(self, fragment: Code) -> Section:
        for section in self.assembler.sections.values():
            if any(f is fragment.literal for f in section.fragments):
                return section
        raise AssertionError("a literal without section")

    def _write_back(self) -> None:
        """Sizes of all fragments, and the instructions of each."""
        for place, fragment in self.checked:
            if place.growth:
                raise AssemblyError(
                    fragment.location, "entry is not at a multiple of 4: put .align 4 before its label"
                )
        sizes: dict[int, int] = {}
        for _, size, owner, payload in self.layout.result():
            assert isinstance(owner, Fragment)
            start = sizes.setdefault(id(owner), 0)
            if payload is not None and isinstance(owner, Code):
                at = start
                for machine in payload:
                    owner.emitted.append((at, machine))
                    at += machine.size
            sizes[id(owner)] = start + size
        for fragment in self.section.fragments:
            fragment.size = sizes.get(id(fragment), 0)
            if isinstance(fragment, Code):
                fragment.fixed = True
                if any(m.is_loop for m in fragment.machines) and len(fragment.emitted) > 6:
                    self.assembler.warnings.append(
                        f"{fragment.location}: note: the loop body has more than 256 bytes; its end is set by nine "
                        "instructions before the loop"
                    )


def _first_byte(fragment: Fragment) -> int:
    """The first byte of a piece of data, 0 where it is not known yet."""
    if isinstance(fragment, Bytes):
        return fragment.data[0]
    if isinstance(fragment, Words) and isinstance(fragment.expressions[0], Number):
        return fragment.expressions[0].value & 0xFF
    return 0
