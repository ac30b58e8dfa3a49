"""Calls by the RISC-V ilp32f calling convention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pienn.errors import PiennError
from pienn.sim.memory_map import RETURN_ADDRESS

if TYPE_CHECKING:
    from pienn.sim.machine import Machine

X_NAMES = "zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6".split()
F_NAMES = (
    "ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7 "
    "fs2 fs3 fs4 fs5 fs6 fs7 fs8 fs9 fs10 fs11 ft8 ft9 ft10 ft11".split()
)
SAVED_X = [
    i
    for i, name in enumerate(X_NAMES)
    if name in ("sp", "gp", "tp") or (name.startswith("s") and name != "sp")
]
SAVED_F = [i for i, name in enumerate(F_NAMES) if name.startswith("fs")]
RA, SP, A0 = 1, 2, 10
FA0 = 10
CFG_MASK = 0x73  # rounding mode and the two misalignment bits

NAMES = ("ilp32f",)


class Abi:
    """One calling convention: set up a call, look at its result."""

    def __init__(self, name: str | None = None) -> None:
        if name not in (None, *NAMES):
            raise PiennError(f"unknown ABI {name!r} for esp32p4: it has {', '.join(NAMES)}")
        self.name = "ilp32f"

    def register_names(self) -> dict[str, tuple[str, int]]:
        """Register name -> (state field, index)."""
        names = {name: ("x", i) for i, name in enumerate(X_NAMES)}
        names |= {f"x{i}": ("x", i) for i in range(32)} | {"fp": ("x", 8)}
        names |= {name: ("f", i) for i, name in enumerate(F_NAMES)}
        return names | {f"f{i}": ("f", i) for i in range(32)} | {f"q{i}": ("q", i) for i in range(8)}

    def begin(
        self,
        machine: Machine,
        entry: int,
        arguments: Sequence[int | float],
        stack_top: int,
        random: np.random.Generator,
    ) -> None:
        """Poison the registers, pass the arguments, point the core at `entry`."""
        x, f = machine.state("x"), machine.state("f")
        x[1:] = random.integers(0, 1 << 32, 31, dtype=np.uint32)
        f[:] = random.integers(0, 1 << 32, 32, dtype=np.uint32)
        machine.state("q")[:] = random.integers(0, 256, (8, 16), dtype=np.uint8)
        machine.state("qacc")[:] = random.integers(0, 256, 64, dtype=np.uint8)
        machine.state("ua_state")[:] = random.integers(0, 256, 16, dtype=np.uint8)
        machine.state("xacc")[0] = random.integers(0, 1 << 40)
        machine.state("sar")[0] = random.integers(0, 64)
        machine.state("sar_byte")[0] = random.integers(0, 16)
        machine.state("cfg")[0] = int(random.integers(0, 7)) << 4 | int(random.integers(0, 4))
        machine.state("loop")[:] = 0
        integers, floats, stacked = A0, FA0, []
        for argument in arguments:
            if isinstance(argument, (float, np.floating)):
                bits = int(np.float32(argument).view(np.uint32))
                if floats < FA0 + 8:
                    f[floats] = bits
                    floats += 1
                    continue
            else:
                bits = int(argument) & 0xFFFF_FFFF
            if integers < A0 + 8:
                x[integers] = bits
                integers += 1
            else:
                stacked.append(bits)
        stack = (stack_top - 4 * len(stacked)) & ~15
        if stacked:
            machine.write(stack, np.array(stacked, np.uint32), mark_written=True)
        x[SP] = stack
        x[RA] = RETURN_ADDRESS["esp32p4"]
        machine.pc = entry
        self._kept = (x[SAVED_X].copy(), f[SAVED_F].copy(), int(machine.state("cfg")[0]))

    def clobbered(self, machine: Machine) -> list[str]:
        """Names of registers that the callee had to keep and did not."""
        x, f, cfg = self._kept
        names = [X_NAMES[i] for i, old in zip(SAVED_X, x, strict=True) if machine.state("x")[i] != old]
        names += [F_NAMES[i] for i, old in zip(SAVED_F, f, strict=True) if machine.state("f")[i] != old]
        if (int(machine.state("cfg")[0]) ^ cfg) & CFG_MASK:
            names.append("CFG")
        return names

    def result(self, machine: Machine) -> int:
        """The integer (or pointer) result."""
        return int(machine.state("x")[A0])

    def float_result(self, machine: Machine) -> float:
        return float(machine.state("f")[FA0 : FA0 + 1].view(np.float32)[0])
