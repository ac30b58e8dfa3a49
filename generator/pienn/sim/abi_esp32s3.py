"""Calls by the Xtensa calling conventions: `windowed` (the chip's own, call8) and `call0`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pienn.errors import PiennError
from pienn.sim.memory_map import RETURN_ADDRESS

if TYPE_CHECKING:
    from pienn.sim.machine import Machine

NAMES = ("windowed", "call0")

PS_UM, PS_WOE = 1 << 5, 1 << 18
CALLINC_SHIFT = 16
PANES = 2  # call8: the callee's a0 is the caller's a8
ARGUMENTS = 6  # passed in registers, a2..a7 of the callee
BASE_SAVE_AREA = 16  # bytes below a stack pointer that belong to the register windows
EXTRA_SAVE_AREA = 32  # a4..a11 of a frame, below the stack pointer of the frame before it
SAVED_BY_CALL0 = (1, 12, 13, 14, 15)


class Abi:
    """One calling convention: set up a call, look at its result."""

    def __init__(self, name: str | None = None) -> None:
        if name not in (None, *NAMES):
            raise PiennError(f"unknown ABI {name!r} for esp32s3: it has {', '.join(NAMES)}")
        self.name = name or "windowed"

    def register_names(self) -> dict[str, tuple[str, int]]:
        """Register name -> (state field, index)."""
        names = {f"a{i}": ("a", i) for i in range(16)} | {"sp": ("a", 1)}
        names |= {f"f{i}": ("f", i) for i in range(16)} | {f"q{i}": ("q", i) for i in range(8)}
        return names | {f"m{i}": ("m", i) for i in range(4)}

    def begin(
        self,
        machine: Machine,
        entry: int,
        arguments: Sequence[int | float],
        stack_top: int,
        random: np.random.Generator,
    ) -> None:
        """Poison the registers, pass the arguments, point the core at `entry`.

        Floats travel as their bits in address registers. The seventh and later arguments lie on the stack.
        """
        a = machine.state("a")
        machine.state("ar")[:] = random.integers(0, 1 << 32, 64, dtype=np.uint32)
        a[:] = random.integers(0, 1 << 32, 16, dtype=np.uint32)
        _poison(machine, random)
        words = [_bits(argument) for argument in arguments]
        stacked = words[ARGUMENTS:]
        stack = (stack_top - BASE_SAVE_AREA - EXTRA_SAVE_AREA - 4 * len(stacked)) & ~15
        if stacked:
            machine.write(stack, np.array(stacked, np.uint32), mark_written=True)
        # The frame that calls has a caller too: where a window overflow looks for that one's stack pointer.
        machine.write(stack - 12, np.array([stack_top], np.uint32), mark_written=True)
        a[1] = stack
        machine.state("windowbase")[0] = 0
        machine.state("windowstart")[0] = 1
        back = RETURN_ADDRESS["esp32s3"]
        if self.name == "windowed":
            machine.state("ps")[0] = PS_WOE | PS_UM | PANES << CALLINC_SHIFT
            a[4 * PANES] = PANES << 30 | back & 0x3FFF_FFFF
            first = 4 * PANES + 2
        else:
            machine.state("ps")[0] = PS_UM
            a[0] = back
            first = 2
        a[first : first + min(len(words), ARGUMENTS)] = words[:ARGUMENTS]
        machine.pc = entry
        self._kept = a.copy()

    def clobbered(self, machine: Machine) -> list[str]:
        """Names of registers that the callee had to keep and did not."""
        kept = range(4 * PANES) if self.name == "windowed" else SAVED_BY_CALL0
        names = [f"a{i}" for i in kept if machine.state("a")[i] != self._kept[i]]
        if machine.state("windowbase")[0] != 0 or machine.state("windowstart")[0] != 1:
            names.append("register window")
        return names

    def result(self, machine: Machine) -> int:
        """The integer (or pointer) result."""
        return int(machine.state("a")[self._result_register])

    def float_result(self, machine: Machine) -> float:
        at = self._result_register
        return float(machine.state("a")[at : at + 1].view(np.float32)[0])

    @property
    def _result_register(self) -> int:
        return 4 * PANES + 2 if self.name == "windowed" else 2


def _bits(argument: int | float) -> int:
    if isinstance(argument, (float, np.floating)):
        return int(np.float32(argument).view(np.uint32))
    return int(argument) & 0xFFFF_FFFF


def _poison(machine: Machine, random: np.random.Generator) -> None:
    machine.state("f")[:] = random.integers(0, 1 << 32, 16, dtype=np.uint32)
    machine.state("q")[:] = random.integers(0, 256, (8, 16), dtype=np.uint8)
    machine.state("qacc")[:] = random.integers(0, 256, 40, dtype=np.uint8)
    machine.state("ua_state")[:] = random.integers(0, 256, 16, dtype=np.uint8)
    machine.state("accx")[0] = random.integers(0, 1 << 40)
    machine.state("acc")[0] = random.integers(0, 1 << 40)
    machine.state("m")[:] = random.integers(0, 1 << 32, 4, dtype=np.uint32)
    machine.state("sar")[0] = random.integers(0, 33)
    machine.state("sar_byte")[0] = random.integers(0, 16)
    machine.state("br")[0] = random.integers(0, 1 << 16)
    for name in ("lbeg", "lend", "lcount"):  # a function is never called with a loop in force
        machine.state(name)[0] = 0
