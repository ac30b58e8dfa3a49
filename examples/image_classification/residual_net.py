"""A small residual network for the middle square of a camera's picture."""

from __future__ import annotations

import torch
from torch import nn

SIZE = 48
"""Pixels: width and height of the input."""


def convolution(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    layer = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return [layer, nn.BatchNorm2d(outputs)]


class Residual(nn.Module):
    """Half the size, more channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*convolution(inputs, outputs, 2), nn.ReLU(), *convolution(outputs, outputs))
        self.skip = nn.Conv2d(inputs, outputs, 1, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.main(x) + self.skip(x))


class PictureNet(nn.Module):
    """Input (N, 3, 48, 48) in 0 to 1, output (N, classes) logits; 73,274 weights with 10 classes."""

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(*convolution(3, width, 2), nn.ReLU())
        self.blocks = nn.Sequential(Residual(width, 2 * width), Residual(2 * width, 4 * width))
        self.classifier = nn.Linear(4 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.blocks(self.stem(x)).mean(dim=(2, 3)))


def build(classes: int = 10) -> tuple[nn.Module, tuple[int, int, int]]:
    """The untrained network and its input shape: a factory for `pienn export --factory residual_net:build ...`."""
    return PictureNet(classes).eval(), (3, SIZE, SIZE)
