"""Where the constants of every call lie: in SRAM, or in flash or PSRAM and read there, or copied to SRAM part by part.

The arena comes first. What is left of the SRAM goes to the choice that saves the most predicted cycles for a byte,
again and again: a layer's constants move in for good, or a buffer takes them one block of 16 outputs at a time while
the layer runs ("staged"): a part of the arena, or where the arena lies in PSRAM, one that all layers share. Staging
pays where a block is read again for every pixel and the caches do not hold it; what is read once costs the same either
way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from pienn.errors import PiennError
from pienn.plan.issue_bound import issue_bound
from pienn.plan.memory import Buffer, aligned, place
from pienn.plan.memory_costs import Memories, MemoryCosts
from pienn.plan.plan import Call, Home, Part, Plan, staging_storage

LANES = 16
PART_CYCLES = 200  # of calling a kernel and the copy once more
COPIED_BYTES_PER_CYCLE = 8
EXTERNAL = ("flash", "PSRAM")
RESIDENT, STAGED = "resident", "staged"


@dataclass(frozen=True)
class Budget:
    """What the constants may use.

    sram: bytes for arena and constants together, None for as many as it takes; weights: where the rest lies, or all of
    it (`SRAM`, `flash`, `PSRAM`); staging: whether blocks may be copied to SRAM.
    """

    memories: Memories
    weights: str = "SRAM"
    sram: int | None = None
    staging: bool = True


@dataclass(frozen=True)
class Stored:
    """The constants of a call: bytes in all, and of each block of 16 outputs, one after the other in one array.

    blocks: empty where the array cannot be given to a kernel in parts.
    """

    bytes: int
    blocks: tuple[int, ...] = ()


def passes(call: Call) -> int:
    """How often a call reads a block of its constants."""
    if call.kernel.name in ("conv2d_s8", "depthwise_conv2d_s8", "conv_transpose2d_s8"):
        return prod(call.writes.shape[:-1])
    if call.kernel.name == "fully_connected_s8":
        return prod(call.writes.shape[:-1])
    return 1


def read_cycles(call: Call, stored: Stored, memory: MemoryCosts) -> float:
    """Cycles that a call waits for constants which lie in a memory."""
    blocks = stored.blocks or (stored.bytes,)
    times = passes(call) if stored.blocks else 1
    return sum(memory.read_cycles(size, times) for size in blocks)


def staged_cycles(call: Call, stored: Stored, memory: MemoryCosts, sram: MemoryCosts) -> float:
    """The same where every block is copied first."""
    copied = sum(memory.read_cycles(size) + size / COPIED_BYTES_PER_CYCLE for size in stored.blocks)
    return copied + len(stored.blocks) * PART_CYCLES + read_cycles(call, stored, sram)


def stages(call: Call, stored: Stored) -> bool:
    """Whether the call's kernel can be given its constants in parts, and reads them more than once."""
    if call.kernel.name == "conv2d_s8":
        return bool(stored.blocks) and call.op.parameters["groups"] == 1 and passes(call) > 1
    return call.kernel.name == "fully_connected_s8" and bool(stored.blocks) and passes(call) > 1


def parts_of(call: Call, stored: Stored) -> tuple[Part, ...]:
    """A part for each block of 16 outputs."""
    parts, offset, outputs = [], 0, call.writes.shape[-1]
    for number, size in enumerate(stored.blocks):
        first = number * LANES
        parts.append(Part(first, min(LANES, outputs - first), offset, size))
        offset += size
    return tuple(parts)


def with_homes(plan: Plan, stored: Sequence[Stored], budget: Budget) -> Plan:
    """The plan with a home for the constants of every call, and an arena that has room for what is staged.

    stored: by call. Raises PiennError where the budget cannot hold what it must.
    """
    costs = [_Costs(call, item, budget) for call, item in zip(plan.calls, stored)]
    arena = plan.arena.total
    if budget.weights not in EXTERNAL:
        total = sum(aligned(item.bytes) for item in stored)
        if budget.sram is not None and arena + total > budget.sram:
            raise PiennError(
                f"{plan.graph.name}: the arena ({arena} bytes) and the constants ({total}) do not fit {budget.sram} "
                "bytes of SRAM: put the constants in flash or PSRAM (--weights-in)"
            )
        return _finished(plan, dict.fromkeys(range(len(costs)), RESIDENT), costs, "SRAM", "")
    fits = budget.sram is None or arena <= budget.sram
    arena_memory = "SRAM" if fits else "PSRAM"
    refusal = "no room in SRAM for a copy" if budget.staging else "staging is off"
    room = None if budget.sram is None else budget.sram - arena * fits
    chosen = _chosen(plan, costs, room, budget.staging, fits)
    while True:
        found = _finished(plan, chosen, costs, arena_memory, refusal)
        if budget.sram is None or not chosen or found.sram_bytes <= budget.sram:
            return found
        chosen.popitem()  # the arena came out larger than what lives at once: the last choice goes


class _Costs:
    """What each home of a call's constants costs, in predicted cycles of waiting."""

    def __init__(self, call: Call, stored: Stored, budget: Budget):
        outer, sram = budget.memories[budget.weights], budget.memories["SRAM"]
        self.call, self.stored, self.outer = call, stored, outer
        self.in_place = read_cycles(call, stored, outer)
        self.resident = read_cycles(call, stored, sram)
        self.staged = staged_cycles(call, stored, outer, sram) if stages(call, stored) else self.in_place

    def of(self, kind: str | None) -> float:
        return {RESIDENT: self.resident, STAGED: self.staged, None: self.in_place}[kind]

    def home(self, kind: str | None, refusal: str) -> Home:
        """The home with the reason for it."""
        size, call = self.stored.bytes, self.call
        if not size:
            return Home()
        saved = round(self.in_place - self.of(kind))
        if kind == RESIDENT:
            why = f"in SRAM: saves ~{saved} cycles" if saved > 0 else "in SRAM"
            return Home("SRAM", size, (), why, max(saved, 0))
        if kind == STAGED:
            parts = parts_of(call, self.stored)
            share = 100 * saved / (issue_bound(call) + self.in_place)
            largest = max(part.bytes for part in parts)
            why = f"staged: {len(parts)} blocks of {largest} bytes, saves ~{share:.0f} %"
            return Home(self.outer.name, size, parts, why, saved)
        times = passes(call)
        if times == 1 or not self.stored.blocks:
            why = "read in place: each byte is read once"
        elif not any(self.outer.rereads(block) for block in self.stored.blocks):
            why = "read in place: a cache holds each block, so each byte is fetched once"
        else:
            reason = refusal if self.staged < self.in_place else "copying would not pay"
            why = f"read in place {times} times: {reason}"
        return Home(self.outer.name, size, (), why)


def _chosen(
    plan: Plan, costs: Sequence[_Costs], room: int | None, may_stage: bool, in_arena: bool
) -> dict[int, str]:
    """Call number -> what is chosen for it, in the order of choice: the largest gain for a byte of SRAM first.

    room: bytes of SRAM beside the arena; in_arena: whether the arena lies in SRAM and takes what is staged.
    """
    live, arena = (_live(plan), plan.arena.total) if in_arena else ([0] * len(plan.calls), 0)
    chosen: dict[int, str] = {}

    def used(choice: dict[int, str]) -> int:
        """Bytes of SRAM beyond the arena as it is."""
        staging = [live[n] + max(costs[n].stored.blocks) for n, kind in choice.items() if kind == STAGED]
        resident = sum(aligned(costs[n].stored.bytes) for n, kind in choice.items() if kind == RESIDENT)
        return max(0, max(staging, default=0) - arena) + resident

    while True:
        taken = used(chosen)
        best: tuple[float, float, int, str] | None = None
        for number, cost in enumerate(costs):
            now = chosen.get(number)
            for kind in (STAGED, RESIDENT):
                allowed = (
                    may_stage and now is None if kind == STAGED else room is not None and now != RESIDENT
                )
                gain = cost.of(now) - cost.of(kind)
                if not allowed or gain <= 0:
                    continue
                total = used({**chosen, number: kind})
                if room is not None and total > room:
                    continue
                # What is read once gains the same for a byte, but for the ends of lines: then the largest first.
                found = (round(gain / max(total - taken, 1), 1), gain, -number, kind)
                best = found if best is None else max(best, found)
        if best is None:
            return chosen
        _, _, number, kind = best
        chosen.pop(-number, None)
        chosen[-number] = kind


def _live(plan: Plan) -> list[int]:
    """Bytes of the arena that are in use during each call."""
    return [
        sum(aligned(buffer.size) for buffer in _buffers(plan) if buffer.first <= step <= buffer.last)
        for step in range(len(plan.calls))
    ]


def _buffers(plan: Plan) -> list[Buffer]:
    """The storages of the arena with their lifetimes."""
    spans: dict[str, tuple[int, int]] = {}
    touched = [(step, view) for step, call in enumerate(plan.calls) for view in (*call.reads, call.writes)]
    touched += [(len(plan.calls), plan.tensors[value].view) for value, _ in plan.copies_out]
    for step, view in touched:
        first, _ = spans.get(view.storage, (step, step))
        spans[view.storage] = (first, step)
    return [Buffer(storage, plan.sizes[storage], *spans[storage]) for storage in plan.arena.offsets]


def _finished(
    plan: Plan, chosen: dict[int, str], costs: Sequence[_Costs], arena_memory: str, refusal: str
) -> Plan:
    """The plan with these homes and an arena for them."""
    homes = [cost.home(chosen.get(number), refusal) for number, cost in enumerate(costs)]
    staging = [
        Buffer(staging_storage(number), max(part.bytes for part in home.parts), number, number)
        for number, home in enumerate(homes)
        if home.parts
    ]
    in_arena = arena_memory == "SRAM"
    return replace(
        plan,
        calls=tuple(replace(call, home=home) for call, home in zip(plan.calls, homes)),
        arena=place([*_buffers(plan), *staging]) if staging and in_arena else plan.arena,
        storages=plan.storages | {buffer.name: "arena" if in_arena else "staging" for buffer in staging},
        sizes=plan.sizes | {buffer.name: buffer.size for buffer in staging},
        arena_memory=arena_memory,
    )
