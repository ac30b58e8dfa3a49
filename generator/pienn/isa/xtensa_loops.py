"""Rules of zero-overhead loops that can be checked before layout.

LBEG, LEND and LCOUNT exist once, and the hardware compares the address after an instruction that falls
through with LEND: an instruction that does not fall through, or that reads LCOUNT, must not be the last one.
"""

from __future__ import annotations

from pienn.isa.program import Section, Symbol
from pienn.isa.source import AssemblyError
from pienn.isa.xtensa_code import Code, Mark, symbol_of
from pienn.isa.xtensa_forms import NOT_LAST_IN_LOOP, Machine


def check_loops(section: Section) -> list[str]:
    """Raise AssemblyError for the first loop that cannot work; returns warnings."""
    code = [f for f in section.fragments if isinstance(f, Code)]
    warnings: list[str] = []
    for number, fragment in enumerate(code):
        machine = fragment.machines[-1]
        if not machine.is_loop:
            continue
        end = _end_of(machine, section, fragment)
        if end is None:
            continue
        assert end.fragment is not None
        body = [f for f in code[number + 1 :] if f.index < end.fragment.index]
        name = end.name or "its end"
        if not body:
            raise AssemblyError(fragment.location, f"the loop up to {name} is empty: give it an instruction")
        last = body[-1]
        if last.machines[-1].mnemonic in NOT_LAST_IN_LOOP:
            raise AssemblyError(
                last.location,
                f"{last.machines[-1].mnemonic} must not be the last instruction of the loop up to {name}, the "
                "hardware would not see the end: put a nop after it",
            )
        inner = next((f for f in body if f.machines[-1].is_loop), None)
        if inner is not None:
            warnings.append(
                f"{inner.location}: warning: this loop lies inside the loop at line {fragment.location.line}, "
                "but there is one set of loop registers: use a branch for one of them"
            )
    return warnings


def _end_of(machine: Machine, section: Section, fragment: Code) -> Symbol | None:
    """The label that ends the loop, None where the end is given as a distance (`. + 20`)."""
    assert machine.place is not None
    end = symbol_of(machine.place)
    if end is not None and not end.name:
        return None
    if end is None or not isinstance(end.fragment, Mark) or end.section is not section:
        name = end.name if end is not None and end.name else "its end"
        raise AssemblyError(
            fragment.location,
            f"{machine.mnemonic}: {name} must be a label behind the loop in the same section",
        )
    if end.fragment.index < fragment.index:
        raise AssemblyError(
            fragment.location,
            f"{machine.mnemonic}: {end.name} lies before the loop: a loop ends behind its body",
        )
    return end
