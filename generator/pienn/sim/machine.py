"""The simulated chip in Python: load code, declare buffers, call functions, look at registers and memory.

machine = Machine("esp32p4", revision=3, memory="esp32p4@360")
machine.load(assemble(Path("add_s8.S"), "esp32p4"))
x = machine.buffer(np.arange(64, dtype=np.int8), name="x")
out = machine.buffer(64, np.int8, name="out")
result = machine.call("add_s8", x, out, 64)
print(result.cycles, out.value, machine.q(0, "s8"))
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from ctypes import c_uint32
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from pienn.errors import PiennError
from pienn.isa.object import Image, Object
from pienn.sim import memory_models
from pienn.sim.elf import read_elf
from pienn.sim.memory_map import CODE_REGION, REGIONS, RETURN_ADDRESS, STACK_BYTES, Region
from pienn.sim.native import CHIPS, REGION_KINDS, Check, Field, Shadow, Stop, core
from pienn.sim.stops import Clobbered, SimulationStop

GUARD_BYTES = 64
# What stops a run unless the caller says otherwise. The S3 does misaligned scalar accesses in hardware; for the P4
# nothing is published, and compilers do not make them.
ALL_CHECKS = {
    "esp32p4": Check.MEMORY | Check.LOOPS | Check.CSR | Check.ALIGNMENT | Check.BREAKPOINTS,
    "esp32s3": Check.MEMORY | Check.LOOPS | Check.CSR | Check.BREAKPOINTS,
}
LANE_TYPES = {
    "s8": np.int8,
    "u8": np.uint8,
    "s16": np.int16,
    "u16": np.uint16,
    "s32": np.int32,
    "u32": np.uint32,
    "s64": np.int64,
    "u64": np.uint64,
    "f32": np.float32,
}


@dataclass(frozen=True)
class Buffer:
    """A declared piece of simulated memory with guard bytes on both sides."""

    machine: Machine
    name: str
    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def value(self) -> np.ndarray:
        """A copy of the content."""
        return (
            np.frombuffer(self.machine.read(self.address, self.size), self.dtype).reshape(self.shape).copy()
        )

    def fill(self, value: np.ndarray | bytes) -> None:
        """Write the content from the host."""
        self.machine.write(self.address, value, mark_written=True)


@dataclass(frozen=True)
class Traffic:
    """What one memory did: accesses of the program, their bytes, cache line transfers, cycles waited."""

    reads: int
    read_bytes: int
    writes: int
    written_bytes: int
    line_fills: int
    line_writebacks: int
    stall_cycles: int


@dataclass(frozen=True)
class Result:
    """Outcome of a call: `value` is the integer result register (unsigned), counts are of this call alone."""

    value: int
    float_value: float
    cycles: int
    instructions: int
    traffic: dict[str, Traffic]
    memory_model: str

    @property
    def signed(self) -> int:
        return self.value - (1 << 32) if self.value >> 31 else self.value


@dataclass
class _Space:
    """Free space of a region: buffers grow up from `free`."""

    region: Region
    free: int
    end: int
    names: list[tuple[int, int, str]] = field(default_factory=list)


class Machine:
    """One core of a chip with its memories.

    `revision`: ESP32-P4 only, 1 (chip below v3) or 3. `memory` names the memory model (`ideal`, `esp32p4@360`,
    `esp32p4@400`, `esp32s3@240`). `checks` says what stops a run (default
    `ALL_CHECKS` of the chip; Check(0): fast, unchecked).
    """

    def __init__(
        self,
        target: str,
        revision: int | None = None,
        memory: str = "ideal",
        checks: Check | None = None,
        abi: str | None = None,
    ) -> None:
        if target not in CHIPS:
            raise PiennError(f"unknown target {target!r}: choose one of {', '.join(CHIPS)}")
        self.target = target
        self.revision = 3 if revision is None else revision
        self.checks = ALL_CHECKS[target] if checks is None else checks
        self.chip = CHIPS[target]
        self._core = core()
        self._handle = self._core.sim_new(self.chip, self.revision)
        if not self._handle:
            raise PiennError(f"the simulator core was built without {target}")
        self.abi = importlib.import_module(f"pienn.sim.abi_{target}").Abi(abi)
        self.symbols: dict[str, int] = {}
        self.lines: dict[int, Any] = {}
        self._fields = self._state_views()
        self._register_names: dict[str, tuple[str, int]] = self.abi.register_names()
        self._spaces: dict[str, _Space] = {}
        for region in REGIONS[target]:
            self.map(region)
        self.model = memory_models.preset(memory)
        self.set_memory_model(memory)
        self._core.sim_set_return_address(self._handle, RETURN_ADDRESS[target])
        stack = self._spaces["SRAM"]
        stack.end -= STACK_BYTES
        self.stack_bottom, self.stack_top = stack.end, stack.end + STACK_BYTES
        stack.names.append((self.stack_bottom, STACK_BYTES, "stack"))

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._core.sim_free(self._handle)
            self._handle = None

    # ------------------------------------------------------------------------------------------ memory

    def map(self, region: Region) -> None:
        """Add a region of memory (whole 4 KiB pages)."""
        if self._core.sim_map(self._handle, region.base, region.size, region.kind_number, region.permissions):
            raise PiennError(
                f"region {region.name} at {region.base:#x} overlaps another or is not page aligned"
            )
        self._spaces[region.name] = _Space(region, region.base, region.base + region.size)

    def read(self, address: int, size: int) -> bytes:
        """Bytes of simulated memory."""
        data = ctypes.create_string_buffer(size)
        if self._core.sim_read(self._handle, address, data, size) != size:
            raise PiennError(f"{self.describe(address)} is not mapped up to {address + size:#x}")
        return data.raw

    def write(self, address: int, data: np.ndarray | bytes, mark_written: bool = True) -> None:
        """Write from the host; permissions do not matter."""
        raw = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
        if self._core.sim_write(self._handle, address, raw, len(raw)) != len(raw):
            raise PiennError(f"{self.describe(address)} is not mapped up to {address + len(raw):#x}")
        if mark_written:
            self._core.sim_shadow_set(self._handle, address, len(raw), 0xFF, Shadow.WRITTEN)

    def declare(self, address: int, size: int, state: Shadow = Shadow.DECLARED, name: str = "") -> None:
        """Allow checked runs to access these bytes; `state` also says written, constant or watched."""
        if self._core.sim_shadow_set(self._handle, address, size, 0, state):
            raise PiennError(f"{self.describe(address)} is not mapped up to {address + size:#x}")
        if name:
            space = self._space_of(address)
            if space:
                space.names.append((address, size, name))

    def buffer(
        self,
        content: np.ndarray | int | tuple[int, ...],
        dtype: DTypeLike = np.uint8,
        *,
        name: str | None = None,
        memory: str = "SRAM",
        align: int = 16,
        offset: int = 0,
        constant: bool = False,
    ) -> Buffer:
        """Declare a buffer: an array to copy in, or a shape (elements of `dtype`) that starts unwritten.

        `align` and `offset` place it at an address of the form n * align + offset; `memory` is the region's name;
        `constant` makes stores to it stop the run. Guard bytes around it are not declared.
        """
        if isinstance(content, np.ndarray):
            shape, kind = content.shape, content.dtype
        else:
            shape, kind = (content,) if isinstance(content, int) else content, np.dtype(dtype)
        space = self._spaces.get(memory)
        if space is None:
            raise PiennError(f"no memory {memory!r}: {self.target} has {', '.join(self._spaces)}")
        name = name or f"buffer{len(space.names)}"
        start = space.free + GUARD_BYTES
        address = start + (offset - start) % align
        buffer = Buffer(self, name, address, tuple(int(n) for n in shape), kind)
        if address + buffer.size + GUARD_BYTES > space.end:
            raise PiennError(f"{name}: {buffer.size} bytes do not fit into the rest of {memory}")
        space.free = address + buffer.size
        self.declare(address, buffer.size, Shadow.DECLARED, name)
        if isinstance(content, np.ndarray):
            self.write(address, content)
        if constant:
            self._core.sim_shadow_set(self._handle, address, buffer.size, 0xFF, Shadow.CONSTANT)
        return buffer

    def release_buffers(self) -> None:
        """Forget every buffer (not the code): their bytes are undeclared and may be used again."""
        for space in self._spaces.values():
            kept = [n for n in space.names if n[2].startswith(("section ", "stack"))]
            for address, size, name in space.names:
                if (address, size, name) not in kept:
                    self.declare(address, size, Shadow(0))
            space.names[:] = kept
            ends = [a + s for a, s, n in kept if n.startswith("section ")]
            space.free = max(ends, default=space.region.base)

    def describe(self, address: int) -> str:
        """An address in words: region, nearest buffer and distance."""
        space = self._space_of(address)
        if space is None:
            return f"{address:#x}"
        best = min(space.names, key=lambda n: _distance(address, n[0], n[1]), default=None)
        if best is None or _distance(address, best[0], best[1]) > 4096:
            return f"{address:#x} ({space.region.name})"
        start, size, name = best
        if start <= address < start + size:
            return f"{address:#x} ({name} + {address - start})"
        if address < start:
            return f"{address:#x} ({start - address} bytes before {name})"
        return f"{address:#x} ({address - start - size} bytes after the end of {name})"

    def region_name(self, address: int) -> str | None:
        """The name of the region that holds an address."""
        space = self._space_of(address)
        return space.region.name if space else None

    def _space_of(self, address: int) -> _Space | None:
        for space in self._spaces.values():
            if space.region.base <= address < space.region.base + space.region.size:
                return space
        return None

    # ------------------------------------------------------------------------------------------ programs

    def load(self, program: Object | Image | Path | bytes, memory: str | None = None) -> None:
        """Load an assembled object (placed behind what is there), a linked image, or an ELF executable."""
        if isinstance(program, Object):
            space = self._spaces[memory or CODE_REGION[self.target]]
            base = space.free + (-space.free) % 64
            data = self._spaces["SRAM"]
            places: int | dict[str, int] = base
            if space is not data:
                places = {"": base}
                free = data.free + (-data.free) % 64
                for section in program.sections.values():
                    if "a" in section.flags and not section.is_code and section.fragments:
                        free += -free % max(section.alignment, 1)
                        places[section.name] = free
                        free += section.size
            image = program.link(places, symbols=self.symbols)
        elif isinstance(program, Image):
            image = program
        else:
            data_bytes = program if isinstance(program, bytes) else Path(program).read_bytes()
            image = read_elf(data_bytes, str(program) if isinstance(program, Path) else "<elf>")
        for segment in image.segments:
            self._load_segment(segment.name, segment.address, segment.data, segment.size, segment.flags)
        self.symbols.update(image.symbols)
        self.lines.update(image.lines)

    def _load_segment(self, name: str, address: int, data: bytes, size: int, flags: str) -> None:
        if not size:
            return
        state = Shadow.DECLARED | Shadow.WRITTEN
        if "w" not in flags:
            state |= Shadow.CONSTANT
        self.declare(address, size, state, f"section {name}")
        self.write(address, data + bytes(size - len(data)))
        space = self._space_of(address)
        if space and space.free < address + size < space.end:
            space.free = address + size

    def address_of(self, symbol: str | int) -> int:
        """The address of a symbol of the loaded programs."""
        if isinstance(symbol, int):
            return symbol
        if symbol not in self.symbols:
            raise PiennError(
                f"{symbol}: no such symbol in the loaded code (.global it, or check the spelling)"
            )
        return self.symbols[symbol]

    # ------------------------------------------------------------------------------------------ registers

    def _state_views(self) -> dict[str, np.ndarray]:
        count = c_uint32()
        fields = self._core.sim_fields(self.chip, ctypes.byref(count))
        base = self._core.sim_state(self._handle)
        views: dict[str, np.ndarray] = {}
        for entry in fields[: count.value]:
            views[entry.name.decode()] = _view(base, entry)
        return views

    def state(self, name: str) -> np.ndarray:
        """A live view of one part of the register state (see the fields of <chip>_state.h)."""
        return self._fields[name]

    def register(self, name: str) -> int:
        """Raw value of a register by its name in assembly text, or `pc`."""
        if name == "pc":
            return self.pc
        part, index = self._register(name)
        value = self._fields[part][index]
        return int(value) if np.ndim(value) == 0 else int.from_bytes(value.tobytes(), "little")

    def set_register(self, name: str, value: int) -> None:
        if name == "pc":
            self.pc = value
            return
        part, index = self._register(name)
        view = self._fields[part]
        if view.ndim == 2:
            view[index] = np.frombuffer(value.to_bytes(view.shape[1], "little"), np.uint8)
        else:
            view[index] = value & ((1 << 8 * view.itemsize) - 1)

    def _register(self, name: str) -> tuple[str, int]:
        if name in self._register_names:
            return self._register_names[name]
        if name.lower() in self._fields:
            return name.lower(), 0
        raise PiennError(f"{name}: {self.target} has no such register")

    def snapshot(self) -> dict[str, np.ndarray]:
        """A copy of the whole register state, by field."""
        return {name: view.copy() for name, view in self._fields.items()}

    def q(self, number: int, lanes: str = "s8") -> np.ndarray:
        """A q register as lanes of a type (`s8` .. `u64`, `f32`), lane 0 first; a copy."""
        return self._fields["q"][number].copy().view(LANE_TYPES[lanes])

    @property
    def pc(self) -> int:
        return self._core.sim_pc(self._handle)

    @pc.setter
    def pc(self, value: int) -> None:
        self._core.sim_set_pc(self._handle, value)

    @property
    def cycles(self) -> int:
        return self._core.sim_cycles(self._handle)

    @property
    def instructions(self) -> int:
        return self._core.sim_instructions(self._handle)

    # ------------------------------------------------------------------------------------------ runs

    def set_memory_model(self, name: str) -> None:
        """Choose the memory model; caches are emptied."""
        self.model = memory_models.preset(name)
        self._core.sim_set_memory_shape(self._handle, ctypes.byref(self.model.shape()))
        self._core.sim_set_timing(self._handle, int(not self.model.is_ideal))

    def empty_caches(self) -> None:
        self._core.sim_empty_caches(self._handle)

    def traffic(self) -> dict[str, Traffic]:
        """Counters of each memory since the counters were reset."""
        result: dict[str, Traffic] = {}
        for number, kind in enumerate(REGION_KINDS):
            raw = self._core.sim_traffic(self._handle, number).contents
            result[kind] = Traffic(*(getattr(raw, name) for name, _ in raw._fields_))
        return result

    def reset_counters(self) -> None:
        self._core.sim_reset_counters(self._handle)

    def run(self, max_instructions: int = 1 << 62, checks: Check | None = None) -> Stop:
        """Run from pc until something stops it; the reason, without judging it."""
        options = self.checks if checks is None else checks
        return Stop(self._core.sim_run(self._handle, max_instructions, int(options)))

    def set_breakpoint(self, place: str | int, on: bool = True) -> None:
        """Stop before the instruction at a symbol or address (runs with Check.BREAKPOINTS)."""
        if self._core.sim_set_breakpoint(self._handle, self.address_of(place), int(on)):
            raise PiennError("too many breakpoints: 64 at most")

    def watch(
        self, address: int, size: int, reads: bool = False, writes: bool = True, on: bool = True
    ) -> None:
        """Stop before an access to these bytes (runs with Check.MEMORY)."""
        bits = Shadow.WATCH_READ * reads | Shadow.WATCH_WRITE * writes
        keep = 0xFF if on else 0xFF & ~bits
        self._core.sim_shadow_set(self._handle, address, size, keep, bits if on else 0)

    def forbid(self, fpu: bool = False, pie: bool = False) -> None:
        """Make instructions of a coprocessor stop checked runs, as in an interrupt handler."""
        self._core.sim_disable_units(self._handle, fpu * 2 | pie * 4)

    def step(self, count: int = 1, checks: Check | None = None) -> Stop:
        """Execute `count` instructions."""
        return self.run(count, checks)

    def stop_error(self, reason: Stop) -> SimulationStop:
        """The exception that describes the machine's last stop."""
        address = self._core.sim_stop_address(self._handle)
        register = self._register_of_bit(address) if reason == Stop.PIE_UNINITIALISED else ""
        return SimulationStop(reason, self.pc, address, self.place(self.pc), self.describe(address), register)

    def _register_of_bit(self, bit: int) -> str:
        return f"q{bit - 64}" if 64 <= bit < 72 else "accumulator"

    def place(self, pc: int) -> str:
        """Source file and line of an instruction, else symbol and offset, else its address."""
        location = self.lines.get(pc)
        if location is not None:
            return f"{location.file}:{location.line}"
        below = [
            (at, name) for name, at in self.symbols.items() if at <= pc and not name.startswith((".", "$"))
        ]
        if below and self._space_of(pc):
            at, name = max(below)
            if pc - at < 1 << 20:
                return f"{name}+{pc - at:#x}" if pc != at else name
        return f"{pc:#x}"

    def call(
        self,
        function: str | int,
        *arguments: int | float | Buffer | np.ndarray,
        max_instructions: int = 1_000_000_000,
        checks: Check | None = None,
        seed: int = 0,
        before: Callable[[Machine], None] | None = None,
    ) -> Result:
        """Call a function by the chip's C ABI.

        Arguments: integers, floats, buffers (their address), or arrays, which become buffers in SRAM for this call
        and, where writable, get the memory's content afterwards. All registers are poisoned with random values of
        `seed` first; `before` may then change the machine. Raises SimulationStop or Clobbered.
        """
        entry = self.address_of(function)
        random = np.random.default_rng(seed)
        copies: list[tuple[np.ndarray, Buffer]] = []
        values: list[int | float] = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                made = self.buffer(argument, name=f"argument {len(values) + 1}")
                copies.append((argument, made))
                values.append(made.address)
            else:
                values.append(argument.address if isinstance(argument, Buffer) else argument)
        self.declare(self.stack_bottom, self.stack_top - self.stack_bottom)
        self.abi.begin(self, entry, values, self.stack_top, random)
        self._core.sim_mark_initialised(self._handle, 0)
        if before:
            before(self)
        self.reset_counters()
        reason = self.run(max_instructions, checks)
        if reason != Stop.RETURNED:
            raise self.stop_error(reason)
        broken = self.abi.clobbered(self)
        if broken:
            raise Clobbered(str(function), broken)
        for array, made in copies:
            if array.flags.writeable:
                array[...] = made.value
        return Result(
            self.abi.result(self),
            self.abi.float_result(self),
            self.cycles,
            self.instructions,
            self.traffic(),
            self.model.name,
        )


def _distance(address: int, start: int, size: int) -> int:
    if address < start:
        return start - address
    return max(0, address - start - size + 1)


def _view(base: int, entry: Field) -> np.ndarray:
    """Live numpy view: unsigned integers of the element's size, or bytes (a row per element) for wide registers."""
    count, size = entry.count, entry.size
    raw = (ctypes.c_uint8 * (count * size)).from_address(base + entry.offset)
    view = np.frombuffer(raw, np.uint8)
    if size in (4, 8):
        return view.view(np.uint32 if size == 4 else np.uint64)
    return view.reshape(count, size)
