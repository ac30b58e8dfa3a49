"""Graphs of well-known shape with random weights, for measurements of time and memory."""

from __future__ import annotations

import math

import numpy as np
from xdsl.ir import SSAValue

from pienn.ir.builder import GraphBuilder
from pienn.ir.dialect import encoding_of, shape_of
from pienn.ir.graph import Graph

BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""MobileNetV2's inverted residuals: expansion, output channels, repetitions, stride of the first (arXiv 1801.04381)."""


def mobilenet_v2(size: int = 224, classes: int = 1000, seed: int = 0) -> Graph:
    """MobileNetV2 at width 1: 3.5 million weights, at 224x224 300 million multiply-accumulates."""
    source = np.random.default_rng(seed)
    b = GraphBuilder("mobilenet_v2")

    def convolution(
        x: SSAValue, layer: str, outputs: int, kernel: int, stride: int, groups: int = 1
    ) -> SSAValue:
        inputs, relu6 = shape_of(x)[2] // groups, not layer.endswith("project")
        weight = source.integers(-127, 128, (outputs, kernel, kernel, inputs)).astype(np.int8)
        bias = source.integers(-1000, 1000, outputs).astype(np.int32)
        spread = math.sqrt(weight[0].size) * 73 * (100 if encoding_of(x).zero_point else 60)
        shift = round(math.log2(spread / 60))
        exponent = encoding_of(x).exponent
        return b.conv2d(
            x,
            b.constant(f"{layer}.weight", weight),
            b.constant(f"{layer}.bias", bias),
            strides=(stride, stride),
            padding=(kernel // 2,) * 4,
            groups=groups,
            weight_exponents=source.integers(-shift, 2 - shift, outputs),
            exponent=exponent,
            zero_point=-128 if relu6 else 0,
            layer=layer,
        )

    x = b.input("image", (size, size, 3), exponent=-5, zero_point=0, permutation=(1, 2, 0))
    x = convolution(x, "stem", 32, 3, 2)
    for stage, (expansion, outputs, repetitions, stride) in enumerate(BLOCKS):
        for number in range(repetitions):
            block, y = f"stage{stage}.{number}", x
            hidden = shape_of(x)[2] * expansion
            if expansion > 1:
                y = convolution(y, f"{block}.expand", hidden, 1, 1)
            y = convolution(y, f"{block}.depthwise", hidden, 3, stride if number == 0 else 1, groups=hidden)
            y = convolution(y, f"{block}.project", outputs, 1, 1)
            if number > 0:
                y = b.add(x, y, exponent=encoding_of(y).exponent + 1, zero_point=0, layer=f"{block}.add")
            x = y
    x = convolution(x, "head", 1280, 1, 1)
    exponent, zero_point = encoding_of(x)
    x = b.mean(x, first_axis=0, last_axis=1, exponent=exponent, zero_point=zero_point, layer="pool")
    weight = source.integers(-127, 128, (classes, 1280)).astype(np.int8)
    y = b.fully_connected(
        x,
        b.constant("classifier.weight", weight),
        b.constant("classifier.bias", np.zeros(classes, np.int32)),
        weight_exponents=[-8] * classes,
        exponent=exponent,
        zero_point=0,
        layer="classifier",
    )
    b.output("scores", y)
    return b.build()
