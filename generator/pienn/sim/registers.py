"""The registers of a machine at one moment, for a terminal and for a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from pienn.sim.changes import HIDDEN, register_names, show

if TYPE_CHECKING:
    from pienn.sim.machine import Machine

PER_ROW = 8
GRIDS = ("x", "a", "f")  # parts of many registers of 32 bits
WIDE = ("q", "qacc", "ua_state", "xacc", "accx", "acc")
LEFT_OUT = HIDDEN | {"special"}


class Registers:
    """A copy of all registers. `lane_type` is how q registers (and with them QACC) are shown."""

    def __init__(self, machine: Machine, lane_type: str = "s8") -> None:
        self.lane_type = lane_type
        self.title = _title(machine)
        self._state = machine.snapshot()
        self._names = register_names(machine)

    def _grid(self, part: str) -> list[tuple[str, str]]:
        values = self._state[part]
        if part == "f":
            return [(self._names[part, i], f"{value:.5g}") for i, value in enumerate(values.view(np.float32))]
        return [(self._names[part, i], f"{int(value):08x}") for i, value in enumerate(values)]

    def _wide(self) -> Iterator[tuple[str, str]]:
        for part in WIDE:
            for index, value in enumerate(self._state.get(part, ())):
                yield self._names[part, index], show(part, value, self.lane_type)

    def _rest(self) -> Iterator[tuple[str, str]]:
        for part, values in self._state.items():
            if part not in (*GRIDS, *WIDE) and part not in LEFT_OUT:
                for index, value in enumerate(values):
                    yield self._names[part, index], show(part, value, self.lane_type)

    def __str__(self) -> str:
        lines = [self.title]
        for part in GRIDS:
            if part in self._state:
                cells = self._grid(part)
                width = 9 if part == "f" else 8
                for start in range(0, len(cells), PER_ROW):
                    row = cells[start : start + PER_ROW]
                    lines.append("  ".join(f"{name:>4} {value:<{width}}" for name, value in row).rstrip())
        lines += [f"{name:>8} {value}" for name, value in self._wide()]
        lines.append("  ".join(f"{name} {value}" for name, value in self._rest()))
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        grids: list[str] = []
        for part in GRIDS:
            if part in self._state:
                cells = [f"<small>{escape(n)}</small> <code>{v}</code>" for n, v in self._grid(part)]
                grids.append(_table(cells[i : i + PER_ROW] for i in range(0, len(cells), PER_ROW)))
        integers, floats = grids
        wide = _table([f"<small>{n}</small>", f"<code>{escape(v)}</code>"] for n, v in self._wide())
        rest = " &ensp; ".join(f"<small>{n}</small> <code>{v}</code>" for n, v in self._rest())
        folded = f"<details><summary>float registers</summary>{floats}</details>"
        return f"<b>{escape(self.title)}</b>{integers}{wide}<p>{rest}</p>{folded}"


def _title(machine: Machine) -> str:
    revision = f" revision {machine.revision}" if machine.target == "esp32p4" else ""
    return (
        f"{machine.target}{revision}, pc {machine.pc:#x} ({machine.place(machine.pc)}), "
        f"{machine.instructions} instructions, {machine.cycles} cycles ({machine.model.name})"
    )


def _table(rows: Iterable[list[str]]) -> str:
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{cell}</td>' for cell in row) + "</tr>" for row in rows
    )
    return f"<table>{body}</table>"
