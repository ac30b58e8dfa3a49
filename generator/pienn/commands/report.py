"""`pienn report`: a network on a chip as one page to look at."""

from __future__ import annotations

from pathlib import Path

import click

from pienn.codegen.packed import pack
from pienn.commands.arrays import random_stored
from pienn.commands.cycles import figures
from pienn.commands.memory import MemoryOptions, memory_options
from pienn.commands.models import Source, source_options
from pienn.commands.results import json_option, write_json
from pienn.commands.simulated import Simulated
from pienn.passes.pipeline import pipeline
from pienn.plan.plan import TARGETS, plan
from pienn.report.page import describe, render


@click.command()
@source_options
@click.option("--target", type=click.Choice(TARGETS), required=True, help="Where the network runs.")
@memory_options()
@click.option(
    "--revision", type=click.Choice(["1", "3"]), default="3", show_default=True, help="ESP32-P4 revision."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The HTML file to write."
)
@json_option
def report(
    source: Source,
    target: str,
    memory: MemoryOptions,
    revision: str,
    output: Path,
    json_file: str | None,
) -> None:
    """Write MODEL as a web page: layers, cycles, memory over time, bytes moved, proofs.

    On a chip one random input is simulated; cycles do not depend on its values. The page needs no other file.

    \b
    pienn report model.pie --target esp32p4 -o report.html
    pienn report model.pie --target esp32s3 --memory esp32s3@240 --weights-in flash -o report.html
    """
    graph = source.graph()
    packed, cost, setting = pack(plan(pipeline(graph, target), target)), None, "reference C on the host"
    if target != "host":
        budget = memory.budget()
        simulated = Simulated(packed, memory.model, budget, int(revision))
        simulated.run(random_stored(graph, 1, source.seed))
        packed, cost = simulated.packed, figures(simulated, 1)
        chip = f"ESP32-P4 revision {revision}" if target == "esp32p4" else "ESP32-S3"
        setting = f"{chip}, {memory}"
    described = describe(packed, source.file_name, cost, setting)
    partial = output.with_name(output.name + ".partial")
    # A name may hold what UTF-8 cannot say.
    partial.write_text(render(described), encoding="utf-8", errors="replace")
    partial.replace(output)
    write_json(described, json_file)
    if json_file != "-":
        print(f"{output}: {len(described['layers'])} layers")
