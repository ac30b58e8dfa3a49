"""Runs whole programs: linked ELF files with console, exit code and counters."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from pienn.errors import PiennError
from pienn.sim.elf import Executable, read_elf
from pienn.sim.machine import Machine, Traffic
from pienn.sim.memory_map import Region
from pienn.sim.native import Check, Permission, Stop
from pienn.sim.profile import Profile
from pienn.sim.trace import Tracer

PAGE = 4096
SERVED = (Stop.SEMIHOST, Stop.SYSCALL)
# Symbols of linker scripts that say how far a program's memory reaches beyond its segments.
LIMIT_SYMBOLS = (
    "__stack",
    "_stack",
    "__heap_end",
    "_heap_end",
    "__heap_sentry",
    "__stack_top",
    "_end",
    "end",
)
BARE_STACK = 64 << 10
CHUNK = 4096


@dataclass
class Console:
    """Collects what the program prints, passing it on to `sink` as it comes; `input` is what it may read first, then
    what `source` gives when it is asked."""

    sink: TextIO | None = None
    input: bytes = b""
    output: bytearray = field(default_factory=bytearray)
    source: Callable[[int], bytes] | None = None

    def write(self, data: bytes) -> None:
        self.output += data
        if self.sink:
            self.sink.write(data.decode("utf-8", "replace"))
            self.sink.flush()

    def read(self, size: int) -> bytes:
        if not self.input and self.source:
            self.input = self.source(CHUNK)
        data, self.input = self.input[:size], self.input[size:]
        return data


@dataclass(frozen=True)
class Ended:
    """Outcome of a program. `exit_code` is None when it was stopped; `stop` says by what."""

    exit_code: int | None
    stop: str | None
    output: bytes
    instructions: int
    cycles: int
    memory_model: str
    traffic: dict[str, Traffic]
    profile: Profile | None = None


def load_program(
    path: Path, target: str | None, revision: int | None, memory: str
) -> tuple[Machine, Executable]:
    """A machine with the program in its memory, pc at the entry."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PiennError(f"{path}: cannot be read: {error.strerror}") from error
    image = read_elf(data, str(path))
    if target is not None and target != image.target:
        raise PiennError(f"{path}: made for the {image.target} family, not for {target}: give its own target")
    machine = Machine(image.target, revision, memory, checks=Check(0))
    _map_all(machine, image)
    machine.load(image)
    machine.pc = image.entry
    return machine, image


def _map_all(machine: Machine, image: Executable) -> None:
    """Map what the program's addresses need beyond the chip's own memories, as SRAM.

    Writable and read-only segments near each other get one block; it reaches up to the linker's own limits.
    """
    wanted: list[tuple[int, int]] = [(s.address, s.address + s.size) for s in image.segments]
    limits = [image.symbols[name] for name in LIMIT_SYMBOLS if name in image.symbols]
    for start, end in sorted(wanted):
        reach = max([end, *(limit for limit in limits if end <= limit < end + (64 << 20))])
        page = start // PAGE * PAGE
        while page < reach:
            if machine.region_name(page) is None:
                stop = page
                while stop < reach and machine.region_name(stop) is None:
                    stop += PAGE
                machine.map(Region(f"program {page:#x}", "SRAM", page, stop - page, Permission(7)))
                page = stop
            page += PAGE
    for segment in image.segments:
        if "w" in segment.flags and machine.region_name(segment.address) == "flash":
            raise PiennError(
                f"segment at {segment.address:#x} is writable but lies in flash: place it in RAM"
            )


def run_program(
    path: Path,
    target: str | None = None,
    revision: int | None = None,
    memory: str = "ideal",
    max_instructions: int = 10_000_000_000,
    console: Console | None = None,
    trace: Path | None = None,
    profile: bool = False,
) -> Ended:
    """Run an ELF executable until it exits or something stops it.

    The program's console goes to `console`; `trace` gets one line per instruction with the registers it changed
    (about a thousand times slower); `profile` asks for one.
    """
    machine, image = load_program(path, target, revision, memory)
    console = console or Console(sys.stdout)
    host = importlib.import_module(f"pienn.sim.host_{machine.target}").Host(machine, console)
    if not any(name in image.symbols for name in ("_start", "__start", "_reset")):
        machine.set_register("sp", machine.stack_top)
    exit_code: int | None = None
    stop: str | None = None
    checks = Check.PROFILE if profile else Check(0)
    with Tracer(machine, trace) as tracer:
        while exit_code is None:
            left = max_instructions - machine.instructions
            reason = tracer.run(left, checks) if trace else machine.run(left, checks)
            if reason not in SERVED:
                stop = str(machine.stop_error(reason))
                break
            exit_code = host.serve(reason)
    return Ended(
        exit_code,
        stop,
        bytes(console.output),
        machine.instructions,
        machine.cycles,
        machine.model.name,
        machine.traffic(),
        machine.profile() if profile else None,
    )
