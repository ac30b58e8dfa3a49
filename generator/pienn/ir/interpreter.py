"""What a graph computes, in numpy: the operations of docs/SPEC.md over a whole batch, exact in every bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from typing import cast

import numpy as np
from xdsl.ir import SSAValue

from pienn.errors import PiennError
from pienn.ir import bounds, dialect, products
from pienn.ir.dialect import PiennOp, encoding_of, is_activation, shape_of
from pienn.ir.graph import Graph
from pienn.ir.view import OperationView
from pienn.ir.windows import elements_inside

CHUNK = 1 << 24
"""Inputs are computed together as long as the largest activation of all of them has at most so many elements."""


def run(
    graph: Graph, inputs: Sequence[np.ndarray], taps: dict[str, np.ndarray] | None = None
) -> list[np.ndarray]:
    """The results, int8 [batch, *shape] each, of a verified graph.

    `inputs` are stored int8 values in the graph's layout with a batch axis in front.  `taps` receives the
    result of every operation by the name its value has in the text.
    """
    _check_inputs(graph, inputs)
    values = [port.value for port in graph.inputs] + [op.result for op in graph.layers]
    step = max(1, CHUNK // max(math.prod(shape_of(value)) for value in values))
    parts: list[dict[SSAValue, np.ndarray]] = []
    kept = {port.value for port in graph.outputs} if taps is None else {op.result for op in graph.layers}
    for start in range(0, inputs[0].shape[0], step):
        parts.append(_run_chunk(graph, [array[start : start + step] for array in inputs], kept))
    whole = {value: np.concatenate([part[value] for part in parts]) for value in kept}
    if taps is not None:
        names = graph.value_names()
        taps.update((names[op.result], whole[op.result]) for op in graph.layers)
    return [whole[port.value] for port in graph.outputs]


def _run_chunk(
    graph: Graph, inputs: Sequence[np.ndarray], kept: Collection[SSAValue]
) -> dict[SSAValue, np.ndarray]:
    """The values in `kept`; others are let go after their last use."""
    values = {port.value: array for port, array in zip(graph.inputs, inputs)}
    uses = {value: len(list(value.uses)) for value in [*values, *(op.result for op in graph.layers)]}
    for op in graph.ops:
        if isinstance(op, dialect.ConstantOp):
            if is_activation(op.result):
                array = graph.weights[op.tensor_name]
                values[op.result] = np.broadcast_to(array, (inputs[0].shape[0], *array.shape))
            continue
        values[op.result] = EVALUATE[type(op)](Layer(op, graph, values))
        for operand in op.operands:
            if operand in uses:
                uses[operand] -= 1
                if not uses[operand] and operand not in kept:
                    del values[operand]
    return {value: values[value] for value in kept}


def _check_inputs(graph: Graph, inputs: Sequence[np.ndarray]) -> None:
    ports = graph.inputs
    if len(inputs) != len(ports):
        raise PiennError(f"{graph.name}: {len(inputs)} inputs given, the graph takes {len(ports)}")
    for port, array in zip(ports, inputs):
        if array.dtype != np.int8 or array.shape[1:] != port.shape or array.shape[:1] != inputs[0].shape[:1]:
            raise PiennError(
                f"{graph.name}: input {port.name} is {array.dtype}{list(array.shape)}, "
                f"the graph takes int8 [batch, {', '.join(map(str, port.shape))}]"
            )
    if not len(inputs[0]):
        raise PiennError(f"{graph.name}: there is no input to run on")


class Layer(OperationView):
    """An operation with the arrays of its operands."""

    def __init__(self, op: PiennOp, graph: Graph, values: Mapping[SSAValue, np.ndarray]) -> None:
        super().__init__(op, graph)
        self.values = values

    def stored(self, index: int = 0) -> np.ndarray:
        """An activation's stored values, int8 [batch, ...]."""
        return self.values[self.op.operands[index]]

    def real(self, index: int = 0, dtype: type[np.signedinteger] = np.int16) -> np.ndarray:
        """X = x - z of an activation."""
        operand = self.op.operands[index]
        return self.values[operand].astype(dtype) - dtype(encoding_of(operand).zero_point)

    def aligned(self, index: int) -> np.ndarray:
        """X int32 of an operand that broadcasts against the result: as many axes, batch first."""
        x = self.real(index, np.int32)
        return x.reshape(x.shape[0], *(1,) * (len(self.result) + 1 - x.ndim), *x.shape[1:])

    def requantize(self, accumulator: np.ndarray, shift: int | np.ndarray) -> np.ndarray:
        """Half up, add the zero point, saturate, clamp; `shift` is one number or one per channel."""
        rounding = np.vectorize(bounds.rounding, otypes=[np.int32])(shift)
        shifted = (accumulator + rounding) >> shift
        shifted += shifted.dtype.type(self.result_encoding.zero_point)
        return np.clip(
            shifted, self.parameters.get("minimum", -128), self.parameters.get("maximum", 127)
        ).astype(np.int8)


def _weighted(layer: Layer, accumulator: np.ndarray) -> np.ndarray:
    shift = (
        layer.result_encoding.exponent
        - layer.encoding().exponent
        - np.array(layer.parameters["weight_exponents"], np.int32)
    )
    accumulator += layer.array(2)
    return layer.requantize(accumulator, shift)


def _conv2d(layer: Layer) -> np.ndarray:
    given = layer.parameters
    accumulator = products.convolution(
        layer.real(),
        layer.array(1),
        layer.encoding().zero_point,
        given["strides"],
        given["padding"],
        given["dilation"],
        given["groups"],
        layer.result[:2],
    )
    return _weighted(layer, accumulator)


def _conv_transpose2d(layer: Layer) -> np.ndarray:
    given = layer.parameters
    accumulator = products.transposed_convolution(
        layer.real(),
        layer.array(1),
        layer.encoding().zero_point,
        given["strides"],
        given["padding"],
        given["dilation"],
        given["groups"],
        layer.result[:2],
    )
    return _weighted(layer, accumulator)


def _fully_connected(layer: Layer) -> np.ndarray:
    x = layer.real()
    accumulator = products.matrix_product(
        x.reshape(-1, x.shape[-1]), layer.array(1), layer.encoding().zero_point
    )
    return _weighted(layer, accumulator.reshape(*x.shape[:-1], -1))


def _matmul(layer: Layer) -> np.ndarray:
    a, b = layer.real(0), layer.real(1)
    accumulator = products.activation_product(a, b.swapaxes(-1, -2) if layer.parameters["transpose_b"] else b)
    shift = layer.result_encoding.exponent - layer.encoding(0).exponent - layer.encoding(1).exponent
    return layer.requantize(accumulator, shift)


def _sum(layer: Layer, sign: int) -> np.ndarray:
    exponents = layer.encoding(0).exponent, layer.encoding(1).exponent
    finer = min(exponents)
    a, b = (layer.aligned(index) << (exponents[index] - finer) for index in (0, 1))
    return layer.requantize(a + sign * b, layer.result_encoding.exponent - finer)


def _mul(layer: Layer) -> np.ndarray:
    shift = layer.result_encoding.exponent - layer.encoding(0).exponent - layer.encoding(1).exponent
    return layer.requantize(layer.aligned(0) * layer.aligned(1), shift)


def _requantize(layer: Layer) -> np.ndarray:
    distance = layer.result_encoding.exponent - layer.encoding().exponent
    return layer.requantize(layer.real(0, np.int32) << max(0, -distance), max(0, distance))


def _prelu(layer: Layer) -> np.ndarray:
    x, exponent = layer.real(0, np.int32), layer.parameters["slope_exponent"]
    accumulator = np.where(x >= 0, x << -exponent, x * layer.array(1).astype(np.int32))
    return layer.requantize(
        accumulator, layer.result_encoding.exponent - layer.encoding().exponent - exponent
    )


def _lut(layer: Layer) -> np.ndarray:
    return layer.array(1)[layer.stored().astype(np.int16) + 128]


def _softmax(layer: Layer) -> np.ndarray:
    x = layer.stored().astype(np.int16)
    exponentials = layer.array(1).astype(np.int64)[x.max(axis=-1, keepdims=True) - x]
    total = exponentials.sum(axis=-1, keepdims=True)
    return (np.minimum(255, (512 * exponentials + total) // (2 * total)) - 128).astype(np.int8)


def _windows(layer: Layer, x: np.ndarray, value: int, combine: np.ufunc) -> np.ndarray:
    """All windows of x, padded with `value`, combined by an associative function, rows first."""
    given = layer.parameters
    kernel, strides, size = given["kernel"], given["strides"], layer.result[:2]
    dilation = given.get("dilation", (1, 1))
    x = products.window_rows(x, kernel, strides, given["padding"], dilation, size, value)
    x = reduce(combine, (x[:, rows] for rows in products.taps(kernel[0], strides[0], dilation[0], size[0])))
    return reduce(
        combine, (x[:, :, columns] for columns in products.taps(kernel[1], strides[1], dilation[1], size[1]))
    )


def _max_pool2d(layer: Layer) -> np.ndarray:
    return np.ascontiguousarray(_windows(layer, layer.stored(), -128, np.maximum))


def _average(layer: Layer, total: np.ndarray, count: int | np.ndarray) -> np.ndarray:
    """total / count, at the result's exponent, half up, in exact integers; total int64."""
    distance = layer.result_encoding.exponent - layer.encoding().exponent
    numerator, denominator = total << max(0, -distance), np.asarray(count, np.int64) << max(0, distance)
    mean = (2 * numerator + denominator) // (2 * denominator)
    return np.clip(mean + layer.result_encoding.zero_point, -128, 127).astype(np.int8)


def _avg_pool2d(layer: Layer) -> np.ndarray:
    given = layer.parameters
    total = _windows(layer, layer.real(0, np.int32), 0, np.add).astype(np.int64)
    if given["divisor"]:
        return _average(layer, total, given["divisor"])
    counts = []
    for axis in (0, 1):
        size, before, after = layer.shapes[0][axis], given["padding"][axis], given["padding"][axis + 2]
        if given["count_include_pad"]:
            size, before = before + size + after, 0
        counts.append(
            elements_inside(layer.result[axis], size, given["kernel"][axis], given["strides"][axis], before)
        )
    return _average(layer, total, (counts[0][:, None] * counts[1])[..., None])


def _mean(layer: Layer) -> np.ndarray:
    axes = tuple(range(layer.parameters["first_axis"] + 1, layer.parameters["last_axis"] + 2))
    x = layer.real()
    total = x.sum(axis=axes, dtype=np.int64, keepdims=layer.parameters["keep"])
    return _average(layer, total, int(np.prod([x.shape[axis] for axis in axes])))


def _resize_nearest(layer: Layer) -> np.ndarray:
    if len(layer.shapes) == 1:
        rows, columns = (
            np.arange(layer.result[axis], dtype=np.int64) * layer.shapes[0][axis] // layer.result[axis]
            for axis in (0, 1)
        )
    else:
        rows, columns = layer.array(1), layer.array(2)
    return layer.stored()[:, rows][:, :, columns]


def _resize_bilinear(layer: Layer) -> np.ndarray:
    x = layer.real(0, np.int32)
    for axis, positions, weights in (
        (1, layer.array(1), layer.array(2)),
        (2, layer.array(3), layer.array(4)),
    ):
        factor = weights.astype(np.int32).reshape(-1, *(1,) * (3 - axis))
        upper = np.take(x, positions, axis=axis)
        lower = np.take(x, np.minimum(positions + 1, x.shape[axis] - 1), axis=axis)
        x = upper * (64 - factor) + lower * factor
    return layer.requantize(x, 12 + layer.result_encoding.exponent - layer.encoding().exponent)


def _concat(layer: Layer) -> np.ndarray:
    arrays = [layer.stored(index) for index in range(len(layer.shapes))]
    return np.concatenate(arrays, axis=layer.parameters["axis"] + 1)


def _slice(layer: Layer) -> np.ndarray:
    given = layer.parameters
    spans = zip(given["offsets"], given["sizes"], given["strides"])
    selection = (
        slice(None),
        *(slice(first, first + (size - 1) * step + 1, step) for first, size, step in spans),
    )
    return np.ascontiguousarray(layer.stored()[selection])


def _pad(layer: Layer) -> np.ndarray:
    widths = [(0, 0), *zip(layer.parameters["low"], layer.parameters["high"])]
    return np.pad(layer.stored(), widths, constant_values=layer.parameters["value"])


def _reshape(layer: Layer) -> np.ndarray:
    return layer.stored().reshape(-1, *layer.result)


def _transpose(layer: Layer) -> np.ndarray:
    axes = cast("tuple[int, ...]", layer.parameters["permutation"])
    return np.ascontiguousarray(layer.stored().transpose(0, *(axis + 1 for axis in axes)))


EVALUATE: Mapping[type[PiennOp], Callable[[Layer], np.ndarray]] = {
    dialect.Conv2dOp: _conv2d,
    dialect.ConvTranspose2dOp: _conv_transpose2d,
    dialect.FullyConnectedOp: _fully_connected,
    dialect.MatmulOp: _matmul,
    dialect.AddOp: lambda layer: _sum(layer, 1),
    dialect.SubOp: lambda layer: _sum(layer, -1),
    dialect.MulOp: _mul,
    dialect.RequantizeOp: _requantize,
    dialect.PreluOp: _prelu,
    dialect.LutOp: _lut,
    dialect.SoftmaxOp: _softmax,
    dialect.MaxPool2dOp: _max_pool2d,
    dialect.AvgPool2dOp: _avg_pool2d,
    dialect.MeanOp: _mean,
    dialect.ResizeNearestOp: _resize_nearest,
    dialect.ResizeBilinearOp: _resize_bilinear,
    dialect.ConcatOp: _concat,
    dialect.SliceOp: _slice,
    dialect.PadOp: _pad,
    dialect.ReshapeOp: _reshape,
    dialect.TransposeOp: _transpose,
}
"""One function per operation: the result, int8 [batch, ...]."""
