"""Random networks through the whole front end: what the quantizer makes, the reader takes, and it stays near float."""

from __future__ import annotations

import random

import pytest
import torch
from agreement import check_equal
from torch import Tensor, nn
from torch.nn import functional

import pienn
from pienn.frontend.comparison import sqnr

SEEDS = range(16)


class RandomNet(nn.Module):
    """A chain of random operators with branches; every tensor is `[N, C, H, W]`."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.layers = nn.ModuleList()
        self.building = True
        torch.manual_seed(seed)
        self.channels = random.Random(seed).randint(1, 9)
        with torch.no_grad():
            self.forward(torch.randn(2, self.channels, 9, 11))
        self.building = False

    def layer(self, made: nn.Module, x: Tensor) -> Tensor:
        if self.building:
            self.layers.append(made.eval())
        index = self.index
        self.index += 1
        return self.layers[index](x)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        self.index, draw = 0, random.Random(self.seed + 1)
        tensors = [x]
        for _ in range(draw.randint(3, 7)):
            tensors.append(self.step(draw, draw.choice(tensors[-2:]), tensors))
        return tensors[-1], tensors[-2]

    def step(self, draw: random.Random, y: Tensor, tensors: list[Tensor]) -> Tensor:
        c, h, w = y.shape[1:]
        out = draw.randint(1, 20)
        others = [t for t in tensors if t.shape == y.shape]
        mates = [t for t in tensors if t.shape[2:] == y.shape[2:]]
        activation = draw.choice([nn.Identity(), nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-0.5, 2.0), nn.Sigmoid()])
        factor = draw.choice([0.01, 0.7, 3.0, 100.0])
        kind = draw.randrange(15)
        if kind == 0:
            return activation(self.layer(nn.Conv2d(c, out, 3, padding=draw.randint(1, 2)), y))
        if kind == 1:
            return activation(self.layer(nn.BatchNorm2d(c), self.layer(nn.Conv2d(c, c, 3, 1, 1, 1, c), y)))
        if kind == 2 and c * h * w < 2000:
            return self.layer(nn.ConvTranspose2d(c, out, 2, stride=2, bias=bool(out % 2)), y)
        if kind == 3:
            return activation(y + draw.choice(others))
        if kind == 4:
            return activation(y * draw.choice(others).sigmoid())
        if kind == 5:
            return torch.cat([y, draw.choice(mates), y.relu()][: draw.randint(2, 3)], 1)
        if kind == 6 and h > 2 and w > 2:
            return functional.max_pool2d(y, 3, 2, 1)
        if kind == 7 and h > 2 and w > 2:
            return functional.avg_pool2d(y, (2, 3), (2, 1), (1, 1), ceil_mode=bool(out % 2))
        if kind == 8:
            return functional.pad(y, (1, 0, 2, 1), value=draw.choice([0.0, 0.5]))
        if kind == 9:
            return factor * y - 0.3 * factor
        if kind == 10 and c * h * w < 2000:
            return functional.interpolate(y, scale_factor=2, mode=draw.choice(["nearest", "bilinear"]))
        if kind == 11:
            return self.layer(nn.PReLU(c), y)
        if kind == 12:
            return y.softmax(draw.choice([1, 3]))
        if kind == 13 and c > 1:
            first, second = y.split([1, c - 1], 1)
            return torch.cat([second.tanh(), first], 1)
        return activation(self.layer(nn.Linear(w, w), y)).mean(draw.choice([1, 2, 3]), keepdim=True) + y


@pytest.mark.parametrize("seed", SEEDS)
def test_random_network(seed: int):
    """Rerun one case: pytest tests/frontend/test_quantizer_random.py -k "[SEED]"."""
    module = RandomNet(seed).eval()
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(24, module.channels, 9, 11, generator=generator)
    options = random.Random(seed)
    model = pienn.quantize(
        module, x, refine=False, ranges="minmax", bias_correction=seed % 2 == 0, equalise=seed % 3 == 0,
        weights=options.choice(["tensor", "block", "sorted", "channel"]),
        concat=options.choice(["shared", "own"]), eighth_bit=options.random() < 0.7,
    )  # fmt: skip
    check_equal(model.lowered, [x[:4]], f"seed {seed}")
    with torch.no_grad():
        expected = module(x)
    for exact, stored in zip(expected, model(x)):
        flat = float(exact.double().var()) < 1e-3 * float((exact.double() ** 2).mean())
        assert flat or sqnr(exact, stored) > 12.0, f"seed {seed}: {sqnr(exact, stored):.1f} dB"
