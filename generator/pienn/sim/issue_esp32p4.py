"""Issue rules of the ESP32-P4 HP core, fitted to published loops (docs/simulator.md lists them with their sources)."""

from __future__ import annotations

from pienn.isa.table import Instruction
from pienn.sim.issue import IssueData

# Cycles beyond one by which a result of the class is late when the very next instruction needs it.
LATE = {
    "pie_load": 1,
    "load": 1,
    "fpu_load": 1,
    "mul": 1,
    "fpu": 3,
}
# Blocking operations: cycles beyond the first. Assumed (radix-2 division), nothing was published.
EXTRA = {"div": 31, "fpu_div": 12, "fpu_sqrt": 12}


def issue_data(instruction: Instruction) -> IssueData:
    issue = instruction.issue_class
    written = {o.name for o in instruction.operands if "w" in o.access and o.is_register}
    read = {o.name for o in instruction.operands if "r" in o.access and o.is_register}
    base = {o.name for o in instruction.operands if o.kind == "x"}
    early = set(read)
    late: set[str] = set()
    if instruction.stores:
        # A store takes its data late: a q register loaded or computed by the preceding instruction costs nothing.
        early -= {o.name for o in instruction.operands if o.kind == "q" and o.name in ("qu",)}
    if instruction.loads:
        late = written - base if issue.startswith("pie") else set(written)
        late &= {"qu", "qz"} | late if issue == "pie_load" else {"qu"} if issue.startswith("pie") else late
    elif issue in LATE:
        late = written
    return IssueData(
        extra=EXTRA.get(issue, 0),
        late_cycles=LATE.get(issue, 1),
        early=frozenset(early),
        late=frozenset(late),
    )
