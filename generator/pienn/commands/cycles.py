"""Cycles of a simulated network as figures and as a table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from pienn.commands.simulated import PEAK, LayerCycles, Simulated

USUAL_CLOCK = {"esp32p4": 360, "esp32s3": 240}
"""MHz, where the memory model names no clock."""


def clock_of(simulated: Simulated) -> int:
    return simulated.model.clock_mhz or USUAL_CLOCK[simulated.plan.target]


def layer_row(layer: LayerCycles, inputs: int) -> dict[str, Any]:
    """One call for machines; figures of one input."""
    call = layer.call
    return {
        "name": call.op.layer,
        "op": "halo" if call.margins else call.op.short_name,
        "kernel": f"{call.kernel.name}_{call.version}",
        "shape": "x".join(map(str, call.writes.shape)),
        "macs": call.macs,
        "cycles": None if layer.cycles is None else layer.cycles // inputs,
        "moved": {memory: size // inputs for memory, size in layer.moved.items()},
        "why": call.reason,
        "constants": asdict(call.home),
    }


def figures(simulated: Simulated, inputs: int) -> dict[str, Any]:
    """The whole run for machines: cycles and ms of one input, layer by layer; reference calls have no cycles."""
    rows = [layer_row(layer, inputs) for layer in simulated.layers]
    counted = [row for row in rows if row["cycles"] is not None]
    cycles = sum(row["cycles"] for row in counted)
    macs = sum(row["macs"] for row in counted)
    return {
        "cycles": cycles,
        "ms": cycles / clock_of(simulated) / 1000,
        "clock_mhz": clock_of(simulated),
        "counted_macs": macs,
        "mac_per_cycle": macs / cycles if cycles else None,
        "reference_calls": len(rows) - len(counted),
        "code_bytes": simulated.code_bytes,
        "constant_bytes": simulated.constant_bytes,
        "arena_bytes": simulated.plan.arena.total,
        "layers": rows,
    }


def print_table(simulated: Simulated, inputs: int) -> None:
    """The same for a person."""
    total = figures(simulated, inputs)
    name = f"{simulated.plan.target}, memory {simulated.model.name}, cycles of one input (simulated)"
    table = Table(title=name)
    for heading in ("layer", "op", "result", "kernel"):
        table.add_column(heading, overflow="fold")
    for heading in ("MAC", "cycles", "MAC/cycle", "% of 16", "bytes moved"):
        table.add_column(heading, justify="right")
    for row in total["layers"]:
        rate = row["macs"] / row["cycles"] if row["macs"] and row["cycles"] else None
        table.add_row(
            row["name"],
            row["op"],
            row["shape"],
            row["kernel"],
            str(row["macs"] or ""),
            "not simulated" if row["cycles"] is None else str(row["cycles"]),
            f"{rate:.2f}" if rate else "",
            f"{100 * rate / PEAK:.0f}" if rate else "",
            " ".join(f"{memory} {size}" for memory, size in row["moved"].items()),
        )
    console = Console(width=None if Console().is_terminal else 160)
    console.print(table)
    rate = f", {total['mac_per_cycle']:.2f} MAC/cycle" if total["mac_per_cycle"] else ""
    console.print(
        f"{total['cycles']} cycles = {total['ms']:.3f} ms at {total['clock_mhz']} MHz, "
        f"{total['counted_macs']} of {simulated.plan.macs} MAC{rate}; "
        f"kernels {total['code_bytes']} bytes, constants {total['constant_bytes']}, arena {total['arena_bytes']}"
    )
    for row in total["layers"]:
        if row["cycles"] is None:
            console.print(f"  {row['name']}: {row['why']}; its cycles are not in the sum")
