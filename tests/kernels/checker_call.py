"""One planned call on the simulated chip and on the reference: what may differ, and what differs."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from checker_draw import KINDS, Case, draw_values

from pienn.codegen.native import reference_library
from pienn.codegen.parameters import Parameters, parameters_of
from pienn.codegen.structs import struct_bytes
from pienn.component import component_folder
from pienn.errors import PiennError
from pienn.isa.assembler import assemble
from pienn.plan.layout import LANES, whole_vectors
from pienn.plan.plan import Call, Plan, plan
from pienn.plan.views import View
from pienn.sim.machine import ALL_CHECKS, Machine, Result
from pienn.sim.native import Check

READ_AHEAD = 48  # PIENN_READ_AHEAD of include/pienn/tensor.h
VERSIONS = {"esp32p4": "p4", "esp32s3": "s3"}
LONGEST = 20_000_000  # instructions: more is an endless loop
# No kernel relies on the low bits of vector addresses that the ESP32-S3 drops.
CHECKS = {**ALL_CHECKS, "esp32s3": ALL_CHECKS["esp32s3"] | Check.TRUNCATION}
SHOWN = 8  # differing bytes of a report
_NUMBERS = re.compile(r"-?\d+")

Memory = dict[str, np.ndarray]
"""Storage -> its bytes."""


@dataclass(frozen=True)
class Chip:
    """A target and, of the ESP32-P4, its revision; `sources` holds its assembly."""

    target: str
    revision: int = 3
    sources: Path | None = None

    @property
    def folder(self) -> Path:
        return self.sources or component_folder() / "src_asm" / self.target


@cache
def machine_with(chip: Chip, kernel: str) -> Machine:
    """A machine with the kernel's code."""
    machine = Machine(chip.target, revision=chip.revision, checks=CHECKS[chip.target])
    source = chip.folder / f"{kernel}.S"
    machine.load(assemble(source, chip.target, revision=chip.revision, include=[chip.folder]))
    return machine


class Mismatch(PiennError):
    """A kernel did not do what the reference does."""


@dataclass(frozen=True)
class Checked:
    """A call that agreed with the reference."""

    call: Call
    result: Result


@dataclass(frozen=True)
class _Step:
    """A call of the plan; `given` is the chip's struct where the call is to be checked."""

    call: Call
    reference: bytes
    arrays: Mapping[str, np.ndarray]
    """What the reference's struct points to."""
    given: Parameters | None = None


class Network:
    """A case planned for a chip, to be run on many inputs; `refused` says why calls are left to the reference."""

    def __init__(self, case: Case, chip: Chip) -> None:
        self.case, self.chip = case, chip
        self.plan = plan(case.graph, chip.target)
        self.refused: list[str] = []
        self._steps = [self._step(call) for call in self.plan.calls]

    def _step(self, call: Call) -> _Step:
        parameters = parameters_of(self.plan.graph, replace(call, version="ref"))
        arrays = {name: np.ascontiguousarray(array) for name, array in parameters.arrays.items()}
        addresses = {name: array.ctypes.data for name, array in arrays.items()}
        struct = struct_bytes(call.kernel.name, addresses, parameters.fields, ctypes.sizeof(ctypes.c_void_p))
        if call.kernel.name != self.case.kernel:
            return _Step(call, struct, arrays)
        if call.version == "ref":
            self.refused.append(call.why)
            return _Step(call, struct, arrays)
        try:
            return _Step(call, struct, arrays, parameters_of(self.plan.graph, call))
        except PiennError as error:
            self.refused.append(f"not packed: {_NUMBERS.sub('n', str(error))}")
            return _Step(call, struct, arrays)

    @property
    def has_checks(self) -> bool:
        return any(step.given is not None for step in self._steps)

    def check(self, number: int = 0, run: Callable[..., Result] = Machine.call) -> list[Checked]:
        """The calls of the case's kernel on the inputs of a round, which agreed with the reference in every byte.

        Raises Mismatch, SimulationStop or Clobbered. `run` takes the place of Machine.call.
        """
        random = np.random.default_rng([self.case.seed, number])
        memory = self._memory(self.case.inputs if number == 0 else self._others(random), random)
        checked = []
        for step in self._steps:
            call = step.call
            before = {name: memory[name].copy() for name in _storages(call)} if step.given else {}
            _run_reference(step, memory)
            if step.given is not None:
                wanted = memory[call.writes.storage]
                given = _Given(self.plan, call, self.chip, step.given, before, wanted)
                checked.append(Checked(call, _compare(given, random, run)))
        return checked

    def _others(self, random: np.random.Generator) -> list[np.ndarray]:
        """Other inputs: noise, or on the rails, or all the same."""
        return [draw_values(random, array.shape, str(random.choice(KINDS))) for array in self.case.inputs]

    def _memory(self, inputs: Sequence[np.ndarray], random: np.random.Generator) -> Memory:
        """Noise wherever the network has not put anything: surplus lanes and gaps may hold all there is."""
        memory: Memory = {}
        for storage, kind in self.plan.storages.items():
            name = storage.split(":", 1)[1]
            if kind == "input":
                memory[storage] = inputs[int(name)].reshape(-1).copy()
            elif kind == "constant":
                memory[storage] = self.plan.graph.weights[name].reshape(-1).view(np.int8).copy()
            else:
                memory[storage] = np.frombuffer(random.bytes(self.plan.sizes[storage]), np.int8).copy()
        return memory


def _storages(call: Call) -> set[str]:
    return {view.storage for view in (*call.reads, call.writes)}


def _run_reference(step: _Step, memory: Mapping[str, np.ndarray]) -> None:
    """The reference layer in the same layout."""
    call = step.call
    pointers = [memory[view.storage].ctypes.data + view.offset for view in (*call.reads, call.writes)]
    if call.margins is not None:
        pointers = [0, memory[call.writes.storage].ctypes.data]
    function = getattr(reference_library(), f"pienn_{call.kernel.name}_ref")
    function.restype = None
    function(*(ctypes.c_void_p(pointer) for pointer in pointers), ctypes.c_char_p(step.reference))


def _surplus(planned: Plan, call: Call) -> np.ndarray:
    """Bytes of the result's storage that a kernel may write though they are no elements: lanes up to whole vectors."""
    view = call.writes
    size = planned.sizes[view.storage]
    allowed = np.zeros(size, bool)
    if planned.storages[view.storage] != "arena" or call.margins is not None:
        return allowed
    channels = view.shape[-1]
    outer = list(zip(view.shape[:-1], view.strides[:-1]))
    if outer and outer[-1][1] % LANES == 0 and all(size == 1 or step % LANES == 0 for size, step in outer):
        places = np.arange(channels, whole_vectors(channels))
        for size, step in outer:
            places = np.add.outer(np.arange(size) * step, places)
        allowed[view.offset + places] = True
    elif view.contiguous and len(view.shape) != 3:
        end = view.offset + view.bytes
        allowed[end : whole_vectors(end)] = True
    return allowed


@dataclass(frozen=True)
class _Given:
    """A call to compare: the memory before it, and what its result's storage must hold afterwards."""

    plan: Plan
    call: Call
    chip: Chip
    parameters: Parameters
    before: Memory
    wanted: np.ndarray


def _compare(given: _Given, random: np.random.Generator, run: Callable[..., Result]) -> Result:
    """The chip's call on the same memory; every byte of the result's storage is compared."""
    planned, call, chip, parameters = given.plan, given.call, given.chip, given.parameters
    before, wanted = given.before, given.wanted
    machine = machine_with(chip, call.kernel.name)
    machine.release_buffers()
    addresses: dict[str, int] = {}
    writes = call.writes.storage
    for storage in sorted(before):
        addresses[storage] = _place(planned, call, machine, storage, before[storage], random)
    pointers = {
        name: machine.buffer(_followed(array.tobytes(), random), name=name, constant=True).address
        for name, array in parameters.arrays.items()
    }
    if parameters.bodies:
        bodies = np.array([machine.address_of(body) for body in parameters.bodies], "<u4")
        pointers["bodies"] = machine.buffer(bodies, name="bodies", constant=True).address
    struct = np.frombuffer(struct_bytes(call.kernel.name, pointers, parameters.fields), np.uint8)
    struct_address = machine.buffer(
        struct, name="parameters", constant=True, offset=4 * int(random.integers(4))
    ).address
    operands = [addresses[view.storage] + view.offset for view in call.reads] or [0]
    target = addresses[writes] + (0 if call.margins is not None else call.writes.offset)
    symbol = f"pienn_{call.kernel.name}_{VERSIONS[chip.target]}"
    frame = _Frame(machine)
    result = run(
        machine, symbol, *operands, target, struct_address, max_instructions=LONGEST,
        seed=int(random.integers(1 << 32)), before=frame.mark,
    )  # fmt: skip
    frame.check(symbol)
    got = np.frombuffer(machine.read(addresses[writes], wanted.size), np.int8)
    different = np.flatnonzero((got != wanted) & ~_surplus(planned, call))
    if different.size:
        raise Mismatch(_difference(call, different, got, wanted, before[writes]))
    return result


def _place(
    planned: Plan,
    call: Call,
    machine: Machine,
    storage: str,
    content: np.ndarray,
    random: np.random.Generator,
) -> int:
    """A storage in simulated memory: the arena's at whole vectors, the caller's arrays at any address."""
    inside = planned.storages[storage] == "arena"
    written = call.writes.storage == storage
    readable = inside and any(view.storage == storage for view in call.reads)
    data = _followed(content.tobytes(), random) if readable else content.view(np.uint8)
    offset = 0 if inside else int(random.integers(LANES))
    buffer = machine.buffer(data, name=storage, constant=not written, offset=offset)
    return buffer.address


def _followed(data: bytes, random: np.random.Generator) -> np.ndarray:
    """Bytes, followed by noise that may be read."""
    return np.frombuffer(data + random.bytes(READ_AHEAD), np.uint8)


class _Frame:
    """The bytes between the stack pointer and the top of the stack: the caller's."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.content, self.start = machine, b"", machine.stack_top

    def mark(self, machine: Machine) -> None:
        if machine.target == "esp32s3":
            self.start = machine.register("a1")
            self.content = machine.read(self.start, machine.stack_top - self.start)

    def check(self, symbol: str) -> None:
        if self.machine.read(self.start, len(self.content)) != self.content:
            raise Mismatch(f"{symbol}: wrote into its caller's stack frame")


def _difference(
    call: Call, different: np.ndarray, got: np.ndarray, wanted: np.ndarray, before: np.ndarray
) -> str:
    lines = [f"{call.kernel.name}: {different.size} of {wanted.size} bytes differ"]
    for offset in different[:SHOWN]:
        place = _element(call.writes, int(offset))
        note = ", never written" if got[offset] == before[offset] else ""
        lines.append(f"  byte {offset}{place}: {got[offset]} instead of {wanted[offset]}{note}")
    return "\n".join(lines)


def _element(view: View, offset: int) -> str:
    """Which element of a view a byte is, or that it is none."""
    rest, index = offset - view.offset, []
    for size, stride in zip(view.shape, view.strides):
        step, rest = divmod(rest, stride) if stride else (0, rest)
        if not 0 <= step < size:
            return " (no element)"
        index.append(step)
    return f" {index}" if rest == 0 else " (no element)"


def registers(machine: Machine) -> str:
    """All registers as the call left them."""
    lines = [f"  pc {machine.pc:#010x} {machine.place(machine.pc)}"]
    for name, values in machine.snapshot().items():
        flat = values if values.ndim == 2 else values.reshape(1, -1) if values.itemsize == 1 else values
        words = [row.tobytes()[::-1].hex() if np.ndim(row) else f"{int(row):08x}" for row in flat]
        for start in range(0, len(words), 8):
            lines.append(f"  {name}[{start}] " + " ".join(words[start : start + 8]))
    return "\n".join(lines)
