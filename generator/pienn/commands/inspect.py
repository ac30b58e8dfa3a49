"""`pienn inspect`: what is in a graph file, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from pienn.commands.results import json_option, write_json
from pienn.ir import file
from pienn.ir.dialect import ConstantOp, PiennOp, encoding_of, is_activation, shape_of
from pienn.ir.graph import Graph, Port
from pienn.plan.kernels import macs_of

WIDEST = 1000  # columns: a file or a pipe gets as many as the table needs


@click.command()
@click.argument("graph_file", metavar="FILE", type=click.Path(path_type=Path))
@json_option
def inspect(graph_file: Path, json_file: str | None) -> None:
    """Show the layers of FILE: shapes, encodings <exponent, zero point>, multiply-accumulates, parameters.

    \b
    pienn inspect model.pie
    """
    description = describe(file.read(graph_file))
    write_json(description, json_file)
    if json_file != "-":
        show(description)


def describe(graph: Graph) -> dict[str, Any]:
    """Everything that is printed; parameters are counted where they are used first."""
    counted: set[str] = set()
    layers = [_layer(op, graph, counted) for op in graph.layers]
    return {
        "name": graph.name,
        "producer": graph.meta.get("producer"),
        "accuracy": graph.meta.get("accuracy", {}),
        "inputs": [_port(port) for port in graph.inputs],
        "outputs": [_port(port) for port in graph.outputs],
        "layers": layers,
        "totals": {
            "layers": len(layers),
            "macs": sum(layer["macs"] for layer in layers),
            "parameters": sum(layer["parameters"] for layer in layers),
            "parameter_bytes": sum(array.nbytes for array in graph.weights.values()),
        },
    }


def show(description: dict[str, Any]) -> None:
    """The description for a person."""
    print(f"{description['name']}, by {description['producer']}")
    for kind in ("inputs", "outputs"):
        for port in description[kind]:
            print(f"{kind[:-1]} {port['name']}: int8 {_tensor(port)}, torch axes {port['permutation']}")
    for name, figure in description["accuracy"].items():
        print(f"{name}: {figure}")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("layer", "operation", "operands", "result"):
        table.add_column(title, overflow="fold")
    for title in ("MAC", "parameters"):
        table.add_column(title, justify="right")
    for layer in description["layers"]:
        operands = ", ".join(_tensor(operand) for operand in layer["operands"])
        figures = (f"{layer[key]:,}" if layer[key] else "" for key in ("macs", "parameters"))
        table.add_row(layer["name"], layer["operation"], operands, _tensor(layer["result"]), *figures)
    totals = description["totals"]
    table.add_section()
    table.add_row(
        f"{totals['layers']} layers", "", "", "", f"{totals['macs']:,}", f"{totals['parameters']:,}"
    )
    console = Console()
    (console if console.is_terminal else Console(width=WIDEST)).print(table)
    print(f"{totals['parameter_bytes']:,} bytes of weights, biases and tables")


def _layer(op: PiennOp, graph: Graph, counted: set[str]) -> dict[str, Any]:
    constants = [
        operand.owner
        for operand in op.operands
        if isinstance(operand.owner, ConstantOp) and operand.owner.tensor_name not in counted
    ]
    names = {constant.tensor_name for constant in constants}
    counted |= names
    return {
        "name": op.layer,
        "operation": op.short_name,
        "operands": [_described(operand) for operand in op.operands if is_activation(operand)],
        "result": _described(op.result),
        "attributes": op.parameters,
        "macs": macs_of(op),
        "parameters": sum(graph.weights[name].size for name in names),
    }


def _described(value: Any) -> dict[str, Any]:
    exponent, zero_point = encoding_of(value)
    return {"shape": list(shape_of(value)), "exponent": exponent, "zero_point": zero_point}


def _port(port: Port) -> dict[str, Any]:
    return {"name": port.name, **_described(port.value), "permutation": list(port.permutation)}


def _tensor(described: dict[str, Any]) -> str:
    return f"{'x'.join(map(str, described['shape']))} <{described['exponent']}, {described['zero_point']}>"
