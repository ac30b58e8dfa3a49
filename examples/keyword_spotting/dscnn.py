"""A network of the DS-CNN shape ("Hello Edge", arXiv 1711.07128) for the features of one second."""

from __future__ import annotations

import torch
from front_end import COEFFICIENTS, FRAMES
from torch import nn

CLASSES = 12


def convolution(
    inputs: int, outputs: int, kernel: tuple[int, int], **options: int | tuple
) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, bias=False, **options),  # pyright: ignore[reportArgumentType]
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


class KeywordNet(nn.Module):
    """Input (N, 1, 49, 10): frames and coefficients; output (N, classes) logits. 23,180 weights with 12 classes."""

    def __init__(self, classes: int = CLASSES, width: int = 64) -> None:
        super().__init__()
        layers = convolution(1, width, (10, 4), stride=2, padding=(5, 1))
        for _ in range(4):
            layers += convolution(width, width, (3, 3), padding=1, groups=width)
            layers += convolution(width, width, (1, 1))
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.dropout(self.features(x).mean(dim=(2, 3))))


def build(classes: int = CLASSES) -> tuple[nn.Module, tuple[int, int, int]]:
    """The untrained network and its input shape: a factory for `pienn export --factory dscnn:build --weights ...`."""
    return KeywordNet(classes).eval(), (1, FRAMES, COEFFICIENTS)
