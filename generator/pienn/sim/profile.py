"""Where the cycles of a run went: by symbol, by source line, by instruction; and what of the table was executed."""

from __future__ import annotations

import bisect
import ctypes
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from pienn.isa.table import load
from pienn.sim.coverage import Coverage
from pienn.sim.explain import instruction_at, text_at

if TYPE_CHECKING:
    from pienn.sim.machine import Machine

SLOT_BYTES = {"esp32p4": 2, "esp32s3": 1}  # distance of the addresses at which the engine counts
UNKNOWN = "?"


@dataclass(frozen=True)
class Spot:
    """One executed address."""

    address: int
    text: str
    mnemonic: str
    extension: str
    symbol: str
    place: str
    executions: int
    cycles: int


@dataclass(frozen=True)
class Share:
    """Executed instructions and cycles of everything that has one name."""

    name: str
    instructions: int
    cycles: int


@dataclass(frozen=True)
class Profile:
    """Counts of all executed addresses, in the order of addresses."""

    target: str
    spots: tuple[Spot, ...]

    @property
    def instructions(self) -> int:
        return sum(spot.executions for spot in self.spots)

    @property
    def cycles(self) -> int:
        return sum(spot.cycles for spot in self.spots)

    def by_symbol(self) -> list[Share]:
        """Cycles of each function's (or other global symbol's) own instructions, most first."""
        return self._shares(lambda spot: spot.symbol)

    def by_line(self) -> list[Share]:
        """Cycles of each source line (`file:line`; without line information symbol and offset), most first."""
        return self._shares(lambda spot: spot.place)

    def by_mnemonic(self) -> list[Share]:
        """The instruction mix."""
        return self._shares(lambda spot: spot.mnemonic)

    def by_extension(self) -> list[Share]:
        """The instruction mix by extension of the instruction set."""
        return self._shares(lambda spot: spot.extension)

    def _shares(self, key: Callable[[Spot], str]) -> list[Share]:
        found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for spot in self.spots:
            counts = found[key(spot)]
            counts[0] += spot.executions
            counts[1] += spot.cycles
        shares = [Share(name, *counts) for name, counts in found.items()]
        return sorted(shares, key=lambda share: -share.cycles)

    def coverage(self) -> Coverage:
        """Which instructions of the table were executed, how often."""
        counts = {share.name: share.instructions for share in self.by_mnemonic() if share.name != UNKNOWN}
        return Coverage(self.target, counts)

    def lines(self, most: int = 10) -> list[str]:
        """The report as text: symbols, lines, the mix; the `most` largest of each."""
        result = [f"{self.instructions} instructions, {self.cycles} cycles"]
        tables = {
            "symbol": self.by_symbol(),
            "line": self.by_line(),
            "instruction": self.by_mnemonic(),
            "extension": self.by_extension(),
        }
        for title, shares in tables.items():
            result += ["", f"{'cycles':>12} {'':>6} {'instructions':>12}  {title}"]
            result += [self._line(share) for share in shares[:most]]
            if len(shares) > most:
                result.append(f"{'':>33}  and {len(shares) - most} more")
        return result

    def _line(self, share: Share) -> str:
        part = 100 * share.cycles / max(self.cycles, 1)
        return f"{share.cycles:>12} {part:>5.1f}% {share.instructions:>12}  {share.name}"

    def __str__(self) -> str:
        return "\n".join(self.lines())

    __repr__ = __str__

    def annotated(self) -> list[str]:
        """Every executed instruction with its cycles and executions, in the order of addresses."""
        return [
            f"{spot.cycles:>10} {spot.executions:>10}  {spot.address:08x}  {spot.text:<44} {spot.place}"
            for spot in self.spots
        ]

    def _repr_html_(self) -> str:
        """Every executed instruction with a bar as long as its share of the cycles."""
        most = max((spot.cycles for spot in self.spots), default=1) or 1
        rows = "".join(
            f"<tr><td>{spot.cycles}</td><td>{spot.executions}</td><td style='text-align:left'>"
            f"<div style='background:#4c8bf5;height:0.8em;width:{100 * spot.cycles / most:.0f}px'></div></td>"
            f"<td style='text-align:left'><code>{escape(spot.text)}</code></td>"
            f"<td style='text-align:left'>{escape(spot.place)}</td></tr>"
            for spot in self.spots
        )
        head = "<tr><th>cycles</th><th>executed</th><th></th><th>instruction</th><th>line</th></tr>"
        return f"<b>{self.instructions} instructions, {self.cycles} cycles</b><table>{head}{rows}</table>"

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""

        def table(shares: Iterable[Share]) -> list[dict[str, Any]]:
            return [dict(vars(share)) for share in shares]

        return {
            "instructions": self.instructions,
            "cycles": self.cycles,
            "symbols": table(self.by_symbol()),
            "lines": table(self.by_line()),
            "mnemonics": table(self.by_mnemonic()),
            "extensions": table(self.by_extension()),
            "coverage": self.coverage().as_json(),
        }


def profile_of(machine: Machine) -> Profile:
    """What the machine counted in runs with Check.PROFILE since the profile was cleared."""
    marks = sorted((machine.symbols[name], name) for name in machine.functions)
    starts = [at for at, _ in marks]
    isa = load(machine.target)
    spots: list[Spot] = []
    for address, executions, cycles in _counts(machine):
        found = instruction_at(machine, address)
        mnemonic = found[0].mnemonic if found else UNKNOWN
        index = bisect.bisect_right(starts, address) - 1
        spots.append(
            Spot(
                address,
                text_at(machine, address),
                mnemonic,
                isa[mnemonic].extension if found else UNKNOWN,
                marks[index][1] if index >= 0 else UNKNOWN,
                machine.place(address),
                executions,
                cycles,
            )
        )
    return Profile(machine.target, tuple(spots))


def _counts(machine: Machine) -> Iterable[tuple[int, int, int]]:
    """(address, executions, cycles) of every executed address of the loaded code."""
    step = SLOT_BYTES[machine.target]
    for start, size in sorted(set(machine.code)):
        pairs = np.zeros((-(-size // step), 2), np.uint64)
        pointer = pairs.ctypes.data_as(ctypes.POINTER(ctypes.c_uint64))
        machine.read_profile(start, len(pairs), pointer)
        for slot in np.flatnonzero(pairs[:, 0]):
            yield start + int(slot) * step, int(pairs[slot, 0]), int(pairs[slot, 1])
