"""Issue data: what the in-order issue model needs to know about each instruction of a chip.

Derived from the instruction tables (operand roles, pipeline stages, issue class); the chips' rules are in
`issue_esp32p4.py` and `issue_esp32s3.py`. The model: one instruction a cycle; an instruction waits until every
*early* register is readable; a *late* result becomes readable `late_cycles` cycles after the following issue slot.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

from pienn.isa.table import Instruction


@dataclass(frozen=True)
class IssueData:
    """Cycles and register sets of one instruction.

    `early` and `late` hold operand names and names of implicit states; `units` are pseudo-registers for
    structural hazards: defined late by the first instruction of a conflicting pair, used early by the second.
    """

    extra: int = 0  # cycles beyond one in which nothing else can issue
    late_cycles: int = 1
    taken: int = 0  # cycles lost when a jump is taken
    early: frozenset[str] = field(default_factory=frozenset)
    late: frozenset[str] = field(default_factory=frozenset)


def rules_of(target: str) -> Callable[[Instruction], IssueData]:
    """The function that gives an instruction of the chip its issue data."""
    return importlib.import_module(f"pienn.sim.issue_{target}").issue_data
