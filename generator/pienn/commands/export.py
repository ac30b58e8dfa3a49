"""`pienn export`: a torch model becomes a graph file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from pienn.commands.models import Source, source_options
from pienn.commands.progress import console
from pienn.commands.results import json_option, write_json
from pienn.errors import PiennError


@click.command()
@source_options
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The .pie file to write."
)
@click.option("--name", help="Name of the model [default: the stem of the .pie file].")
@click.option(
    "--ranges", type=click.Choice(["minmax", "percentile", "mse"]), help="Rule for activation exponents."
)
@click.option(
    "--granularity",
    type=click.Choice(["tensor", "block", "sorted", "channel"]),
    help="Output channels that share a weight exponent; block: 16 neighbours, sorted: 16 of similar size "
    "[default: chosen layer by layer].",
)
@click.option(
    "--weight-rule", type=click.Choice(["mse", "ceil", "round"]), help="Rule for weight exponents [mse]."
)
@click.option("--eighth-bit/--no-eighth-bit", default=None, help="Zero point -128 where never negative.")
@click.option(
    "--bias-correction/--no-bias-correction", default=None, help="Let biases absorb the mean error."
)
@click.option("--equalise/--no-equalise", default=None, help="Bring channels to similar ranges.")
@click.option("--refine/--no-refine", default=None, help="Try exponents one step up and down [on].")
@json_option
def export(
    source: Source,
    output: Path,
    name: str | None,
    granularity: str | None,
    json_file: str | None,
    **options: Any,
) -> None:
    """Quantise MODEL to int8 with power-of-two exponents and write a .pie graph file.

    MODEL is a .pt2 file (float, or quantised by PT2E), or a state dict (.pt, .safetensors) with --factory. What
    the options leave open is chosen by the SQNR at the output over the calibration inputs. An .npz holds float32
    (or int8/uint8) arrays in torch's own layout with a batch axis, by input name or in order.

    \b
    pienn export net.pt2 --calibration images.npz -o net.pie
    pienn export net.pt --factory nets.kws:build --calibration inputs.npz -o kws.pie
    pienn export --factory nets.kws:build --random 64 --seed 1 -o kws.pie
    """
    if source.is_graph_file:
        raise PiennError(f"{source.file_name}: is a graph file already")
    if output.suffix != ".pie":
        raise PiennError(f"{output}: the output file is named *.pie")
    if not output.absolute().parent.is_dir():
        raise PiennError(f"{output}: folder {output.absolute().parent} does not exist")
    chosen = {key: value for key, value in options.items() if value is not None}
    if granularity is not None:
        chosen["weights"] = granularity
    with _progress() as step:
        model = source.load(progress=step, **chosen)
        import_module("pienn.frontend.model").export(model, None, output, **({"name": name} if name else {}))
    results = {"file": str(output), "name": model.name, "bytes": output.stat().st_size, **model.to_json()}
    write_json(results, json_file)
    if json_file != "-":
        _print(results)


def _print(results: dict[str, Any]) -> None:
    if results["recipe_text"] is not None:
        print(f"recipe: {results['recipe_text']}")
        width = max(map(len, results["layer_sqnr_db"]), default=0)
        for layer, level in results["layer_sqnr_db"].items():
            print(f"  {layer:{width}}  {_decibel(level)}")
        print(f"SQNR at the output over the calibration inputs: {_decibel(results['output_sqnr_db'])}")
    print(f"written: {results['file']}, {results['bytes']} bytes")


def _decibel(level: float | None) -> str:
    return "exact" if level is None else f"{level:5.1f} dB"


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr, or nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("capturing", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what[:60], completed=done, total=total or None
        )
