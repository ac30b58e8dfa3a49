"""A chip's kernels get what they want: where two readers, or a writer and a reader, want different things, a copy."""

from __future__ import annotations

import numpy as np
import pytest

from pienn.commands.simulated import Simulated
from pienn.ir import interpreter
from pienn.ir.builder import GraphBuilder
from pienn.plan.plan import plan

CHIPS = ["esp32p4", "esp32s3"]


def conv(b, x, name, inputs, outputs, window=3, padding=1, strides=(1, 1)):
    source = np.random.default_rng(inputs + outputs)
    weight = source.integers(-8, 9, (outputs, window, window, inputs)).astype(np.int8)
    return b.conv2d(
        x, b.constant(f"{name}.w", weight), b.constant(f"{name}.b", np.zeros(outputs, np.int32)),
        weight_exponents=[-7] * outputs, strides=strides, padding=(padding,) * 4, exponent=-2, zero_point=0, layer=name,
    )  # fmt: skip


def pool_and_conv():
    """The maximum ignores its padding, the convolution reads zeros there."""
    b = GraphBuilder("m")
    x = b.requantize(b.input("x", (8, 8, 16), -4, 0), exponent=-3, zero_point=0, layer="image")
    b.output("a", b.max_pool2d(x, kernel=(3, 3), strides=(1, 1), padding=(1, 1, 1, 1), layer="pool"))
    b.output("b", conv(b, x, "conv", 16, 16))
    return b.build()


def product_and_conv():
    """A matrix product writes blocks without gaps."""
    b = GraphBuilder("m")
    x, w = b.input("x", (4, 6, 8), -4, 0), b.input("w", (4, 8, 5), -4, 0)
    b.output("y", conv(b, b.matmul(x, w, exponent=-2, zero_point=0, layer="product"), "conv", 5, 16))
    return b.build()


def conv_and_product():
    """A matrix product reads blocks without gaps."""
    b = GraphBuilder("m")
    x, w = conv(b, b.input("x", (4, 6, 8), -4, 0), "conv", 8, 5), b.input("w", (4, 5, 8), -4, 0)
    b.output("y", b.matmul(x, w, exponent=-2, zero_point=0, layer="product"))
    return b.build()


def bottleneck():
    """Three channels, but written by a convolution."""
    b = GraphBuilder("m")
    b.output("y", conv(b, conv(b, b.input("x", (8, 8, 16), -4, 0), "narrow", 16, 3), "wide", 3, 16))
    return b.build()


def odd_first_layer():
    """A window that is not unrolled for packed pixels."""
    b = GraphBuilder("m")
    b.output(
        "y", conv(b, b.input("x", (9, 9, 2), -4, 0), "first", 2, 16, window=5, padding=2, strides=(2, 2))
    )
    return b.build()


def odd_rows():
    """Elementwise on a block without gaps that is no whole number of vectors a row."""
    b = GraphBuilder("m")
    x = [b.input(f"x{i}", (5, 3), -4 - i, 0) for i in range(2)]
    b.output("y", b.add(*x, exponent=-3, zero_point=0, layer="sum"))
    return b.build()


def repeated_channels():
    """A factor for each channel, the same for all pixels."""
    b = GraphBuilder("m")
    x, factor = b.input("x", (5, 6, 24), -4, 0), b.input("factor", (1, 1, 24), -6, 0)
    scaled = b.mul(x, factor, exponent=-3, zero_point=0, layer="scaled")
    b.output("y", b.add(scaled, b.input("offset", (24,), -4, -128), exponent=-3, zero_point=0, layer="moved"))
    return b.build()


def mean_over_time():
    """Averages over axes that are not those of an image, whose rows are whole vectors."""
    b = GraphBuilder("m")
    x = b.input("x", (3, 7, 32), -4, 0)
    b.output(
        "a", b.mean(x, first_axis=1, last_axis=1, keep=False, exponent=-5, zero_point=0, layer="columns")
    )
    b.output("b", b.mean(x, first_axis=0, last_axis=0, keep=True, exponent=-4, zero_point=-128, layer="rows"))
    return b.build()


def tokens():
    """Rows of a matrix that are no whole vectors: each is filled up."""
    source = np.random.default_rng(2)
    b = GraphBuilder("m")
    x = b.reshape(b.input("x", (3, 4, 21), -4, 0), shape=(12, 21), layer="tokens")
    for i, (inputs, outputs) in enumerate([(21, 37), (37, 21)]):
        weight = b.constant(f"w{i}", source.integers(-8, 9, (outputs, inputs)).astype(np.int8))
        bias = b.constant(f"b{i}", np.zeros(outputs, np.int32))
        x = b.fully_connected(
            x, weight, bias, weight_exponents=[-7] * outputs, exponent=-3, zero_point=0, layer=f"mixed{i}"
        )
    b.output(
        "y",
        b.reshape(b.requantize(x, exponent=-2, zero_point=0, layer="scaled"), shape=(3, 4, 21), layer="back"),
    )
    return b.build()


def reshaped_between_gaps():
    """An image with padding around it under the shape of another one that has padding too."""
    b = GraphBuilder("m")
    x = conv(b, b.input("x", (4, 6, 32), -4, 0), "before", 32, 32)
    b.output("a", conv(b, x, "beside", 32, 16))
    b.output("b", conv(b, b.reshape(x, shape=(6, 8, 16), layer="other"), "after", 16, 16))
    return b.build()


NETWORKS = [
    reshaped_between_gaps,
    mean_over_time, pool_and_conv, product_and_conv, conv_and_product, bottleneck, odd_first_layer, odd_rows,
    repeated_channels, tokens,
]  # fmt: skip


@pytest.mark.parametrize("target", CHIPS)
@pytest.mark.parametrize("network", NETWORKS)
def test_nothing_that_the_chip_can_do_is_left_to_the_reference(network, target):
    graph = network()
    simulated = Simulated(plan(graph, target))
    left = [call.kernel.name for call in simulated.plan.calls if call.version == "ref"]
    assert set(left) <= {"matmul_s8"}
    source = np.random.default_rng(1)
    inputs = [source.integers(-128, 128, (2, *port.shape)).astype(np.int8) for port in graph.inputs]
    for found, expected in zip(simulated.run(inputs), interpreter.run(graph, inputs)):
        assert np.array_equal(found, expected)


def test_a_copy_says_what_it_is_for():
    reasons = {call.why for call in plan(pool_and_conv(), "esp32p4").calls}
    assert "another reader wants other values around the same image" in reasons
    assert "the caller's array may lie anywhere" in reasons
