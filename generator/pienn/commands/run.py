"""`pienn run`: inputs from a file through the generated C."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from pienn.codegen.native import Native
from pienn.commands.arrays import read_arrays, to_graph, to_torch
from pienn.commands.cycles import figures, layer_row, print_table
from pienn.commands.memory import MemoryOptions, describe_homes, memory_options
from pienn.commands.models import Source, source_options
from pienn.commands.results import json_option, write_json
from pienn.commands.simulated import LayerCycles, Simulated
from pienn.errors import PiennError
from pienn.passes.pipeline import pipeline
from pienn.plan.plan import TARGETS, plan


@click.command()
@source_options
@click.option("--target", type=click.Choice(TARGETS), default="host", show_default=True, help="Where to run.")
@memory_options()
@click.option(
    "--revision", type=click.Choice(["1", "3"]), default="3", show_default=True, help="ESP32-P4 revision."
)
@click.option(
    "--input", "input_file", type=click.Path(path_type=Path), required=True, help="Inputs (.npy, .npz)."
)
@click.option(
    "--output", "output_file", type=click.Path(path_type=Path), help="Results (.npy; .npz for several)."
)
@json_option
def run(
    source: Source,
    target: str,
    memory: MemoryOptions,
    revision: str,
    input_file: Path,
    output_file: Path | None,
    json_file: str | None,
) -> None:
    """Run MODEL on every input of a file: in C on this machine, or kernel by kernel on a simulated chip.

    Inputs are in the torch module's layout with batch axis: float32 reals, or int8 stored values. Results are the
    stored int8 values in torch layout; real = (q - zero_point) * 2^exponent with the figures that are printed.

    \b
    pienn run model.pie --input images.npy --output scores.npy
    pienn run model.pie --target esp32p4 --memory esp32p4@360 --weights-in flash --input images.npy
    pienn run model.pie --target esp32s3 --memory esp32s3@240 --sram 256K --input images.npy
    """
    graph = source.graph()
    arrays = read_arrays(input_file, graph.inputs)
    stored = [to_graph(array, port) for array, port in zip(arrays, graph.inputs)]
    planned = plan(pipeline(graph, target), target)
    simulated = None
    if target == "host":
        with Native(planned) as native:
            outputs = native.run(stored)
    else:
        simulated = Simulated(planned, memory.model, memory.budget(), int(revision))
        outputs = simulated.run(stored)
    results = {port.name: to_torch(array, port.permutation) for port, array in zip(graph.outputs, outputs)}
    if output_file is not None:
        save(output_file, results)
    report: dict[str, Any] = {
        "target": target,
        "inputs": len(stored[0]),
        "macs": planned.macs,
        "outputs": [
            {
                "name": port.name,
                "shape": list(results[port.name].shape),
                "exponent": port.exponent,
                "zero_point": port.zero_point,
            }
            for port in graph.outputs
        ],
    }
    if simulated is not None:
        budget = memory.budget()
        report |= {"memory": memory.model, "weights_in": budget.weights, "sram": budget.sram}
        report |= figures(simulated, len(stored[0]))
    else:
        report["layers"] = [layer_row(LayerCycles(call), 1) for call in planned.calls]
    write_json(report, json_file)
    if json_file == "-":
        return
    if simulated is not None:
        print_table(simulated, len(stored[0]))
        print("\n".join(describe_homes(simulated.plan)))
    else:
        print(f"{len(stored[0])} inputs, {planned.macs} MAC each, on the host in reference C")
    for port in graph.outputs:
        array = results[port.name]
        print(f"{port.name}: int8 {list(array.shape)}, real = (q - {port.zero_point}) * 2^{port.exponent}")
        if output_file is None:
            with np.printoptions(threshold=20, edgeitems=5):
                print(array)


def save(path: Path, results: dict[str, np.ndarray]) -> None:
    """One array as .npy, several as .npz; the file appears whole or not at all."""
    if path.suffix not in (".npy", ".npz"):
        raise PiennError(f"{path}: results are written as .npy, or .npz for several")
    if path.suffix == ".npy" and len(results) != 1:
        raise PiennError(f"{path}: the network has {len(results)} results: name a .npz file")
    partial = path.with_name(f".{path.name}.partial{path.suffix}")
    try:
        if path.suffix == ".npy":
            np.save(partial, next(iter(results.values())))
        else:
            np.savez(partial, **results)  # pyright: ignore[reportArgumentType]
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
