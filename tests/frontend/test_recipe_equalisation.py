"""Equalised channels leave every float as it was and give small channels more codes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import pienn
from pienn.frontend.calibration import batches
from pienn.frontend.comparison import output_tensors, set_mode, sqnr
from pienn.frontend.equalisation import Equaliser
from pienn.frontend.model import prepare
from pienn.frontend.recipe import Recipe, Tuner, no_progress


class Uneven(nn.Module):
    """Pointwise, depthwise, pointwise; the channels between differ by up to 2^8."""

    def __init__(self, function=None) -> None:
        super().__init__()
        torch.manual_seed(9)
        self.a = nn.Conv2d(3, 12, 1)
        self.b = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.c = nn.Conv2d(12, 8, 1)
        self.up = nn.ConvTranspose2d(12, 5, 2, stride=2)
        self.fc = nn.Linear(12 * 16, 4)
        self.function = function or (lambda n, x: n.c(n.b(n.a(x).relu()).relu()))
        sizes = torch.exp2(torch.linspace(-8, 0, 12))
        with torch.no_grad():
            self.a.weight.mul_(sizes[:, None, None, None])
            self.a.bias.mul_(sizes)
            self.b.weight.div_(sizes[:, None, None, None])

    def forward(self, x):
        return self.function(self, x)


def fitted(module: nn.Module, inputs: torch.Tensor) -> Tuner:
    found = batches(inputs, module)
    made = Tuner(prepare(module, found), found, no_progress)
    made.observe()
    made.fit(Recipe())
    return made


READERS = {
    "depthwise": lambda n, x: n.c(n.b(n.a(x).relu()).relu()),
    "without relu": lambda n, x: n.c(n.b(n.a(x))),
    "padded": lambda n, x: n.c(n.b(functional.pad(n.a(x).relu(), (0, 1, 2, 0)))),
    "pooled": lambda n, x: n.c(functional.max_pool2d(n.a(x).relu(), 2)),
    "flattened": lambda n, x: n.fc(functional.avg_pool2d(n.a(x).relu(), 2).flatten(1)),
    "averaged": lambda n, x: n.c(n.a(x).mean((2, 3), keepdim=True)),
    "transposed": lambda n, x: n.up(n.a(x).relu()),
    "two readers": lambda n, x: n.c((lambda y: n.b(y) - n.b(y) + 0.5 * n.b(y))(n.a(x).relu())),
    "both branches": lambda n, x: (lambda y: (n.c(y), n.up(y)))(n.a(x).relu()),
}


@pytest.mark.parametrize("name", READERS)
def test_floats_stay_as_they_were_to_the_bit(name: str):
    """Powers of two are exact; a wrong channel, axis or repeat would show at once."""
    x = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    module = Uneven(READERS[name]).eval()
    made = fitted(module, x)
    set_mode(made.prepared, "float")
    with torch.no_grad():
        before = output_tensors(made.prepared(x))
        equaliser = Equaliser(made.prepared)
        equaliser.apply()
        after = output_tensors(made.prepared(x))
        equaliser.revert()
        again = output_tensors(made.prepared(x))
    # In "two readers" the depthwise weights are used three times, so nothing may be moved.
    assert bool(equaliser.pairs) == (name != "two readers")
    for a, b, c in zip(before, after, again):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6 * float(a.abs().max())) and torch.equal(a, c)


NOT_SCALED = {
    "added": lambda n, x: n.c(n.a(x).relu() + 1.0),
    "output": lambda n, x: n.a(x).relu(),
    "table": lambda n, x: n.c(n.a(x).sigmoid()),
    "relu6": lambda n, x: n.c(functional.relu6(n.a(x))),
    "padded by ones": lambda n, x: n.c(functional.pad(n.a(x), (1, 1, 1, 1), value=1.0)),
    "mixed channels": lambda n, x: n.c(n.a(x).flatten(1).reshape(-1, 12, 8, 8)),
    "mean over channels": lambda n, x: n.c(n.a(x).mean(1, keepdim=True).expand(-1, 12, -1, -1)),
}


@pytest.mark.parametrize("name", NOT_SCALED)
def test_what_does_not_scale_along_is_left_alone(name: str):
    found = batches(torch.randn(8, 3, 8, 8), nn.Identity())
    module = Uneven(NOT_SCALED[name]).eval()
    made = Tuner(prepare(module, found), found, no_progress)
    made.observe()
    made.fit(Recipe())
    assert not Equaliser(made.prepared).pairs


def test_a_depthwise_network_gains_and_chooses_it():
    x = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    module = Uneven().eval()
    without = pienn.quantize(module, x, equalise=False)
    chosen = pienn.quantize(module, x)
    assert chosen.outcome is not None and without.output_sqnr is not None and chosen.output_sqnr is not None
    assert chosen.outcome.recipe.equalise
    assert chosen.output_sqnr > without.output_sqnr + 6.0
    with torch.no_grad():
        assert sqnr(module(x), chosen(x)) == pytest.approx(chosen.output_sqnr, abs=0.5)


def test_dead_channels_are_left_alone():
    module = Uneven().eval()
    with torch.no_grad():
        module.a.weight[4] = 0.0
        module.a.bias[4] = -1.0
    x = torch.randn(32, 3, 8, 8)
    made = fitted(module, x)
    pair = next(p for p in Equaliser(made.prepared).pairs if "conv2d" in p.producer.name)
    assert pair.factors[4] == 0
    assert bool(torch.isfinite(pair.factors).all()) and int(pair.factors.max()) >= 5
