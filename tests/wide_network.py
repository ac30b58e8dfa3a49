"""A network with one layer whose blocks of constants the ESP32-S3's cache cannot hold, and one whose blocks it can."""

from __future__ import annotations

import numpy as np

from pienn.ir.builder import GraphBuilder
from pienn.ir.graph import Graph


def wide_network(channels: int = 256, size: int = 4) -> Graph:
    """`large`, 3x3 with padding, and `small`, 1x1."""
    source = np.random.default_rng(0)
    b = GraphBuilder("wide")
    x = b.input("x", (size, size, channels), -4, 0)
    for name, inputs, outputs, window in (("large", channels, 32, 3), ("small", 32, 16, 1)):
        weight = b.constant(
            f"{name}.w", source.integers(-3, 4, (outputs, window, window, inputs)).astype(np.int8)
        )
        bias = b.constant(f"{name}.b", np.zeros(outputs, np.int32))
        x = b.conv2d(
            x, weight, bias, weight_exponents=[-7] * outputs, strides=(1, 1), padding=(window // 2,) * 4,
            exponent=-2, zero_point=0, layer=name,
        )  # fmt: skip
    b.output("y", x)
    return b.build()
