"""Graphs of one op for the checker: the fields of cases.json, drawn by kernel and seed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pienn.codegen import packing
from pienn.errors import PiennError
from pienn.ir import bounds
from pienn.ir.builder import GraphBuilder
from pienn.ir.dialect import Encoding, encoding_of, shape_of
from pienn.ir.graph import Graph

DATA = json.loads((Path(__file__).parent / "cases.json").read_text())
CORNER_EVERY = 2  # cases
LANES = 16
EXPONENT = -4  # of the inputs; what matters are differences


KINDS = ("random", "rails", "low", "high", "near zero")


def draw_values(random: np.random.Generator, shape: Sequence[int], kind: str) -> np.ndarray:
    """Stored int8 of one of the KINDS."""
    if kind == "rails":
        return random.choice(np.array([-128, 127], np.int8), shape)
    if kind in ("low", "high"):
        return np.full(shape, -128 if kind == "low" else 127, np.int8)
    reach = 9 if kind == "near zero" else 128
    return random.integers(-reach, reach, shape).astype(np.int8)


@dataclass(frozen=True)
class Case:
    """A network that calls one kernel, and its stored inputs; equal seeds give equal cases."""

    kernel: str
    seed: int
    fields: Mapping[str, Any]
    graph: Graph
    inputs: Sequence[np.ndarray]


class Draw:
    """The fields of one case and the values of its tensors."""

    def __init__(self, kernel: str, seed: int) -> None:
        self.random = np.random.default_rng([zlib.crc32(kernel.encode()), seed])
        given = DATA["kernels"][kernel]
        fields = {name: self._choose(choices) for name, choices in given["fields"].items()}
        number, rest = divmod(seed, CORNER_EVERY)
        if rest == 0:
            corner = given["corners"][number % len(given["corners"])]
            fields |= {name: self._choose([choice]) for name, choice in corner.items()}
        self.fields: dict[str, Any] = fields

    def _choose(self, choices: Sequence[Any]) -> Any:
        choice = choices[int(self.random.integers(len(choices)))]
        if isinstance(choice, str) and choice.startswith("@"):
            return self._choose(DATA["lists"][choice[1:]])
        if isinstance(choice, dict):
            return int(self.random.integers(choice["from"], choice["to"] + 1))
        return choice

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def values(self, shape: Sequence[int], kind: str | None = None) -> np.ndarray:
        """Stored int8."""
        return draw_values(self.random, shape, kind or self["values"])

    def weights(self, shape: Sequence[int]) -> np.ndarray:
        """int8, -127..127; small ones let sums stay within 20 bits."""
        kind = self["weights"]
        if kind == "rails":
            return self.random.choice(np.array([-127, 127], np.int8), shape)
        if kind in ("low", "high"):
            return np.full(shape, -127 if kind == "low" else 127, np.int8)
        reach = {"small": 8, "half": 64}.get(kind, 127)
        return self.random.integers(-reach, reach + 1, shape).astype(np.int8)


class Drawing(GraphBuilder):
    """A graph in the making, with the inputs to run it on."""

    def __init__(self, draw: Draw) -> None:
        super().__init__("case")
        self.draw = draw
        self.values_of_inputs: list[np.ndarray] = []
        self.kept: list[Any] = []

    def given(self, shape: Sequence[int], zero_point: int = 0, exponent: int = EXPONENT) -> Any:
        """A network input of the case's values."""
        name = f"x{len(self.values_of_inputs)}"
        self.values_of_inputs.append(self.draw.values(shape))
        return self.input(name, tuple(shape), exponent, zero_point)

    def image(self, shape: Sequence[int], zero_point: int = 0, exponent: int = EXPONENT) -> Any:
        """An input, its own or a slice of the channels of a wider one, limited by an activation before."""
        draw, shape = self.draw, tuple(shape)
        if "slice" in draw.fields.get("place", "") and len(shape) == 3:
            height, width, channels = shape
            before, after = (LANES * int(draw.random.integers(0, 3)) for _ in range(2))
            wide = self.given((height, width, before + channels + after), zero_point, exponent)
            return self.slice(wide, offsets=(0, 0, before), sizes=shape)
        x = self.given(shape, zero_point, exponent)
        low, high = draw.fields.get("input_range", (-128, 127))
        if (low, high) == (-128, 127):
            return x
        return self.requantize(x, exponent=exponent, zero_point=zero_point, minimum=low, maximum=high)

    def result(self, value: Any) -> None:
        """The network's result, on its own or beside other channels; and what must outlive it."""
        shape, encoding = shape_of(value), encoding_of(value)
        if "concat" in self.draw.fields.get("place", "") and len(shape) == 3 and shape[2] % LANES == 0:
            other = self.given((*shape[:2], LANES), encoding.zero_point, encoding.exponent)
            parts = [value, other] if self.draw.random.random() < 0.5 else [other, value]
            value = self.concat(parts, axis=2)
        self.output("y", value)
        for number, kept in enumerate(self.kept):  # read again later: it cannot be overwritten
            exponent, zero_point = encoding_of(kept)
            self.output(f"kept{number}", self.requantize(kept, exponent=exponent, zero_point=zero_point))


def _channels(draw: Draw, name: str) -> int:
    """Whole blocks where the image is a part of a wider one."""
    count = draw[name]
    return count if draw.fields.get("place", "own") == "own" else packing.padded(count)


def _filter(b: Drawing, shape: Sequence[int], x_zero_point: int) -> tuple[list[Any], dict[str, Any]]:
    """Weight and bias, and what a layer says about them; shifts bring most sums near int8 unless they are extreme."""
    draw = b.draw
    outputs, taps = shape[0], int(np.prod(shape[1:]))
    weight = draw.weights(shape)
    likely = max(0, round(np.log2(max(1.0, float(np.sqrt(taps)) * float(np.abs(weight).mean()) * 74 / 40))))
    level = draw["level"]
    middle = {"zero": 0, "large": 21}.get(level, likely + (level if isinstance(level, int) else 0))
    several = draw["shifts"]
    shift = middle - several // 2 + draw.random.permutation(np.arange(outputs) % several)
    shift = np.clip(shift, 0, 24)
    y = Encoding(0, draw["y_zero_point"])
    bias = (draw.random.normal(size=outputs) * 40 * 2.0 ** np.minimum(shift, 20)).astype(np.int32)
    if draw["bias"] == "none":
        bias[:] = 0
    if draw["bias"] == "limit":
        bias = _bias_at_the_limit(draw, weight, shift, x_zero_point, y.zero_point)
    operands = [b.constant("weight", weight), b.constant("bias", bias)]
    low, high = draw["clamp"]
    given = {"exponent": y.exponent, "zero_point": y.zero_point, "minimum": low, "maximum": high}
    return operands, {**given, "weight_exponents": (y.exponent - EXPONENT - shift).tolist()}


def _bias_at_the_limit(
    draw: Draw, weight: np.ndarray, shift: np.ndarray, x_zero_point: int, y_zero_point: int
) -> np.ndarray:
    """The largest or smallest bias per channel with which every sum still fits int32."""
    low, high = bounds.weighted_sum(weight, np.zeros(len(weight), np.int32), x_zero_point)
    half = packing.rounding(shift)
    lowest = np.minimum(low, low + half + (np.int64(y_zero_point) << shift.astype(np.int64)))
    largest, smallest = bounds.INT32_MAXIMUM - high - half, bounds.INT32_MINIMUM - lowest
    return np.where(draw.random.random(len(weight)) < 0.5, largest, smallest).astype(np.int32)


def _covering(draw: Draw, dilation: Sequence[int]) -> tuple[int, int]:
    """Height and width, at least those of one window."""
    padding = draw["padding"]
    return tuple(  # pyright: ignore[reportReturnType]
        max(draw[name], (draw["kernel"][axis] - 1) * dilation[axis] + 1 - padding[axis] - padding[axis + 2])
        for axis, name in enumerate(("height", "width"))
    )


def _convolution(b: Drawing, depthwise: bool) -> Any:
    draw = b.draw
    channels = _channels(draw, "channels")
    x = b.image((*_covering(draw, draw["dilation"]), channels), draw["x_zero_point"])
    outputs = channels if depthwise else _channels(draw, "outputs")
    shape = (outputs, *draw["kernel"], 1 if depthwise else channels)
    operands, given = _filter(b, shape, draw["x_zero_point"])
    return b.conv2d(
        x, *operands, strides=draw["strides"], padding=draw["padding"], dilation=draw["dilation"],
        groups=channels if depthwise else 1, layer="kernel", **given,
    )  # fmt: skip


def conv2d_s8(b: Drawing) -> Any:
    return _convolution(b, depthwise=False)


def depthwise_conv2d_s8(b: Drawing) -> Any:
    return _convolution(b, depthwise=True)


def fully_connected_s8(b: Drawing) -> Any:
    draw = b.draw
    shape = (draw["depth"],) if draw["rows"] == 1 else (draw["rows"], draw["depth"])
    x = b.image(shape, draw["x_zero_point"])
    operands, given = _filter(b, (draw["outputs"], draw["depth"]), draw["x_zero_point"])
    return b.fully_connected(x, *operands, layer="kernel", **given)


def _binary(b: Drawing, operation: str) -> Any:
    """Operands that live on are not overwritten: `in_place` says which ones end here."""
    draw = b.draw
    shape = list(draw["shape"])
    if draw["place"] != "own":
        shape[-1] = packing.padded(shape[-1])
    other = {"pixels": [1] * (len(shape) - 1) + shape[-1:], "rows": [1, *shape[1:]], "all": [1]}
    a = b.image(shape, draw["a_zero_point"], EXPONENT + draw["a_exponent"])
    second = a
    if draw["in_place"] != "same operand":
        second_shape = other.get(draw["repeat"], shape)
        second = b.image(second_shape, draw["b_zero_point"], EXPONENT + draw["b_exponent"])
    if operation == "mul":
        start = 2 * EXPONENT + draw["a_exponent"] + draw["b_exponent"]
    else:
        start = EXPONENT + min(draw["a_exponent"], draw["b_exponent"])
    low, high = draw["clamp"]
    y = getattr(b, operation)(
        a, second, exponent=start + draw["y_exponent"], zero_point=draw["y_zero_point"],
        minimum=low, maximum=high, layer="kernel",
    )  # fmt: skip
    b.kept += {"none": (a, second), "first": (second,), "second": (a,)}.get(draw["in_place"], ())
    return y


def add_s8(b: Drawing) -> Any:
    return _binary(b, "add")


def sub_s8(b: Drawing) -> Any:
    return _binary(b, "sub")


def mul_s8(b: Drawing) -> Any:
    return _binary(b, "mul")


def _own_shape(b: Drawing) -> Any:
    """An image or a block of the shape, which a result may overwrite where `in_place` says so."""
    shape = list(b.draw["shape"])
    if b.draw.fields.get("place", "own") != "own":
        shape[-1] = packing.padded(shape[-1])
    exponent = b.draw.fields.get("x_exponent", EXPONENT)
    x = b.image(shape, b.draw.fields.get("x_zero_point", 0), exponent)
    if b.draw["in_place"] == "none":
        b.kept.append(x)
    return x


def requantize_s8(b: Drawing) -> Any:
    low, high = b.draw["clamp"]
    return b.requantize(
        _own_shape(b), exponent=EXPONENT + b.draw["y_exponent"], zero_point=b.draw["y_zero_point"],
        minimum=low, maximum=high, layer="kernel",
    )  # fmt: skip


def lut_s8(b: Drawing) -> Any:
    table = b.constant("table", b.draw.random.integers(-128, 128, 256).astype(np.int8))
    return b.lut(_own_shape(b), table, exponent=EXPONENT, zero_point=b.draw["y_zero_point"], layer="kernel")


def prelu_s8(b: Drawing) -> Any:
    draw = b.draw
    x = _own_shape(b)
    slope = b.constant("slope", draw.values(shape_of(x)[-1:]))
    return b.prelu(
        x, slope, slope_exponent=draw["slope_exponent"], exponent=EXPONENT + draw["slope_exponent"] + draw["shift"],
        zero_point=draw["y_zero_point"], layer="kernel",
    )  # fmt: skip


def softmax_s8(b: Drawing) -> Any:
    steps = np.exp(-np.arange(256) * 2.0 ** b.draw["x_exponent"])
    table = b.constant("table", np.floor(32768 * steps + 0.5).astype(np.uint16))
    return b.softmax(_own_shape(b), table, layer="kernel")


def _window_image(b: Drawing) -> Any:
    draw = b.draw
    dilation = draw.fields.get("dilation", [1, 1])
    return b.image((*_covering(draw, dilation), _channels(draw, "channels")), draw["x_zero_point"])


def _padding(draw: Draw) -> list[int]:
    """A pool's padding is at most half its window."""
    half = [size // 2 for size in draw["kernel"]] * 2
    draw.fields["padding"] = [min(pad, most) for pad, most in zip(draw["padding"], half)]
    return draw.fields["padding"]


def max_pool2d_s8(b: Drawing) -> Any:
    draw = b.draw
    given = {"padding": _padding(draw), "dilation": draw["dilation"], "ceil_mode": draw["ceil_mode"]}
    return b.max_pool2d(
        _window_image(b), kernel=draw["kernel"], strides=draw["strides"], layer="kernel", **given
    )


def avg_pool2d_s8(b: Drawing) -> Any:
    draw = b.draw
    given = {name: draw[name] for name in ("count_include_pad", "divisor", "ceil_mode")}
    given |= {"padding": _padding(draw), "exponent": EXPONENT + draw["y_exponent"]}
    return b.avg_pool2d(
        _window_image(b), kernel=draw["kernel"], strides=draw["strides"], zero_point=draw["y_zero_point"],
        layer="kernel", **given,
    )  # fmt: skip


def mean_s8(b: Drawing) -> Any:
    draw = b.draw
    x = b.image((draw["height"], draw["width"], _channels(draw, "channels")), draw["x_zero_point"])
    return b.mean(
        x, first_axis=0, last_axis=1, keep=draw["keep"], exponent=EXPONENT + draw["y_exponent"],
        zero_point=draw["y_zero_point"], layer="kernel",
    )  # fmt: skip


def resize_nearest_s8(b: Drawing) -> Any:
    draw = b.draw
    x = b.image((draw["height"], draw["width"], _channels(draw, "channels")), draw["x_zero_point"])
    return b.resize_nearest(x, size=draw["size"], layer="kernel")


def transpose_s8(b: Drawing) -> Any:
    shape = b.draw["shape"]
    order = [int(axis) for axis in b.draw.random.permutation(len(shape))]
    return b.transpose(b.given(shape), permutation=order, layer="kernel")


def pad_s8(b: Drawing) -> Any:
    """Of an image, which may be a part of a wider one, or of a box."""
    draw = b.draw
    shape = draw["shape"]
    most = draw["most"] if len(shape) < 3 else min(draw["most"], 3)
    low, high = (
        draw.random.integers(0, most + 1, len(shape)) * draw["axes"][-len(shape) :] for _ in range(2)
    )
    x = b.image(shape, draw["zero_point"])
    return b.pad(x, low=low.tolist(), high=high.tolist(), value=draw["value"], layer="kernel")


def copy_s8(b: Drawing) -> Any:
    """What the caller's arrays and slices of them make of copies: from and to addresses of any alignment."""
    draw = b.draw
    shape = [draw["shape"]] if isinstance(draw["shape"], int) else draw["shape"]
    starts = [min(draw["offset"], size - 1) for size in shape]
    steps = [draw["step"]] * len(shape)
    sizes = [len(range(start, size, step)) for start, size, step in zip(starts, shape, steps)]
    x = b.slice(b.given(shape), offsets=starts, sizes=sizes, strides=steps)
    if draw["consumer"] == "windows" and len(shape) == 3:
        weight = b.constant("weight", draw.values((1, 3, 3, sizes[2]), "near zero"))
        bias = b.constant("bias", np.zeros(1, np.int32))
        return b.conv2d(
            x,
            weight,
            bias,
            weight_exponents=[-4],
            strides=(1, 1),
            padding=(1, 1, 1, 1),
            exponent=0,
            zero_point=0,
        )
    if draw["consumer"] == "reshape":
        return b.reshape(x, shape=[int(np.prod(sizes))])
    return x


def halo_s8(b: Drawing) -> Any:
    draw = b.draw
    if draw["reader"] == "maximum":
        return b.max_pool2d(
            b.image((*_covering(draw, (1, 1)), draw["channels"]), draw["x_zero_point"]), kernel=draw["kernel"],
            strides=draw["strides"], padding=_padding(draw),
        )  # fmt: skip
    x = b.image((*_covering(draw, (1, 1)), draw["channels"]), draw["x_zero_point"])
    weight = b.constant("weight", draw.values((2, *draw["kernel"], draw["channels"]), "near zero"))
    bias = b.constant("bias", np.zeros(2, np.int32))
    return b.conv2d(
        x, weight, bias, weight_exponents=[-4] * 2, strides=draw["strides"], padding=draw["padding"],
        exponent=0, zero_point=0,
    )  # fmt: skip


BUILD: Mapping[str, Callable[[Drawing], Any]] = {
    function.__name__: function
    for function in (
        conv2d_s8, depthwise_conv2d_s8, fully_connected_s8, add_s8, sub_s8, mul_s8, requantize_s8, prelu_s8, lut_s8,
        softmax_s8, max_pool2d_s8, avg_pool2d_s8, mean_s8, resize_nearest_s8, transpose_s8,
        copy_s8, pad_s8, halo_s8,
    )
}  # fmt: skip
"""How a network is built around a call of each kernel."""


def draw_case(kernel: str, seed: int) -> Case | None:
    """The case of a seed; None where the drawn fields give no valid network."""
    draw = Draw(kernel, seed)
    b = Drawing(draw)
    try:
        b.result(BUILD[kernel](b))
        graph = b.build()
    except PiennError:
        return None
    return Case(kernel, seed, draw.fields, graph, b.values_of_inputs)
