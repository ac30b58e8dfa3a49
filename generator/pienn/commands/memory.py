"""The options that say what memory a network has on a chip, and where its constants and its arena go."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from pienn.errors import PiennError
from pienn.plan.constants import Budget
from pienn.plan.memory_costs import CacheLevel, Memories, MemoryCosts
from pienn.plan.plan import Plan
from pienn.sim.memory_models import Backing, MemoryModel, preset

USUAL_MODEL = {"host": "ideal", "esp32p4": "esp32p4@360", "esp32s3": "esp32s3@240"}
MEMORIES = ("SRAM", "flash", "PSRAM")
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


@dataclass(frozen=True)
class MemoryOptions:
    """--memory, --weights-in, --sram and --staging as they were given."""

    model: str
    weights: str | None
    sram: int | None
    staging: bool

    def __str__(self) -> str:
        budget = self.budget()
        fits = "" if budget.sram is None else f" but for what fits {budget.sram} bytes of SRAM"
        return f"memory model {self.model}, weights in {budget.weights}{fits}"

    def budget(self, usual_weights: str = "SRAM") -> Budget:
        """For the planner; constants lie in flash where a budget for SRAM is given but no memory for them."""
        weights = self.weights or ("flash" if self.sram is not None else usual_weights)
        return Budget(memories(self.model), weights, self.sram, self.staging)


def memory_options(model: str | None = "ideal") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options as one `memory` argument; `model` is the default of --memory, None for the target's own."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @click.option(
            "--memory",
            default=model,
            show_default=model or "the chip's at its usual clock",
            help="Memory model of the chip: ideal, esp32p4@360, ...",
        )
        @click.option(
            "--weights-in",
            type=click.Choice(MEMORIES),
            help="Memory for the constants that --sram leaves out. "
            f"[default: {'flash' if model is None else 'SRAM, or flash with --sram'}]",
        )
        @click.option("--sram", metavar="SIZE", help="SRAM for arena and constants: 256K, 1M.")
        @click.option(
            "--staging/--no-staging",
            default=True,
            show_default=True,
            help="Copy a layer's constants to SRAM block by block where that is predicted to pay.",
        )
        @wraps(function)
        def command(
            memory: str | None, weights_in: str | None, sram: str | None, staging: bool, **options: Any
        ) -> Any:
            name = memory or USUAL_MODEL[options["target"]]
            return function(memory=MemoryOptions(name, weights_in, bytes_of(sram), staging), **options)

        return command

    return decorate


def bytes_of(text: str | None) -> int | None:
    """A size as the command line has it: `262144`, `256K`, `1M`."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,12})([KM]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise PiennError(f"--sram {text}: not a size: write bytes, or 256K, or 1M")
    return int(match.group(1)) * UNITS[match.group(2).upper()]


def memories(name: str) -> Memories:
    """A memory model as the planner sees it."""
    model = preset(name)
    return Memories(name, {kind: MemoryCosts(kind, _levels(model, kind)) for kind in MEMORIES})


def _levels(model: MemoryModel, kind: str) -> tuple[CacheLevel, ...]:
    backing = model.memories.get(kind, Backing())
    caches = [
        cache
        for cache, used in ((model.l1, backing.levels in (1, 2)), (model.l2, backing.levels > 1))
        if used
    ]
    caches = [cache for cache in caches if cache is not None]

    def transfer(size: int) -> float:
        return backing.first + size * backing.per_byte

    if not caches:
        return (CacheLevel(0, 16, 0, transfer(16)),) if transfer(16) else ()
    fills = [model.l2_hit] * (len(caches) - 1) + [transfer(caches[-1].line)]
    return tuple(CacheLevel(cache.size, cache.line, cache.ways, fill) for cache, fill in zip(caches, fills))


def describe_homes(plan: Plan) -> Sequence[str]:
    """Lines for a person: what lies where, and why, what saves most first."""
    placed = [call for call in plan.calls if call.home.bytes]
    if not placed:
        return []
    by_memory: dict[str, int] = {}
    for call in placed:
        by_memory[call.home.memory] = by_memory.get(call.home.memory, 0) + call.home.bytes
    amounts = ", ".join(f"{size} bytes in {memory}" for memory, size in by_memory.items())
    lines = [f"memory: arena {plan.arena.total} bytes in {plan.arena_memory}, constants {amounts}"]
    for call in sorted(placed, key=lambda call: -call.home.saved):
        if call.home.why:
            where = "" if call.home.memory == "SRAM" else f"{call.home.memory}, "
            lines.append(f"  {call.op.layer}: {call.home.bytes} bytes, {where}{call.home.why}")
    return lines
