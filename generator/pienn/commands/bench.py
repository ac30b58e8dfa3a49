"""`pienn bench`: cycles of whole networks and of single kernels on the simulated chips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from pienn.codegen.packed import pack
from pienn.codegen.parameters import Parameters
from pienn.commands.arrays import random_stored
from pienn.commands.cycles import figures
from pienn.commands.memory import MemoryOptions, memory_options
from pienn.commands.progress import progress
from pienn.commands.results import json_option, write_json
from pienn.commands.simulated import Simulated
from pienn.component import component_folder
from pienn.errors import PiennError
from pienn.ir import file
from pienn.ir.builder import GraphBuilder
from pienn.ir.dialect import shape_of
from pienn.ir.graph import Graph
from pienn.passes.pipeline import pipeline
from pienn.plan.issue_bound import issue_bound
from pienn.plan.plan import Plan, plan

CHIPS = ("esp32p4", "esp32s3")


@click.group()
def bench() -> None:
    """Measure cycles on the simulated chips; every figure names its memory model.

    \b
    pienn bench models --target esp32p4 --models build/zoo
    pienn bench kernels --target esp32s3
    """


def chip_options(function: Any) -> Any:
    """--target, --revision and the options of the memories of both benches."""
    options = [
        click.option("--target", type=click.Choice(CHIPS), required=True, help="The chip."),
        click.option(
            "--revision",
            type=click.Choice(["1", "3"]),
            default="3",
            show_default=True,
            help="Of the ESP32-P4.",
        ),
        memory_options(),
    ]
    for option in reversed(options):
        function = option(function)
    return json_option(function)


@bench.command()
@click.option(
    "--models",
    type=click.Path(path_type=Path),
    help="Folder of .pie files [default: build/zoo or build/demo].",
)
@chip_options
def models(
    models: Path | None, target: str, revision: str, memory: MemoryOptions, json_file: str | None
) -> None:
    """Whole networks: cycles of one random input. Weights that do not fit where they should lie in flash.

    \b
    pienn bench models --target esp32p4 --models build/zoo --memory esp32p4@360 --weights-in flash
    """
    rows = []
    for path in progress(model_files(models), "simulating"):
        graph = file.read(path)
        packed, budget = pack(plan(pipeline(graph, target), target)), memory.budget()
        planned = packed.plan
        try:
            simulated = Simulated(packed, memory.model, budget, int(revision))
        except PiennError:  # too large for that memory
            budget = replace(budget, weights="flash")
            simulated = Simulated(packed, memory.model, budget, int(revision))
        simulated.run(random_stored(graph, 1, 0))
        found = figures(simulated, 1)
        rows.append(
            {
                "model": path.stem,
                "shape": "x".join(map(str, graph.inputs[0].shape)),
                **row_of(planned, target, revision, memory.model, found["cycles"]),
                "weights_in": budget.weights,
                "staged_calls": sum(bool(call.home.parts) for call in simulated.plan.calls),
                "ms": found["ms"],
                "reference_calls": found["reference_calls"],
                "code_bytes": found["code_bytes"],
                "sram_bytes": simulated.plan.sram_bytes,
            }
        )
    write_json(rows, json_file)
    if json_file != "-":
        wanted = memory.budget().weights
        show(rows, "model", f"{target}, {memory}, simulated")
        for row in rows:
            if row["weights_in"] != wanted:
                print(f"{row['model']}: weights in {row['weights_in']}, they do not fit into {wanted}")
            if row["staged_calls"]:
                print(f"{row['model']}: {row['staged_calls']} layers staged through SRAM")


def row_of(planned: Plan, target: str, revision: str, memory: str, cycles: int) -> dict[str, Any]:
    """The columns that networks and kernels share."""
    return {
        "target": target,
        "revision": int(revision) if target == "esp32p4" else None,
        "memory": memory,
        "macs": planned.macs,
        "cycles": cycles,
        "mac_per_cycle": planned.macs / cycles if planned.macs and cycles else None,
        "issue_bound": sum(issue_bound(call) for call in planned.calls),
    }


def model_files(folder: Path | None) -> list[Path]:
    """The graph files of a folder; raises PiennError where there are none."""
    build = component_folder() / "build"
    folders = [folder] if folder is not None else [build / "zoo", build / "demo"]
    for candidate in folders:
        files = sorted(candidate.glob("*.pie")) if candidate.is_dir() else []
        if files:
            return files
    raise PiennError(f"{folders[0]}: no .pie files: name a folder with --models, or run `make demo` first")


def show(rows: list[dict[str, Any]], what: str, title: str) -> None:
    """The rows for a person."""
    table = Table(title=title)
    table.add_column(what)
    table.add_column("shape")
    for heading in ("MAC", "cycles", "ms", "MAC/cycle", "issue bound", "% of bound", "not simulated"):
        table.add_column(heading, justify="right")
    for row in rows:
        rate = f"{row['mac_per_cycle']:.2f}" if row["mac_per_cycle"] else ""
        share = f"{100 * row['issue_bound'] / row['cycles']:.0f}" if row["cycles"] else ""
        table.add_row(
            row[what], row["shape"], str(row["macs"] or ""), str(row["cycles"]),
            f"{row['ms']:.2f}" if "ms" in row else "", rate, str(row["issue_bound"]), share,
            f"{row['reference_calls']} calls" if row.get("reference_calls") else "",
        )  # fmt: skip
    Console(width=None if Console().is_terminal else 150).print(table)


# Convolutions: name, input, output channels, kernel, stride, padding in memory, groups
CONVOLUTIONS = [
    ("conv 1x1", (10, 10, 64), 64, 1, 1, 0, 1),
    ("conv 1x1", (7, 7, 256), 256, 1, 1, 0, 1),
    ("conv 3x3", (16, 16, 64), 64, 3, 1, 1, 1),
    ("conv 3x3", (32, 32, 16), 16, 3, 1, 1, 1),
    ("conv 3x3 stride 2", (96, 96, 3), 16, 3, 2, 1, 1),
    ("conv 3x3", (14, 14, 24), 40, 3, 1, 1, 1),
    ("depthwise 3x3", (28, 28, 64), 64, 3, 1, 1, 64),
    ("depthwise 5x5 stride 2", (28, 28, 48), 48, 5, 2, 2, 48),
]


# Of CONVOLUTIONS, by place: weights and biases up to which their sums leave the S3's 20 bits, by a third where int8
# weights suffice; those of 27 inputs do not without a bias.
TWO_DIGITS = {0: (127, 500), 1: (41, 500), 2: (18, 500), 3: (74, 500), 4: (127, 450_000), 5: (49, 500)}


def kernel_graphs(target: str) -> list[tuple[str, str, Graph]]:
    """(name, shape, a graph of one op) for every row of the bench."""
    source = np.random.default_rng(0)
    found = []

    def weights(b: GraphBuilder, *shape: int, largest: int = 8, largest_bias: int = 500) -> tuple[Any, Any]:
        # By default small enough that every block runs in the S3's 20 bits.
        weight = source.integers(-largest, largest + 1, shape).astype(np.int8)
        bias = source.integers(-largest_bias, largest_bias, shape[0]).astype(np.int32)
        return b.constant("weight", weight), b.constant("bias", bias)

    convolutions = [(row, (8, 500)) for row in CONVOLUTIONS]
    if target == "esp32s3":
        convolutions += [(CONVOLUTIONS[place], largest) for place, largest in TWO_DIGITS.items()]
    for (name, shape, outputs, size, stride, pad, groups), (largest, bias_range) in convolutions:
        b = GraphBuilder("bench")
        x = b.input("x", shape, -4, 0)
        window = (outputs, size, size, shape[2] // groups)
        weight, bias = weights(b, *window, largest=largest, largest_bias=bias_range)
        y = b.conv2d(
            x, weight, bias, weight_exponents=[-7] * outputs, strides=(stride, stride), padding=(pad,) * 4,
            groups=groups, exponent=-2 if largest == 8 else 1, zero_point=0, layer="kernel",
        )  # fmt: skip
        b.output("y", y)
        found.append((name, f"{'x'.join(map(str, shape))} -> {outputs}", b.build()))

    b = GraphBuilder("bench")
    weight, bias = weights(b, 128, 640)
    x = b.input("x", (640,), -4, 0)
    y = b.fully_connected(
        x, weight, bias, weight_exponents=[-7] * 128, exponent=-2, zero_point=0, layer="kernel"
    )
    b.output("y", y)
    found.append(("fully connected", "640 -> 128", b.build()))
    for name, exponents in (("add, equal exponents", (-4, -4)), ("add, different exponents", (-4, -6))):
        b = GraphBuilder("bench")
        operands = [b.input(f"x{i}", (32, 32, 16), exponent, 0) for i, exponent in enumerate(exponents)]
        b.output("y", b.add(*operands, exponent=-3, zero_point=0, layer="kernel"))
        found.append((name, "16384", b.build()))
    b = GraphBuilder("bench")
    x = b.input("x", (32, 32, 32), -4, 0)
    b.output("y", b.max_pool2d(x, kernel=(2, 2), strides=(2, 2), layer="kernel"))
    found.append(("max pool 2x2 stride 2", "32x32x32", b.build()))
    return found


def second_digits(parameters: Parameters) -> str:
    """What share of the inputs has weights in two digits, where one has."""
    fraction = max((proof.fraction for _, proof in parameters.proofs), default=0.0)
    return f", two digits, f = {fraction:.2f}" if fraction else ""


@bench.command()
@chip_options
def kernels(target: str, revision: str, memory: MemoryOptions, json_file: str | None) -> None:
    """Single kernels on random data, input already padded; random weights that fit the S3's 20-bit lanes.

    \b
    pienn bench kernels --target esp32p4 --revision 1
    """
    rows = []
    for name, shape, graph in progress(kernel_graphs(target), "simulating"):
        planned = plan(graph, target)
        simulated = Simulated(planned, memory.model, memory.budget(), int(revision))
        simulated.run(random_stored(graph, 1, 0))
        calls = zip(simulated.layers, simulated.packed.parameters)
        calls = [(layer, given) for layer, given in calls if layer.call.op.layer == "kernel"]
        ((layer, parameters),) = [(layer, given) for layer, given in calls if not layer.call.margins]
        row = row_of(planned, target, revision, memory.model, layer.cycles or 0)
        elements = int(np.prod(shape_of(layer.call.op.result)))
        rows.append(
            {
                "kernel": name + second_digits(parameters),
                "shape": shape,
                **row,
                "issue_bound": issue_bound(layer.call),
                "cycles_per_output": (layer.cycles or 0) / elements,
                "reference_calls": int(layer.cycles is None),
                "sram_bytes": simulated.plan.sram_bytes,
            }
        )
    write_json(rows, json_file)
    if json_file != "-":
        show(rows, "kernel", f"{target}, {memory}, simulated")
        for row in rows:
            if not row["macs"] and row["cycles"]:
                print(f"{row['kernel']}, {row['shape']}: {row['cycles_per_output']:.3f} cycles per output")
