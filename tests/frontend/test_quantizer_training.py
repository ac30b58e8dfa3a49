"""What is trained is what runs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pienn.errors import PiennError
from pienn.frontend.recipe import Recipe
from pienn.frontend.training import prepare_training


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU6(), nn.Dropout(0.3),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Linear(8 * 4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).flatten(1))


def data(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose class is the third of the columns with the most light."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(count, 1, 9, 9, generator=generator)
    y = torch.randint(0, 3, (count,), generator=generator)
    for i in range(count):
        x[i, 0, :, 3 * int(y[i]) : 3 * int(y[i]) + 3] += 0.35
    return x, y


@pytest.fixture(scope="module")
def trained() -> Net:
    net = Net().train()
    x, y = data(600, 0)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for step in range(60):
        chosen = slice(step % 6 * 100, step % 6 * 100 + 100)
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
        optimiser.step()
    return net.eval()


def test_training_repairs_a_coarse_quantisation(trained: Net):
    """One exponent per tensor by the worst rule loses; training in the loop wins it back."""
    x, y = data(600, 0)
    model = prepare_training(trained, x[:64], recipe=Recipe(weights="tensor", weight_rule="round"))
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)

    def loss() -> torch.Tensor:
        return nn.functional.cross_entropy(model(x), y)

    before = loss().item()
    for _ in range(25):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert loss().item() < 0.8 * before


def test_the_integers_repeat_what_training_saw(trained: Net):
    """Outputs of the last forward pass and of the integer network differ in at most one step, and seldom."""
    x, y = data(200, 1)
    model = prepare_training(trained, x[:64])
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(5):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    with torch.no_grad():
        seen = model(x)
    finished = model.finish()
    step = 2.0 ** finished.output_encodings[0].exponent
    difference = (finished(x) - seen).abs() / step
    assert difference.max() <= 1.0
    assert (difference > 0).float().mean() < 0.02


def test_batch_norms_are_folded_also_behind_a_linear(trained: Net):
    model = prepare_training(trained, data(32, 2)[0])
    assert not any("batch_norm" in str(node.target) for node in model.graph.graph.nodes)
    kinds = [type(o).__name__ for o in model.finish().lowered.program.operators]
    assert "Binary" not in kinds


def test_every_weight_and_bias_learns(trained: Net):
    x, y = data(64, 3)
    model = prepare_training(trained, x)
    nn.functional.cross_entropy(model(x), y).backward()
    named = dict(model.named_parameters())
    assert len(named) == 8
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in named.values())


def test_the_float_module_stays_as_it_was(trained: Net):
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    x, y = data(64, 3)
    model = prepare_training(trained, x)
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    nn.functional.cross_entropy(model(x), y).backward()
    optimiser.step()
    assert all(torch.equal(before[name], tensor) for name, tensor in trained.state_dict().items())


def test_ranges_can_be_set_anew(trained: Net):
    x, _ = data(64, 3)
    model = prepare_training(trained, x)
    model.calibrate(16.0 * x)
    small = prepare_training(trained, x).finish().lowered.program.inputs[0].encoding.exponent
    assert model.finish().lowered.program.inputs[0].encoding.exponent == small + 4


def test_recipes_that_training_replaces_are_refused(trained: Net):
    with pytest.raises(PiennError, match="neither"):
        prepare_training(trained, data(8, 0)[0], recipe=Recipe(bias_correction=True))
