"""Which instructions of the table a run executed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from pienn.errors import PiennError
from pienn.isa.table import load

SHOWN = 12  # names of missing instructions in a line of the text report


class Coverage:
    """Executions of each mnemonic of one chip's table; `|` joins the coverage of several runs."""

    def __init__(self, target: str, counts: Mapping[str, int]) -> None:
        self.target = target
        self.counts: Counter[str] = Counter({name: count for name, count in counts.items() if count})
        self._isa = load(target)
        unknown = sorted(name for name in self.counts if name not in self._isa)
        if unknown:
            raise PiennError(f"{unknown[0]}: no instruction of {target}")

    def __or__(self, other: Coverage) -> Coverage:
        if other.target != self.target:
            raise PiennError(f"coverage of {self.target} and {other.target} cannot be joined")
        return Coverage(self.target, self.counts + other.counts)

    def executed(self) -> list[str]:
        """In the order of the table."""
        return [name for name in self._isa.instructions if name in self.counts]

    def missing(self) -> list[str]:
        """In the order of the table."""
        return [name for name in self._isa.instructions if name not in self.counts]

    def by_extension(self) -> dict[str, tuple[int, int]]:
        """Extension -> (executed, in the table)."""
        found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for name, instruction in self._isa.instructions.items():
            found[instruction.extension][0] += name in self.counts
            found[instruction.extension][1] += 1
        return {name: (done, total) for name, (done, total) in found.items()}

    def lines(self) -> list[str]:
        """The report as text: one line per extension, with the first of the missing instructions."""
        total = len(self._isa.instructions)
        result = [f"{len(self.executed())} of {total} instructions of {self.target} executed"]
        missing: dict[str, list[str]] = defaultdict(list)
        for name in self.missing():
            missing[self._isa[name].extension].append(name)
        for extension, (done, count) in self.by_extension().items():
            names = missing[extension]
            rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            words = f"  missing: {' '.join(names[:SHOWN])}{rest}" if names else ""
            result.append(f"{extension:>10} {done:>4} of {count:<4}{words}")
        return result

    def __str__(self) -> str:
        return "\n".join(self.lines())

    __repr__ = __str__

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "target": self.target,
            "executed": {name: self.counts[name] for name in self.executed()},
            "missing": self.missing(),
            "extensions": {
                name: {"executed": done, "total": total}
                for name, (done, total) in self.by_extension().items()
            },
        }
