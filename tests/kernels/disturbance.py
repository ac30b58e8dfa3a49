"""Calls during which another task takes the chip and leaves its own CFG behind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pienn.sim.machine import Machine, Result
from pienn.sim.native import Stop
from pienn.sim.stops import Clobbered, SimulationStop

MODES = range(1, 7)  # of rounding, apart from 0, rounding down
MODE_BIT = 4  # of CFG
MISALIGNED = 3  # bits of CFG: misaligned loads and stores are carried out


def _disturb(
    machine: Machine, symbol: str, arguments: tuple[int, ...], options: dict[str, object], part: int, cfg: int
) -> None:
    """The call with another CFG after its first `part` instructions."""
    try:
        machine.call(symbol, *arguments, **{**options, "max_instructions": part})  # pyright: ignore[reportArgumentType]
    except SimulationStop as stop:
        if stop.reason != Stop.LIMIT:
            raise
    machine.state("cfg")[0] = cfg
    reason = machine.run()
    if reason != Stop.RETURNED:
        raise machine.stop_error(reason)
    if broken := [name for name in machine.abi.clobbered(machine) if name != "CFG"]:
        raise Clobbered(symbol, broken)


def call_disturbed_everywhere(longest: int) -> Callable[..., Result]:
    """In place of Machine.call: the call again and again, with a foreign CFG after each of its instructions in turn.

    Raises AssertionError where it leaves other memory than undisturbed. Calls of more than `longest` instructions are
    left alone. Attribute `times` counts the switches.
    """

    def run(machine: Machine, symbol: str, *arguments: int, **options: object) -> Result:
        start = min(
            address for address in arguments if address
        )  # operands, result, constants and struct lie together
        size = max(arguments) - start
        given = machine.read(start, size)
        plain = machine.call(symbol, *arguments, **options)  # pyright: ignore[reportArgumentType]
        wanted = machine.read(start, size)
        if plain.instructions > longest:
            return plain
        for part in range(1, plain.instructions):
            machine.write(start, given, mark_written=False)
            cfg = MODES[part % len(MODES)] << MODE_BIT | part & MISALIGNED
            _disturb(machine, symbol, arguments, options, part, cfg)
            assert machine.read(start, size) == wanted, f"{symbol}: CFG {cfg:#x} after {part} instructions"
            run.times += 1  # pyright: ignore[reportFunctionMemberAccess]
        return plain

    run.times = 0  # pyright: ignore[reportFunctionMemberAccess]
    return run


def disturbed_call(seed: int) -> Callable[..., Result]:
    """In place of Machine.call on ESP32-P4 revision 1: CFG is not saved over a task switch there.

    A switch comes after a random part of the instructions, the result is that of the disturbed call. Its operands must
    not be overwritten, for the call runs twice. Attribute `times` counts the switches.
    """
    random = np.random.default_rng(seed)

    def run(machine: Machine, symbol: str, *arguments: int, **options: object) -> Result:
        plain = machine.call(symbol, *arguments, **options)  # pyright: ignore[reportArgumentType]
        part = int(plain.instructions * random.uniform(0.05, 0.95))
        _disturb(machine, symbol, arguments, options, part, int(random.choice(MODES)) << MODE_BIT)
        run.times += 1  # pyright: ignore[reportFunctionMemberAccess]
        return plain

    run.times = 0  # pyright: ignore[reportFunctionMemberAccess]
    return run
