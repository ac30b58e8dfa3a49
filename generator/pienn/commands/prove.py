"""`pienn prove`: how each block of 16 outputs fits the ESP32-S3's accumulator of 20 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from pienn.codegen.packed import pack
from pienn.codegen.packing import LANES
from pienn.commands.results import json_option, write_json
from pienn.ir import file
from pienn.ir.graph import Graph
from pienn.passes.pipeline import pipeline
from pienn.plan.plan import plan

TARGET = "esp32s3"
MODES = ("QACC", "harmless saturation", "two digits", "reference")


@click.command()
@click.argument("graph_file", metavar="FILE", type=click.Path(path_type=Path))
@json_option
def prove(graph_file: Path, json_file: str | None) -> None:
    """Show how each block of 16 outputs of FILE fits the ESP32-S3's accumulator, whose lanes saturate at 20 bits.

    \b
    QACC, margin n bits    no partial sum leaves 20 bits, for any input
    harmless saturation    one may, but the result is at its rail then, saturated or not
    two digits, f = ...    weights are split; the share f of the inputs is multiplied twice
    reference              no exact way was found; the layer runs in C

    \b
    pienn prove model.pie
    """
    proofs = describe(file.read(graph_file))
    write_json(proofs, json_file)
    if json_file != "-":
        show(proofs)


def describe(graph: Graph) -> dict[str, Any]:
    """Per layer with weights its blocks in packed order; totals by mode, and the least margin of blocks in QACC."""
    packed = pack(plan(pipeline(graph, TARGET), TARGET))
    layers = []
    for call, parameters in zip(packed.plan.calls, packed.parameters):
        blocks = [
            {
                "mode": proof.mode,
                "proof": str(proof),
                "margin": round(proof.margin, 2),
                "fraction": round(proof.fraction, 3),
                "body": body,
            }
            for body, proof in parameters.proofs
        ]
        if call.version == "ref" and "weights" in parameters.arrays:
            count = len(parameters.arrays["shift"]) // LANES
            blocks = [{"mode": "reference", "proof": call.why, "body": "", "fraction": 0.0}] * count
        if blocks:
            layers.append({"name": call.op.layer, "kernel": call.kernel.name, "blocks": blocks})
    every = [block for layer in layers for block in layer["blocks"]]
    margins = [block["margin"] for block in every if block["mode"] == "QACC"]
    return {
        "name": graph.name,
        "layers": layers,
        "blocks": len(every),
        "totals": {mode: sum(block["mode"] == mode for block in every) for mode in MODES},
        "least_margin": min(margins, default=None),
    }


def show(proofs: dict[str, Any]) -> None:
    """The proofs for a person."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("layer", "kernel", "outputs", "body", "proof"):
        table.add_column(title, overflow="fold")
    for layer in proofs["layers"]:
        for number, block in enumerate(layer["blocks"]):
            outputs = f"{number * LANES}..{number * LANES + LANES - 1}"
            names = (layer["name"], layer["kernel"]) if number == 0 else ("", "")
            table.add_row(*names, outputs, block["body"].lower(), block["proof"])
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)
    parts = [f"{count} {mode}" for mode, count in proofs["totals"].items() if count]
    least = proofs["least_margin"]
    margin = f"; least margin in QACC {least:.1f} bits" if least is not None else ""
    print(f"{proofs['blocks']} blocks: {', '.join(parts) or 'none'}{margin}")
