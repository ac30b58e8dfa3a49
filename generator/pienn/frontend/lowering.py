"""The quantised program as a `pienn.ir` graph: channels last, no batch axis.

Convolutions, pools and resizing want images as `[H, W, C]`; linears and matrix products want their axis
last; everything else takes the order it finds. Transposes appear only where the memory order found is not
the one needed; permutes and reshapes of torch are bookkeeping (`layout.Layout`), and a linear behind a
flattened image gets its columns permuted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from xdsl.ir import SSAValue

from pienn.errors import PiennError
from pienn.frontend import operators as ops
from pienn.frontend.layout import Atom, Layout, Shape, Tap, product
from pienn.frontend.operators import QuantisedProgram, Tensor
from pienn.frontend.oracle import Oracle, quantise
from pienn.frontend.reading import read
from pienn.ir.builder import GraphBuilder
from pienn.ir.graph import Graph

LARGEST_RANK = 4


@dataclass
class Lowered:
    """A network in its first two places: the torch oracle and the graph."""

    graph: Graph
    oracle: Oracle
    program: QuantisedProgram
    taps: dict[str, Tap]
    """Layer of the graph -> the oracle's tensor that it equals, and how that one is laid out."""

    def stored_inputs(self, reals: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The network's inputs in torch layout, quantised by the oracle, in graph layout."""
        encodings = [tensor.encoding for tensor in self.program.inputs]
        return [
            _to_graph(quantise(torch.as_tensor(array), encoding).numpy(), port.permutation)
            for array, encoding, port in zip(reals, encodings, self.graph.inputs)
        ]

    def run_oracle(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Stored int8 inputs in graph layout through the oracle.

        Every layer's result in graph layout, by the name of its value in the graph, and every result of the network
        as `result <name>`.
        """
        graph = self.graph
        tensors = [
            torch.as_tensor(_to_torch(array, port.permutation)) for array, port in zip(inputs, graph.inputs)
        ]
        found: dict[str, torch.Tensor] = {}
        outputs = self.oracle(*tensors, taps=found)
        names = graph.value_names()
        results = {
            names[op.result]: self.taps[op.layer].in_graph_layout(found[self.taps[op.layer].key].numpy())
            for op in graph.layers
            if op.layer in self.taps
        }
        for port, output in zip(graph.outputs, outputs):
            results[f"result {port.name}"] = _to_graph(output.numpy(), port.permutation)
        return results


def _to_graph(array: np.ndarray, permutation: Sequence[int]) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(0, *(axis + 1 for axis in permutation)))


def _to_torch(array: np.ndarray, permutation: Sequence[int]) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(0, *(int(axis) + 1 for axis in np.argsort(permutation))))


@dataclass(frozen=True)
class Held:
    """A tensor in the graph: its value, the shape that value has, and where torch's elements lie in it."""

    value: SSAValue
    shape: Shape
    layout: Layout


@dataclass
class Lowering:
    """One lowering in progress."""

    builder: GraphBuilder
    program: QuantisedProgram
    held: dict[Tensor, Held] = field(default_factory=dict)
    taps: dict[str, Tap] = field(default_factory=dict)
    constants: dict[Tensor, np.ndarray] = field(default_factory=dict)
    _moved: dict[tuple[Tensor, Shape, Shape], SSAValue] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def graph(self) -> Graph:
        """The whole graph, verified."""
        users = _users(self.program)
        self._names.update(tensor.name for tensor in _computed(self.program))
        for tensor in self.program.inputs:
            order = _input_order(tensor, users)
            shape = tuple(tensor.shape[axis] for axis in order)
            self._check_rank(tensor.name, shape)
            value = self.builder.input(tensor.name, shape, tensor.exponent, tensor.zero_point, order)
            self.held[tensor] = Held(value, shape, Layout.ordered(tensor.shape, order))
        for operator in self.program.operators:
            RULES[type(operator)](self, operator)
        returned = {self.held[tensor].value for tensor in self.program.inputs}
        for name, tensor in self.program.outputs:
            if tensor in self.constants:
                raise PiennError(f"output {name}: it does not depend on the input")
            order = self.held[tensor].layout.axis_order() or tuple(range(len(tensor.shape)))
            if not order:
                raise PiennError(f"output {name}: a result without axes besides the batch is not supported")
            value = self.arranged(tensor, order)
            if value in returned:
                encoding = {"exponent": tensor.exponent, "zero_point": tensor.zero_point}
                value = self.builder.requantize(value, layer=self._name(f"{tensor.name}.copy"), **encoding)
            returned.add(value)
            self.builder.output(name, value, order)
        return self.builder.build()

    # ---- moving

    def arranged(self, tensor: Tensor, order: Sequence[int], shape: Shape | None = None) -> SSAValue:
        """A tensor with whole torch axes in the given order, in a shape (default: one graph axis each)."""
        if tensor in self.constants:
            return self._constant(tensor, tuple(order), shape)
        held = self.held[tensor]
        target = held.layout.atoms(order)
        wanted = tuple(held.layout.shape[axis] for axis in order) if shape is None else shape
        return self._arranged(tensor, target, wanted)

    def _constant(self, tensor: Tensor, order: Shape, shape: Shape | None) -> SSAValue:
        """A constant activation, stored as its user wants it."""
        array = self.constants[tensor].transpose(order)
        array = array if shape is None else array.reshape(shape)
        self._check_rank(tensor.name, array.shape)
        key = (tensor, order, array.shape)
        if key not in self._moved:
            name = self._name(tensor.name)
            value = self.builder.constant(name, array, tensor.exponent, tensor.zero_point, layer=name)
            self._moved[key] = value
        return self._moved[key]

    def _arranged(self, tensor: Tensor, target: Sequence[Atom], shape: Shape) -> SSAValue:
        held = self.held[tensor]
        value, at = held.value, held.shape
        self._check_rank(tensor.name, shape)
        if held.layout.memory == tuple(target) and at == shape:
            return value
        positions = tuple(held.layout.memory.index(atom) for atom in target)
        key = (tensor, positions, shape)
        if key not in self._moved:
            value, at = self._transposed(tensor.name, value, at, held.layout.memory, target)
            if at != shape:
                value = self.builder.reshape(value, shape=shape, layer=self._name(f"{tensor.name}.reshape"))
            self._moved[key] = value
        return self._moved[key]

    def _transposed(
        self, name: str, value: SSAValue, shape: Shape, source: Sequence[Atom], target: Sequence[Atom]
    ) -> tuple[SSAValue, Shape]:
        """Move atoms, those that stay together as one axis; more than four pieces go one piece at a time."""
        pieces = _pieces(source, target)
        if len(pieces) == 1:
            return value, shape
        if len(pieces) > LARGEST_RANK:
            front = pieces[0]
            rest = [atom for atom in source if atom not in front]
            nearer = [*front, *rest]
            value, shape = self._transposed(name, value, shape, source, nearer)
            for piece in pieces[1:-1]:
                front = [*front, *piece]
                further = [*front, *(atom for atom in source if atom not in front)]
                value, shape = self._transposed(name, value, shape, nearer, further)
                nearer = further
            return value, shape
        ordered = sorted(pieces, key=lambda piece: list(source).index(piece[0]))
        grouped = tuple(product(piece) for piece in ordered)
        if shape != grouped:
            value = self.builder.reshape(value, shape=grouped, layer=self._name(f"{name}.reshape"))
        permutation = tuple(ordered.index(piece) for piece in pieces)
        value = self.builder.transpose(value, permutation=permutation, layer=self._name(f"{name}.transpose"))
        return value, tuple(grouped[axis] for axis in permutation)

    def leading(self, tensor: Tensor, memory: Sequence[Atom], size: int) -> Shape:
        """The graph axes before a last one of `size`: as they are if that serves, else one, or none for a vector."""
        held = self.held[tensor]
        if len(tensor.shape) == 1:
            return ()
        if held.layout.memory == tuple(memory) and held.shape[-1] == size:
            return held.shape[:-1]
        return (product(memory) // size,)

    def constant(self, name: str, array: np.ndarray) -> SSAValue:
        """A weight or table under a name of its own."""
        return self.builder.constant(self._name(name), np.ascontiguousarray(array))

    def done(self, result: Tensor, value: SSAValue, shape: Shape, layout: Layout) -> None:
        """Record an operator's result."""
        self.held[result] = Held(value, shape, layout)
        order = layout.axis_order()
        if order is not None and tuple(result.shape[axis] for axis in order) != shape:
            order = None
        self.taps[result.name] = Tap(result.name, layout.sizes(), layout.positions(), shape, order)

    def ordered(self, result: Tensor, value: SSAValue, order: Sequence[int]) -> None:
        """Record a result whose graph axes are whole torch axes in this order; a graph shape of another rank is
        reshaped when somebody needs it."""
        shape = tuple(int(size) for size in value.type.get_shape())  # type: ignore[attr-defined]
        self.done(result, value, shape, Layout.ordered(result.shape, order))

    def _name(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self._names:
            number += 1
            candidate = f"{name}_{number}"
        self._names.add(candidate)
        return candidate

    def _check_rank(self, name: str, shape: Shape) -> None:
        if len(shape) > LARGEST_RANK:
            raise PiennError(
                f"{name}: a tensor of shape {list(shape)} has more than {LARGEST_RANK} axes besides the batch"
            )


Rule = Callable[[Lowering, Any], None]
RULES: dict[type, Rule] = {}


def _rule(*kinds: type) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        for kind in kinds:
            RULES[kind] = rule
        return rule

    return register


def _pieces(source: Sequence[Atom], target: Sequence[Atom]) -> list[list[Atom]]:
    """The target cut into the longest runs that also follow each other in the source."""
    place = {atom: index for index, atom in enumerate(source)}
    pieces: list[list[Atom]] = []
    for atom in target:
        if pieces and place[pieces[-1][-1]] + 1 == place[atom]:
            pieces[-1].append(atom)
        else:
            pieces.append([atom])
    return pieces or [[]]


def _computed(program: QuantisedProgram) -> list[Tensor]:
    results = [operator.result for operator in program.operators if not isinstance(operator, ops.Constant)]
    return [*program.inputs, *results]


def _users(program: QuantisedProgram) -> dict[Tensor, list[ops.Operator]]:
    users: dict[Tensor, list[ops.Operator]] = {}
    for operator in program.operators:
        for tensor in ops.operands(operator):
            users.setdefault(tensor, []).append(operator)
    return users


IMAGE = (
    ops.Convolution,
    ops.TransposedConvolution,
    ops.MaxPool,
    ops.AveragePool,
    ops.ResizeNearest,
    ops.ResizeBilinear,
)
FOLLOWS = (ops.Requantize, ops.Lookup, ops.Prelu, ops.Pad, ops.Slice, ops.Concat, ops.Binary)


def _input_order(tensor: Tensor, users: dict[Tensor, list[ops.Operator]]) -> Shape:
    """The order of an input's axes that spares the first operator which cares a transpose."""
    rank = len(tensor.shape)
    path: list[ops.Operator] = []
    current = tensor
    while users.get(current) and (not path or isinstance(path[-1], (*FOLLOWS, ops.Reshape, ops.Permute))):
        path.append(users[current][0])
        current = path[-1].result
    usual = (_channels_last(rank), tuple(range(rank)))
    usual = usual if path and isinstance(path[-1], IMAGE) else usual[::-1]
    for order in (*usual, *itertools.permutations(range(rank))):
        if _pleases(Layout.ordered(tensor.shape, order), path):
            return order
    return usual[0]


def _pleases(layout: Layout, path: Sequence[ops.Operator]) -> bool:
    """Whether an input in this layout reaches the last operator of the path in the order that it wants."""
    for operator in path:
        if isinstance(operator, ops.Permute):
            layout = layout.permuted(operator.order)
        elif isinstance(operator, ops.Reshape):
            reshaped = layout.reshaped(operator.result.shape)
            if reshaped is None:
                return False
            layout = reshaped
        elif isinstance(operator, FOLLOWS):
            order = layout.axis_order()
            if order is None or len(operator.result.shape) != len(order):
                return False
            layout = Layout.ordered(operator.result.shape, order)
    rank = len(layout.axes)
    if path and isinstance(path[-1], IMAGE):
        return layout.has_order(_channels_last(rank))
    return layout.has_order(range(rank))


def _channels_last(rank: int) -> Shape:
    return (*range(1, rank), 0)


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


def _image(low: Lowering, x: Tensor) -> SSAValue:
    """A tensor as [H, W, C]; a sequence gets height 1."""
    channels, *space = x.shape
    return low.arranged(x, _channels_last(len(x.shape)), (*_pair(space, 1), channels))


# ---- operators with weights


def _weights(low: Lowering, op: Any, codes: np.ndarray) -> tuple[SSAValue, SSAValue]:
    name = op.result.name
    return low.constant(f"{name}.weight", codes), low.constant(f"{name}.bias", op.weights.bias)


@_rule(ops.Convolution)
def _convolution(low: Lowering, op: ops.Convolution) -> None:
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
    low.ordered(op.result, value, _channels_last(len(op.x.shape)))


@_rule(ops.TransposedConvolution)
def _transposed(low: Lowering, op: ops.TransposedConvolution) -> None:
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
    low.ordered(op.result, value, _channels_last(len(op.x.shape)))


@_rule(ops.Linear)
def _linear(low: Lowering, op: ops.Linear) -> None:
    layout = low.held[op.x].layout
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
        low._arranged(op.x, memory, (*leading, size)),
        weight,
        bias,
        weight_exponents=op.weights.exponents,
        **_limits(op),
    )
    features = (Atom(count),) if count != 1 else ()
    low.done(op.result, value, (*leading, count), Layout((*layout.axes[:-1], features), (*rows, *features)))


@_rule(ops.Matmul)
def _matmul(low: Lowering, op: ops.Matmul) -> None:
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
    return len(_pieces(layout.memory, target)), target[-1:] != layout.memory[-1:]


# ---- element by element


def _keeps_layout(low: Lowering, op: Any, make: Callable[[SSAValue], SSAValue]) -> None:
    held = low.held[op.x]
    low.done(op.result, make(held.value), held.shape, held.layout)


@_rule(ops.Requantize)
def _requantize(low: Lowering, op: ops.Requantize) -> None:
    _keeps_layout(low, op, lambda x: low.builder.requantize(x, **_limits(op)))


@_rule(ops.Lookup)
def _lookup(low: Lowering, op: ops.Lookup) -> None:
    table = low.constant(f"{op.result.name}.table", op.table)
    _keeps_layout(low, op, lambda x: low.builder.lut(x, table, **_encoding(op)))


@_rule(ops.Prelu)
def _prelu(low: Lowering, op: ops.Prelu) -> None:
    order = _channels_last(len(op.x.shape))
    channels = op.x.shape[0]
    slope = low.constant(f"{op.result.name}.slope", np.broadcast_to(op.slope, (channels,)))
    value = low.builder.prelu(
        low.arranged(op.x, order), slope, slope_exponent=op.slope_exponent, **_encoding(op)
    )
    low.ordered(op.result, value, order)


def _shared_order(low: Lowering, tensors: Sequence[Tensor]) -> Shape:
    """An order of whole axes for all operands: channels last if one of them has it, else what the first has."""
    layouts = [low.held[tensor].layout for tensor in tensors if tensor in low.held]
    orders = [order for layout in layouts if (order := layout.axis_order()) is not None]
    last = _channels_last(len(tensors[0].shape))
    if any(layout.has_order(last) for layout in layouts):
        return last
    return orders[0] if orders else tuple(range(len(last)))


@_rule(ops.Binary)
def _binary(low: Lowering, op: ops.Binary) -> None:
    make = {"add": low.builder.add, "sub": low.builder.sub, "mul": low.builder.mul}[op.kind]
    if op.a.shape == op.b.shape and op.a in low.held and op.b in low.held:
        a, b = low.held[op.a], low.held[op.b]
        left, right = a.layout.matched(b.layout)
        if left.sizes() == right.sizes() and left.positions() == right.positions():
            value = make(a.value, low._arranged(op.b, b.layout.memory, a.shape), **_limits(op))
            low.done(op.result, value, a.shape, a.layout)
            return
    whole = [tensor for tensor in (op.a, op.b) if tensor.shape == op.result.shape and tensor in low.held]
    order = _shared_order(low, whole or (op.a, op.b))
    value = make(low.arranged(op.a, order), low.arranged(op.b, order), **_limits(op))
    low.ordered(op.result, value, order)


@_rule(ops.Softmax)
def _softmax(low: Lowering, op: ops.Softmax) -> None:
    layout = low.held[op.x].layout
    last = layout.axes[op.axis]
    memory = layout.memory
    if memory[len(memory) - len(last) :] != last:
        memory = (*(atom for atom in memory if atom not in last), *last)
    size = op.x.shape[op.axis]
    shape = (*low.leading(op.x, memory, size), size)
    table = low.constant(f"{op.result.name}.table", op.table)
    value = low.builder.softmax(low._arranged(op.x, memory, shape), table, **_encoding(op))
    low.done(op.result, value, shape, Layout(layout.axes, memory))


# ---- windows, means, resizing


@_rule(ops.MaxPool)
def _max_pool(low: Lowering, op: ops.MaxPool) -> None:
    value = low.builder.max_pool2d(
        _image(low, op.x),
        kernel=_pair(op.kernel, 1),
        strides=_pair(op.strides, 1),
        padding=_sides(op.padding, op.padding),
        dilation=_pair(op.dilation, 1),
        ceil_mode=op.ceil_mode,
        **_encoding(op),
    )
    low.ordered(op.result, value, _channels_last(len(op.x.shape)))


@_rule(ops.AveragePool)
def _average_pool(low: Lowering, op: ops.AveragePool) -> None:
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
    low.ordered(op.result, value, _channels_last(len(op.x.shape)))


@_rule(ops.Mean)
def _mean(low: Lowering, op: ops.Mean) -> None:
    layout = low.held[op.x].layout
    gone = {atom for axis in op.axes for atom in layout.axes[axis]}
    places = [index for index, atom in enumerate(layout.memory) if atom in gone]
    memory = layout.memory
    if places and places[-1] - places[0] + 1 != len(places):
        memory = (*(atom for atom in memory if atom not in gone), *(atom for atom in memory if atom in gone))
        places = list(range(len(memory) - len(gone), len(memory)))
    first = places[0] if places else len(memory)
    before, middle, after = memory[:first], memory[first : first + len(places)], memory[first + len(places) :]
    held = low.held[op.x]
    shape: Shape = (product(before), product(middle), product(after))
    axes = (
        _axes_between(held.shape, product(before), product(after)) if held.layout.memory == memory else None
    )
    if axes is not None:
        shape = held.shape
    start, stop = axes or (1, 2)
    value = low.builder.mean(
        low._arranged(op.x, memory, shape),
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
def _nearest(low: Lowering, op: ops.ResizeNearest) -> None:
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
    low.ordered(op.result, value, _channels_last(len(op.x.shape)))


def _nearest_axis(size: int, new_size: int, factor: float | None) -> np.ndarray:
    """The source index of each result index, as torch computes it in single precision."""
    scale = np.float32(1 / factor) if factor else np.float32(size) / np.float32(new_size)
    index = np.floor(np.arange(new_size, dtype=np.float32) * scale).astype(np.int64)
    return np.minimum(index, size - 1)


@_rule(ops.ResizeBilinear)
def _bilinear(low: Lowering, op: ops.ResizeBilinear) -> None:
    tables = [
        low.constant(f"{op.result.name}.{name}", getattr(op, name))
        for name in ("rows", "row_weights", "columns", "column_weights")
    ]
    value = low.builder.resize_bilinear(_image(low, op.x), *tables, **_encoding(op))
    low.ordered(op.result, value, _channels_last(len(op.x.shape)))


# ---- moving elements


@_rule(ops.Concat)
def _concat(low: Lowering, op: ops.Concat) -> None:
    order = _shared_order(low, op.xs)
    values = [low.arranged(x, order) for x in op.xs]
    value = (
        low.builder.concat(values, axis=order.index(op.axis), **_encoding(op))
        if len(values) > 1
        else values[0]
    )
    low.ordered(op.result, value, order)


@_rule(ops.Slice)
def _slice(low: Lowering, op: ops.Slice) -> None:
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
def _pad(low: Lowering, op: ops.Pad) -> None:
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
def _reshape(low: Lowering, op: ops.Reshape) -> None:
    held = low.held[op.x]
    layout = held.layout.reshaped(op.result.shape)
    if layout is not None:
        low.held[op.result] = Held(held.value, held.shape, layout)
        return
    order = tuple(range(len(op.x.shape)))
    value = low.arranged(op.x, order, (product(held.layout.memory),))
    flat = tuple(range(len(op.result.shape)))
    low.held[op.result] = Held(value, (product(held.layout.memory),), Layout.ordered(op.result.shape, flat))


@_rule(ops.Permute)
def _permute(low: Lowering, op: ops.Permute) -> None:
    held = low.held[op.x]
    low.held[op.result] = Held(held.value, held.shape, held.layout.permuted(op.order))


@_rule(ops.Constant)
def _constant(low: Lowering, op: ops.Constant) -> None:
    low.constants[op.result] = op.values


def lower(program: torch.export.ExportedProgram, name: str) -> Lowered:
    """Oracle and graph of a PT2E-converted program; raises PiennError naming operator, layer and shape."""
    return lower_program(read(program), name)


def lower_program(program: QuantisedProgram, name: str) -> Lowered:
    """Oracle and graph of a quantised program."""
    lowering = Lowering(GraphBuilder(name), program)
    graph = lowering.graph()
    return Lowered(graph, Oracle(program), program, lowering.taps)
