"""Speed of the simulator itself: simulated instructions per second of processor time."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from pienn.isa.assembler import assemble
from pienn.sim.machine import Machine
from pienn.sim.native import Check

INSTRUCTIONS = 30_000_000

# A sort of scalar code that compilers make: loads, stores, arithmetic, a branch that is taken every other time.
SCALAR = {
    "esp32p4": """
    .text
    .global bench
bench:
    li t0, 0
1:  lw t1, 0(a0)
    slli t2, t1, 13
    xor t1, t1, t2
    srli t2, t1, 17
    xor t1, t1, t2
    slli t2, t1, 5
    xor t1, t1, t2
    sw t1, 0(a0)
    andi t2, t1, 1
    beqz t2, 2f
    add t0, t0, t1
    lbu t2, 1(a0)
    mul t2, t2, t1
2:  addi a1, a1, -1
    bnez a1, 1b
    ret
""",
    "esp32s3": """
    .text
    .global bench
    .align 4
bench:
    entry a1, 32
    movi a4, 0
1:  l32i a5, a2, 0
    slli a6, a5, 13
    xor a5, a5, a6
    extui a6, a5, 15, 16
    srli a6, a6, 2
    xor a5, a5, a6
    slli a6, a5, 5
    xor a5, a5, a6
    s32i a5, a2, 0
    bbci a5, 0, 2f
    add a4, a4, a5
    l8ui a6, a2, 1
    mull a6, a6, a5
2:  addi a3, a3, -1
    bnez a3, 1b
    retw
""",
}
# An int8 dot product of 16 lanes: loads fused into multiply-accumulates.
VECTOR = {
    "esp32p4": """
    .text
    .global bench
bench:
    esp.zero.xacc
1:  mv a2, a0
    addi a3, a0, 1024
    addi a4, a3, 1024
    esp.vld.128.ip q0, a2, 16
    esp.vld.128.ip q1, a3, 16
2:  esp.vmulas.s8.qacc.ld.ip q2, a2, 16, q0, q1
    esp.vld.128.ip q3, a3, 16
    esp.vmulas.s8.qacc.ld.ip q0, a2, 16, q2, q3
    esp.vld.128.ip q1, a3, 16
    bltu a3, a4, 2b
    addi a1, a1, -1
    bnez a1, 1b
    ret
""",
    "esp32s3": """
    .text
    .global bench
    .align 4
bench:
    entry a1, 32
    ee.zero.qacc
1:  mov a4, a2
    addmi a5, a2, 1024
    movi a6, 31
    ee.vld.128.ip q0, a4, 16
    ee.vld.128.ip q1, a5, 16
    loopnez a6, 2f
    ee.vmulas.s8.qacc.ld.ip q2, a4, 16, q0, q1
    ee.vld.128.ip q3, a5, 16
    ee.vmulas.s8.qacc.ld.ip q0, a4, 16, q2, q3
    ee.vld.128.ip q1, a5, 16
2:  addi a3, a3, -1
    bnez a3, 1b
    retw
""",
}
MEMORY = {"esp32p4": "esp32p4@360", "esp32s3": "esp32s3@240"}


@dataclass(frozen=True)
class Speed:
    """Millions of simulated instructions per second of processor time."""

    target: str
    program: str
    settings: str
    rate: float


def measure(
    target: str, program: str, source: str, memory: str, checks: Check | None, instructions: int
) -> Speed:
    """Run a benchmark function for about `instructions` instructions."""
    machine = Machine(target, memory=memory, checks=checks)
    machine.load(assemble(source, target))
    data = machine.buffer(np.arange(2080, dtype=np.uint8), name="data")
    warm = machine.call("bench", data, 8)
    count = max(1, instructions * 8 // warm.instructions)
    started = time.process_time()
    result = machine.call("bench", data, count, max_instructions=1 << 40)
    seconds = time.process_time() - started
    checked = "checked" if checks is None else "unchecked"
    return Speed(target, program, f"memory model {memory}, {checked}", result.instructions / seconds / 1e6)


def speeds(targets: tuple[str, ...], instructions: int = INSTRUCTIONS) -> list[Speed]:
    """Every combination of chip, program and setting."""
    rows: list[Speed] = []
    for target in targets:
        for program, source in (("scalar loop", SCALAR[target]), ("PIE kernel", VECTOR[target])):
            for memory, checks in (
                ("ideal", Check(0)),
                (MEMORY[target], Check(0)),
                (MEMORY[target], None),
            ):
                rows.append(measure(target, program, source, memory, checks, instructions))
    return rows
