"""Training with the quantisation in the loop.

    model = prepare_training(module, calibration)       # module: trained in float, eval mode
    optimiser = torch.optim.Adam(model.parameters(), 1e-4)
    for x, y in loader:
        loss = criterion(model(x), y) ...                # an ordinary loop
    quantized = model.finish()                           # a QuantizedModel; pienn.export writes it

Batch norms are folded before training and dropout is gone. Weights and activations are rounded half up
to their int8 codes in every forward pass, exactly as the integers will be; gradients pass straight through.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pienn.errors import PiennError
from pienn.frontend.alignment import align
from pienn.frontend.calibration import batches
from pienn.frontend.comparison import OUTPUT, set_mode
from pienn.frontend.model import QuantizedModel, finish, identifier, prepare
from pienn.frontend.recipe import GRADED, Outcome, Recipe, Tuner, no_progress


class TrainableModel(nn.Module):
    """A fake-quantised graph with the signature of the module it came from."""

    def __init__(self, module: nn.Module, calibration: Any, recipe: Recipe, concat: str, name: str) -> None:
        super().__init__()
        self._batches = batches(calibration, module)
        self._source = [module]  # in a list, so that its parameters are not this module's
        self._recipe, self._name = recipe, name
        self.graph = prepare(module, self._batches, concat)
        self._tuner = Tuner(self.graph, self._batches, no_progress)
        self.calibrate()

    def calibrate(self, calibration: Any = None) -> None:
        """Set the ranges of all activations anew, on other inputs where given. Worth it once or twice in training."""
        if calibration is not None:
            self._batches = batches(calibration, self._source[0])
            self._tuner.batches = self._batches
        self._tuner.observe()
        if self._recipe.weights == GRADED:
            self._tuner.economise(self._recipe)
        self._tuner.fit(self._recipe)
        for observer, _ in self._tuner.weights:
            observer.follow = True
        set_mode(self.graph, "quantise")

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.graph(*inputs)

    def train(self, mode: bool = True) -> TrainableModel:
        """Only a flag: the graph has neither batch norm nor dropout left."""
        self.training = mode
        return self

    def finish(self) -> QuantizedModel:
        """Freeze the weights and convert. The model itself cannot be trained further."""
        for observer, weight in self._tuner.weights:
            observer.follow = False
            observer.fit(weight, observer.granularity, observer.rule, observer.coarse)
        align(self.graph)
        figures = self._tuner.measure(self._recipe)[0].decibels()
        outcome = Outcome(self._recipe, figures.pop(OUTPUT), figures, economies=self._tuner.economies)
        set_mode(self.graph, "float")
        return QuantizedModel(finish(self.graph, self._batches[0]), self._source[0], outcome, self._name)


def prepare_training(
    module: nn.Module,
    calibration: Any,
    *,
    recipe: Recipe | None = None,
    concat: str = "shared",
    name: str = "model",
) -> TrainableModel:
    """A trainable, fake-quantised copy of an eval-mode module; the module itself stays as it is.

    `calibration` as for `pienn.quantize`: it gives the first ranges of activations, and decides where coarser weight
    exponents save cycles (`Recipe.weights` "graded", the default). `recipe` without bias correction and refinement,
    which training replaces.
    """
    recipe = recipe or Recipe(weights=GRADED)
    if recipe.bias_correction or recipe.refine:
        raise PiennError("a recipe for training has neither bias correction nor refinement")
    if module.training:
        raise PiennError("the module is in training mode; call module.eval() before prepare_training")
    return TrainableModel(module, calibration, recipe, concat, identifier(name))
