"""Handwritten digits: the 1797 real 8x8 scans that scikit-learn ships, and a small network for them."""

from __future__ import annotations

import torch
from torch import nn


class DigitsNet(nn.Module):
    """Input (N, 1, 8, 8) holding ink 0..16, output (N, 10) logits; 16,058 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.depthwise = nn.Sequential(
            nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.pointwise = nn.Sequential(nn.Conv2d(16, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.residual = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32))
        self.pool = nn.MaxPool2d(2)
        self.classifier = nn.Linear(32 * 4 * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pointwise(self.depthwise(self.stem(x)))
        x = torch.relu(self.residual(x) + x)
        return self.classifier(torch.flatten(self.pool(x), 1))


def build() -> tuple[nn.Module, tuple[int, int, int]]:
    """The untrained network and its input shape: a factory for `pienn export --factory digits:build --weights ...`."""
    return DigitsNet().eval(), (1, 8, 8)


def load() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Training images and labels, test images and labels: every fifth scan is for testing."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1)
    labels = torch.tensor(digits.target)
    test = torch.arange(len(labels)) % 5 == 0
    return images[~test], labels[~test], images[test], labels[test]
