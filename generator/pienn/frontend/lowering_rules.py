"""How each operator of the quantised program becomes operations of the graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

from pienn.frontend import operators as ops
from pienn.frontend.layout import Atom, Layout, Shape, product
from pienn.frontend.operators import Tensor
from pienn.frontend.placement import Held, Placement, channels_last, pieces_of

Rule = Callable[[Placement, Any], None]
RULES: dict[type, Rule] = {}


def _rule(*kinds: type) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        for kind in kinds:
            RULES[kind] = rule
        return rule

    return register


def _encoding(op: Any) -> dict[str, Any]:
    return {"exponent": op.result.exponent, "zero_point": op.result.zero_point, "layer": op.result.name}


def _limits(op: Any) -> dict[str, Any]:
    return {**_encoding(op), "minimum": op.minimum, "maximum": op.maximum}


def _pair(values: Sequence[int], neutral: int) -> Shape:
    """Window parameters of one or two axes as height and width."""
    return (neutral, values[0]) if len(values) == 1 else (values[0], values[1])


def _sides(before: Sequence[int], after: Sequence[int]) -> Shape:
    """Padding [top, left, bottom, right]."""
    return (*_pair(before, 0), *_pair(after, 0))


def _image(low: Placement, x: Tensor) -> SSAValue:
    """A tensor as [H, W, C]; a sequence gets height 1."""
    channels, *space = x.shape
    return low.arranged(x, channels_last(len(x.shape)), (*_pair(space, 1), channels))


# ---- operators with weights


def _weights(low: Placement, op: Any, codes: np.ndarray) -> tuple[SSAValue, SSAValue]:
    name = op.result.name
    return low.constant(f"{name}.weight", codes), low.constant(f"{name}.bias", op.weights.bias)


@_rule(ops.Convolution)
def _convolution(low: Placement, op: ops.Convolution) -> None:
    codes = op.weights.codes.reshape(*op.weights.codes.shape[:2], *_pair(op.weights.codes.shape[2:], 1))
    weight, bias = _weights(low, op, codes.transpose(0, 2, 3, 1))
    value = low.builder.conv2d(
        _image(low, op.x),
        weight,
        bias,
        strides=_pair(op.strides, 1),
        padding=_sides(op.before, op.after),
        dilation=_pair(op.dilation, 1),
        groups=op.groups,
        weight_exponents=op.weights.exponents,
        **_limits(op),
    )
    low.ordered(op.result, value, channels_last(len(op.x.shape)))


@_rule(ops.TransposedConvolution)
def _transposed(low: Placement, op: ops.TransposedConvolution) -> None:
    inputs, outputs = op.weights.codes.shape[:2]
    kernel = _pair(op.weights.codes.shape[2:], 1)
    grouped = op.weights.codes.reshape(op.groups, inputs // op.groups, outputs, *kernel)
    codes = grouped.transpose(0, 2, 3, 4, 1).reshape(op.groups * outputs, *kernel, inputs // op.groups)
    weight, bias = _weights(low, op, codes)
    value = low.builder.conv_transpose2d(
        _image(low, op.x),
        weight,
        bias,
        strides=_pair(op.strides, 1),
        padding=_sides(op.padding, op.padding),
        output_padding=_pair(op.output_padding, 0),
        dilation=_pair(op.dilation, 1),
        groups=op.groups,
        weight_exponents=op.weights.exponents,
        **_limits(op),
    )
    low.ordered(op.result, value, channels_last(len(op.x.shape)))


@_rule(ops.Linear)
def _linear(low: Placement, op: ops.Linear) -> None:
    layout = low.hold(op.x).layout
    columns = layout.axes[-1]
    memory = layout.memory
    if set(memory[len(memory) - len(columns) :]) != set(columns):
        memory = layout.atoms(range(len(layout.axes)))
    rows, last = memory[: len(memory) - len(columns)], memory[len(memory) - len(columns) :]
    count, size = op.weights.codes.shape
    codes = op.weights.codes.reshape(count, *(atom.size for atom in columns))
    codes = codes.transpose(0, *(columns.index(atom) + 1 for atom in last)).reshape(count, size)
    weight, bias = _weights(low, op, codes)
    leading = low.leading(op.x, memory, size)
    value = low.builder.fully_connected(
        low.with_memory(op.x, memory, (*leading, size)),
        weight,
        bias,
        weight_exponents=op.weights.exponents,
        **_limits(op),
    )
    features = (Atom(count),) if count != 1 else ()
    low.done(op.result, value, (*leading, count), Layout((*layout.axes[:-1], features), (*rows, *features)))


@_rule(ops.Matmul)
def _matmul(low: Placement, op: ops.Matmul) -> None:
    rank = len(op.a.shape)
    order = tuple(range(rank))
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    turned = op.b in low.held and _moves(low.held[op.b].layout, swapped) < _moves(
        low.held[op.b].layout, order
    )
    value = low.builder.matmul(
        low.arranged(op.a, order),
        low.arranged(op.b, swapped if turned else order),
        transpose_b=turned,
        **_limits(op),
    )
    low.ordered(op.result, value, order)


def _moves(layout: Layout, order: Sequence[int]) -> tuple[int, bool]:
    """What it costs to bring a layout into an order: pieces to move, and whether rows are torn apart."""
    target = layout.atoms(order)
    return len(pieces_of(layout.memory, target)), target[-1:] != layout.memory[-1:]


# ---- element by element


def _keeps_layout(low: Placement, op: Any, make: Callable[[SSAValue], SSAValue]) -> None:
    held = low.hold(op.x)
    low.done(op.result, make(held.value), held.shape, held.layout)


@_rule(ops.Requantize)
def _requantize(low: Placement, op: ops.Requantize) -> None:
    _keeps_layout(low, op, lambda x: low.builder.requantize(x, **_limits(op)))


@_rule(ops.Lookup)
def _lookup(low: Placement, op: ops.Lookup) -> None:
    table = low.constant(f"{op.result.name}.table", op.table)
    _keeps_layout(low, op, lambda x: low.builder.lut(x, table, **_encoding(op)))


@_rule(ops.Prelu)
def _prelu(low: Placement, op: ops.Prelu) -> None:
    order = channels_last(len(op.x.shape))
    channels = op.x.shape[0]
    slope = low.constant(f"{op.result.name}.slope", np.broadcast_to(op.slope, (channels,)))
    value = low.builder.prelu(
        low.arranged(op.x, order), slope, slope_exponent=op.slope_exponent, **_encoding(op)
    )
    low.ordered(op.result, value, order)


def _shared_order(low: Placement, tensors: Sequence[Tensor]) -> Shape:
    """An order of whole axes for all operands: channels last if one of them has it, else what the first has."""
    layouts = [low.held[tensor].layout for tensor in tensors if tensor in low.held]
    orders = [order for layout in layouts if (order := layout.axis_order()) is not None]
    last = channels_last(len(tensors[0].shape))
    if any(layout.has_order(last) for layout in layouts):
        return last
    return orders[0] if orders else tuple(range(len(last)))


@_rule(ops.Binary)
def _binary(low: Placement, op: ops.Binary) -> None:
    make = {"add": low.builder.add, "sub": low.builder.sub, "mul": low.builder.mul}[op.kind]
    if op.a.shape == op.b.shape and op.a in low.held and op.b in low.held:
        a, b = low.held[op.a], low.held[op.b]
        left, right = a.layout.matched(b.layout)
        if left.sizes() == right.sizes() and left.positions() == right.positions():
            value = make(a.value, low.with_memory(op.b, b.layout.memory, a.shape), **_limits(op))
            low.done(op.result, value, a.shape, a.layout)
            return
    whole = [tensor for tensor in (op.a, op.b) if tensor.shape == op.result.shape and tensor in low.held]
    order = _shared_order(low, whole or (op.a, op.b))
    value = make(low.arranged(op.a, order), low.arranged(op.b, order), **_limits(op))
    low.ordered(op.result, value, order)


@_rule(ops.Softmax)
def _softmax(low: Placement, op: ops.Softmax) -> None:
    layout = low.hold(op.x).layout
    last = layout.axes[op.axis]
    memory = layout.memory
    if memory[len(memory) - len(last) :] != last:
        memory = (*(atom for atom in memory if atom not in last), *last)
    size = op.x.shape[op.axis]
    shape = (*low.leading(op.x, memory, size), size)
    table = low.constant(f"{op.result.name}.table", op.table)
    value = low.builder.softmax(low.with_memory(op.x, memory, shape), table, **_encoding(op))
    low.done(op.result, value, shape, Layout(layout.axes, memory))


# ---- windows, means, resizing


@_rule(ops.MaxPool)
def _max_pool(low: Placement, op: ops.MaxPool) -> None:
    value = low.builder.max_pool2d(
        _image(low, op.x),
        kernel=_pair(op.kernel, 1),
        strides=_pair(op.strides, 1),
        padding=_sides(op.padding, op.padding),
        dilation=_pair(op.dilation, 1),
        ceil_mode=op.ceil_mode,
        **_encoding(op),
    )
    low.ordered(op.result, value, channels_last(len(op.x.shape)))


@_rule(ops.AveragePool)
def _average_pool(low: Placement, op: ops.AveragePool) -> None:
    value = low.builder.avg_pool2d(
        _image(low, op.x),
        kernel=_pair(op.kernel, 1),
        strides=_pair(op.strides, 1),
        padding=_sides(op.padding, op.padding),
        count_include_pad=op.count_include_pad,
        divisor=op.divisor,
        ceil_mode=op.ceil_mode,
        **_encoding(op),
    )
    low.ordered(op.result, value, channels_last(len(op.x.shape)))


@_rule(ops.Mean)
def _mean(low: Placement, op: ops.Mean) -> None:
    layout = low.hold(op.x).layout
    gone = {atom for axis in op.axes for atom in layout.axes[axis]}
    places = [index for index, atom in enumerate(layout.memory) if atom in gone]
    memory = layout.memory
    if places and places[-1] - places[0] + 1 != len(places):
        memory = (*(atom for atom in memory if atom not in gone), *(atom for atom in memory if atom in gone))
        places = list(range(len(memory) - len(gone), len(memory)))
    first = places[0] if places else len(memory)
    before, middle, after = memory[:first], memory[first : first + len(places)], memory[first + len(places) :]
    held = low.hold(op.x)
    shape: Shape = (product(before), product(middle), product(after))
    axes = (
        _axes_between(held.shape, product(before), product(after)) if held.layout.memory == memory else None
    )
    if axes is not None:
        shape = held.shape
    start, stop = axes or (1, 2)
    value = low.builder.mean(
        low.with_memory(op.x, memory, shape),
        first_axis=start,
        last_axis=stop - 1,
        keep=stop - start == len(shape),
        **_encoding(op),
    )
    kept = [
        () if axis in op.axes else atoms
        for axis, atoms in enumerate(layout.axes)
        if op.keep or axis not in op.axes
    ]
    left = (1,) * len(shape) if stop - start == len(shape) else (*shape[:start], *shape[stop:])
    low.done(op.result, value, left, Layout(tuple(kept), (*before, *after)))


def _axes_between(shape: Shape, before: int, after: int) -> tuple[int, int] | None:
    """The run of graph axes that has `before` elements in front of it and `after` behind, if there is one."""
    for start in range(len(shape)):
        for stop in range(len(shape), start, -1):
            if math.prod(shape[:start]) == before and math.prod(shape[stop:]) == after:
                return start, stop
    return None


@_rule(ops.ResizeNearest)
def _nearest(low: Placement, op: ops.ResizeNearest) -> None:
    size, new = _pair(op.x.shape[1:], 1), _pair(op.result.shape[1:], 1)
    factors = (None, None) if op.factors is None else (None, *op.factors)[-2:]
    chosen = [_nearest_axis(old, target, factor) for old, target, factor in zip(size, new, factors)]
    plain = [np.arange(target, dtype=np.int64) * old // target for old, target in zip(size, new)]
    if all(np.array_equal(one, other) for one, other in zip(chosen, plain)):
        value = low.builder.resize_nearest(_image(low, op.x), size=new, **_encoding(op))
    else:
        rows, columns = (
            low.constant(f"{op.result.name}.{name}", table.astype(np.int32))
            for name, table in zip(("rows", "columns"), chosen)
        )
        value = low.builder.resize_nearest(_image(low, op.x), rows=rows, columns=columns, **_encoding(op))
    low.ordered(op.result, value, channels_last(len(op.x.shape)))


def _nearest_axis(size: int, new_size: int, factor: float | None) -> np.ndarray:
    """The source index of each result index, as torch computes it in single precision."""
    scale = np.float32(1 / factor) if factor else np.float32(size) / np.float32(new_size)
    index = np.floor(np.arange(new_size, dtype=np.float32) * scale).astype(np.int64)
    return np.minimum(index, size - 1)


@_rule(ops.ResizeBilinear)
def _bilinear(low: Placement, op: ops.ResizeBilinear) -> None:
    tables = [
        low.constant(f"{op.result.name}.{name}", getattr(op, name))
        for name in ("rows", "row_weights", "columns", "column_weights")
    ]
    value = low.builder.resize_bilinear(_image(low, op.x), *tables, **_encoding(op))
    low.ordered(op.result, value, channels_last(len(op.x.shape)))


# ---- moving elements


@_rule(ops.Concat)
def _concat(low: Placement, op: ops.Concat) -> None:
    order = _shared_order(low, op.xs)
    values = [low.arranged(x, order) for x in op.xs]
    value = (
        low.builder.concat(values, axis=order.index(op.axis), **_encoding(op))
        if len(values) > 1
        else values[0]
    )
    low.ordered(op.result, value, order)


@_rule(ops.Slice)
def _slice(low: Placement, op: ops.Slice) -> None:
    order = _shared_order(low, [op.x])
    place = order.index(op.axis)
    value = low.builder.slice(
        low.arranged(op.x, order),
        offsets=[op.start if axis == place else 0 for axis in range(len(order))],
        sizes=[op.result.shape[axis] for axis in order],
        strides=[op.step if axis == place else 1 for axis in range(len(order))],
        **_encoding(op),
    )
    low.ordered(op.result, value, order)


@_rule(ops.Pad)
def _pad(low: Placement, op: ops.Pad) -> None:
    order = _shared_order(low, [op.x])
    value = low.builder.pad(
        low.arranged(op.x, order),
        low=[op.low[axis] for axis in order],
        high=[op.high[axis] for axis in order],
        value=op.value,
        **_encoding(op),
    )
    low.ordered(op.result, value, order)


@_rule(ops.Reshape)
def _reshape(low: Placement, op: ops.Reshape) -> None:
    held = low.hold(op.x)
    layout = held.layout.reshaped(op.result.shape)
    if layout is not None:
        low.held[op.result] = Held(held.value, held.shape, layout)
        return
    order = tuple(range(len(op.x.shape)))
    value = low.arranged(op.x, order, (product(held.layout.memory),))
    flat = tuple(range(len(op.result.shape)))
    low.held[op.result] = Held(value, (product(held.layout.memory),), Layout.ordered(op.result.shape, flat))


@_rule(ops.Permute)
def _permute(low: Placement, op: ops.Permute) -> None:
    held = low.hold(op.x)
    low.held[op.result] = Held(held.value, held.shape, held.layout.permuted(op.order))


@_rule(ops.Constant)
def _constant(low: Placement, op: ops.Constant) -> None:
    low.constants[op.result] = op.values
