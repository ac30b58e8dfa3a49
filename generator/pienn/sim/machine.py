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
from collections.abc import Callable, Iterable, Sequence
from ctypes import c_uint32, c_uint64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from pienn.errors import PiennError
from pienn.isa.object import Image, Object
from pienn.sim import memory_models
from pienn.sim.changes import Step, changes_since, moment
from pienn.sim.elf import Executable, read_elf
from pienn.sim.explain import Explanation, explain, text_at
from pienn.sim.lanes import bytes_of, lanes_of
from pienn.sim.memory_map import CODE_REGION, REGIONS, RETURN_ADDRESS, STACK_BYTES, Region
from pienn.sim.native import CHIPS, REGION_KINDS, Check, Field, Shadow, Stop, core
from pienn.sim.picture import Picture
from pienn.sim.profile import Profile, profile_of
from pienn.sim.registers import Registers
from pienn.sim.stops import Clobbered, SimulationStop
from pienn.sim.tensors import Tensor, as_array

GUARD_BYTES = 64
# What stops a run unless the caller says otherwise. The S3 does misaligned scalar accesses in hardware; for the P4
# nothing is published, and compilers do not make them.
ALL_CHECKS = {
    "esp32p4": Check.MEMORY | Check.LOOPS | Check.CSR | Check.ALIGNMENT | Check.BREAKPOINTS,
    "esp32s3": Check.MEMORY | Check.LOOPS | Check.CSR | Check.BREAKPOINTS,
}
FORTY_BITS = ("xacc", "accx", "acc")


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

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return self.value if dtype is None else self.value.astype(dtype)

    def fill(self, value: Tensor | bytes) -> None:
        """Write the content from the host."""
        data = value if isinstance(value, bytes) else as_array(value)
        self.machine.write(self.address, data, mark_written=True)

    def copy_to(self, tensor: Tensor) -> None:
        """Put the content into a numpy array or torch tensor of the same shape."""
        as_array(tensor)[...] = self.value

    def picture(self, low: float | None = None, high: float | None = None) -> Picture:
        """The content as a grey image; the last two axes are rows and columns."""
        return Picture(self.value.reshape(-1, self.shape[-1]), low, high)


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
    """Outcome of a call: `value` is the integer result register (unsigned), counts are of this call alone.

    `profile` is there when the call was asked for it.
    """

    value: int
    float_value: float
    cycles: int
    instructions: int
    traffic: dict[str, Traffic]
    memory_model: str
    profile: Profile | None = field(default=None, repr=False)

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
        self.functions: set[str] = (
            set()
        )  # names of `symbols` at which a function (or other public code) starts
        self.code: list[tuple[int, int]] = []  # (address, bytes) of every loaded piece of code
        self.breakpoints: set[int] = set()
        self._copies: list[tuple[np.ndarray, Buffer]] = []  # arrays of the call under way, with their memory
        self._function = ""
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
        content: Tensor | int | tuple[int, ...],
        dtype: DTypeLike = np.uint8,
        *,
        name: str | None = None,
        memory: str = "SRAM",
        align: int = 16,
        offset: int = 0,
        constant: bool = False,
    ) -> Buffer:
        """Declare a buffer: an array or tensor to copy in, or a shape (elements of `dtype`) that starts unwritten.

        `align` and `offset` place it at an address of the form n * align + offset; `memory` is the region's name;
        `constant` makes stores to it stop the run. Guard bytes around it are not declared.
        """
        array: np.ndarray | None = None
        kind = np.dtype(dtype)
        if isinstance(content, int):
            shape: tuple[int, ...] = (content,)
        elif isinstance(content, tuple):
            shape = content
        else:
            array = as_array(content)
            shape, kind = array.shape, array.dtype
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
        if array is not None:
            self.write(address, array)
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

    def declared(self) -> list[tuple[int, int, str]]:
        """(address, bytes, name) of every section, buffer and stack."""
        return [entry for space in self._spaces.values() for entry in space.names]

    def picture(
        self,
        address: int,
        shape: tuple[int, int],
        dtype: DTypeLike = np.uint8,
        low: float | None = None,
        high: float | None = None,
    ) -> Picture:
        """Memory as a grey image of `shape` (rows, columns); `low` is black, `high` white, default the extremes."""
        kind = np.dtype(dtype)
        data = self.read(address, shape[0] * shape[1] * kind.itemsize)
        return Picture(np.frombuffer(data, kind).reshape(shape), low, high)

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
        public: Iterable[str] = image.functions if isinstance(image, Executable) else image.symbols
        if isinstance(program, Object):
            public = [s.name for s in program.symbol_table.values() if s.is_defined and s.binding != "local"]
        self.functions.update(name for name in public or image.symbols if not name.startswith((".", "$")))
        self.symbols.update(image.symbols)
        self.lines.update(image.lines)

    def _load_segment(self, name: str, address: int, data: bytes, size: int, flags: str) -> None:
        if not size:
            return
        state = Shadow.DECLARED | Shadow.WRITTEN
        if "w" not in flags:
            state |= Shadow.CONSTANT
        if "x" in flags:
            self.code.append((address, size))
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
        return lanes_of(self._fields["q"][number].tobytes(), lanes)

    def lanes(self, register: str, lane_type: str) -> np.ndarray:
        """A register as lanes of a type, lane 0 first; a copy.

        `register` is a name in assembly text or a part of the state: q0, qacc, qacc_l, qacc_h, xacc (ESP32-P4),
        accx (ESP32-S3), fa0. Types: f32, and s or u with any width that divides the register (s8 .. u64; s20, s40 for
        the QACC of the ESP32-S3; s40, u40 for XACC and ACCX).
        """
        return lanes_of(self._register_bytes(register)[0].tobytes(), lane_type)

    def set_lanes(self, register: str, values: Sequence[float] | np.ndarray, lane_type: str) -> None:
        """The reverse of `lanes`; a single value fills every lane. PiennError when one is out of range."""
        view = self._register_bytes(register)[0]
        view[:] = np.frombuffer(bytes_of(values, lane_type, len(view)), np.uint8)

    def _register_bytes(self, register: str) -> tuple[np.ndarray, str]:
        """The live bytes of a register, and the part of the state that it belongs to."""
        name, _, half = register.lower().partition("_")
        if name == "qacc" and half in ("l", "h"):
            whole = self._fields["qacc"][0]
            middle = len(whole) // 2
            return (whole[:middle] if half == "l" else whole[middle:]), name
        part, index = self._register(register)
        view = self._fields[part][index : index + 1].view(np.uint8).reshape(-1)
        return (view[:5] if part in FORTY_BITS else view), part

    def registers(self, lanes: str = "s8") -> Registers:
        """All registers as they are now, to be printed or shown in a notebook; q registers as these lanes."""
        return Registers(self, lanes)

    def __repr__(self) -> str:
        return f"<Machine {self.target}, pc at {self.place(self.pc)}, {self.cycles} cycles>"

    def _repr_html_(self) -> str:
        return self.registers()._repr_html_()

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
        address = self.address_of(place)
        if self._core.sim_set_breakpoint(self._handle, address, int(on)):
            raise PiennError("too many breakpoints: 64 at most")
        (self.breakpoints.add if on else self.breakpoints.discard)(address)

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

    def step(self, count: int = 1, checks: Check | None = None, lanes: str = "s8") -> Step:
        """Execute `count` instructions; the answer says what they changed (q registers shown as `lanes`).

        Ends early at a breakpoint and when the called function returns. Raises SimulationStop.
        """
        return self._advance(count, checks, lanes)

    def run_to(
        self,
        place: str | int,
        max_instructions: int = 1_000_000_000,
        checks: Check | None = None,
        lanes: str = "s8",
    ) -> Step:
        """Run until the instruction at a label or address is next, or another breakpoint is met.

        Raises SimulationStop, or PiennError when the function returns before.
        """
        address = self.address_of(place)
        options = (self.checks if checks is None else checks) | Check.BREAKPOINTS
        was_set = address in self.breakpoints
        self.set_breakpoint(address)
        try:
            done = self._advance(max_instructions, options, lanes, limited=True)
        finally:
            self.set_breakpoint(address, was_set)
        if done.returned:
            raise PiennError(f"{place}: not reached before the function returned")
        return done

    def _advance(self, count: int, checks: Check | None, lanes: str, limited: bool = False) -> Step:
        """Run, and describe the way. `limited`: using up `count` is a stop like others."""
        before, cycles, instructions = moment(self), self.cycles, self.instructions
        start = self.pc
        reason = self.run(count, checks)
        if reason not in (Stop.LIMIT, Stop.BREAKPOINT, Stop.RETURNED) or (limited and reason == Stop.LIMIT):
            raise self.stop_error(reason)
        shown = start if count == 1 else self.pc
        return Step(
            self.place(shown),
            text_at(self, shown),
            count == 1,
            changes_since(self, before, lanes),
            self.instructions - instructions,
            self.cycles - cycles,
            reason == Stop.RETURNED,
        )

    def explain(self, place: str | int | None = None) -> Explanation:
        """The next instruction (or the one at a label or address) in words. PiennError where there is none."""
        return explain(self, self.pc if place is None else self.address_of(place))

    def profile(self) -> Profile:
        """Where instructions and cycles of runs with Check.PROFILE went since `clear_profile`."""
        return profile_of(self)

    def clear_profile(self) -> None:
        self._core.sim_clear_profile(self._handle)

    def read_profile(self, address: int, slots: int, pairs: ctypes._Pointer[c_uint64]) -> None:
        """Raw counts: (executions, cycles) of so many instruction slots from an address."""
        self._core.sim_profile(self._handle, address, slots, pairs)

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
        *arguments: int | float | Buffer | Tensor,
        max_instructions: int = 1_000_000_000,
        checks: Check | None = None,
        seed: int = 0,
        before: Callable[[Machine], None] | None = None,
        profile: bool = False,
    ) -> Result:
        """Call a function by the chip's C ABI.

        Arguments: integers, floats, buffers (their address), or arrays and tensors, which become buffers in SRAM for
        this call and, where writable, get the memory's content afterwards. All registers are poisoned with random
        values of `seed` first; `before` may then change the machine. With `profile` the result has one. Raises
        SimulationStop or Clobbered.
        """
        self.start(function, *arguments, seed=seed)
        if before:
            before(self)
        self.reset_counters()
        if profile:
            self.clear_profile()
            checks = (self.checks if checks is None else checks) | Check.PROFILE
        return self.finish(max_instructions, checks, profile=profile)

    def start(self, function: str | int, *arguments: int | float | Buffer | Tensor, seed: int = 0) -> None:
        """Prepare a call without running it, to `step` through it; the arguments are those of `call`."""
        entry = self.address_of(function)
        random = np.random.default_rng(seed)
        self._copies = []
        self._function = str(function)
        values: list[Any] = []
        for argument in arguments:
            if isinstance(argument, Buffer):
                values.append(argument.address)
            elif isinstance(argument, (int, float, np.number)):
                values.append(argument)
            else:
                array = as_array(argument)
                made = self.buffer(array, name=f"argument {len(values) + 1}")
                self._copies.append((array, made))
                values.append(made.address)
        self.declare(self.stack_bottom, self.stack_top - self.stack_bottom)
        self.abi.begin(self, entry, values, self.stack_top, random)
        self._core.sim_mark_initialised(self._handle, 0)
        self.reset_counters()

    def finish(
        self, max_instructions: int = 1_000_000_000, checks: Check | None = None, profile: bool = False
    ) -> Result:
        """Run the started call to its end; counts are those since its start. Raises SimulationStop or Clobbered."""
        reason = self.run(max_instructions, checks)
        if reason != Stop.RETURNED:
            raise self.stop_error(reason)
        broken = self.abi.clobbered(self)
        if broken:
            raise Clobbered(self._function, broken)
        for array, made in self._copies:
            if array.flags.writeable:
                array[...] = made.value
        return Result(
            self.abi.result(self),
            self.abi.float_result(self),
            self.cycles,
            self.instructions,
            self.traffic(),
            self.model.name,
            profile_of(self) if profile else None,
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
