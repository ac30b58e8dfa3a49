"""A random call of every kernel, with the graph of one operation that says what must come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from reference_draw import Draw, Placement

from pienn.codegen import packing
from pienn.ir import bounds, interpreter
from pienn.ir.builder import GraphBuilder
from pienn.ir.dialect import Encoding, shape_of
from pienn.ir.graph import Graph


@dataclass(frozen=True)
class Case:
    """One call; `operands` are stored int8 values in the graph's layout."""

    kernel: str
    graph: Graph
    operands: Sequence[np.ndarray]
    reads: Sequence[Placement]
    writes: Placement
    fields: Mapping[str, Any]  # of the parameter struct, placements' fields apart
    in_place: int | None = None  # operand whose buffer the result overwrites

    def expected(self) -> np.ndarray:
        return interpreter.run(self.graph, [operand[None] for operand in self.operands])[0][0]


def _four(values: Sequence[int], fill: int) -> list[int]:
    return [fill] * (4 - len(values)) + [int(value) for value in values]


def _graph(b: GraphBuilder, value: Any) -> tuple[Graph, tuple[int, ...]]:
    b.output("y", value)
    return b.build(), shape_of(value)


def _filter(
    draw: Draw,
    b: GraphBuilder,
    shape: Sequence[int],
    x: Encoding,
    depthwise: bool = False,
) -> Any:
    """Weights, bias, exponents of the weights and of the result; and the struct's fields."""
    outputs, taps = shape[0], int(np.prod(shape[1:]))
    weight = draw.weights(shape)
    y = draw.encoding()
    likely = max(0, int(np.log2(taps * 4000) - 7))  # shift that brings a random sum to int8
    shift = np.array([max(0, likely + draw.integer(-4, 4)) for _ in range(outputs)])
    if draw.chance(0.3):
        shift[:] = shift[0]
    if draw.chance(0.1):
        shift[:] = 0
    if draw.chance(0.1):
        shift[:] = 22
    bias = (draw.rng.normal(size=outputs) * 40 * 2.0**shift).astype(np.int32)
    if draw.chance(0.2):
        shift = draw.rng.integers(20, 25, outputs)
        bias = _bias_at_the_limit(draw, weight, shift, x, y)
    exponents = y.exponent - x.exponent - shift
    packed = packing.filter_of(weight, bias, exponents, x, y, depthwise)
    operands = [b.constant("weight", weight), b.constant("bias", bias)]
    given = {
        "weight_exponents": exponents.tolist(),
        "exponent": y.exponent,
        "zero_point": y.zero_point,
        **draw.clamp(),
    }
    fields = {"weights": packed.weights, "bias": packed.bias, "shift": packed.shift}
    fields |= {name: given[name] for name in ("minimum", "maximum")}
    return operands, given, fields


def _bias_at_the_limit(
    draw: Draw, weight: np.ndarray, shift: np.ndarray, x: Encoding, y: Encoding
) -> np.ndarray:
    """The largest or the smallest bias per channel with which every sum still fits int32."""
    low, high = bounds.weighted_sum(weight, np.zeros(len(weight), np.int32), x.zero_point)
    half = packing.rounding(shift)
    lowest = np.minimum(low, low + half + (np.int64(y.zero_point) << shift))
    largest, smallest = bounds.INT32_MAXIMUM - high - half, bounds.INT32_MINIMUM - lowest
    return np.where(draw.rng.random(len(weight)) < 0.5, largest, smallest).astype(np.int32)


def _window(draw: Draw) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Kernel, strides, dilation; a given word counts for both axes."""
    kernel = draw.size("kernel", 1, 4), draw.size("kernel", 1, 4)
    strides = draw.size("stride", 1, 3), draw.size("stride", 1, 3)
    dilation = draw.integer(1, 3), draw.integer(1, 3)
    if draw.words:
        strides = draw.words.get("stride", 1), draw.words.get("stride", 1)
        dilation = 1, 1
    elif draw.chance(0.6):
        dilation = 1, 1
    return kernel, strides, dilation


def _convolution(draw: Draw, kernel_name: str) -> Case:
    depthwise = kernel_name == "depthwise_conv2d_s8"
    kernel, strides, dilation = _window(draw)
    padding = [draw.integer(0, kernel[0]), draw.integer(0, kernel[1])] * 2
    padding = [max(0, p - draw.integer(0, 1)) for p in padding]
    reach = [dilation[axis] * (kernel[axis] - 1) + 1 - 2 * min(padding[axis::2]) for axis in (0, 1)]
    height = max(draw.size("height", 1, 9), reach[0])
    width = max(draw.size("width", 1, 9), reach[1])
    groups, depth, outputs = 1, draw.channels(), 1
    if depthwise:
        groups, depth, outputs = depth, 1, depth
    elif draw.chance(0.4) and not draw.words:
        groups, depth = draw.integer(2, 5), draw.integer(1, 7)
        outputs = groups * draw.integer(1, 9)
    else:
        outputs = draw.channels("outputs")
    b = GraphBuilder("case")
    encoding = draw.encoding()
    shape = (height, width, groups * depth)
    x = b.input("x", shape, *encoding)
    operands, given, fields = _filter(draw, b, (outputs, *kernel, depth), encoding, depthwise)
    y = b.conv2d(
        x,
        *operands,
        strides=strides,
        padding=padding,
        dilation=dilation,
        groups=groups,
        **given,
    )
    graph, result = _graph(b, y)
    fields |= {
        **_pairs(kernel=kernel, strides=strides, dilation=dilation, padding=padding),
        "padding_value": encoding.zero_point,
    }
    if not depthwise:
        fields["groups"] = groups
    fields["blocks"] = fields["bodies"] = None
    return _image_case(draw, kernel_name, graph, shape, result, fields)


def _pairs(**pairs: Sequence[int]) -> dict[str, int]:
    """The fields of windows."""
    fields: dict[str, int] = {}
    for name, (first, second, *_) in pairs.items():
        if name == "kernel":
            fields |= {"kernel_height": first, "kernel_width": second}
        elif name == "padding":
            fields |= {"padding_top": first, "padding_left": second}
        else:
            stem = "stride" if name == "strides" else name
            fields |= {f"{stem}_y": first, f"{stem}_x": second}
    return fields


def _image_case(
    draw: Draw,
    kernel: str,
    graph: Graph,
    shape: Sequence[int],
    result: Sequence[int],
    fields: Mapping[str, Any],
    may_be_in_place: bool = False,
) -> Case:
    reads = draw.image(shape)
    in_place = may_be_in_place and draw.chance(0.3)
    writes = reads if in_place else draw.image(result)
    views = {"x": reads.fields, "y": writes.fields}
    return Case(
        kernel,
        graph,
        [draw.values(shape)],
        [reads],
        writes,
        {**fields, **views},
        0 if in_place else None,
    )


def conv2d_s8(draw: Draw) -> Case:
    return _convolution(draw, "conv2d_s8")


def depthwise_conv2d_s8(draw: Draw) -> Case:
    return _convolution(draw, "depthwise_conv2d_s8")


def conv_transpose2d_s8(draw: Draw) -> Case:
    kernel, strides, dilation = _window(draw)
    shape = (draw.size("height", 1, 6), draw.size("width", 1, 6))
    output_padding = [draw.integer(0, max(strides[axis], dilation[axis]) - 1) for axis in (0, 1)]
    padding = []
    for axis in (0, 1, 0, 1):
        full = (shape[axis] - 1) * strides[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        padding.append(0 if draw.words else draw.integer(0, min(3, (full - 1) // 2)))
    groups, depth, outputs = 1, draw.channels(), draw.channels("outputs")
    if draw.chance(0.4) and not draw.words:
        groups, depth = draw.integer(2, 5), draw.integer(1, 5)
        outputs = groups * draw.integer(1, 9)
    shape = (*shape, groups * depth)
    b = GraphBuilder("case")
    encoding = draw.encoding()
    x = b.input("x", shape, *encoding)
    operands, given, fields = _filter(draw, b, (outputs, *kernel, depth), encoding)
    y = b.conv_transpose2d(
        x,
        *operands,
        strides=strides,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
        **given,
    )
    graph, result = _graph(b, y)
    fields |= {
        **_pairs(kernel=kernel, strides=strides, dilation=dilation, padding=padding),
        "padding_value": encoding.zero_point,
        "groups": groups,
    }
    return _image_case(draw, "conv_transpose2d_s8", graph, shape, result, fields)


def fully_connected_s8(draw: Draw) -> Case:
    rows, depth, columns = (
        draw.size("rows", 1, 4),
        draw.size("depth", 1, 99),
        draw.channels("columns"),
    )
    shape = (depth,) if rows == 1 and draw.chance() else (rows, depth)
    b = GraphBuilder("case")
    encoding = draw.encoding()
    x = b.input("x", shape, *encoding)
    operands, given, fields = _filter(draw, b, (columns, depth), encoding)
    graph, result = _graph(b, b.fully_connected(x, *operands, **given))
    reads, writes = draw.rows(shape), draw.rows(result)
    fields |= {"rows": rows, "depth": depth, "columns": columns, "blocks": None}
    fields |= {
        "x_row_stride": reads.fields["row_stride"],
        "y_row_stride": writes.fields["row_stride"],
    }
    return Case("fully_connected_s8", graph, [draw.values(shape)], [reads], writes, fields)


def matmul_s8(draw: Draw) -> Case:
    batch, transpose = draw.integer(1, 3), draw.chance()
    rows, depth, columns = (
        draw.size("rows", 1, 9),
        draw.size("depth", 1, 40),
        draw.size("columns", 1, 33),
    )
    shape_a = (batch, rows, depth)
    shape_b = (batch, columns, depth) if transpose else (batch, depth, columns)
    a, b_, y = draw.encoding(), draw.encoding(), draw.encoding()
    shift = draw.integer(0, 15)
    y = Encoding(a.exponent + b_.exponent + shift, y.zero_point)
    clamp = draw.clamp()
    b = GraphBuilder("case")
    left, right = b.input("a", shape_a, *a), b.input("b", shape_b, *b_)
    value = b.matmul(
        left,
        right,
        transpose_b=transpose,
        exponent=y.exponent,
        zero_point=y.zero_point,
        **clamp,
    )
    graph, result = _graph(b, value)
    places = [draw.rows(shape) for shape in (shape_a, shape_b, result)]
    fields: dict[str, Any] = {
        "batch": batch,
        "rows": rows,
        "depth": depth,
        "columns": columns,
        "transpose_b": int(transpose),
        "shift": shift,
        **clamp,
        **_zero_points(a=a, b=b_, y=y),
    }
    for name, place, shape in zip("aby", places, (shape_a, shape_b, result)):
        stride = place.fields["row_stride"]
        fields |= {
            f"{name}_row_stride": stride,
            f"{name}_batch_stride": stride * shape[1],
        }
    operands = [draw.values(shape_a), draw.values(shape_b)]
    return Case("matmul_s8", graph, operands, places[:2], places[2], fields)


def _zero_points(**encodings: Encoding) -> dict[str, int]:
    return {f"{name}_zero_point": encoding.zero_point for name, encoding in encodings.items()}


def _box_shape(draw: Draw, least: int = 1) -> tuple[int, ...]:
    """Rank 1 to 4; three axes where words are given."""
    rank = 3 if draw.words else draw.integer(least, 4)
    names = ["height", "width", "channels"]
    sizes = [draw.size(name, 1, 7) for name in names]
    return tuple((sizes + [draw.integer(1, 7)])[:rank])


def _elementwise(draw: Draw, kernel: str) -> Case:
    shape = _box_shape(draw)
    shapes, repeated = [], [False, False]
    for operand in (0, 1):
        own = [1 if not draw.words and draw.chance(0.2) else size for size in shape]
        shapes.append(
            tuple(own[draw.integer(0, len(own) - 1) :] if draw.chance(0.2) and not draw.words else own)
        )
        repeated[operand] = shapes[operand] != shape
    shape = np.broadcast_shapes(*shapes)
    repeated = [own != shape for own in shapes]
    a, b_, clamp = draw.encoding(), draw.encoding(-7, 3), draw.clamp()
    fields: dict[str, Any] = dict(clamp)
    zero = -128 if draw.chance() else 0
    if kernel == "mul_s8":
        shift = draw.integer(0, 12) if draw.chance(0.9) else draw.integer(13, 31)
        y = Encoding(a.exponent + b_.exponent + shift, zero)
        fields["shift"] = shift
    else:
        finest = min(a.exponent, b_.exponent)
        y = Encoding(
            finest + (draw.integer(0, 12) if draw.chance(0.9) else draw.integer(13, 31)),
            zero,
        )
        fields |= dict(zip(("a_shift", "b_shift", "shift"), packing.addition_shifts(a, b_, y)))
    b = GraphBuilder("case")
    left, right = b.input("a", shapes[0], *a), b.input("b", shapes[1], *b_)
    value = getattr(b, kernel.removesuffix("_s8"))(left, right, exponent=y.exponent, zero_point=zero, **clamp)
    graph, result = _graph(b, value)
    reads = [draw.box(own) for own in shapes]
    candidates = [operand for operand in (0, 1) if not repeated[operand]]
    in_place = candidates[draw.integer(0, len(candidates) - 1)] if candidates and draw.chance(0.3) else None
    writes = draw.box(result) if in_place is None else reads[in_place]
    for name, place, own in zip("aby", (*reads, writes), (*shapes, result)):
        padded = _four(own, 1)
        strides = [s if size > 1 else 0 for s, size in zip(place.fields["strides"], padded)]
        fields[f"{name}_strides"] = strides
    fields |= {"shape": _four(result, 1), **_zero_points(a=a, b=b_, y=y)}
    operands = [draw.values(own) for own in shapes]
    return Case(kernel, graph, operands, reads, writes, fields, in_place)


def add_s8(draw: Draw) -> Case:
    return _elementwise(draw, "add_s8")


def sub_s8(draw: Draw) -> Case:
    return _elementwise(draw, "sub_s8")


def mul_s8(draw: Draw) -> Case:
    return _elementwise(draw, "mul_s8")


def _image_shape(draw: Draw) -> tuple[int, int, int]:
    return draw.size("height", 1, 9), draw.size("width", 1, 9), draw.channels()


def requantize_s8(draw: Draw) -> Case:
    shape, x, clamp = _image_shape(draw), draw.encoding(), draw.clamp()
    difference = draw.integer(-6, 6) if draw.chance(0.8) else draw.integer(-15, 31)
    y = Encoding(x.exponent + difference, -128 if draw.chance() else 0)
    b = GraphBuilder("case")
    value = b.requantize(b.input("x", shape, *x), exponent=y.exponent, zero_point=y.zero_point, **clamp)
    graph, result = _graph(b, value)
    left_shift, shift = packing.requantize_shifts(x, y)
    fields = {
        **clamp,
        **_zero_points(x=x, y=y),
        "left_shift": left_shift,
        "shift": shift,
    }
    return _image_case(draw, "requantize_s8", graph, shape, result, fields, may_be_in_place=True)


def prelu_s8(draw: Draw) -> Case:
    shape, x = _image_shape(draw), draw.encoding()
    left_shift = draw.integer(0, 15)
    shift = draw.integer(max(0, left_shift - 2), left_shift + 3)
    y = Encoding(x.exponent - left_shift + shift, -128 if draw.chance() else 0)
    slope = draw.rng.integers(-128, 128, shape[2]).astype(np.int8)
    b = GraphBuilder("case")
    value = b.prelu(
        b.input("x", shape, *x),
        b.constant("slope", slope),
        slope_exponent=-left_shift,
        exponent=y.exponent,
        zero_point=y.zero_point,
    )
    graph, result = _graph(b, value)
    fields = {
        "slope": packing.fill_block(slope),
        "left_shift": left_shift,
        "shift": shift,
    }
    fields |= _zero_points(x=x, y=y)
    return _image_case(draw, "prelu_s8", graph, shape, result, fields, may_be_in_place=True)


def lut_s8(draw: Draw) -> Case:
    shape, x, y = _image_shape(draw), draw.encoding(), draw.encoding()
    table = draw.rng.integers(-128, 128, 256).astype(np.int8)
    b = GraphBuilder("case")
    value = b.lut(
        b.input("x", shape, *x),
        b.constant("table", table),
        exponent=y.exponent,
        zero_point=y.zero_point,
    )
    graph, result = _graph(b, value)
    return _image_case(draw, "lut_s8", graph, shape, result, {"table": table}, may_be_in_place=True)


def softmax_s8(draw: Draw) -> Case:
    rows, channels = draw.size("rows", 1, 5), draw.channels()
    if draw.chance(0.05) and not draw.words:
        rows, channels = 1, 65535
    shape, x = (rows, channels), draw.encoding(-8, 0)
    table = np.floor(32768 * np.exp(-np.arange(256) * 2.0**x.exponent) + 0.5).astype(np.uint16)
    b = GraphBuilder("case")
    value = b.softmax(b.input("x", shape, *x), b.constant("table", table))
    graph, result = _graph(b, value)
    reads = draw.rows(shape)
    in_place = draw.chance(0.3)
    writes = reads if in_place else draw.rows(result)
    fields = {"table": table, "rows": rows, "channels": channels}
    fields |= {
        "x_row_stride": reads.fields["row_stride"],
        "y_row_stride": writes.fields["row_stride"],
    }
    operands = [draw.values(shape)]
    return Case("softmax_s8", graph, operands, [reads], writes, fields, 0 if in_place else None)


def mean_s8(draw: Draw) -> Case:
    if draw.words or draw.chance(0.4):  # an image over its pixels, anywhere in memory
        shape, first, last = _image_shape(draw), 0, 1
        reads = draw.image(shape)
        view = reads.fields
        whole = view["block_stride"] == packing.LANES or shape[2] <= packing.LANES
        if not whole:  # kernels take whole blocks only: average all 16 lanes of each block
            shape = (*shape[:2], packing.padded(shape[2]))
            y, x_, c = np.ogrid[: shape[0], : shape[1], : shape[2]]
            lanes = c // packing.LANES * view["block_stride"] + c % packing.LANES
            offsets = y * view["row_stride"] + x_ * view["pixel_stride"] + lanes
            reads = Placement(offsets, reads.base, reads.size, view)
        outer, inner = (1, shape[2]) if whole else (shape[2] // packing.LANES, packing.LANES)
        rows, columns = shape[:2]
        strides = (
            0 if whole else view["block_stride"],
            view["row_stride"],
            view["pixel_stride"],
        )
    else:
        shape = _box_shape(draw)
        first = draw.integer(0, len(shape) - 1)
        last = draw.integer(first, len(shape) - 1)
        reads = draw.box(shape, dense=True)
        outer, inner = int(np.prod(shape[:first])), int(np.prod(shape[last + 1 :]))
        rows, columns = 1, int(np.prod(shape[first : last + 1]))
        strides = (columns * inner, 0, inner)
    x = draw.encoding()
    shift = draw.integer(-4, 3) if draw.chance(0.8) else draw.integer(-15, 31)
    y = Encoding(x.exponent + shift, -128 if draw.chance() else 0)
    b = GraphBuilder("case")
    value = b.mean(
        b.input("x", shape, *x),
        first_axis=first,
        last_axis=last,
        keep=draw.chance() or last - first + 1 == len(shape),
        exponent=y.exponent,
        zero_point=y.zero_point,
    )
    graph, result = _graph(b, value)
    gap = draw.integer(0, 5) if draw.chance() else 0
    offsets = np.arange(outer)[:, None] * (inner + gap) + np.arange(inner)
    writes = Placement(offsets.reshape(result), 0, outer * (inner + gap), {})
    fields = {
        "outer": outer,
        "rows": rows,
        "columns": columns,
        "inner": inner,
        "x_outer_stride": strides[0],
        "x_row_stride": strides[1],
        "x_column_stride": strides[2],
        "y_outer_stride": inner + gap,
        "shift": shift,
        **_zero_points(x=x, y=y),
    }
    return Case("mean_s8", graph, [draw.values(shape)], [reads], writes, fields)


def _pool(draw: Draw, dilated: bool) -> dict[str, Any]:
    kernel, strides, dilation = _window(draw)
    if not dilated:
        dilation = 1, 1
    padding = [0 if draw.words else draw.integer(0, kernel[axis] // 2) for axis in (0, 1)] * 2
    return {
        "kernel": kernel,
        "strides": strides,
        "dilation": dilation,
        "padding": padding,
    }


def _pool_shape(draw: Draw, given: Mapping[str, Any]) -> tuple[int, int, int]:
    """Large enough that every window meets the image."""
    least = [
        given["dilation"][axis] * (given["kernel"][axis] - 1) + 1 + 2 * given["padding"][axis]
        for axis in (0, 1)
    ]
    height, width, channels = _image_shape(draw)
    return max(height, least[0]), max(width, least[1]), channels


def max_pool2d_s8(draw: Draw) -> Case:
    given = _pool(draw, dilated=True)
    shape, x = _pool_shape(draw, given), draw.encoding()
    b = GraphBuilder("case")
    graph, result = _graph(b, b.max_pool2d(b.input("x", shape, *x), ceil_mode=draw.chance(0.3), **given))
    return _image_case(draw, "max_pool2d_s8", graph, shape, result, _pairs(**given))


def avg_pool2d_s8(draw: Draw) -> Case:
    given = _pool(draw, dilated=False)
    shape, x = _pool_shape(draw, given), draw.encoding()
    shift = draw.integer(-4, 3) if draw.chance(0.8) else draw.integer(-15, 31)
    y = Encoding(x.exponent + shift, -128 if draw.chance() else 0)
    counted = {
        "count_include_pad": draw.chance(),
        "divisor": draw.integer(1, 20) if draw.chance(0.3) else 0,
    }
    del given["dilation"]
    b = GraphBuilder("case")
    value = b.avg_pool2d(
        b.input("x", shape, *x),
        exponent=y.exponent,
        zero_point=y.zero_point,
        ceil_mode=draw.chance(0.3),
        **counted,
        **given,
    )
    graph, result = _graph(b, value)
    fields = {**_pairs(**given), **_zero_points(x=x, y=y), "shift": shift}
    fields |= {
        "padding_bottom": given["padding"][2],
        "padding_right": given["padding"][3],
    }
    fields |= {name: int(value) for name, value in counted.items()}
    return _image_case(draw, "avg_pool2d_s8", graph, shape, result, fields)


def _new_size(draw: Draw, shape: Sequence[int]) -> tuple[int, int]:
    if "scale" in draw.words:
        scale = draw.size("scale", 1, 1)
        return shape[0] * scale, shape[1] * scale
    return draw.integer(1, 14), draw.integer(1, 14)


def resize_nearest_s8(draw: Draw) -> Case:
    shape, x = _image_shape(draw), draw.encoding()
    size = _new_size(draw, shape)
    b = GraphBuilder("case")
    image = b.input("x", shape, *x)
    if draw.chance():
        rows, columns = (packing.nearest_indices(shape[axis], size[axis]) for axis in (0, 1))
        value = b.resize_nearest(image, size=size)
    else:
        rows, columns = (draw.rng.integers(0, shape[axis], size[axis]).astype(np.int32) for axis in (0, 1))
        tables = {
            "rows": b.constant("rows", rows),
            "columns": b.constant("columns", columns),
        }
        value = b.resize_nearest(image, **tables)
    graph, result = _graph(b, value)
    return _image_case(
        draw,
        "resize_nearest_s8",
        graph,
        shape,
        result,
        {"rows": rows, "columns": columns},
    )


def resize_bilinear_s8(draw: Draw) -> Case:
    shape, x = _image_shape(draw), draw.encoding()
    size = _new_size(draw, shape)
    tables: dict[str, np.ndarray] = {}
    for axis, (name, weights) in enumerate((("rows", "row_weights"), ("columns", "column_weights"))):
        tables[name] = draw.rng.integers(0, shape[axis], size[axis]).astype(np.int32)
        tables[weights] = draw.rng.choice(np.array([0, 1, 17, 32, 63, 64], np.int8), size[axis])
    shift = draw.integer(10, 14) if draw.chance(0.8) else draw.integer(0, 31)
    y = Encoding(x.exponent + shift - 12, -128 if draw.chance() else 0)
    b = GraphBuilder("case")
    value = b.resize_bilinear(
        b.input("x", shape, *x),
        *(b.constant(name, array) for name, array in tables.items()),
        exponent=y.exponent,
        zero_point=y.zero_point,
    )
    graph, result = _graph(b, value)
    fields = {**tables, **_zero_points(x=x, y=y), "shift": shift}
    return _image_case(draw, "resize_bilinear_s8", graph, shape, result, fields)


def copy_s8(draw: Draw) -> Case:
    """A slice with steps; the copy reads the box through strides and an offset."""
    shape, x = _box_shape(draw), draw.encoding()
    steps = [1 if draw.words else draw.integer(1, 2) for _ in shape]
    offsets = [0 if draw.words else draw.integer(0, size - 1) for size in shape]
    sizes = [draw.integer(1, len(range(o, n, s))) for o, n, s in zip(offsets, shape, steps)]
    b = GraphBuilder("case")
    value = b.slice(b.input("x", shape, *x), offsets=offsets, sizes=sizes, strides=steps)
    graph, result = _graph(b, value)
    reads, writes = draw.box(shape), draw.box(result)
    own = reads.fields["strides"][4 - len(shape) :]
    start = sum(offset * stride for offset, stride in zip(offsets, own))
    reads = Placement(reads.offsets - start, reads.base + start, reads.size, reads.fields)
    fields = {
        "shape": _four(result, 1),
        "x_strides": _four([stride * step for stride, step in zip(own, steps)], 0),
        "y_strides": writes.fields["strides"],
    }
    return Case("copy_s8", graph, [draw.values(shape)], [reads], writes, fields)


def pad_s8(draw: Draw) -> Case:
    shape, x = _box_shape(draw), draw.encoding()
    padding = draw.size("padding", 0, 3)
    low = [padding if draw.words else draw.integer(0, padding) for _ in shape]
    high = [padding if draw.words else draw.integer(0, padding) for _ in shape]
    number = draw.integer(-128, 127)
    b = GraphBuilder("case")
    graph, result = _graph(b, b.pad(b.input("x", shape, *x), low=low, high=high, value=number))
    reads, writes = draw.box(shape), draw.box(result)
    fields = {
        "shape": _four(shape, 1),
        "low": _four(low, 0),
        "high": _four(high, 0),
        "x_strides": reads.fields["strides"],
        "y_strides": writes.fields["strides"],
        "value": number,
    }
    return Case("pad_s8", graph, [draw.values(shape)], [reads], writes, fields)


def transpose_s8(draw: Draw) -> Case:
    shape, x = _box_shape(draw), draw.encoding()
    permutation = [int(axis) for axis in draw.rng.permutation(len(shape))]
    b = GraphBuilder("case")
    graph, result = _graph(b, b.transpose(b.input("x", shape, *x), permutation=permutation))
    reads, writes = draw.box(shape), draw.box(result)
    extra = 4 - len(shape)
    fields = {
        "shape": _four(shape, 1),
        "permutation": [*range(extra), *(extra + axis for axis in permutation)],
        "x_strides": reads.fields["strides"],
        "y_strides": writes.fields["strides"],
    }
    return Case("transpose_s8", graph, [draw.values(shape)], [reads], writes, fields)


CASES: Mapping[str, Callable[[Draw], Case]] = {
    function.__name__: function
    for function in (
        conv2d_s8,
        depthwise_conv2d_s8,
        conv_transpose2d_s8,
        fully_connected_s8,
        matmul_s8,
        add_s8,
        sub_s8,
        mul_s8,
        requantize_s8,
        prelu_s8,
        lut_s8,
        softmax_s8,
        max_pool2d_s8,
        avg_pool2d_s8,
        mean_s8,
        resize_nearest_s8,
        resize_bilinear_s8,
        copy_s8,
        pad_s8,
        transpose_s8,
    )
}

WITHOUT_OPERATION = ("halo_s8",)
"""Kernels that no operation of a graph calls, only the plan; they have tests of their own."""
