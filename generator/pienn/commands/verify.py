"""`pienn verify`: the same numbers in torch, in the interpreter after every pass, and in C."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from pienn.codegen.generate import describe
from pienn.codegen.native import Native
from pienn.commands.arrays import random_stored, read_arrays, to_graph
from pienn.commands.memory import USUAL_MODEL, memories
from pienn.commands.models import Source, source_options
from pienn.commands.places import (
    Place,
    compare,
    first_difference,
    interpreter_place,
    native_place,
    simulated_place,
    torch_place,
)
from pienn.commands.progress import progress
from pienn.commands.results import json_option, write_json
from pienn.commands.simulated import Simulated
from pienn.ir.graph import Graph
from pienn.passes.pipeline import OWN, apply, stages
from pienn.plan.constants import Budget
from pienn.plan.plan import TARGETS, plan

DEFAULT_INPUTS = 16


@click.command()
@source_options
@click.option(
    "--inputs", "input_file", type=click.Path(path_type=Path), help="Inputs to compare on (.npy, .npz)."
)
@click.option(
    "--target",
    "targets",
    type=click.Choice(TARGETS),
    multiple=True,
    help="Chip to simulate too; may be repeated.",
)
@click.option("--dump", type=click.Path(path_type=Path), help="Folder for every intermediate tensor as .npy.")
@json_option
def verify(
    source: Source,
    input_file: Path | None,
    targets: tuple[str, ...],
    dump: Path | None,
    json_file: str | None,
) -> None:
    """Check that every place computes the same numbers for MODEL, element by element, layer by layer.

    Places: torch (only where the model is a torch module), the interpreter on the graph and after each pass, the
    generated C. Exit code 1, with the first layer and element that differ, where they do not agree.

    \b
    pienn verify model.pie --random 200
    pienn verify --factory model:build --weights model.pt --inputs images.npz
    """
    if not source.is_graph_file and source.calibration is None and source.random is None:
        # The inputs to compare on are the only data there is: calibrate on them.
        source = replace(source, calibration=input_file, random=None if input_file else DEFAULT_INPUTS)
    graph = source.graph()
    border = None
    places: list[Place] = []
    if not source.is_graph_file:
        places.append(torch_place(source.quantized.lowered))
    if input_file is not None:
        arrays = read_arrays(input_file, graph.inputs)
        inputs = [to_graph(array, port) for array, port in zip(arrays, graph.inputs)]
        if places:
            border = first_difference(
                [f"input {port.name}" for port in graph.inputs],
                ("torch", inputs_by_port(graph, source.quantized.lowered.stored_inputs(arrays))),
                ("interpreter", inputs_by_port(graph, inputs)),
            )
    else:
        inputs = random_stored(graph, source.random or DEFAULT_INPUTS, source.seed)

    places.append(interpreter_place("interpreter", graph))
    final = graph
    for name, final in stages(graph, "host"):
        places.append(interpreter_place(f"after {name}", final))
    planned = plan(final)
    with Native(planned) as native:
        places.append(native_place(native, planned))
        for target in targets:
            if target == "host":
                continue
            tuned = final
            for name, tuned in apply(final, OWN.get(target, ())):
                places.append(interpreter_place(f"after {name}", tuned))
            # As `pienn compile` would make it: constants in flash, staged where that pays.
            budget = Budget(memories(USUAL_MODEL[target]), "flash")
            places.append(simulated_place(target, Simulated(plan(tuned, target), budget=budget)))
        difference, compared = compare(
            places,
            inputs,
            program_order(graph, final),
            lambda starts: progress(list(starts), "comparing"),
            dump_into(dump) if dump else None,
        )
    difference = border or difference
    results: dict[str, Any] = {
        "equal": difference is None,
        "places": [place.name for place in places],
        "inputs": len(inputs[0]),
        "layers_compared": compared,
        "first_difference": difference.to_json() if difference else None,
        "sqnr_db": None if source.is_graph_file else source.quantized.output_sqnr,
        "arena_bytes": planned.arena.total,
        "arena_lower_bound": planned.arena.lower_bound,
        "arena_optimal": planned.arena.optimal,
        "weight_bytes": describe(planned, "model").weight_bytes,
        "macs": planned.macs,
    }
    write_json(results, json_file)
    if json_file != "-":
        report(results, len(graph.layers), difference)
    if difference is not None:
        sys.exit(1)


def inputs_by_port(graph: Graph, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"input {port.name}": array for port, array in zip(graph.inputs, inputs)}


def program_order(*graphs: Graph) -> list[str]:
    """Value names in program order, results last."""
    order: dict[str, None] = {}
    for graph in graphs:
        names = graph.value_names()
        order |= {names[op.result]: None for op in graph.layers}
    for port in graphs[0].outputs:
        order[f"result {port.name}"] = None
    return list(order)


def report(results: dict[str, Any], layers: int, difference: Any) -> None:
    """The results for a person."""
    for name, count in results["layers_compared"].items():
        print(f"{name}: {count} tensors compared")
    if results["sqnr_db"] is not None:
        print(f"SQNR at the output against float: {results['sqnr_db']:.1f} dB")
    if difference is None:
        print(
            f"equal: {len(results['places'])} places, {results['inputs']} inputs, {layers} layers, every element"
        )
    else:
        print(f"DIFFERENT: {difference}")


def dump_into(folder: Path):
    """A function that writes each tensor as <folder>/<place>/<layer>.<first input>.npy."""

    def safe(name: str) -> str:
        return re.sub(r"[^A-Za-z0-9_.-]", "_", name)

    def dump(place: str, layer: str, start: int, array: np.ndarray) -> None:
        path = folder / safe(place) / f"{safe(layer)}.{start}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)

    return dump
