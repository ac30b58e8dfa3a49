"""What it costs to read constants out of a memory: cycles by bytes, passes and the caches between."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CacheLevel:
    """A cache that replaces the line least recently used; sizes in bytes. With no ways nothing is kept."""

    size: int
    line: int
    ways: int
    fill: float
    """Cycles for one line from what lies behind, if it is there."""

    @property
    def sets(self) -> int:
        return max(1, self.size // (self.line * max(self.ways, 1)))

    def lines(self, bytes_: int) -> int:
        return -(-bytes_ // self.line)

    def missed(self, lines: int) -> int:
        """Lines that miss in every pass over a block of neighbouring lines: those of sets that hold too many."""
        each, more = divmod(lines, self.sets)
        fuller = more * (each + 1) if each + 1 > self.ways else 0
        return fuller + ((self.sets - more) * each if each > self.ways else 0)


@dataclass(frozen=True)
class MemoryCosts:
    """One memory as a kernel sees it: caches from the nearest one outwards; none where every access is at once."""

    name: str
    levels: tuple[CacheLevel, ...] = ()

    def read_cycles(self, bytes_: int, passes: int = 1) -> float:
        """Cycles that a kernel waits which reads a block of bytes front to back, again and again."""
        return sum(
            level.fill * (level.lines(bytes_) + (passes - 1) * level.missed(level.lines(bytes_)))
            for level in self.levels
        )

    def rereads(self, bytes_: int) -> bool:
        """Whether a second pass over the block would fetch from the memory again."""
        return bool(self.levels) and self.levels[-1].missed(self.levels[-1].lines(bytes_)) > 0


@dataclass(frozen=True)
class Memories:
    """The memories of a chip under one memory model."""

    model: str
    by_name: dict[str, MemoryCosts]

    def __getitem__(self, name: str) -> MemoryCosts:
        return self.by_name[name]


IDEAL = Memories("ideal", {name: MemoryCosts(name) for name in ("SRAM", "flash", "PSRAM")})
"""No memory makes anybody wait."""
