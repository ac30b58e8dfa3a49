"""Memory models: named presets of caches and transfer costs (see docs/simulator.md for the sources of each figure)."""

from __future__ import annotations

from dataclasses import dataclass, field

from pienn.errors import PiennError
from pienn.sim.native import REGION_KINDS, CacheShape, MemoryShape


@dataclass(frozen=True)
class Cache:
    """Size and line in bytes; ways is the associativity."""

    size: int
    line: int
    ways: int


@dataclass(frozen=True)
class Backing:
    """One memory: cycles of a transfer of n bytes = first + n * per_byte (reads), likewise for writes.

    `levels`: 0 never cached, 1 through L1, 2 through L1 and L2, 3 through the second cache only.
    """

    first: int = 0
    per_byte: float = 0.0
    write_first: int = 0
    write_per_byte: float = 0.0
    levels: int = 0
    sequential_saving: int = 0


@dataclass(frozen=True)
class MemoryModel:
    """A preset; costs in cycles of the core at `clock_mhz`."""

    name: str
    clock_mhz: int
    l1: Cache | None = None
    l2: Cache | None = None
    l2_hit: int = 0
    memories: dict[str, Backing] = field(default_factory=dict)

    @property
    def is_ideal(self) -> bool:
        return not self.memories

    def shape(self) -> MemoryShape:
        """The model as the C core takes it."""
        shape = MemoryShape()
        for name, cache in (("l1", self.l1), ("l2", self.l2)):
            if cache:
                setattr(shape, name, CacheShape(cache.size, cache.line, cache.ways))
        shape.l2_hit = self.l2_hit
        for index, kind in enumerate(REGION_KINDS):
            backing = self.memories.get(kind, Backing())
            shape.first[index] = backing.first
            shape.per_8_bytes_x16[index] = round(backing.per_byte * 8 * 16)
            shape.write_first[index] = backing.write_first
            shape.write_per_8_bytes_x16[index] = round(backing.write_per_byte * 8 * 16)
            shape.cached[index] = backing.levels
            shape.sequential_saving[index] = backing.sequential_saving
        return shape


def _esp32p4(name: str, clock_mhz: int) -> MemoryModel:
    # Fitted at 360 MHz: 9 cycles per line that L1 fetches from L2MEM; 138 cycles per line from PSRAM (reading at
    # 160 MB/s), 40 more when a dirty line leaves. PSRAM and flash keep their nanoseconds at another clock.
    scale = clock_mhz / 360
    return MemoryModel(
        name,
        clock_mhz,
        l1=Cache(64 << 10, 64, 2),
        l2=Cache(128 << 10, 64, 8),
        l2_hit=9,
        memories={
            "SRAM": Backing(first=9, write_first=2, levels=1),
            "PSRAM": Backing(
                first=round(17 * scale),
                per_byte=1.75 * scale,
                write_first=round(8 * scale),
                write_per_byte=0.5 * scale,
                levels=2,
            ),
            "flash": Backing(first=round(40 * scale), per_byte=4.5 * scale, levels=2),
            "TCM": Backing(),
        },
    )


_PRESETS = {
    model.name: model
    for model in (
        MemoryModel("ideal", 0),
        _esp32p4("esp32p4@360", 360),
        _esp32p4("esp32p4@400", 400),
        MemoryModel(
            "esp32s3@240",
            240,
            l1=Cache(32 << 10, 32, 8),
            memories={
                "SRAM": Backing(levels=0),
                "PSRAM": Backing(79, 1.63, 79, 1.63, levels=1),
                "flash": Backing(79, 3.0, levels=1),
            },
        ),
    )
}


def preset(name: str) -> MemoryModel:
    """The preset of that name."""
    try:
        return _PRESETS[name]
    except KeyError:
        raise PiennError(f"unknown memory model {name!r}: choose one of {', '.join(_PRESETS)}") from None


def names() -> list[str]:
    return list(_PRESETS)
