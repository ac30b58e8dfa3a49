"""The rules of each operation: shapes, encodings, ranges of attributes, accumulators that fit int32.

A broken rule raises ValueError (or what xDSL and Python raise for a malformed operation) with a one-line reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue

from pienn.ir import bounds, dialect, shapes
from pienn.ir.dialect import PiennOp, dtype_of, encoding_of, is_activation, shape_of
from pienn.ir.graph import Graph
from pienn.ir.view import OperationView
from pienn.ir.windows import elements_inside

LARGEST_TENSOR = 1 << 26
"""Most elements of one tensor; the chips have 32 MB."""

LARGEST_AXIS = 1 << 20
"""Most elements along one axis: a file that claims more would cost the reader memory, not itself."""

LARGEST_EXTENT = 1 << 15
"""Largest kernel, stride, padding or dilation."""

SPANS: Mapping[str, tuple[int, int]] = {
    "strides": (1, LARGEST_EXTENT),
    "dilation": (1, LARGEST_EXTENT),
    "padding": (0, LARGEST_EXTENT),
    "output_padding": (0, LARGEST_EXTENT),
    "kernel": (1, LARGEST_EXTENT),
    "groups": (1, LARGEST_TENSOR),
    "minimum": (-128, 127),
    "maximum": (-128, 127),
    "value": (-128, 127),
    "slope_exponent": (-15, 0),
    "weight_exponents": (-256, 255),
    "divisor": (0, 1 << 24),
    "low": (0, LARGEST_TENSOR),
    "high": (0, LARGEST_TENSOR),
    "offsets": (0, LARGEST_TENSOR),
    "sizes": (1, LARGEST_TENSOR),
    "permutation": (0, 3),
    "axis": (0, 3),
    "first_axis": (0, 3),
    "last_axis": (0, 3),
}
"""Range of every integer attribute."""

LENGTHS: Mapping[str, int] = {"strides": 2, "dilation": 2, "padding": 4, "output_padding": 2, "kernel": 2}
"""Lengths of the list attributes of windows (slice has one stride per axis instead)."""


def check_operation(op: PiennOp, graph: Graph) -> None:
    """Checks an operation by itself, its result's shape and its attributes; raises what `verifier.BROKEN` lists."""
    check_type(op.result)
    encoding_of(op.result)
    view = OperationView(op, graph)
    for name, value in view.parameters.items():
        _attribute(op, name, value)
    if "minimum" in view.parameters and view.parameters["minimum"] > view.parameters["maximum"]:
        raise ValueError("minimum is above maximum")
    expected = RULES[type(op)](view)
    allowed = expected if isinstance(expected, list) else [expected]
    if view.result not in allowed:
        raise ValueError(f"the result is {list(view.result)}, but should be {list(allowed[0])}")


def check_type(value: SSAValue) -> None:
    """Demands an int8, uint16 or int32 tensor of 1 to 4 axes and a sensible size; only int8 has encodings."""
    shape, dtype = shape_of(value), dtype_of(value)
    if not 1 <= len(shape) <= 4 or min(shape) < 1 or math.prod(shape) > LARGEST_TENSOR:
        raise ValueError(f"shape {list(shape)} is not 1 to 4 axes with at most {LARGEST_TENSOR} elements")
    if max(shape) > LARGEST_AXIS:
        raise ValueError(f"shape {list(shape)} has an axis of more than {LARGEST_AXIS} elements")
    plain = TensorType(dialect.DTYPES[dtype], shape)
    if value.type != plain and (dtype != "int8" or not is_activation(value)):
        raise ValueError(f"{value.type} is neither plain nor an int8 activation")


def _attribute(op: PiennOp, name: str, value: dialect.Plain) -> None:
    flags = ("keep", "count_include_pad", "transpose_b")
    if isinstance(value, bool) != (name in flags) or isinstance(value, str):
        raise ValueError(f"{name} has the wrong type")
    if isinstance(value, bool):
        return
    low, high = SPANS[name]
    items = value if isinstance(value, tuple) else (value,)
    if (
        isinstance(value, tuple)
        and not isinstance(op, dialect.SliceOp)
        and len(items) != LENGTHS.get(name, len(items))
    ):
        raise ValueError(f"{name} needs {LENGTHS[name]} entries")
    if any(not low <= item <= high for item in items):
        raise ValueError(f"{name} is outside {low}..{high}")


def _shift(shift: int, low: int = 0, what: str = "shift") -> int:
    if not low <= shift <= 31:
        raise ValueError(
            f"the {what} is {shift}, outside {low}..31: the result's exponent does not fit the operands'"
        )
    return shift


def _accumulator(low: int, high: int, shift: int, zero_point: int) -> None:
    """Demands that sums, with rounding and the shifted zero point added or not, fit int32."""
    low = min(low, low + bounds.rounding(shift) + (zero_point << shift))
    high += bounds.rounding(shift)
    if low < bounds.INT32_MINIMUM or high > bounds.INT32_MAXIMUM:
        raise ValueError(f"the accumulator reaches {low}..{high}, beyond int32")


def _weighted(view: OperationView, outputs: int) -> None:
    """Weight, bias and shifts of a convolution or fully connected layer; x is operand 0."""
    weight = view.table(1, "weight", "int8")
    bias = view.table(2, "bias", "int32", [outputs])
    exponents = view.parameters["weight_exponents"]
    if len(exponents) != outputs:
        raise ValueError(f"weight_exponents has {len(exponents)} entries for {outputs} output channels")
    if weight.min() < -127:
        raise ValueError("a weight is -128; weights are -127..127")
    x, y = view.encoding(), view.result_encoding
    low, high = bounds.weighted_sum(weight, bias, x.zero_point)
    for channel, exponent in enumerate(exponents):
        shift = y.exponent - x.exponent - exponent
        try:
            _shift(shift)
            _accumulator(int(low[channel]), int(high[channel]), shift, y.zero_point)
        except ValueError as error:
            raise ValueError(f"output channel {channel}: {error}") from None


def _conv2d(view: OperationView) -> shapes.Shape:
    given = view.parameters
    _weighted(view, view.shapes[1][0])
    return shapes.conv2d(
        view.shapes[0], view.shapes[1], given["strides"], given["padding"], given["dilation"], given["groups"]
    )


def _conv_transpose2d(view: OperationView) -> shapes.Shape:
    given = view.parameters
    _weighted(view, view.shapes[1][0])
    return shapes.conv_transpose2d(
        view.shapes[0],
        view.shapes[1],
        given["strides"],
        given["padding"],
        given["output_padding"],
        given["dilation"],
        given["groups"],
    )


def _fully_connected(view: OperationView) -> shapes.Shape:
    shape = shapes.fully_connected(view.shapes[0], view.shapes[1])
    _weighted(view, view.shapes[1][0])
    return shape


def _product_range(a: dialect.Encoding, b: dialect.Encoding) -> tuple[int, int]:
    corners = [p * q for p in bounds.stored_range(a.zero_point) for q in bounds.stored_range(b.zero_point)]
    return min(corners), max(corners)


def _matmul(view: OperationView) -> shapes.Shape:
    a, b, y = view.encoding(0), view.encoding(1), view.result_encoding
    shape = shapes.matmul(view.shapes[0], view.shapes[1], view.parameters["transpose_b"])
    shift = _shift(y.exponent - a.exponent - b.exponent)
    low, high = _product_range(a, b)
    _accumulator(view.shapes[0][-1] * low, view.shapes[0][-1] * high, shift, y.zero_point)
    return shape


def _add(view: OperationView) -> shapes.Shape:
    a, b, y = view.encoding(0), view.encoding(1), view.result_encoding
    finer = min(a.exponent, b.exponent)
    if abs(a.exponent - b.exponent) > 15:
        raise ValueError(f"the operands' exponents {a.exponent} and {b.exponent} are further apart than 15")
    _shift(y.exponent - finer)
    return shapes.broadcast(view.shapes[0], view.shapes[1])


def _mul(view: OperationView) -> shapes.Shape:
    a, b, y = view.encoding(0), view.encoding(1), view.result_encoding
    _shift(y.exponent - a.exponent - b.exponent)
    return shapes.broadcast(view.shapes[0], view.shapes[1])


def _requantize(view: OperationView) -> shapes.Shape:
    _shift(view.result_encoding.exponent - view.encoding().exponent, -15)
    return view.shapes[0]


def _prelu(view: OperationView) -> shapes.Shape:
    view.table(1, "slope", "int8", view.shapes[0][-1:])
    _shift(view.result_encoding.exponent - view.encoding().exponent - view.parameters["slope_exponent"])
    return view.shapes[0]


def _lut(view: OperationView) -> shapes.Shape:
    view.table(1, "table", "int8", [256])
    view.encoding()
    return view.shapes[0]


def _softmax(view: OperationView) -> shapes.Shape:
    table = view.table(1, "table", "uint16", [256]).astype(int)
    view.encoding()
    if view.result_encoding != (-8, -128):
        raise ValueError(f"the result's encoding is {view.result_encoding}, not <-8, -128>")
    if view.shapes[0][-1] > 65535:
        raise ValueError(f"the last axis has {view.shapes[0][-1]} elements; at most 65535")
    if table[0] != 32768 or (np.diff(table) > 0).any():
        raise ValueError("the table does not fall from 32768")
    return view.shapes[0]


def _pool(view: OperationView, dilation: Sequence[int]) -> list[shapes.Shape]:
    """The shapes that PyTorch's ceil_mode gives, off (where a whole window fits) and on."""
    given = view.parameters
    window = given["kernel"], given["strides"], given["padding"], dilation
    allowed = [shapes.pool2d(view.shapes[0], *window, ceil_mode=True)]
    with suppress(ValueError):
        allowed.insert(0, shapes.pool2d(view.shapes[0], *window, ceil_mode=False))
    return allowed


def _max_pool2d(view: OperationView) -> list[shapes.Shape]:
    view.same_encoding()
    given = view.parameters
    allowed = _pool(view, given["dilation"])
    if view.result in allowed:
        for axis in (0, 1):
            inside = elements_inside(
                view.result[axis],
                view.shapes[0][axis],
                given["kernel"][axis],
                given["strides"][axis],
                given["padding"][axis],
                given["dilation"][axis],
            )
            if inside.min() < 1:
                raise ValueError("a window lies in the padding altogether")
    return allowed


def _avg_pool2d(view: OperationView) -> list[shapes.Shape]:
    given = view.parameters
    allowed = _pool(view, (1, 1))
    _shift(view.result_encoding.exponent - view.encoding().exponent, -15)
    if given["kernel"][0] * given["kernel"][1] > bounds.INT32_MAXIMUM // 255:
        raise ValueError("the sum over a window does not fit int32")
    if view.result in allowed and not given["divisor"]:
        for axis in (0, 1):
            before, after = given["padding"][axis], given["padding"][axis + 2]
            size = view.shapes[0][axis]
            if given["count_include_pad"]:
                size, before = before + size + after, 0
            counted = elements_inside(
                view.result[axis], size, given["kernel"][axis], given["strides"][axis], before
            )
            if counted.min() < 1:
                raise ValueError("a window has no element to average")
    return allowed


def _mean(view: OperationView) -> shapes.Shape:
    given = view.parameters
    shape = shapes.mean(view.shapes[0], given["first_axis"], given["last_axis"], given["keep"])
    _shift(view.result_encoding.exponent - view.encoding().exponent, -15)
    if math.prod(view.shapes[0]) // math.prod(shape) > bounds.INT32_MAXIMUM // 255:
        raise ValueError("the sum does not fit int32")
    return shape


def _indices(view: OperationView, index: int, name: str, length: int) -> int:
    """Demands an int32 table of positions below `length`; returns its length."""
    table = view.table(index, name, "int32")
    if table.ndim != 1 or table.min() < 0 or table.max() >= length:
        raise ValueError(f"{name} is not a list of positions below {length}")
    return table.shape[0]


def _resize_nearest(view: OperationView) -> shapes.Shape:
    view.same_encoding()
    if len(view.shapes) == 1:
        if len(view.result) != 3:
            raise ValueError(f"the result {list(view.result)} is not [height, width, channels]")
        return shapes.resize(view.shapes[0], view.result[:2])
    if len(view.shapes) != 3:
        raise ValueError("there are either no tables, or rows and columns")
    shapes.resize(view.shapes[0], (1, 1))
    rows = _indices(view, 1, "rows", view.shapes[0][0])
    return shapes.resize(view.shapes[0], (rows, _indices(view, 2, "columns", view.shapes[0][1])))


def _resize_bilinear(view: OperationView) -> shapes.Shape:
    shapes.resize(view.shapes[0], (1, 1))
    rows = _indices(view, 1, "rows", view.shapes[0][0])
    columns = _indices(view, 3, "columns", view.shapes[0][1])
    for index, name, length in ((2, "row_weights", rows), (4, "column_weights", columns)):
        table = view.table(index, name, "int8", [length])
        if table.min() < 0 or table.max() > 64:
            raise ValueError(f"{name} has entries outside 0..64")
    _shift(12 + view.result_encoding.exponent - view.encoding().exponent)
    return shapes.resize(view.shapes[0], (rows, columns))


def _concat(view: OperationView) -> shapes.Shape:
    view.same_encoding(len(view.shapes))
    return shapes.concat(view.shapes, view.parameters["axis"])


def _slice(view: OperationView) -> shapes.Shape:
    view.same_encoding()
    given = view.parameters
    return shapes.slice_(view.shapes[0], given["offsets"], given["sizes"], given["strides"])


def _pad(view: OperationView) -> shapes.Shape:
    view.same_encoding()
    return shapes.pad(view.shapes[0], view.parameters["low"], view.parameters["high"])


def _reshape(view: OperationView) -> shapes.Shape:
    view.same_encoding()
    return shapes.reshape(view.shapes[0], view.result)


def _transpose(view: OperationView) -> shapes.Shape:
    view.same_encoding()
    return shapes.transpose(view.shapes[0], view.parameters["permutation"])


RULES: Mapping[type[PiennOp], Callable[[OperationView], Any]] = {
    dialect.Conv2dOp: _conv2d,
    dialect.ConvTranspose2dOp: _conv_transpose2d,
    dialect.FullyConnectedOp: _fully_connected,
    dialect.MatmulOp: _matmul,
    dialect.AddOp: _add,
    dialect.SubOp: _add,
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
"""One rule per operation: checks operands and returns the result's shape, or a list of allowed ones."""
