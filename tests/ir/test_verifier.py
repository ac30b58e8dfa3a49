"""Every rule of the verifier refuses what breaks it, naming operation and layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from random_graphs import random_graph
from test_dialect import small_graph
from xdsl.rewriter import Rewriter

from pienn.errors import PiennError
from pienn.ir.builder import GraphBuilder
from pienn.ir.dialect import (
    ConstantOp,
    activation_type,
    constant_type,
    encoding_of,
    is_activation,
    shape_of,
    to_attribute,
)
from pienn.ir.graph import Graph
from pienn.ir.verifier import verify

INT8, INT32, UINT16 = np.int8, np.int32, np.uint16


def conv(b: GraphBuilder, weight: Any = None, bias: Any = None, **changes: Any) -> Any:
    """A convolution [6, 5, 4] -> [6, 5, 2], with changes."""
    x = b.input("x", (6, 5, 4), -4, changes.pop("x_zero", 0))
    weight = np.ones((2, 3, 3, 4), INT8) if weight is None else weight
    bias = np.zeros(2, INT32) if bias is None else bias
    given = {
        "padding": (1, 1, 1, 1),
        "weight_exponents": (-6, -6),
        "exponent": -4,
        "zero_point": 0,
        **changes,
    }
    return b.conv2d(x, b.constant("w", weight), b.constant("b", bias), layer="net.conv", **given)


def image(b: GraphBuilder, exponent: int = -4, zero_point: int = 0) -> Any:
    return b.input("x", (6, 5, 4), exponent, zero_point)


def softmax(b: GraphBuilder, first: int = 32768, **changes: Any) -> Any:
    table = np.linspace(first, 0, 256).astype(UINT16)
    return b.softmax(image(b), b.constant("table", table), layer="net.softmax", **changes)


def bilinear(b: GraphBuilder, position: int = 5, weight: int = 64, exponent: int = -4) -> Any:
    x = image(b, -4)
    rows, columns = (b.constant(name, np.array([0, position], INT32)) for name in ("rows", "columns"))
    weights = [b.constant(name, np.array([0, weight], INT8)) for name in ("r", "c")]
    return b.resize_bilinear(
        x, rows, weights[0], columns, weights[1], exponent=exponent, zero_point=0, layer="net.up"
    )


def two(b: GraphBuilder, kind: str, shapes: Any, exponents: Any, **changes: Any) -> Any:
    values = [b.input(f"x{i}", shapes[i], exponents[i], 0) for i in range(2)]
    given = {"exponent": -4, "zero_point": 0, "layer": f"net.{kind}", **changes}
    return getattr(b, kind)(*values, **given)


BAD: dict[str, tuple[Callable[[GraphBuilder], Any], str]] = {
    "conv minimum": (lambda b: conv(b, minimum=-129), "conv2d: minimum is outside -128..127"),
    "conv clamp": (lambda b: conv(b, minimum=5, maximum=4), "conv2d: minimum is above maximum"),
    "conv stride": (lambda b: conv(b, strides=(1, 40000)), "conv2d: "),
    "conv padding": (lambda b: conv(b, padding=(-1, 0, 0, 0)), "conv2d: padding is outside"),
    "conv padding length": (lambda b: conv(b, padding=(1, 1, 1, 1, 1)), "conv2d: padding needs 4 entries"),
    "conv groups": (lambda b: conv(b, groups=3), "conv2d: weight 2x3x3x4 with 3 groups does not fit"),
    "conv window": (lambda b: conv(b, dilation=(9, 9)), "conv2d: the result would be"),
    "conv exponents": (
        lambda b: conv(b, weight_exponents=(-6,)),
        "conv2d: weight_exponents has 1 entries for 2",
    ),
    "conv shift": (lambda b: conv(b, weight_exponents=(-6, 1)), "conv2d: output channel 1: the shift is -1"),
    "conv large shift": (lambda b: conv(b, weight_exponents=(-32, 0)), "output channel 0: the shift is 32"),
    "conv weight": (lambda b: conv(b, np.full((2, 3, 3, 4), -128, INT8)), "a weight is -128"),
    "conv weight dtype": (lambda b: conv(b, np.ones((2, 3, 3, 4), INT32)), "weight is int32, not int8"),
    "conv bias dtype": (lambda b: conv(b, bias=np.ones(2, INT8)), "bias is int8, not int32"),
    "conv bias shape": (lambda b: conv(b, bias=np.ones(3, INT32)), r"bias is \[3\], not \[2\]"),
    "conv accumulator": (
        lambda b: conv(b, bias=np.array([0, 2**31 - 4572 - 31], INT32)),
        "output channel 1: the accumulator reaches 2147474437..2147483649, beyond int32",
    ),
    "conv zero point in bias": (
        lambda b: conv(b, weight_exponents=(-25, -25), zero_point=-128),
        "output channel 0: the accumulator reaches -",
    ),
    "fully connected": (
        lambda b: b.fully_connected(
            image(b),
            b.constant("w", np.ones((2, 5), INT8)),
            b.constant("b", np.ones(2, INT32)),
            weight_exponents=(0, 0),
            exponent=0,
            zero_point=0,
            layer="net.fc",
        ),
        "net.fc: fully_connected: weight 2x5 does not fit",
    ),
    "add distance": (
        lambda b: two(b, "add", [(3,), (3,)], [-20, -4]),
        "add: the operands' exponents -20 and -4 are further apart than 15",
    ),
    "add shift": (lambda b: two(b, "add", [(3,), (3,)], [-3, -3]), "net.add: add: the shift is -1"),
    "add shapes": (
        lambda b: two(b, "add", [(3,), (2,)], [-4, -4]),
        "net.add: pienn.add: 3 and 2 do not broadcast",
    ),
    "mul shift": (lambda b: two(b, "mul", [(3,), (3,)], [-18, -18]), "net.mul: mul: the shift is 32"),
    "matmul shapes": (lambda b: two(b, "matmul", [(3, 4), (3, 4)], [-2, -2]), "matmul: 3x4 and 3x4 cannot"),
    "matmul accumulator": (
        lambda b: two(b, "matmul", [(1, 200000), (200000, 1)], [-2, -2]),
        "net.matmul: matmul: the accumulator reaches",
    ),
    "requantize": (
        lambda b: b.requantize(image(b), exponent=-20, zero_point=0, layer="net.r"),
        "net.r: requantize: the shift is -16, outside -15..31",
    ),
    "prelu": (
        lambda b: b.prelu(
            image(b),
            b.constant("s", np.ones(3, INT8)),
            slope_exponent=-3,
            exponent=-4,
            zero_point=0,
            layer="net.p",
        ),
        r"net.p: prelu: slope is \[3\], not \[4\]",
    ),
    "prelu exponent": (
        lambda b: b.prelu(
            image(b),
            b.constant("s", np.ones(4, INT8)),
            slope_exponent=1,
            exponent=0,
            zero_point=0,
            layer="net.p",
        ),
        "net.p: prelu: slope_exponent is outside -15..0",
    ),
    "lut": (
        lambda b: b.lut(
            image(b), b.constant("t", np.ones(255, INT8)), exponent=0, zero_point=0, layer="net.l"
        ),
        r"net.l: lut: table is \[255\], not \[256\]",
    ),
    "lut computed": (
        lambda b: b.lut(b.input("x", (256,), 0, 0), b.input("t", (256,), 0, 0), exponent=0, zero_point=0),
        "lut: lut: table is not a constant",
    ),
    "softmax encoding": (lambda b: softmax(b, exponent=-7), "softmax: the result's encoding is <-7, -128>"),
    "softmax table": (lambda b: softmax(b, 32767), "softmax: the table does not fall from 32768"),
    "max pool encoding": (
        lambda b: b.max_pool2d(image(b), kernel=(2, 2), strides=(2, 2), exponent=-3, layer="net.m"),
        "net.m: max_pool2d: encoding <-4, 0> becomes <-3, 0>",
    ),
    "max pool padding": (
        lambda b: b.max_pool2d(image(b), kernel=(2, 2), strides=(2, 2), padding=(2, 0, 0, 0), layer="net.m"),
        "net.m: max_pool2d: a window lies in the padding altogether",
    ),
    "average of nothing": (
        lambda b: b.avg_pool2d(
            image(b),
            kernel=(2, 2),
            strides=(2, 2),
            padding=(2, 0, 0, 0),
            exponent=-4,
            zero_point=0,
            layer="net.a",
        ),
        "net.a: avg_pool2d: a window has no element to average",
    ),
    "average shift": (
        lambda b: b.avg_pool2d(
            image(b), kernel=(2, 2), strides=(2, 2), exponent=28, zero_point=0, layer="net.a"
        ),
        "net.a: avg_pool2d: the shift is 32",
    ),
    "average divisor": (
        lambda b: b.avg_pool2d(
            image(b), kernel=(2, 2), strides=(2, 2), exponent=0, zero_point=0, divisor=-1, layer="net.a"
        ),
        "net.a: avg_pool2d: divisor is outside",
    ),
    "mean axes": (
        lambda b: b.mean(image(b), first_axis=1, last_axis=3, exponent=0, zero_point=0, layer="net.m"),
        "net.m: mean: axes 1..3 are not axes of 6x5x4",
    ),
    "mean to nothing": (
        lambda b: b.mean(image(b), first_axis=0, last_axis=2, exponent=0, zero_point=0, layer="net.m"),
        "result y: shape .* is not 1 to 4 axes",
    ),
    "nearest": (
        lambda b: b.resize_nearest(
            image(b),
            rows=b.constant("r", np.array([0, 6], INT32)),
            columns=b.constant("c", np.array([0], INT32)),
            layer="net.n",
        ),
        "net.n: resize_nearest: rows is not a list of positions below 6",
    ),
    "bilinear positions": (
        lambda b: bilinear(b),
        "net.up: resize_bilinear: columns is not a list of positions",
    ),
    "bilinear weights": (
        lambda b: bilinear(b, 4, 65),
        "net.up: resize_bilinear: row_weights has entries outside",
    ),
    "bilinear shift": (lambda b: bilinear(b, 4, 64, -17), "net.up: resize_bilinear: the shift is -1"),
    "concat axis": (lambda b: b.concat([image(b)], axis=3, layer="net.c"), "net.c: concat: axis 3 is not"),
    "concat encoding": (
        lambda b: b.concat([image(b), b.input("y", (6, 5, 4), -3, 0)], axis=0, layer="net.c"),
        "net.c: concat: encoding <-3, 0> becomes <-4, 0>",
    ),
    "concat of a plain constant": (
        lambda b: b.concat([image(b), b.constant("w", np.ones((6, 5, 4), INT8))], axis=0, layer="net.c"),
        "net.c: concat: .*has no #pienn.quantized encoding",
    ),
    "reshape of a weight": (
        lambda b: b.reshape(b.constant("w", np.ones(4, INT8)), shape=(2, 2), layer="net.r"),
        "net.r: reshape: the first operand has no exponent and zero point",
    ),
    "exponent": (
        lambda b: b.requantize(image(b), exponent=64, zero_point=0, layer="net.r"),
        "net.r: exponent 64",
    ),
    "zero point": (lambda b: image(b, 0, 1), "x: zero point 1 is neither 0 nor -128"),
    "slice": (
        lambda b: b.slice(image(b), offsets=(0, 0, 2), sizes=(6, 5, 2), strides=(1, 1, 2), layer="net.s"),
        "net.s: slice: the slice leaves x 6x5x4",
    ),
    "pad value": (
        lambda b: b.pad(image(b), low=(0, 0, 1), high=(0, 0, 0), value=128, layer="net.p"),
        "net.p: pad: value is outside -128..127",
    ),
    "reshape": (
        lambda b: b.reshape(image(b), shape=(7, 17), layer="net.r"),
        "net.r: reshape: 6x5x4 and 7x17 differ in the number of elements",
    ),
    "transpose": (
        lambda b: b.transpose(image(b), permutation=(0, 0, 1), layer="net.t"),
        r"net.t: transpose: \[0, 0, 1\] is no permutation",
    ),
    "layer path": (
        lambda b: b.requantize(image(b), exponent=0, zero_point=0, layer="a b"),
        "the layer path 'a b'",
    ),
    "constant name": (lambda b: conv_named(b, "*/ int x; /*"), "the name '\\*/ int x; /\\*' is not"),
    "long name": (lambda b: conv_named(b, "a" * 201), "the name 'aaaa"),
}


def conv_named(b: GraphBuilder, name: str) -> Any:
    return b.lut(image(b), b.constant(name, np.zeros(256, INT8)), exponent=0, zero_point=0)


@pytest.mark.parametrize("case", BAD)
def test_refuses(case: str) -> None:
    write, reason = BAD[case]
    b = GraphBuilder("bad")
    with pytest.raises(PiennError, match=reason) as caught:
        b.output("y", write(b))
        b.build()
    assert "\n" not in str(caught.value)


def test_the_largest_accumulators_are_allowed() -> None:
    for bias in (2**31 - 1 - 4572 - 32, -(2**31) + 4608):
        b = GraphBuilder("rails")
        b.output("y", conv(b, bias=np.array([0, bias], INT32)))
        b.build()


def test_arguments_and_results_are_checked() -> None:
    def build(*names: str, returned: int = 1) -> Graph:
        b = GraphBuilder("ports")
        values = [b.input(name, (3,), 0, 0) for name in names]
        y = b.requantize(values[0], exponent=1, zero_point=0, layer="r")
        for number in range(returned):
            b.output(f"y{number}", y)
        return b.build()

    assert len(build("a", "b").inputs) == 2
    with pytest.raises(PiennError, match="argument a: two of this name"):
        build("a", "a")
    with pytest.raises(PiennError, match="needs a name"):
        build("a b")
    with pytest.raises(PiennError, match="returned twice"):
        build("a", returned=2)
    with pytest.raises(PiennError, match="there must be one"):
        build("a", returned=0)
    b = GraphBuilder("identity")
    b.output("y", b.input("x", (3,), 0, 0))
    with pytest.raises(PiennError, match="a result must be computed"):
        b.build()
    b = GraphBuilder("permutation")
    x = b.input("x", (3, 2), 0, 0, permutation=(1, 1))
    b.output("y", b.requantize(x, exponent=0, zero_point=0))
    with pytest.raises(PiennError, match="no permutation"):
        b.build()


def test_weights_must_fit_the_constants() -> None:
    def broken(change: Callable[[Graph], Any], reason: str) -> None:
        graph = small_graph()
        change(graph)
        with pytest.raises(PiennError, match=reason):
            verify(graph)

    broken(lambda g: g.weights.update(spare=np.zeros(1, INT8)), "'spare': no operation uses this constant")
    broken(lambda g: g.weights.pop("stem.bias"), "the weights have no tensor stem.bias")
    broken(lambda g: g.weights.update({"stem.bias": np.zeros(8, INT8)}), "stem.bias is int8")
    broken(lambda g: g.weights.update({"stem.bias": np.zeros(9, INT32)}), r"stem.bias is int32\[9\]")


def test_result_types_are_recomputed() -> None:
    """A wrong result shape, whatever it is, is found .

    Reshape and nearest resizing are exempt: their shape is what the type says."""
    for seed in range(60):
        original = random_graph(seed, 4)
        for index in range(len(original.layers)):
            graph = original.clone()
            op = graph.layers[index]
            if op.short_name in ("reshape", "resize_nearest"):
                continue
            shape = list(shape_of(op.result))
            shape[seed % len(shape)] += 1
            Rewriter.replace_value_with_new_type(op.result, activation_type(shape, *encoding_of(op.result)))
            with pytest.raises(PiennError):
                verify(graph)


def test_layer_paths_are_unique() -> None:
    b = GraphBuilder("unique")
    x = b.input("x", (3,), 0, 0)
    for _ in range(3):
        x = b.requantize(x, exponent=0, zero_point=0, layer="r")
    b.output("y", x)
    graph = b.build()
    assert [op.layer for op in graph.layers] == ["r", "r_2", "r_3"]
    graph.layers[2].properties["layer"] = to_attribute("r")
    with pytest.raises(PiennError, match="r: requantize: another operation has this layer path"):
        verify(graph)


def test_weights_are_no_activations() -> None:
    """Whatever takes an activation refuses the result's encoding appearing out of a plain constant."""
    for seed in range(60):
        graph = random_graph(seed, 3, on_constants=True)
        activations = [op for op in graph.ops if isinstance(op, ConstantOp) and is_activation(op.result)]
        for op in activations[:1]:
            Rewriter.replace_value_with_new_type(op.result, constant_type(shape_of(op.result), "int8"))
            with pytest.raises(PiennError, match=r"no #pienn\.quantized encoding"):
                verify(graph)


def test_attributes_of_another_type_are_refused() -> None:
    graph = small_graph()
    graph.layers[0].properties["minimum"] = to_attribute([0])
    with pytest.raises(PiennError, match="conv2d"):
        verify(graph)
