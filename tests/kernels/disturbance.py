"""Calls during which another task takes the chip and leaves its own CFG behind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pienn.sim.machine import Machine, Result
from pienn.sim.native import Stop
from pienn.sim.stops import Clobbered, SimulationStop

MODES = range(1, 7)  # of rounding, apart from 0, rounding down
MODE_BIT = 4  # of CFG


def disturbed_call(seed: int) -> Callable[..., Result]:
    """In place of Machine.call on ESP32-P4 revision 1: CFG is not saved over a task switch there.

    A switch comes after a random part of the instructions, the result is that of the disturbed call. Its operands must
    not be overwritten, for the call runs twice. Attribute `times` counts the switches.
    """
    random = np.random.default_rng(seed)

    def run(machine: Machine, symbol: str, *arguments: int, **options: object) -> Result:
        plain = machine.call(symbol, *arguments, **options)  # pyright: ignore[reportArgumentType]
        part = int(plain.instructions * random.uniform(0.05, 0.95))
        try:
            machine.call(symbol, *arguments, **{**options, "max_instructions": part})  # pyright: ignore[reportArgumentType]
        except SimulationStop as stop:
            if stop.reason != Stop.LIMIT:
                raise
        machine.state("cfg")[0] = int(random.choice(MODES)) << MODE_BIT
        reason = machine.run()
        if reason != Stop.RETURNED:
            raise machine.stop_error(reason)
        if broken := [name for name in machine.abi.clobbered(machine) if name != "CFG"]:
            raise Clobbered(symbol, broken)
        run.times += 1  # pyright: ignore[reportFunctionMemberAccess]
        return plain

    run.times = 0  # pyright: ignore[reportFunctionMemberAccess]
    return run
