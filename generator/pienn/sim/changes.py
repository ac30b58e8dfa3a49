"""What changed between two moments of a machine: registers as lanes, bytes of declared buffers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from pienn.errors import PiennError
from pienn.sim.lanes import lanes_of

if TYPE_CHECKING:
    from pienn.sim.machine import Machine

PANE = 4  # registers by which an Xtensa window moves
# Parts of the state that only repeat what others say, or that no program can see.
HIDDEN = frozenset(
    {"ar", "pane_mask", "window_limit", "spills", "fills", "windowstart", "pie_enable", "loop_enable"}
)
LARGEST_WATCHED = 1 << 18  # bytes of buffers compared around a step
SIGNED_40 = frozenset({"xacc", "accx", "acc"})
LOOP_PARTS = ("start", "end", "count")


@dataclass(frozen=True)
class Change:
    """A register, or some bytes of a buffer, before and after, as they are to be shown."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name}: {self.before} -> {self.after}"


@dataclass(frozen=True)
class Step:
    """What a step, or a run to a place, did.

    `place` and `text` are those of the instruction executed (`is_single`) or, after several, of the next one.
    `returned`: the called function has come back to its caller.
    """

    place: str
    text: str
    is_single: bool
    changes: tuple[Change, ...]
    instructions: int
    cycles: int
    returned: bool

    def __str__(self) -> str:
        cycles = f"{self.cycles} cycle{'s' * (self.cycles != 1)}"
        count = "" if self.is_single else f"{self.instructions} instructions, "
        head = f"{'' if self.is_single else 'up to '}{self.place}: {self.text}"
        return "\n".join([f"{head}  ({count}{cycles})", *(f"    {change}" for change in self.changes)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rest = str(self).splitlines()
        rows = "".join(f"<br>&emsp;<code>{escape(line.strip())}</code>" for line in rest)
        return f"<b>{escape(head)}</b>{rows}"


@dataclass(frozen=True)
class Moment:
    """Registers and declared buffers at one moment."""

    state: dict[str, np.ndarray]
    buffers: dict[tuple[int, str], bytes]


def moment(machine: Machine) -> Moment:
    """A copy of what `changes_since` compares; buffers beyond a total of 256 KiB are left out."""
    buffers: dict[tuple[int, str], bytes] = {}
    left = LARGEST_WATCHED
    for address, size, name in machine.declared():
        if size <= left and not name.startswith("section "):
            buffers[address, name] = machine.read(address, size)
            left -= size
    return Moment(machine.snapshot(), buffers)


def changes_since(machine: Machine, before: Moment, lane_type: str) -> tuple[Change, ...]:
    """Every register and buffer that differs now; q registers and buffers as lanes of `lane_type`."""
    found: list[Change] = []
    after = machine.snapshot()
    names = register_names(machine)
    for part, index in changed_places(before.state, after):
        old = _old_part(part, before.state, after)[index]
        texts = (show(part, value, lane_type) for value in (old, after[part][index]))
        found.append(Change(names[part, index], *texts))
    for (address, name), old_bytes in before.buffers.items():
        new_bytes = machine.read(address, len(old_bytes))
        if new_bytes != old_bytes:
            found.append(_buffer_change(name, old_bytes, new_bytes, lane_type))
    return tuple(found)


def changed_places(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> Iterator[tuple[str, int]]:
    """Field and index of every register that differs between two snapshots."""
    for part, new in after.items():
        if part in HIDDEN:
            continue
        old = _old_part(part, before, after)
        if not np.array_equal(old, new):
            for index in range(len(new)):
                if not np.array_equal(old[index], new[index]):
                    yield part, index


def register_names(machine: Machine) -> dict[tuple[str, int], str]:
    """The first assembly name of every part of the state, by field and index."""
    names: dict[tuple[str, int], str] = {}
    for name, place in machine.abi.register_names().items():
        names.setdefault(place, name)
    for part, view in machine.snapshot().items():
        for index in range(len(view)):
            if part == "loop":
                name = f"loop{index // 3}.{LOOP_PARTS[index % 3]}"
            else:
                name = part.upper() if len(view) == 1 else f"{part}{index}"
            names.setdefault((part, index), name)
    return names


def show(part: str, value: np.ndarray | np.generic, lane_type: str) -> str:
    """One element of a state field: wide registers as lanes, addresses in hexadecimal, small numbers signed."""
    if np.ndim(value):
        data = np.asarray(value).tobytes()
        return lane_text(data, accumulator_lanes(len(data), lane_type) if part == "qacc" else lane_type)
    number = int(value)
    if part in SIGNED_40:
        return str(number - (1 << 40) if number >> 39 else number)
    if part == "f":
        return f"{np.array(number, np.uint32).view(np.float32)[()]:.7g}"
    if number < 1 << 16:
        return str(number)
    return str(number - (1 << 32)) if number >= (1 << 32) - (1 << 15) else f"{number:#x}"


def accumulator_lanes(size: int, lane_type: str) -> str:
    """The lanes in which products of `lane_type` accumulate: of 32 or 64 bits (ESP32-P4), 20 or 40 (ESP32-S3)."""
    wide = lane_type[1:] not in ("8", "20")
    return {64: ("s32", "s64"), 40: ("s20", "s40")}[size][wide]


def lane_text(data: bytes, lane_type: str) -> str:
    """Lanes of some bytes in brackets; as bytes where the type does not fit."""
    try:
        values = lanes_of(data, lane_type)
    except PiennError:
        values = lanes_of(data, "u8")
    return "[" + " ".join(f"{value:.6g}" if lane_type == "f32" else str(value) for value in values) + "]"


def _old_part(part: str, before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> np.ndarray:
    """What the registers of a part held before; for a window that may have moved, what those now visible held."""
    if part != "a":
        return before[part]
    size = PANE * (int(before["pane_mask"][0]) + 1)
    visible = np.arange(len(before["a"]))
    file = before["ar"].copy()
    file[(PANE * int(before["windowbase"][0]) + visible) % size] = before["a"]
    return file[(PANE * int(after["windowbase"][0]) + visible) % size]


def _buffer_change(name: str, old: bytes, new: bytes, lane_type: str) -> Change:
    """The changed bytes of a buffer, widened to a block of 16."""
    different = np.flatnonzero(np.frombuffer(old, np.uint8) != np.frombuffer(new, np.uint8))
    start = int(different[0]) // 16 * 16
    end = min(len(new), (int(different[-1]) // 16 + 1) * 16)
    place = f"{name}[{start}:{end}]"
    if end - start > 64:
        return Change(place, f"{end - start} bytes", f"{len(different)} of them different")
    return Change(place, lane_text(old[start:end], lane_type), lane_text(new[start:end], lane_type))
