"""Reruns published measurements of real chips as assembled code and compares cycles.

Microloops are loops whose every instruction was published; the rows of whole library kernels are written after
their description, so that their entry, exit and row overhead are ours. Sources are named by `SOURCES`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pienn.isa.assembler import assemble
from pienn.sim.loops import LOOPS, NOT_RERUN, Loop
from pienn.sim.machine import Machine
from pienn.sim.native import Check

TOLERANCE = 0.05
MODELS = {"esp32p4": "esp32p4@360", "esp32s3": "esp32s3@240"}
SOURCES = {
    "tops": "nnn112358/ESP32-TOPS-BenchMark ce98e2b3 (P4 rev 1.0, 360 MHz), 1c0ff6e7 (S3, 240 MHz)",
    "esp-nn": "comment of an esp-nn convolution kernel (ESP32-S31)",
    "esp-dsp": "espressif/esp-dsp 3c8ac0f docs/en/esp-dsp-benchmarks.rst",
    "mcu-bench": "CiprianFlorin-Ifrim/mcu-inference-bench 73f0ff54 (P4 rev 1.3, 360 MHz)",
    "memorycopy": "project-x51/esp32-s3-memorycopy (S3, 240 MHz, octal PSRAM)",
}


@dataclass(frozen=True)
class Row:
    """One comparison, cycles per `unit`."""

    target: str
    name: str
    unit: str
    simulated: float
    measured: float
    is_microloop: bool
    source: str
    note: str = ""

    @property
    def error(self) -> float:
        """Relative: +0.05 means simulated 5 % too slow."""
        return self.simulated / self.measured - 1

    def as_json(self) -> dict[str, object]:
        return {**self.__dict__, "error": self.error, "model": MODELS[self.target]}


def rows(targets: tuple[str, ...]) -> list[Row]:
    """Run every published row of the chips."""
    return [run(loop) for target in targets for loop in LOOPS if loop.target == target]


def run(loop: Loop) -> Row:
    """Assemble the loop, run it twice (the first run fills the caches) and count the second."""
    machine = _machine(loop.target)
    machine.release_buffers()
    machine.empty_caches()
    address = _load(loop)
    buffers = [
        machine.buffer(np.zeros(size, np.uint8), memory=memory, align=64, name=f"data {index}")
        for index, (size, memory) in enumerate(loop.buffers)
    ]
    arguments = [*buffers, *loop.arguments]
    if loop.warm:
        machine.call(address, *arguments)
    result = machine.call(address, *arguments)
    return Row(
        loop.target,
        loop.name,
        loop.unit,
        result.cycles / loop.units,
        loop.measured,
        loop.is_microloop,
        SOURCES[loop.source],
        loop.note,
    )


@functools.cache
def _machine(target: str) -> Machine:
    return Machine(target, 1 if target == "esp32p4" else None, MODELS[target], Check(0))


@functools.cache
def _load(loop: Loop) -> int:
    machine = _machine(loop.target)
    machine.load(assemble(loop.text, loop.target, 1 if loop.target == "esp32p4" else None, name=loop.name))
    return machine.address_of("loop")


def report(found: list[Row]) -> Iterator[str]:
    """The table as text."""
    for is_microloop, title in ((True, "microloops"), (False, "library kernels and memories")):
        yield f"{title}:"
        yield f"  {'chip':<8} {'cycles per':<22} {'simulated':>10} {'measured':>10} {'error':>7}  what"
        for row in found:
            if row.is_microloop == is_microloop:
                note = f" ({row.note})" if row.note else ""
                yield (
                    f"  {row.target:<8} {row.unit:<22} {row.simulated:>10.3f} {row.measured:>10.3f} "
                    f"{row.error:>+7.1%}  {row.name}{note}"
                )
    yield "published, not rerun:"
    for target in sorted({row.target for row in found}):
        for line in NOT_RERUN[target]:
            yield f"  {target:<8} {line}"
    worst = max((abs(r.error) for r in found if r.is_microloop), default=0.0)
    yield f"memory models: {', '.join(f'{t}: {MODELS[t]}' for t in sorted({r.target for r in found}))}"
    yield f"worst microloop error {worst:.1%} (limit {TOLERANCE:.0%})"
