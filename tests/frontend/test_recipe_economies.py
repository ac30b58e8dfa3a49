"""Coarser weight exponents for the ESP32-S3: what they save, and that they are taken only where they cost little."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import pienn
from pienn.codegen.packed import pack
from pienn.commands.prove import describe
from pienn.frontend.calibration import batches
from pienn.frontend.economies import LANE, Economy, Weighted, economies, weighted_layers
from pienn.frontend.model import prepare
from pienn.frontend.observers import Coarse
from pienn.frontend.recipe import ECONOMIES_DB, Recipe, Tuner, no_progress
from pienn.passes.pipeline import pipeline
from pienn.plan.plan import plan


class Wide(nn.Module):
    """Sums over 512 inputs of one sign, then over 32."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Linear(512, 32)
        self.second = nn.Linear(32, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


def tuner(module: nn.Module, inputs: torch.Tensor, recipe: Recipe) -> Tuner:
    found = batches(inputs, module)
    made = Tuner(prepare(module, found), found, no_progress)
    made.observe()
    made.fit(recipe)
    return made


@pytest.fixture
def layers() -> list[Weighted]:
    inputs = torch.rand(64, 512, generator=torch.Generator().manual_seed(4))
    return weighted_layers(tuner(Wide().eval(), inputs, Recipe(weights="channel")).prepared)


def offered(layer: Weighted) -> list[str]:
    return [economy.kind for economy in economies(layer)]


def test_wide_sums_are_those_beyond_20_bits(layers: list[Weighted]) -> None:
    first, second = layers
    assert first.observer.exponents is not None
    codes = (first.weight.double() / torch.exp2(first.observer.exponents.double()).unsqueeze(1)).round()
    reach = torch.maximum(codes.clamp(min=0).sum(1), -codes.clamp(max=0).sum(1)) * 255
    assert bool((reach[first.wide()] >= LANE / 2).all())
    assert first.wide().any() and not second.wide().any()
    assert "raise" in offered(first) and "raise" not in offered(second)


def test_raised_exponents_end_wide_sums_and_save_cycles(layers: list[Weighted]) -> None:
    first = layers[0]
    before, exponents = first.cycles(), first.observer.exponents
    while first.can("raise"):
        Economy(first, "raise").apply()
    assert not first.wide().any()
    assert first.cycles() < before
    assert first.observer.exponents is not None and exponents is not None
    assert bool((first.observer.exponents >= exponents).all())


@pytest.mark.parametrize("kind", ["join", "clip"])
def test_channels_join_until_one_exponent_is_left(layers: list[Weighted], kind: str) -> None:
    second = layers[1]
    with torch.no_grad():
        second.weight.mul_(torch.exp2(-torch.arange(16.0) % 3).unsqueeze(1))
    second.fit(Coarse())
    assert second.observer.exponents is not None
    ends = int(second.observer.exponents.min()), int(second.observer.exponents.max())
    cycles = [second.cycles()]
    while second.can(kind):
        Economy(second, kind).apply()
        cycles.append(second.cycles())
    assert cycles == sorted(cycles, reverse=True) and cycles[0] > cycles[-1] == 32 + 7
    assert second.observer.exponents.unique().tolist() == [ends[kind == "join"]]


def test_a_free_floor_hides_weights_below_the_rounding_of_the_result(layers: list[Weighted]) -> None:
    for layer in layers:
        power = float((layer.x.sample.double() ** 2).mean()) * layer.weight[0].numel()
        noise = 4.0**layer.free_floor * power
        assert noise <= 4.0**layer.y.exponent / 8 < 4 * noise


def test_economies_cost_what_they_may(tmp_path: Path) -> None:
    """All together at most ECONOMIES_DB, but for what refinement adds; and the network then fits 20 bits."""
    inputs = torch.rand(64, 512, generator=torch.Generator().manual_seed(5))
    channel = pienn.quantize(Wide().eval(), inputs, weights="channel", refine=False)
    graded = pienn.quantize(Wide().eval(), inputs, refine=False)
    assert graded.outcome is not None and channel.output_sqnr is not None and graded.output_sqnr is not None
    assert graded.outcome.economies and graded.outcome.recipe.weights == "graded"
    assert graded.output_sqnr >= min(channel.output_sqnr, 35.75) - ECONOMIES_DB - 0.1
    wide = describe(channel.lowered.graph)["totals"]["two digits"]
    assert describe(graded.lowered.graph)["totals"]["two digits"] < wide
    assert graded.to_json()["economies"][0]["kind"] in ("join", "clip", "raise")


def test_an_economy_that_costs_too_much_is_left() -> None:
    """Two channels of one block, one a hundred times larger, the small one all that the output depends on."""

    class Uneven(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(8, 2)
            self.second = nn.Linear(2, 1)
            with torch.no_grad():
                self.first.weight[0] *= 100.0
                self.second.weight.copy_(torch.tensor([[0.001, 1.0]]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x))

    torch.manual_seed(6)
    model = pienn.quantize(Uneven().eval(), torch.randn(64, 8), equalise=False, refine=False)
    assert model.outcome is not None
    assert not [kind for layer, kind in model.outcome.economies if layer == "first" and kind == "join"]


def test_near_dead_channels_run_on_the_chip() -> None:
    """A depthwise channel with tiny weights and a large bias, between two codes: its exponent rises until 20 bits
    hold it."""

    class NearDead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(7)
            self.deep = nn.Conv2d(16, 16, 3, padding=1, groups=16)
            self.head = nn.Conv2d(16, 4, 1)
            with torch.no_grad():
                self.deep.weight[3] *= 2.0**-12
                assert self.deep.bias is not None
                self.deep.bias[3] = -0.5 - 2.0**-8

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.nn.functional.hardtanh(self.deep(x)))

    inputs = torch.randn(32, 16, 8, 8, generator=torch.Generator().manual_seed(8))
    for weights in ("channel", None):
        model = pienn.quantize(
            NearDead().eval(), inputs, weights=weights, equalise=False, bias_correction=False, ranges="minmax"
        )
        biases = [array for array in model.lowered.graph.weights.values() if array.dtype == np.int32]
        assert max(np.abs(bias).max() for bias in biases) <= 2**18
        packed = pack(plan(pipeline(model.lowered.graph, "esp32s3"), "esp32s3"))
        assert all(call.version == "s3" for call in packed.plan.calls)
