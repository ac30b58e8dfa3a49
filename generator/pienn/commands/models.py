"""Where a command's model comes from: a .pie file, or a checkpoint that torch quantises first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import click

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
            self.model, self.factory, self.weights, self.calibration, self.random, self.seed, **options
        )

    def graph(self) -> Graph:
        """The verified graph."""
        if self.is_graph_file:
            assert self.model is not None
            return file.read(self.model)
        return self.quantized.lowered.graph


def source_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """MODEL, --factory, --weights, --calibration, --random, --seed as one `source` argument."""

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
    @wraps(function)
    def command(
        model: Path | None,
        factory: str | None,
        weights: Path | None,
        calibration: Path | None,
        random: int | None,
        seed: int,
        **options: Any,
    ) -> Any:
        if model is None and factory is None:
            raise click.UsageError("name a MODEL file, or a --factory MODULE:FUNCTION")
        if random is not None and random < 1:
            raise click.UsageError("--random wants a number of inputs, 1 or more")
        return function(source=Source(model, factory, weights, calibration, random, seed), **options)

    return command
