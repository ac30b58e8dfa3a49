"""The default recipe: how to quantise a network, chosen on its calibration data alone.

Every choice is made by the SQNR at the network's output between the float and the quantised program over
the calibration inputs. Labels and test data play no part.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

import torch
from torch import Tensor
from torch.fx import GraphModule

from pienn.errors import PiennError
from pienn.frontend.alignment import align
from pienn.frontend.comparison import (
    OUTPUT,
    Comparison,
    SideBySide,
    observers,
    output_tensors,
    set_mode,
    sqnr,
)
from pienn.frontend.economies import Economy, economies, weighted_layers
from pienn.frontend.equalisation import Equaliser
from pienn.frontend.observers import ActivationObserver, Coarse, WeightObserver
from pienn.frontend.quantizer import activation_tensors
from pienn.frontend.ranges import ACTIVATION_RULES, GRANULARITIES, WEIGHT_RULES

GRADED = "graded"

Progress = Callable[[str, int, int], None]
"""Called with (what, steps done, steps in all; 0 where that is not known)."""


def no_progress(what: str, done: int, total: int) -> None:
    """Shows nothing."""


@dataclass(frozen=True)
class Recipe:
    """How a network is quantised.

    ranges: rule for activation exponents, see `ranges.ACTIVATION_RULES`;
    eighth_bit: tensors that are never negative get zero point -128;
    weights: which channels share a weight exponent, see `ranges.GRANULARITIES`; or "graded": one per channel, but
    for layers where the ESP32-S3 gains more cycles by coarser ones than the output loses, see `economies`;
    weight_rule: rule for weight exponents, see `ranges.WEIGHT_RULES`;
    equalise: channels of an activation are brought to similar ranges, see `equalisation`;
    bias_correction: biases take up the mean error that quantisation causes;
    refine: exponents of activations are then tried one step up and down, and kept where the output gains.
    """

    ranges: str = "mse"
    eighth_bit: bool = True
    weights: str = "channel"
    weight_rule: str = "mse"
    equalise: bool = False
    bias_correction: bool = False
    refine: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (
            ("ranges", ACTIVATION_RULES), ("weights", (*GRANULARITIES, GRADED)), ("weight_rule", WEIGHT_RULES),
        ):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise PiennError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")

    def __str__(self) -> str:
        return ", ".join(
            [
                f"ranges {self.ranges}",
                "zero point -128 where never negative" if self.eighth_bit else "zero point 0",
                f"weight exponents per {self.weights} by {self.weight_rule}",
                "bias correction" if self.bias_correction else "no bias correction",
            ]
            + (["equalised channels"] if self.equalise else [])
            + (["refined exponents"] if self.refine else [])
        )


@dataclass
class Outcome:
    """What a recipe reached on the calibration inputs, in dB."""

    recipe: Recipe
    output_sqnr: float
    layer_sqnr: dict[str, float] = field(default_factory=dict)
    tried: list[tuple[Recipe, float]] = field(default_factory=list)
    economies: list[tuple[str, str]] = field(default_factory=list)
    """(layer, kind) of each that was taken, in order."""

    def to_json(self) -> dict[str, object]:
        """Plain figures; layer names hold only `A-Z a-z 0-9 _ .`."""
        layers = {_path(name): value for name, value in self.layer_sqnr.items()}
        return {
            "recipe": asdict(self.recipe),
            "output_sqnr_db": self.output_sqnr,
            "layer_sqnr_db": layers,
            "tried": [{"recipe": asdict(r), "output_sqnr_db": v} for r, v in self.tried],
            "economies": [{"layer": _path(layer), "kind": kind} for layer, kind in self.economies],
        }


def _path(layer: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]", "_", layer)[:180]


ECONOMIES_DB = 0.75
"""What all economies together may cost at the output."""

ENOUGH_DB = 35.0
"""Where the output is better than this, economies may cost what is beyond."""

WORTH_A_STEP_DB = 0.02
"""Refinement keeps a changed exponent only for more than this."""

WORTH_A_LOOK = 0.001
"""Of the network's predicted cycles: what an economy must save to be measured."""

LEAST_LOSS_DB = 0.01
"""Losses below this are all alike, and so are gains."""

COMPARED_INPUTS = 128
CORRECTED_INPUTS = 64
REFINED_INPUTS = 64
"""How many calibration inputs choice, bias correction and refinement use at most."""

FEWEST_INPUTS = 8
COMPARED_ELEMENTS = 1 << 30
CORRECTED_ELEMENTS = 1 << 25
REFINED_ELEMENTS = 1 << 32
"""Activations that one comparison, one tensor of bias correction and all of refinement may compute: large
networks use fewer inputs, and go without refinement where not even `FEWEST_INPUTS` are left."""


State = tuple[Coarse, tuple[list[int], list[Tensor | None]]]


class Tuner:
    """Fits the observers of a prepared graph, tries recipes, keeps the best.

    `batches` are tuples of input tensors, all of the network's inputs with equal batch sizes.
    """

    def __init__(
        self, prepared: GraphModule, batches: Sequence[tuple[Tensor, ...]], progress: Progress
    ) -> None:
        self.prepared = prepared
        self.batches = batches
        self.progress = progress
        self._equaliser: Equaliser | None = None
        self._exact: list[Tensor] = []
        self.activations: list[ActivationObserver] = []
        self.weights: list[tuple[WeightObserver, Tensor]] = []
        modules: set[int] = set()
        sizes = [math.prod(node.meta["val"].shape[1:]) for node in activation_tensors(prepared)]
        compared = COMPARED_ELEMENTS // max(1, sum(sizes))
        self._compared = min(COMPARED_INPUTS, max(FEWEST_INPUTS, compared))
        self._corrected_inputs = min(CORRECTED_INPUTS, max(1, CORRECTED_ELEMENTS // max([1, *sizes])))
        for node, observer in observers(prepared).items():
            if id(observer) in modules:
                continue
            modules.add(id(observer))
            if isinstance(observer, ActivationObserver):
                self.activations.append(observer)
            else:
                source = node.args[0]
                assert isinstance(source, torch.fx.Node)
                self.weights.append((observer, prepared.get_parameter(str(source.target))))
        self._coarse: dict[WeightObserver, Coarse] = {}
        self.economies: list[tuple[str, str]] = []
        trials = 2 * len(self.activations) * max(1, sum(sizes))
        self._refined = min(REFINED_INPUTS, REFINED_ELEMENTS // trials)

    def observe(self) -> None:
        """Collect the statistics of every activation."""
        for observer in self.activations:
            observer.reset()
        set_mode(self.prepared, "observe")
        with torch.no_grad():
            for i, batch in enumerate(self.batches):
                self.prepared(*batch)
                self.progress("calibrating", i + 1, len(self.batches))
        set_mode(self.prepared, "float")
        self._exact = self._outputs(self._some(self._compared))

    def fit(self, recipe: Recipe) -> None:
        """Set all exponents by the recipe's rules."""
        if recipe.equalise and self._equaliser is None:
            self._fit(recipe)
            self._equaliser = Equaliser(self.prepared)
            self._equaliser.apply()
            self.observe()
        elif not recipe.equalise and self._equaliser is not None:
            self._equaliser.revert()
            self._equaliser = None
            self.observe()
        self._fit(recipe)

    def _fit(self, recipe: Recipe) -> None:
        for observer in self.activations:
            observer.fit(recipe.ranges, recipe.eighth_bit)
        for weight_observer, weight in self.weights:
            if recipe.weights == GRADED:
                weight_observer.fit(weight, "channel", recipe.weight_rule, self._coarse.get(weight_observer))
            else:
                weight_observer.fit(weight, recipe.weights, recipe.weight_rule)
        align(self.prepared)

    def _some(self, inputs: int) -> Sequence[tuple[Tensor, ...]]:
        """The first whole batches that hold at least so many inputs, or all there are."""
        taken = 0
        for count, batch in enumerate(self.batches):
            taken += len(batch[0])
            if taken >= inputs:
                return self.batches[: count + 1]
        return self.batches

    def measure(self, recipe: Recipe) -> tuple[Comparison, SideBySide]:
        """SQNR of every layer over the first inputs, bias correction included."""
        side = self._corrected(recipe)
        comparison = Comparison()
        for batch in self._some(self._compared):
            side.run(batch, comparison)
        return comparison, side

    def _corrected(self, recipe: Recipe) -> SideBySide:
        side = SideBySide(self.prepared)
        if recipe.bias_correction:
            count = self._corrected_inputs
            side.run([torch.cat(parts)[:count] for parts in zip(*self._some(count))], correct_bias=True)
        return side

    def attempt(self, recipe: Recipe, tried: list[tuple[Recipe, float]]) -> float:
        """SQNR at the output that a recipe reaches, unrefined."""
        for known, value in tried:
            if known == recipe:
                return value
        self.fit(recipe)
        value = self._value(recipe)
        tried.append((recipe, value))
        self.progress(f"trying {recipe}", len(tried), 0)
        return value

    def _value(self, recipe: Recipe) -> float:
        """SQNR at the output of the fitted graph, with bias correction where the recipe has it."""
        with self._correction(recipe):
            return self._output_sqnr(self._compared)

    @contextmanager
    def _correction(self, recipe: Recipe) -> Iterator[None]:
        """Inside, the biases are corrected where the recipe says so."""
        side = self._corrected(recipe)
        saved = [(bias, bias.detach().clone()) for bias in side.biases()]
        side.commit()
        try:
            yield
        finally:
            with torch.no_grad():
                for bias, before in saved:
                    bias.copy_(before)

    def _output_sqnr(self, inputs: int) -> float:
        """SQNR at the output of the graph as it is fitted, against the outputs of the float graph."""
        batches = self._some(inputs)
        set_mode(self.prepared, "quantise")
        coded = self._outputs(batches)
        set_mode(self.prepared, "float")
        return sqnr(torch.cat(self._exact[: len(coded)]), torch.cat(coded))

    def _outputs(self, batches: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
        """All outputs of each batch, flat, one tensor per batch."""
        with torch.no_grad():
            results = [output_tensors(self.prepared(*batch)) for batch in batches]
        return [torch.cat([t.reshape(-1) for t in tensors]) for tensors in results]

    def choose(self, fixed: dict[str, object]) -> tuple[Recipe, list[tuple[Recipe, float]]]:
        """The best recipe among those that agree with `fixed`."""
        tried: list[tuple[Recipe, float]] = []
        best = replace(Recipe(refine=False), **{k: v for k, v in fixed.items() if k != "refine"})  # type: ignore[arg-type]
        options: dict[str, Sequence[object]] = {
            "ranges": ACTIVATION_RULES,
            "eighth_bit": (True, False),
            "bias_correction": (True, False),
            "equalise": (False, True),
        }
        for name, values in options.items():
            if name not in fixed:
                candidates = [replace(best, **{name: value}) for value in values]  # type: ignore[arg-type]
                best = max(candidates, key=lambda recipe: self.attempt(recipe, tried))
        if "weights" not in fixed:
            best = replace(best, weights=GRADED)
            self.attempt(best, tried)
            self.economise(best)
        affordable = self._refined >= FEWEST_INPUTS
        return replace(best, refine=bool(fixed.get("refine", affordable))), tried

    def economise(self, recipe: Recipe) -> None:
        """Take economies in the order of cycles per loss while all of them together cost little enough.

        Each is measured alone first; what remains of a layer is offered anew when it has taken one.
        """
        self._coarse, self.economies = {}, []
        self.fit(recipe)
        layers = weighted_layers(self.prepared)
        before = self._value(recipe)
        for layer in layers:
            self._coarse[layer.observer] = Coarse(floor=layer.free_floor)
        self.fit(recipe)
        latest = self._value(recipe)
        predicted = sum(layer.cycles() for layer in layers)
        offered = [economy for layer in layers for economy in economies(layer)]
        ranked: list[tuple[float, int, Economy]] = []
        count = 0
        while offered or ranked:
            for economy in offered:
                saved, value = self._trial(economy, recipe, WORTH_A_LOOK * predicted)
                if saved > 0:
                    ranked.append((saved / max(latest - value, LEAST_LOSS_DB), count, economy))
                count += 1
                self.progress("measuring economies", count, 0)
            offered = []
            if not ranked:
                break
            taken = max(ranked, key=lambda entry: (entry[0], -entry[1]))
            ranked.remove(taken)
            economy = taken[2]
            layer, state = economy.layer, self._state(economy)
            economy.apply()
            align(self.prepared)
            value = self._value(recipe)
            if value < min(before - ECONOMIES_DB, ENOUGH_DB):
                self._put_back(economy, state)
                continue
            latest = value
            self.economies.append((layer.name, economy.kind))
            self._coarse[layer.observer] = layer.observer.coarse
            ranked = [entry for entry in ranked if entry[2].layer is not layer]
            offered = list(economies(layer))

    def _trial(self, economy: Economy, recipe: Recipe, least: float) -> tuple[float, float]:
        """(predicted cycles saved, SQNR at the output) of one economy more; (0, 0) where it saves less than `least`."""
        layer, state = economy.layer, self._state(economy)
        cycles = layer.cycles()
        economy.apply()
        align(self.prepared)
        saved = cycles - layer.cycles()
        result = (saved, self._value(recipe)) if saved >= least else (0.0, 0.0)
        self._put_back(economy, state)
        return result

    def _state(self, economy: Economy) -> State:
        return economy.layer.observer.coarse, self._exponents()

    def _put_back(self, economy: Economy, state: State) -> None:
        economy.layer.observer.coarse = state[0]
        self._restore(state[1])

    def refine(self) -> None:
        """Move single activation exponents one step where that raises the SQNR at the output."""
        inputs = max(FEWEST_INPUTS, self._refined)
        best = self._output_sqnr(inputs)
        movable = [o for o in self.activations if o.fixed is None]
        for i, observer in enumerate(movable):
            for step in (-1, 1):
                before = self._exponents()
                observer.exponent += step
                align(self.prepared)
                now = self._output_sqnr(inputs)
                if now > best + WORTH_A_STEP_DB:
                    best = now
                    break
                self._restore(before)
            self.progress("refining exponents", i + 1, len(movable))

    def _exponents(self) -> tuple[list[int], list[Tensor | None]]:
        return [o.exponent for o in self.activations], [w.exponents for w, _ in self.weights]

    def _restore(self, saved: tuple[list[int], list[Tensor | None]]) -> None:
        for observer, exponent in zip(self.activations, saved[0]):
            observer.exponent = exponent
        for (observer, _), exponents in zip(self.weights, saved[1]):
            observer.exponents = exponents

    def tune(self, fixed: dict[str, object]) -> Outcome:
        """Observe, choose, fit, refine; the graph is then ready for conversion."""
        self.observe()
        recipe, tried = self.choose(fixed)
        self.fit(recipe)
        if recipe.refine:
            with self._correction(recipe):
                self.refine()
            if "bias_correction" not in fixed:
                both = [replace(recipe, bias_correction=value) for value in (False, True)]
                recipe = max(both, key=self._value)
        comparison, side = self.measure(recipe)
        side.commit()
        align(self.prepared)
        figures = comparison.decibels()
        return Outcome(recipe, figures.pop(OUTPUT), figures, tried, self.economies)
