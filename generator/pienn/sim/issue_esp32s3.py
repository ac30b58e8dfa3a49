"""Issue rules of the ESP32-S3 core (LX7 with PIE).

PIE stages: table 1.7-2 of the ESP32-S3 Technical Reference Manual v1.8 (R 0, E 1, M 2, W 3); base instructions: the
latencies of GCC's model (gcc/config/xtensa/xtensa.md). Both stand in the instruction table. A result defined at the
end of stage A is late by A - 1 cycles for a use at the start of stage 1; uses at stage 2 never wait.
"""

from __future__ import annotations

from pienn.isa.table import Instruction
from pienn.sim.issue import IssueData

# One cycle is lost when an instruction of the second kind directly follows one of the first: they claim the same
# functional units at different stages (functional units of espressif/xtensa-overlays dd1cf19; the silicon run
# calib_srcmb_s16_vs_andq_cost of dj-oyu/esp32s3-hw-mcp e7f54b2 found this cycle with and without dependence).
LANE_UNITS = "LANE_UNITS"
CLAIMS_LATE = {"cal"}
CLAIMS_EARLY = {"srcmb", "srs", "fftcmul", "fftams"}

# Cycles lost when the flow changes: stages R and E are flushed (manual, section 1.7.3).
TAKEN = 2
# Cycles beyond the first of a division. Assumed: the vendor's divider takes a data-dependent 2 to 13 cycles.
DIVIDE = 11


def issue_data(instruction: Instruction) -> IssueData:
    issue = instruction.issue_class
    registers = [o for o in instruction.operands if o.is_register]
    early = {o.name for o in registers if "r" in o.access and o.use_stage in (None, 1)}
    early |= {s.name for s in instruction.reads if s.stage == 1}
    late = {o.name: o.def_stage for o in registers if (o.def_stage or 1) > 1}
    late |= {s.name: s.stage for s in instruction.writes if (s.stage or 1) > 1}
    if issue in CLAIMS_LATE:
        late[LANE_UNITS] = 2
    if issue in CLAIMS_EARLY:
        early.add(LANE_UNITS)
    return IssueData(
        extra=DIVIDE if issue == "div" else 0,
        late_cycles=max((stage or 1) for stage in late.values()) - 1 if late else 1,
        taken=TAKEN if instruction.flow else 0,
        early=frozenset(early),
        late=frozenset(late),
    )
