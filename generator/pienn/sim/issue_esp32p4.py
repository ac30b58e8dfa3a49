"""Issue rules of the ESP32-P4 HP core, fitted to published loops (docs/simulator.md lists them with their sources)."""

from __future__ import annotations

from pienn.isa.table import Instruction
from pienn.sim.issue import IssueData

# Cycles by which a result is late when the very next instruction needs it.
VECTOR_LOAD = 1  # measured: every `vld; vld; op` loop of the public benchmark
FLOAT_ARITHMETIC = (
    4  # fitted to dsps_dotprod_f32 (5 cycles an element) and to FIR loops of 3 to 5 cycles a tap
)
SCALAR_LOAD = 1  # assumed
MULTIPLY = 1  # assumed; independent multiplies issue every cycle (measured)
LATE = {
    "load": SCALAR_LOAD,
    "fpu_load": SCALAR_LOAD,
    "amo": SCALAR_LOAD,
    "mul": MULTIPLY,
    "fpu_add": FLOAT_ARITHMETIC,
    "fpu_mul": FLOAT_ARITHMETIC,
    "fpu_fma": FLOAT_ARITHMETIC,
    "fpu_convert": FLOAT_ARITHMETIC,
}
# Operations that block the pipeline, cycles beyond the first: assumed, nothing was published.
EXTRA = {"div": 31, "fpu_div": 12, "fpu_sqrt": 12}


def issue_data(instruction: Instruction) -> IssueData:
    """The rules: one instruction a cycle; a q register loaded by one instruction costs the next one a cycle if that
    does arithmetic with it, but not if that stores it; accumulators and lane results never wait."""
    registers = [o for o in instruction.operands if o.is_register]
    early = {o.name for o in registers if "r" in o.access}
    late: set[str] = set()
    late_cycles = 1
    if instruction.issue_class.startswith("pie"):
        if instruction.stores:
            early.discard("qu")
        if instruction.loads:
            late = _loaded(instruction)
            late_cycles = VECTOR_LOAD
    elif instruction.issue_class in LATE:
        late = {o.name for o in registers if "w" in o.access}
        late_cycles = LATE[instruction.issue_class]
    return IssueData(
        extra=EXTRA.get(instruction.issue_class, 0),
        late_cycles=late_cycles,
        early=frozenset(early),
        late=frozenset(late),
    )


def _loaded(instruction: Instruction) -> set[str]:
    """The q registers that come from memory; the others of a fused instruction are results of its arithmetic."""
    written = {o.name for o in instruction.operands if o.kind == "q" and "w" in o.access}
    return written if instruction.issue_class == "pie_load" else written & {"qu"}
