"""The parameter struct of every kernel call: field names of include/pienn/layers.h, values from the graph.

Exponents end here: a kernel knows shifts only. Constants (packed weights, tables) are given as arrays; the C
files name them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from pienn.codegen import packing
from pienn.codegen.chip_packing import chip_parameters
from pienn.errors import PiennError
from pienn.ir.dialect import PiennOp, encoding_of
from pienn.ir.graph import Graph
from pienn.plan.plan import Call
from pienn.plan.qacc_proof import Proof
from pienn.plan.views import View

RANK = 4
LOWEST, HIGHEST = -128, 127
FILLED_PER_GAP = {False: 320, True: 96}
"""Bytes that a chip fills while it goes from one gap between rows to the next, whole vectors or not."""


@dataclass(frozen=True)
class Parameters:
    """`arrays` are the pointer fields in the order of the struct, `fields` the words; both by C name. `bodies` are the
    symbols of the list that the pointer of that name points to; none where the kernel is of one piece. `proofs`:
    (body, proof) of each block of 16 outputs on the ESP32-S3."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    bodies: tuple[str, ...] = ()
    proofs: tuple[tuple[str, Proof], ...] = ()


def parameters_of(graph: Graph, call: Call) -> Parameters:
    """The struct of one call; a chip's own kernel gets its constants as that chip packs them."""
    given = BY_KERNEL[call.kernel.name](graph, call)
    if call.version == "ref":
        return given
    struct = chip_parameters(call.version, call.kernel.name, given.arrays, given.fields, _range(call))
    return Parameters(*struct)


def shadow_arrays(graph: Graph, call: Call, parameters: Parameters) -> dict[str, np.ndarray]:
    """The constants that the reference reads of a struct besides those of the chip's kernel, `parameters`.

    Raises PiennError where one struct cannot serve both, because they want different values in one field.
    """
    given = BY_KERNEL[call.kernel.name](graph, call)
    shared = given.arrays.keys() & parameters.arrays.keys()
    if given.fields != parameters.fields or any(
        not np.array_equal(given.arrays[name], parameters.arrays[name]) for name in shared
    ):
        raise PiennError(
            f"{call.op.layer}: {call.kernel.name}_{call.version} cannot be checked while it runs"
        )
    return {name: array for name, array in given.arrays.items() if name not in shared}


def _range(call: Call) -> tuple[int, int]:
    """The smallest and largest stored value that the first operand can have, padding included."""
    if not call.op.operands:
        return LOWEST, HIGHEST
    producer = call.op.operands[0].owner
    clamped = producer.parameters if isinstance(producer, PiennOp) else {}
    low, high = clamped.get("minimum", LOWEST), clamped.get("maximum", HIGHEST)
    assert isinstance(low, int) and isinstance(high, int)
    zero = encoding_of(call.op.operands[0]).zero_point
    return min(low, zero), max(high, zero)


def image(view: View) -> dict[str, int]:
    """A pienn_view. Up to rank 3 as it is, with leading axes of size 1; higher ranks, which have no gaps, as one row of
    vectors of the last axis."""
    if len(view.shape) > 3:
        rows = prod(view.shape[:-1])
        view = view.reshaped((1, rows, view.shape[-1]))
    padding = 3 - len(view.shape)
    height, width, channels = (1,) * padding + view.shape
    strides = (0,) * padding + view.strides
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "row_stride": strides[0] if height > 1 else width * strides[1] if width > 1 else channels,
        "pixel_stride": strides[1] if width > 1 else channels,
        "block_stride": 16,
    }


def box(values: Sequence[int], fill: int) -> list[int]:
    """Values by axis with leading axes filled up to four."""
    return [fill] * (RANK - len(values)) + list(values)


def vectors(view: View) -> tuple[int, int, int]:
    """(rows, elements of a row, stride between rows)."""
    stride = view.row_stride
    assert stride is not None
    return prod(view.shape[:-1]), view.shape[-1], stride


def _clamp(op: PiennOp) -> dict[str, Any]:
    return {"minimum": op.parameters["minimum"], "maximum": op.parameters["maximum"]}


def _filter(graph: Graph, op: PiennOp, depthwise: bool = False) -> dict[str, np.ndarray]:
    """Packed weights, folded bias and shifts of a layer."""
    x, y = encoding_of(op.operands[0]), encoding_of(op.result)
    exponents = np.array(op.parameters["weight_exponents"])
    packed = packing.filter_of(
        graph.array(op.operands[1]), graph.array(op.operands[2]), exponents, x, y, depthwise
    )
    return {"weights": packed.weights, "bias": packed.bias, "shift": packed.shift}


def _conv2d(graph: Graph, call: Call) -> Parameters:
    op, given = call.op, call.op.parameters
    weight = graph.array(op.operands[1])
    depthwise = call.kernel.name == "depthwise_conv2d_s8"
    strides: Any = given["strides"]
    dilation: Any = given["dilation"]
    padding: Any = given["padding"]
    fields = {
        "x": image(call.reads[0]),
        "y": image(call.writes),
        "kernel_height": weight.shape[1],
        "kernel_width": weight.shape[2],
        "stride_y": strides[0],
        "stride_x": strides[1],
        "dilation_y": dilation[0],
        "dilation_x": dilation[1],
        "padding_top": 0 if call.padded else padding[0],
        "padding_left": 0 if call.padded else padding[1],
        "padding_value": encoding_of(op.operands[0]).zero_point,
    }
    if not depthwise:
        fields["groups"] = given["groups"]
    return Parameters(_filter(graph, op, depthwise), fields | _clamp(op))


def _fully_connected(graph: Graph, call: Call) -> Parameters:
    rows, depth, x_stride = vectors(call.reads[0])
    _, columns, y_stride = vectors(call.writes)
    fields = {
        "rows": rows,
        "depth": depth,
        "columns": columns,
        "x_row_stride": x_stride,
        "y_row_stride": y_stride,
    }
    return Parameters(_filter(graph, call.op), fields | _clamp(call.op))


def _matmul(graph: Graph, call: Call) -> Parameters:
    op = call.op
    a, b = call.reads
    rows, depth = a.shape[-2:]
    ea, eb, ey = (encoding_of(value) for value in (*op.operands, op.result))
    columns = call.writes.shape[-1]
    b_row = b.shape[-1]
    return Parameters(
        fields={
            "batch": prod(a.shape[:-2]),
            "rows": rows,
            "depth": depth,
            "columns": columns,
            "transpose_b": int(bool(op.parameters["transpose_b"])),
            "a_batch_stride": rows * depth,
            "a_row_stride": depth,
            "b_batch_stride": depth * columns,
            "b_row_stride": b_row,
            "y_batch_stride": rows * columns,
            "y_row_stride": columns,
            "a_zero_point": ea.zero_point,
            "b_zero_point": eb.zero_point,
            "y_zero_point": ey.zero_point,
            "shift": ey.exponent - ea.exponent - eb.exponent,
        }
        | _clamp(op)
    )


def merge_axes(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """Join neighbouring axes that every operand walks with one stride, so that the last axis is long."""
    merged_shape: list[int] = []
    merged: list[list[int]] = [[] for _ in strides]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        joinable = bool(merged_shape) and all(
            done[-1] == own[axis] * size for done, own in zip(merged, strides)
        )
        if joinable:
            merged_shape[-1] *= size
            for done, own in zip(merged, strides):
                done[-1] = own[axis]
        else:
            merged_shape.append(size)
            for done, own in zip(merged, strides):
                done.append(own[axis])
    if not merged_shape:
        return [1], [[1] for _ in strides]
    return merged_shape, merged


def _elementwise(view: View, shape: tuple[int, ...]) -> list[int]:
    """Strides by axis of the result; 0 where the operand is repeated."""
    padding = len(shape) - len(view.shape)
    return [0] * padding + [0 if size == 1 else stride for size, stride in zip(view.shape, view.strides)]


def _binary(graph: Graph, call: Call) -> Parameters:
    op, shape = call.op, call.writes.shape
    a, b = (_elementwise(view, shape) for view in call.reads)
    merged, (a, b, y) = merge_axes(shape, (a, b, list(call.writes.strides)))
    ea, eb, ey = (encoding_of(value) for value in (*op.operands, op.result))
    fields: dict[str, Any] = {
        "shape": box(merged, 1),
        "a_strides": box(a, 0),
        "b_strides": box(b, 0),
        "y_strides": box(y, 0),
        "a_zero_point": ea.zero_point,
        "b_zero_point": eb.zero_point,
        "y_zero_point": ey.zero_point,
    }
    if call.kernel.name == "mul_s8":
        fields["shift"] = ey.exponent - ea.exponent - eb.exponent
    else:
        fields |= dict(zip(("a_shift", "b_shift", "shift"), packing.addition_shifts(ea, eb, ey)))
    return Parameters(fields=fields | _clamp(op))


def _requantize(graph: Graph, call: Call) -> Parameters:
    x, y = encoding_of(call.op.operands[0]), encoding_of(call.op.result)
    left_shift, shift = packing.requantize_shifts(x, y)
    return Parameters(
        fields={
            "x": image(call.reads[0]),
            "y": image(call.writes),
            "x_zero_point": x.zero_point,
            "y_zero_point": y.zero_point,
            "left_shift": left_shift,
            "shift": shift,
        }
        | _clamp(call.op)
    )


def _prelu(graph: Graph, call: Call) -> Parameters:
    op = call.op
    x, y = encoding_of(op.operands[0]), encoding_of(op.result)
    slope_exponent = op.parameters["slope_exponent"]
    assert isinstance(slope_exponent, int)
    return Parameters(
        {"slope": packing.fill_block(graph.array(op.operands[1]))},
        {
            "x": image(call.reads[0]),
            "y": image(call.writes),
            "x_zero_point": x.zero_point,
            "y_zero_point": y.zero_point,
            "left_shift": -slope_exponent,
            "shift": y.exponent - x.exponent - slope_exponent,
        },
    )


def _lut(graph: Graph, call: Call) -> Parameters:
    table = graph.array(call.op.operands[1])
    return Parameters({"table": table}, {"x": image(call.reads[0]), "y": image(call.writes)})


def _softmax(graph: Graph, call: Call) -> Parameters:
    rows, channels, x_stride = vectors(call.reads[0])
    _, _, y_stride = vectors(call.writes)
    return Parameters(
        {"table": graph.array(call.op.operands[1])},
        {"rows": rows, "channels": channels, "x_row_stride": x_stride, "y_row_stride": y_stride},
    )


def _max_pool2d(graph: Graph, call: Call) -> Parameters:
    given: Any = call.op.parameters
    return Parameters(
        fields={
            "x": image(call.reads[0]),
            "y": image(call.writes),
            "kernel_height": given["kernel"][0],
            "kernel_width": given["kernel"][1],
            "stride_y": given["strides"][0],
            "stride_x": given["strides"][1],
            "dilation_y": given["dilation"][0],
            "dilation_x": given["dilation"][1],
            "padding_top": 0 if call.padded else given["padding"][0],
            "padding_left": 0 if call.padded else given["padding"][1],
        }
    )


def _average_encoding(op: PiennOp) -> dict[str, int]:
    x, y = encoding_of(op.operands[0]), encoding_of(op.result)
    return {"x_zero_point": x.zero_point, "y_zero_point": y.zero_point, "shift": y.exponent - x.exponent}


def _avg_pool2d(graph: Graph, call: Call) -> Parameters:
    given: Any = call.op.parameters
    padding = (0, 0, 0, 0) if call.padded else given["padding"]
    return Parameters(
        fields={
            "x": image(call.reads[0]),
            "y": image(call.writes),
            "kernel_height": given["kernel"][0],
            "kernel_width": given["kernel"][1],
            "stride_y": given["strides"][0],
            "stride_x": given["strides"][1],
            "padding_top": padding[0],
            "padding_left": padding[1],
            "padding_bottom": padding[2],
            "padding_right": padding[3],
            "count_include_pad": int(given["count_include_pad"]),
            "divisor": given["divisor"],
        }
        | _average_encoding(call.op)
    )


def _mean(graph: Graph, call: Call) -> Parameters:
    given: Any = call.op.parameters
    shape = call.reads[0].shape
    if call.kernel.reads == "image":
        strides = call.reads[0].strides
        return Parameters(
            fields={
                "outer": 1,
                "rows": shape[0],
                "columns": shape[1],
                "inner": shape[2],
                "x_outer_stride": shape[0] * strides[0],
                "x_row_stride": strides[0],
                "x_column_stride": strides[1],
                "y_outer_stride": shape[2],
            }
            | _average_encoding(call.op)
        )
    first, last = given["first_axis"], given["last_axis"]
    outer, inner = prod(shape[:first]), prod(shape[last + 1 :])
    count = prod(shape[first : last + 1])
    return Parameters(
        fields={
            "outer": outer,
            "rows": 1,
            "columns": count,
            "inner": inner,
            "x_outer_stride": count * inner,
            "x_row_stride": count * inner,
            "x_column_stride": inner,
            "y_outer_stride": inner,
        }
        | _average_encoding(call.op)
    )


def _resize_nearest(graph: Graph, call: Call) -> Parameters:
    op = call.op
    x, y = call.reads[0], call.writes
    if len(op.operands) > 1:
        rows, columns = (graph.array(operand) for operand in op.operands[1:])
    else:
        rows, columns = (packing.nearest_indices(x.shape[axis], y.shape[axis]) for axis in (0, 1))
    return Parameters({"rows": rows, "columns": columns}, {"x": image(x), "y": image(y)})


def _resize_bilinear(graph: Graph, call: Call) -> Parameters:
    op = call.op
    names = ("rows", "row_weights", "columns", "column_weights")
    x, y = encoding_of(op.operands[0]), encoding_of(op.result)
    return Parameters(
        {name: graph.array(operand) for name, operand in zip(names, op.operands[1:])},
        {
            "x": image(call.reads[0]),
            "y": image(call.writes),
            "x_zero_point": x.zero_point,
            "y_zero_point": y.zero_point,
            "shift": 12 + y.exponent - x.exponent,
        },
    )


def _copy(graph: Graph, call: Call) -> Parameters:
    source = call.reads[0]
    shape, (x, y) = merge_axes(source.shape, (source.strides, call.writes.strides))
    return Parameters(fields={"shape": box(shape, 1), "x_strides": box(x, 0), "y_strides": box(y, 0)})


def _halo(graph: Graph, call: Call) -> Parameters:
    """The image lies in rows of row_stride bytes; between the end of a row and the next one's begin is the gap.

    Short rows are filled with what surrounds them, which is faster than to leave them out: they are written afterwards.
    """
    image_view, margins = call.writes, call.margins
    assert margins is not None
    height, width, _ = image_view.shape
    row_stride, pixel_stride, _ = image_view.strides
    row = width * pixel_stride
    after = row_stride - row - margins.left * pixel_stride + margins.bottom * row_stride
    gap = row_stride - row
    whole = image_view.offset + height * row + (height - 1) * gap + after
    if whole < FILLED_PER_GAP[
        all(size % packing.LANES == 0 for size in (image_view.offset, row, gap, after))
    ] * (height - 1):
        nothing = dict.fromkeys(("row", "gap", "gaps", "after"), 0)
        return Parameters(fields={"value": margins.value, "before": whole} | nothing)
    return Parameters(
        fields={
            "value": margins.value,
            "before": image_view.offset,
            "row": row,
            "gap": gap,
            "gaps": height - 1,
            "after": after,
        }
    )


def merge_padded_axes(
    shape: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    strides: Sequence[Sequence[int]],
) -> tuple[list[int], list[int], list[int], list[list[int]]]:
    """Join an axis that gets nothing around it with the one before where all operands walk both with one stride:
    pixels in whole rows."""
    shape, low, high = list(shape), list(low), list(high)
    merged = [list(own) for own in strides]
    for axis in reversed(range(1, len(shape))):
        size = shape[axis]
        if low[axis] == high[axis] == 0 and all(own[axis - 1] == own[axis] * size for own in merged):
            for values in (shape, low, high):
                values[axis - 1] *= size
            for own in merged:
                own[axis - 1] = own[axis]
            for values in (shape, low, high, *merged):
                del values[axis]
    return shape, low, high, merged


def _pad(graph: Graph, call: Call) -> Parameters:
    given: Any = call.op.parameters
    source = call.reads[0]
    shape, low, high, (x, y) = merge_padded_axes(
        source.shape, given["low"], given["high"], (source.strides, call.writes.strides)
    )
    return Parameters(
        fields={
            "shape": box(shape, 1),
            "low": box(low, 0),
            "high": box(high, 0),
            "x_strides": box(x, 0),
            "y_strides": box(y, 0),
            "value": given["value"],
        }
    )


def _transpose(graph: Graph, call: Call) -> Parameters:
    permutation: Any = call.op.parameters["permutation"]
    source = call.reads[0]
    extra = RANK - len(source.shape)
    return Parameters(
        fields={
            "shape": box(source.shape, 1),
            "permutation": [*range(extra), *(extra + axis for axis in permutation)],
            "x_strides": box(source.strides, 0),
            "y_strides": box(call.writes.strides, 0),
        }
    )


BY_KERNEL: dict[str, Callable[[Graph, Call], Parameters]] = {
    "conv2d_s8": _conv2d,
    "depthwise_conv2d_s8": _conv2d,
    "conv_transpose2d_s8": _conv2d,
    "fully_connected_s8": _fully_connected,
    "matmul_s8": _matmul,
    "add_s8": _binary,
    "sub_s8": _binary,
    "mul_s8": _binary,
    "requantize_s8": _requantize,
    "prelu_s8": _prelu,
    "lut_s8": _lut,
    "softmax_s8": _softmax,
    "max_pool2d_s8": _max_pool2d,
    "avg_pool2d_s8": _avg_pool2d,
    "mean_s8": _mean,
    "resize_nearest_s8": _resize_nearest,
    "resize_bilinear_s8": _resize_bilinear,
    "copy_s8": _copy,
    "halo_s8": _halo,
    "pad_s8": _pad,
    "transpose_s8": _transpose,
}
"""The rule that fills the struct of each kernel of include/pienn/kernels.inc."""
