"""Where a command's model comes from: a .pie file, or a checkpoint that torch quantises first."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from pienn.commands.arrays import torch_shape
from pienn.errors import PiennError
from pienn.ir import file
from pienn.ir.graph import Graph


@dataclass
class Source:
    """The model options of a command."""

    model: Path | None
    factory: str | None
    weights: Path | None
    calibration: Path | None
    random: int | None
    seed: int
    shapes: tuple[tuple[int, ...], ...] = ()
    """Of the inputs, in torch's layout without batch axis; empty where the user names none."""

    @property
    def is_graph_file(self) -> bool:
        return self.model is not None and self.model.suffix == ".pie"

    @property
    def stem(self) -> str:
        if self.model is not None:
            return self.model.stem
        assert self.factory is not None
        return self.factory.rsplit(":", 1)[-1]

    @property
    def file_name(self) -> str:
        return self.model.name if self.model is not None else str(self.factory)

    @cached_property
    def quantized(self) -> Any:
        """The quantised torch model of a checkpoint; imports torch."""
        return self.load()

    def load(self, **options: Any) -> Any:
        """The same with options of `pienn.quantize`."""
        try:
            loading = import_module("pienn.frontend.loading")
        except ModuleNotFoundError as error:
            raise PiennError(
                f"{self.file_name}: reading checkpoints needs {error.name}: pip install 'pienn[torch]', "
                "or export a .pie file where torch is installed"
            ) from None
        return loading.load_quantized(
            self.model,
            self.factory,
            self.weights,
            self.calibration,
            self.random,
            self.seed,
            self.shapes,
            **options,
        )

    def graph(self) -> Graph:
        """The verified graph."""
        if self.is_graph_file:
            assert self.model is not None
            graph = file.read(self.model)
            found = tuple(torch_shape(port) for port in graph.inputs)
            if self.shapes and self.shapes != found:
                raise PiennError(
                    f"{self.file_name}: takes {shapes_text(found)}, but the input shape asked for is "
                    f"{shapes_text(self.shapes)}"
                )
            return graph
        return self.quantized.lowered.graph


class Shape(click.ParamType):
    """Sizes with an x between them."""

    name = "shape"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if not re.fullmatch(r"[1-9][0-9]*(x[1-9][0-9]*)*", value):
            self.fail(f"{value!r} is no shape, such as 1x28x28", param, ctx)
        return tuple(int(size) for size in value.split("x"))


def shapes_text(shapes: Sequence[Sequence[int]]) -> str:
    return " ".join("x".join(map(str, shape)) for shape in shapes)


def source_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """MODEL, --factory, --weights, --calibration, --random, --seed, --input-shape as one `source` argument."""

    @click.argument("model", type=click.Path(path_type=Path), required=False)
    @click.option(
        "--factory", metavar="MODULE:FUNCTION", help="Function that returns the eval-mode torch module."
    )
    @click.option(
        "--weights", type=click.Path(path_type=Path), help="State dict (.pt, .safetensors) for --factory."
    )
    @click.option("--calibration", type=click.Path(path_type=Path), help="Inputs to calibrate with (.npz).")
    @click.option("--random", type=int, help="Number of random inputs, for want of real ones.")
    @click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random inputs.")
    @click.option(
        "--input-shape",
        "shapes",
        type=Shape(),
        multiple=True,
        metavar="1x28x28",
        help="Shape of an input without batch axis, which the model must have; once for each input.",
    )
    @wraps(function)
    def command(
        model: Path | None,
        factory: str | None,
        weights: Path | None,
        calibration: Path | None,
        random: int | None,
        seed: int,
        shapes: tuple[tuple[int, ...], ...],
        **options: Any,
    ) -> Any:
        if model is None and factory is None:
            raise click.UsageError("name a MODEL file, or a --factory MODULE:FUNCTION")
        if random is not None and random < 1:
            raise click.UsageError("--random wants a number of inputs, 1 or more")
        source = Source(model, factory, weights, calibration, random, seed, shapes)
        return function(source=source, **options)

    return command
