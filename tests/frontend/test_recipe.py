"""The recipe chooses by what it measures, on calibration data alone."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import pienn
from pienn.errors import PiennError
from pienn.frontend.alignment import Aligner
from pienn.frontend.calibration import batches
from pienn.frontend.comparison import OUTPUT, Comparison, SideBySide, observers, set_mode, sqnr
from pienn.frontend.model import prepare
from pienn.frontend.observers import ActivationObserver, WeightObserver
from pienn.frontend.quantizer import operator_name
from pienn.frontend.recipe import Recipe, Tuner, no_progress


class Net(nn.Module):
    """Channels of very different size, so that granularity matters; a residual, so that ranges do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.stem = nn.Sequential(nn.Conv2d(3, 20, 3, padding=1), nn.BatchNorm2d(20), nn.ReLU())
        self.middle = nn.Sequential(nn.Conv2d(20, 20, 3, padding=1, groups=20), nn.ReLU6())
        self.head = nn.Linear(20, 6)
        with torch.no_grad():
            self.stem[1].weight.copy_(torch.logspace(-1.5, 1.0, 20))
            self.stem[1].bias.uniform_(-0.5, 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stem(x)
        return self.head((y + self.middle(y)).mean((2, 3)))


@pytest.fixture(scope="module")
def net() -> Net:
    return Net().eval()


@pytest.fixture(scope="module")
def inputs() -> torch.Tensor:
    return torch.randn(96, 3, 12, 12, generator=torch.Generator().manual_seed(8))


def tuner(net: nn.Module, inputs: torch.Tensor) -> Tuner:
    found = batches(inputs, net)
    made = Tuner(prepare(net, found), found, no_progress)
    made.observe()
    return made


def test_the_choice_is_the_best_of_what_was_tried(net: Net, inputs: torch.Tensor):
    model = pienn.quantize(net, inputs, refine=False)
    assert model.outcome is not None
    values = dict(model.outcome.tried)
    chosen = model.outcome.recipe
    assert chosen.weights == "graded"
    assert values[replace(chosen, weights="channel")] == max(values.values())
    assert {r.ranges for r in values} == {"minmax", "percentile", "mse"}
    assert {r.eighth_bit for r in values} == {True, False}


def test_fixed_options_are_kept(net: Net, inputs: torch.Tensor):
    fixed = {"ranges": "minmax", "eighth_bit": False, "weights": "block", "weight_rule": "ceil"}
    model = pienn.quantize(net, inputs, bias_correction=False, refine=False, **fixed)  # type: ignore[arg-type]
    assert model.outcome is not None
    assert model.outcome.recipe == Recipe(bias_correction=False, refine=False, **fixed)  # type: ignore[arg-type]


def test_the_figures_of_the_choice_are_those_of_the_integers(net: Net, inputs: torch.Tensor):
    """SQNR over the calibration inputs, from the imitation, agrees with that of the bit-exact oracle."""
    model = pienn.quantize(net, inputs)
    with torch.no_grad():
        assert model.output_sqnr == pytest.approx(sqnr(net(inputs), model(inputs)), abs=0.3)


def test_refinement_and_bias_correction_gain(net: Net, inputs: torch.Tensor):
    plain = pienn.quantize(net, inputs, weights="channel", bias_correction=False, refine=False)
    corrected = pienn.quantize(net, inputs, weights="channel", bias_correction=True, refine=False)
    refined = pienn.quantize(net, inputs, weights="channel", bias_correction=False, refine=True)
    assert (
        plain.output_sqnr is not None
        and corrected.output_sqnr is not None
        and refined.output_sqnr is not None
    )
    assert corrected.output_sqnr > plain.output_sqnr + 0.5
    assert refined.output_sqnr >= plain.output_sqnr


def test_bias_correction_removes_the_mean_error(net: Net, inputs: torch.Tensor):
    made = tuner(net, inputs)
    recipe = Recipe(weights="tensor", bias_correction=True)
    made.fit(recipe)
    side = SideBySide(made.prepared)
    side.run([inputs], correct_bias=True)
    side.commit()
    set_mode(made.prepared, "quantise")
    with torch.no_grad():
        error = (made.prepared(inputs) - net(inputs)).mean(0).abs()
        spread = (made.prepared(inputs) - net(inputs)).std(0)
    assert bool((error < 0.5 * spread).all())


def test_layers_and_output_are_reported_by_module_path(net: Net, inputs: torch.Tensor):
    model = pienn.quantize(net, inputs)
    assert {"x", "stem.2", "middle.1", "head"} <= set(model.layer_sqnr)
    assert OUTPUT not in model.layer_sqnr
    figures = model.to_json()
    assert figures["output_sqnr_db"] == pytest.approx(model.output_sqnr, abs=1e-3)


def test_comparison_adds_up_over_batches():
    a, b = torch.randn(40, 5), torch.randn(40, 5) * 0.1
    whole, parts = Comparison(), Comparison()
    whole.add("x", a, a + b)
    for first, second in zip(a.split(7), (a + b).split(7)):
        parts.add("x", first, second)
    assert parts.decibels()["x"] == pytest.approx(whole.decibels()["x"], abs=1e-6)
    assert whole.decibels()["x"] == pytest.approx(sqnr(a, a + b))


SPREADS = list(itertools.product((2.0**-70, 2.0**-30, 1.0, 2.0**20), (2.0**-45, 1.0, 2.0**15)))


@pytest.mark.parametrize("scale, bias_scale", SPREADS)
def test_aligned_exponents_give_legal_shifts(net: Net, inputs: torch.Tensor, scale: float, bias_scale: float):
    """Whatever the sizes of weights and biases, shifts lie in 0..31 and biases below 2^29 units."""
    module = Net().eval()
    with torch.no_grad():
        module.stem[0].weight[:5] *= scale
        module.middle[0].weight[3:9] *= scale
        module.middle[0].bias *= bias_scale
    made = tuner(module, inputs[:8])
    made.fit(Recipe(weights="channel"))
    check_alignment(made)


def check_alignment(made: Tuner) -> None:
    aligner = Aligner(made.prepared)
    checked = 0
    for node, observer in observers(made.prepared).items():
        assert isinstance(observer, WeightObserver) or -64 <= observer.exponent <= 63
        if not isinstance(observer, WeightObserver):
            continue
        user = next(iter(node.users))
        assert operator_name(user) in ("conv2d", "linear")
        x, y = aligner._encoding(user.args[0]), aligner.result_of(user)
        assert isinstance(x, ActivationObserver) and isinstance(y, ActivationObserver)
        assert observer.exponents is not None
        shifts = y.exponent - x.exponent - observer.exponents
        assert int(shifts.min()) >= 0 and int(shifts.max()) <= 31
        bias = made.prepared.get_parameter(str(user.args[2].target)).detach().double()  # type: ignore[union-attr]
        units = bias / torch.exp2((x.exponent + observer.exponents).double())
        assert float(units.abs().max()) <= 2.0**29
        checked += 1
    assert checked == 3


@pytest.mark.parametrize("options", [{"ranges": "best"}, {"weights": "row"}, {"weight_rule": "floor"}])
def test_unknown_options_are_refused(net: Net, inputs: torch.Tensor, options: dict[str, str]):
    with pytest.raises(PiennError, match="must be one of"):
        pienn.quantize(net, inputs[:2], **options)  # type: ignore[arg-type]


def test_resnet8_keeps_its_answers(shared: Path):
    """The zoo's ResNet8 on 100 training images of CIFAR-10 that it was not calibrated on."""
    import numpy as np

    sys.path.insert(0, str(shared / "data" / "zoo"))
    import tiny_zoo

    images = np.load(shared / "data" / "cifar10_part" / "cifar10_part.npz")["train_x"][:164]
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32))
    module = tiny_zoo.load("resnet8")
    model = pienn.quantize(module, x[:64])
    with torch.no_grad():
        exact = module(x[64:])
    measured = model(x[64:])
    assert sqnr(exact, measured) > 28.0
    assert (exact.argmax(1) == measured.argmax(1)).sum() >= 96
