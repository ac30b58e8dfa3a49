"""Room for a second result of every call that a chip's kernel computes, so that the reference can compute it too."""

from __future__ import annotations

from dataclasses import replace

from pienn.plan.memory import aligned
from pienn.plan.plan import Call, Plan

SHADOW = "shadow"
"""The storage of the arena that takes the reference's results, one after the other."""


def with_shadow(plan: Plan) -> Plan:
    """The plan with that storage behind all others; unchanged where the reference computes everything anyway."""
    sizes = [_extent(plan, call) for call in plan.calls if call.version != "ref"]
    if not sizes:
        return plan
    size, arena = max(sizes), plan.arena
    return replace(
        plan,
        arena=replace(
            arena,
            offsets={**arena.offsets, SHADOW: aligned(arena.total)},
            total=aligned(arena.total) + aligned(size),
            lower_bound=arena.lower_bound + aligned(size),
        ),
        storages={**plan.storages, SHADOW: "arena"},
        sizes={**plan.sizes, SHADOW: size},
    )


def _extent(plan: Plan, call: Call) -> int:
    """Bytes from the first to the last byte that the call writes."""
    if call.margins:
        return plan.sizes[call.writes.storage]
    view = call.writes
    return 1 + sum((size - 1) * stride for size, stride in zip(view.shape, view.strides))
