"""Random graphs over all operations, and inputs for them.

    graph = random_graph(seed=7, operations=10)      # always the same one
    inputs = random_inputs(graph, seed=7, batch=4)   # int8, rails among them
    small = minimise(graph, fails)                   # fails(graph) -> bool; the smallest graph that still fails
    @given(graph=graphs())                           # the same as a hypothesis strategy

A graph has 1 to 3 arguments, branches, several results, odd shapes (1 to 67 channels), both zero points, weights and
biases that now and then drive the accumulator to the very end of int32, and exponents that the verifier accepts.
Fewer operations with the same seed are a prefix of the same graph.  `names=("conv2d", ...)` restricts the choice.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeGuard

import numpy as np
from hypothesis import strategies
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType
from xdsl.dialects.func import ReturnOp
from xdsl.ir import SSAValue

from pienn.errors import PiennError
from pienn.ir import bounds, shapes
from pienn.ir.builder import GraphBuilder
from pienn.ir.dialect import ConstantOp, Encoding, PiennOp, encoding_of, shape_of, to_attribute
from pienn.ir.graph import Graph
from pienn.ir.verifier import verify

LARGEST = 4000
"""Most elements of one activation: the slow reference takes part."""

MOST_PRODUCTS = 400_000
"""Most multiplications of one operation."""


def random_graph(
    seed: int,
    operations: int = 8,
    names: Sequence[str] | None = None,
    dead_code: bool = False,
    on_constants: bool = False,
) -> Graph:
    """A verified graph of about `operations` operations.

    With `dead_code` some results are used by nobody, with `on_constants` operations compute on constants alone.
    """
    chosen = tuple(names) if names else (*WRITERS, "conv2d", "conv2d", "conv_transpose2d")
    return _Writer(seed, chosen, on_constants).write(operations, dead_code)


def graphs(
    most_operations: int = 12, names: Sequence[str] | None = None, dead_code: bool = False
) -> strategies.SearchStrategy[Graph]:
    """`random_graph` for hypothesis, which shrinks to few operations."""
    return strategies.builds(
        random_graph,
        seed=strategies.integers(0, 2**32 - 1),
        operations=strategies.integers(1, most_operations),
        names=strategies.just(names),
        dead_code=strategies.just(dead_code),
    )


def random_inputs(graph: Graph, seed: int, batch: int = 4) -> list[np.ndarray]:
    """Stored int8 values [batch, *shape] per argument: uniform, rails only, and close to real zero."""
    source = np.random.default_rng(seed)
    arrays = []
    for port in graph.inputs:
        array = source.integers(-128, 128, (batch, *port.shape))
        for image in array:
            kind = source.integers(6)
            if kind == 0:
                image[...] = source.choice([-128, 127])
            elif kind == 1:
                image[...] = source.choice([-128, 127], port.shape)
            elif kind == 2:
                image[...] = np.clip(port.zero_point + source.integers(-3, 4, port.shape), -128, 127)
        arrays.append(array.astype(np.int8))
    return arrays


def random_encoding(source: random.Random) -> Encoding:
    """Mostly an ordinary exponent, now and then a far one."""
    exponent = source.randint(-9, 2) if source.random() < 0.9 else source.randint(-24, 12)
    return Encoding(exponent, source.choice((0, -128)))


def minimise(graph: Graph, fails: Callable[[Graph], bool]) -> Graph:
    """A smaller graph that still fails.

    While it does, results are dropped or taken from earlier on, and computed values become arguments.
    """
    assert fails(graph), "the graph to be minimised does not fail"
    smaller: Graph | None = graph
    while smaller is not None:
        graph = smaller
        smaller = next((candidate for candidate in _reductions(graph) if _still(candidate, fails)), None)
    return graph


def _reductions(graph: Graph) -> Iterator[Graph]:
    """Graphs with fewer operations."""
    results = [port.value.owner for port in graph.outputs]
    computed = [op for op in results if isinstance(op, PiennOp)]
    for index, op in enumerate(computed):
        others = [other.layer for other in computed[:index] + computed[index + 1 :]]
        earlier = [owner.layer for owner in (operand.owner for operand in op.operands) if _is_layer(owner)]
        for layers in ([], *([layer] for layer in earlier if layer not in others)):
            if others or layers:
                yield _returning(graph, others + layers)
    for index in reversed(range(len(graph.layers))):
        candidate = _cut(graph, index)
        if candidate is not None:
            yield candidate


def _is_layer(owner: object) -> TypeGuard[PiennOp]:
    return isinstance(owner, PiennOp) and not isinstance(owner, ConstantOp)


def _still(candidate: Graph, fails: Callable[[Graph], bool]) -> bool:
    try:
        verify(candidate)
    except PiennError:
        return False
    return fails(candidate)


def _port(name: str, value: SSAValue) -> DictionaryAttr:
    axes = tuple(range(len(shape_of(value))))
    return DictionaryAttr({"pienn.name": to_attribute(name), "pienn.permutation": to_attribute(axes)})


def _returning(graph: Graph, layers: Sequence[str]) -> Graph:
    """The graph that returns the results of these layers."""
    graph = graph.clone()
    function, terminator = graph.function, graph.function.body.block.last_op
    values = [op.result for op in graph.layers if op.layer in layers]
    function.res_attrs = ArrayAttr([_port(f"y{number}", value) for number, value in enumerate(values)])
    assert terminator is not None
    terminator.detach()
    terminator.erase()
    function.body.block.add_op(ReturnOp(*values))
    return _clean(graph)


def _cut(graph: Graph, index: int) -> Graph | None:
    """The graph in which the result of operation `index` is an argument instead."""
    graph = graph.clone()
    op, function = graph.layers[index], graph.function
    if any(isinstance(use.operation, ReturnOp) for use in op.result.uses):
        return None
    block = function.body.block
    argument = block.insert_arg(op.result.type, len(block.args))
    argument.name_hint = f"cut{len(block.args)}"
    assert function.arg_attrs is not None
    function.arg_attrs = ArrayAttr([*function.arg_attrs.data, _port(f"cut{len(block.args)}", argument)])
    op.result.replace_all_uses_with(argument)
    return _clean(graph)


def _clean(graph: Graph) -> Graph:
    """Removes operations, constants and (but for one) arguments that nobody uses, and sets the type of @main."""
    function, block = graph.function, graph.function.body.block
    for op in reversed(graph.ops):
        if op.result.first_use is None:
            if isinstance(op, ConstantOp):
                del graph.weights[op.tensor_name]
            op.detach()
            op.erase()
    assert function.arg_attrs is not None
    entries = list(function.arg_attrs.data)
    for index in reversed(range(len(block.args))):
        if block.args[index].first_use is None and len(block.args) > 1:
            block.erase_arg(block.args[index])
            del entries[index]
    function.arg_attrs = ArrayAttr(entries)
    terminator = block.last_op
    assert isinstance(terminator, ReturnOp)
    results = [value.type for value in terminator.arguments]
    function.function_type = FunctionType.from_lists(list(block.arg_types), results)
    return graph


class _Writer:
    """Writes one graph; every choice comes from `source`."""

    def __init__(self, seed: int, names: Sequence[str], on_constants: bool) -> None:
        self.source = random.Random(seed)
        self.arrays = np.random.default_rng(seed)
        self.names = names
        self.on_constants = on_constants
        self.builder = GraphBuilder(f"random{seed}")
        self.values: list[SSAValue] = []
        self.layer = ""
        self.counter = 0

    def write(self, operations: int, dead_code: bool) -> Graph:
        arguments = [self.argument() for _ in range(self.source.choice((1, 1, 1, 2, 3)))]
        self.values += arguments
        for number in range(operations):
            for _ in range(20):
                name = self.source.choice(self.names)
                self.layer = f"block{number}.{name}"
                x = self.source.choice(self.values[-4:] if self.source.random() < 0.7 else self.values)
                result = WRITERS[name](self, x)
                if result is not None:
                    self.values.append(result)
                    break
        for number, argument in enumerate(arguments):
            if argument.first_use is None:
                self.layer = f"tail{number}"
                self.values.append(self.requantize(argument))
        computed = [value for value in self.values if isinstance(value.owner, PiennOp)]
        computed = [value for value in computed if not isinstance(value.owner, ConstantOp)]
        dangling = [value for value in computed if value.first_use is None]
        if dead_code:
            dangling = self.source.sample(dangling, self.source.randint(1, len(dangling)))
        elif self.source.random() < 0.3:
            dangling.append(self.source.choice(computed))
        for number, value in enumerate(dict.fromkeys(dangling)):
            self.builder.output(f"y{number}", value, self.permutation(len(shape_of(value))))
        return self.builder.build()

    def argument(self) -> SSAValue:
        rank = 3 if IMAGES.issuperset(self.names) else self.source.choice((1, 2, 3, 3, 3, 3, 3, 4))
        shape = [self.extent() for _ in range(rank - 1)] + [self.channels()]
        while math.prod(shape) > LARGEST:
            shape[self.source.randrange(rank)] = 1
        self.counter += 1
        encoding = random_encoding(self.source)
        return self.builder.input(f"x{self.counter}", shape, *encoding, self.permutation(rank))

    def permutation(self, rank: int) -> tuple[int, ...]:
        if self.source.random() < 0.5:
            return (*range(1, rank), 0)
        return tuple(self.source.sample(range(rank), rank))

    def channels(self) -> int:
        return self.source.choice((1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 24, 31, 32, 33, 48, 64, 67))

    def extent(self) -> int:
        return self.source.choice((1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13))

    def encoding(self) -> Encoding:
        return random_encoding(self.source)

    def constant(self, what: str, array: np.ndarray, **encoding: int) -> SSAValue:
        self.counter += 1
        return self.builder.constant(f"{self.layer}.{what}{self.counter}", array, **encoding)

    def clamp(self) -> dict[str, int]:
        """Mostly none; else any pair."""
        if self.source.random() < 0.6:
            return {}
        low, high = sorted(self.source.randint(-128, 127) for _ in range(2))
        return self.source.choice(({"minimum": low, "maximum": high}, {"minimum": low}, {"maximum": high}))

    def result_exponent(self, finest: int, shift: int) -> int | None:
        """The exponent that `shift` leads to, if there is such an encoding."""
        return finest + shift if -64 <= finest + shift <= 63 else None

    def integers(self, low: int, high: int, shape: Sequence[int], dtype: type = np.int8) -> np.ndarray:
        return self.arrays.integers(low, high, tuple(shape), endpoint=True).astype(dtype)

    def weight(self, shape: Sequence[int]) -> np.ndarray:
        """int8 -127..127: dense, small, sparse, or rails alone."""
        kind = self.source.randrange(5)
        if kind == 0:
            return self.integers(-9, 9, shape)
        if kind == 1:
            return (self.integers(-127, 127, shape) * (self.arrays.random(shape) < 0.2)).astype(np.int8)
        if kind == 2:
            return self.arrays.choice(np.array([-127, 127], np.int8), shape)
        return self.integers(-127, 127, shape)

    def weighted(self, x: SSAValue, weight: np.ndarray) -> dict[str, object] | None:
        """Bias, weight exponents and result encoding that fit a weight [O, ...]."""
        outputs, encoding = weight.shape[0], encoding_of(x)
        zero_point = self.source.choice((0, -128))
        typical = math.sqrt(weight[0].size) * float(np.abs(weight).mean() + 1) * 70
        usual = max(0, min(22, round(math.log2(typical / 50))))
        kind = self.source.randrange(4)
        spread = {0: (0, 0), 1: (-1, 1), 2: (-3, 3), 3: (-usual, 22 - usual)}[kind]
        shifts = np.clip(usual + self.integers(*spread, [outputs], np.int64), 0, 22)
        if kind < 2:
            shifts = shifts[np.arange(outputs) // 16 * 16]
        bias = self.arrays.integers(-100, 101, outputs).astype(np.int64) << shifts
        low, high = bounds.weighted_sum(weight, np.zeros(outputs, np.int64), encoding.zero_point)
        lowest = bounds.INT32_MINIMUM - low + (128 << shifts)
        highest = bounds.INT32_MAXIMUM - high - (1 << shifts)
        if self.source.random() < 0.1:
            bias = np.where(self.arrays.random(outputs) < 0.5, lowest, highest)
        exponent = encoding.exponent + self.source.randint(-6, 6)
        if not -64 <= exponent <= 63:
            return None
        return {
            "bias": self.constant("bias", np.clip(bias, lowest, highest).astype(np.int32)),
            "weight_exponents": [exponent - encoding.exponent - int(shift) for shift in shifts],
            "exponent": exponent,
            "zero_point": zero_point,
            **self.clamp(),
        }

    def image(self, x: SSAValue) -> bool:
        return len(shape_of(x)) == 3

    def conv2d(self, x: SSAValue) -> SSAValue | None:
        if not self.image(x):
            return None
        inputs = shape_of(x)[2]
        divisors = [number for number in range(1, inputs + 1) if inputs % number == 0]
        groups = self.source.choice((1, 1, inputs, self.source.choice(divisors)))
        outputs = groups * (
            1 if groups == inputs and self.source.random() < 0.7 else self.source.randint(1, 3)
        )
        if groups == 1:
            outputs = self.channels()
        kernel = [self.source.choice((1, 1, 2, 3, 3, 5)) for _ in range(2)]
        attributes = {
            "strides": [self.source.choice((1, 1, 2, 3)) for _ in range(2)],
            "padding": [self.source.randint(0, 3) if self.source.random() < 0.7 else 0 for _ in range(4)],
            "dilation": [self.source.choice((1, 1, 1, 2, 3)) for _ in range(2)],
            "groups": groups,
        }
        weight_shape = (outputs, *kernel, inputs // groups)
        if not self.fits(shapes.conv2d, shape_of(x), weight_shape, **attributes):
            return None
        weight = self.weight(weight_shape)
        common = self.weighted(x, weight)
        if common is None:
            return None
        bias = common.pop("bias")
        return self.builder.conv2d(
            x, self.constant("weight", weight), bias, layer=self.layer, **attributes, **common
        )

    def conv_transpose2d(self, x: SSAValue) -> SSAValue | None:
        if not self.image(x):
            return None
        inputs = shape_of(x)[2]
        divisors = [number for number in range(1, inputs + 1) if inputs % number == 0]
        groups = self.source.choice((1, self.source.choice(divisors)))
        outputs = groups * self.source.randint(1, 3) if groups > 1 else self.channels()
        strides = [self.source.randint(1, 3) for _ in range(2)]
        attributes = {
            "strides": strides,
            "padding": [self.source.randint(0, 2) for _ in range(4)],
            "output_padding": [self.source.randint(0, stride - 1) for stride in strides],
            "dilation": [self.source.choice((1, 1, 2)) for _ in range(2)],
            "groups": groups,
        }
        weight_shape = (outputs, self.source.randint(1, 4), self.source.randint(1, 4), inputs // groups)
        if not self.fits(shapes.conv_transpose2d, shape_of(x), weight_shape, **attributes):
            return None
        weight = self.weight(weight_shape)
        common = self.weighted(x, weight)
        if common is None:
            return None
        bias = common.pop("bias")
        return self.builder.conv_transpose2d(
            x, self.constant("weight", weight), bias, layer=self.layer, **attributes, **common
        )

    def fits(
        self, rule: Callable[..., shapes.Shape], x: shapes.Shape, weight: shapes.Shape, **given: object
    ) -> bool:
        """Whether a convolution is possible and small enough."""
        try:
            result = rule(x, weight, **given)
        except ValueError:
            return False
        return math.prod(result) <= LARGEST and math.prod(result) * math.prod(weight[1:]) <= MOST_PRODUCTS

    def fully_connected(self, x: SSAValue) -> SSAValue | None:
        inputs, outputs = shape_of(x)[-1], self.channels()
        if (
            math.prod(shape_of(x)) * outputs > MOST_PRODUCTS
            or math.prod(shape_of(x)) // inputs * outputs > LARGEST
        ):
            return None
        weight = self.weight((outputs, inputs))
        common = self.weighted(x, weight)
        if common is None:
            return None
        bias = common.pop("bias")
        return self.builder.fully_connected(
            x, self.constant("weight", weight), bias, layer=self.layer, **common
        )

    def matmul(self, a: SSAValue) -> SSAValue | None:
        shape = shape_of(a)
        if len(shape) < 2 or abs(encoding_of(a).exponent) > 20:
            return None
        transpose_b = self.source.random() < 0.5
        columns = self.source.randint(1, 9)
        wanted = (*shape[:-2], columns, shape[-1]) if transpose_b else (*shape[:-2], shape[-1], columns)
        partners = [
            value
            for value in self.values
            if len(shape_of(value)) == len(shape)
            and abs(encoding_of(value).exponent) <= 20
            and shape_of(value)[:-2] == shape[:-2]
            and shape_of(value)[-1 if transpose_b else -2] == shape[-1]
        ]
        if partners and self.source.random() < 0.7:
            b = self.source.choice(partners)
            columns = shape_of(b)[-2 if transpose_b else -1]
        elif math.prod(wanted) <= LARGEST:
            b = None
        else:
            return None
        products = math.prod(shape) * columns
        if products // shape[-1] > LARGEST or products > MOST_PRODUCTS:
            return None
        b = self.other(wanted, encoding_of(a).exponent) if b is None else b
        usual = round(math.log2(math.sqrt(shape[-1]) * 70 * 70 / 50))
        shift = max(0, min(22, usual + self.source.randint(-4, 4)))
        exponent = min(63, encoding_of(a).exponent + encoding_of(b).exponent + shift)
        zero_point = self.source.choice((0, -128))
        return self.builder.matmul(
            a,
            b,
            transpose_b=transpose_b,
            exponent=exponent,
            zero_point=zero_point,
            layer=self.layer,
            **self.clamp(),
        )

    def other(self, shape: Sequence[int], exponent: int) -> SSAValue:
        """A constant activation whose exponent is near to `exponent`."""
        exponent += self.source.randint(-6, 6)
        array = self.integers(-128, 127, shape)
        value = self.constant("value", array, exponent=exponent, zero_point=self.source.choice((0, -128)))
        self.values += [value] if self.on_constants else []
        return value

    def partner(self, a: SSAValue) -> SSAValue:
        """Something that broadcasts against a: a value of the same shape, or a constant."""
        shape = shape_of(a)
        same = []
        for value in self.values:
            try:
                small = math.prod(shapes.broadcast(shape, shape_of(value))) <= LARGEST
            except ValueError:
                continue
            if small and abs(encoding_of(value).exponent) <= 20:
                same.append(value)
        if self.source.random() < 0.75:
            return self.source.choice(same)
        kind = self.source.randrange(4)
        reduced = ((1,), shape[-1:], shape, tuple(self.source.choice((1, size)) for size in shape))[kind]
        return self.other(reduced, encoding_of(a).exponent)

    def binary(self, a: SSAValue, kind: str) -> SSAValue | None:
        if abs(encoding_of(a).exponent) > 20:
            return None
        b = self.partner(a)
        if self.source.random() < 0.5:
            a, b = b, a
        ea, eb = encoding_of(a).exponent, encoding_of(b).exponent
        if kind == "mul":
            finest, usual = ea + eb, 7
        elif abs(ea - eb) > 15:
            return None
        else:
            finest, usual = min(ea, eb), abs(ea - eb)
        usual = max(0, usual + self.source.randint(-2, 2))
        shift = usual if self.source.random() < 0.9 else self.source.randint(0, 31)
        exponent = min(63, finest + shift)
        method = getattr(self.builder, kind)
        zero_point = self.source.choice((0, -128))
        return method(a, b, exponent=exponent, zero_point=zero_point, layer=self.layer, **self.clamp())

    def requantize(self, x: SSAValue) -> SSAValue:
        distance = self.source.randint(-3, 3) if self.source.random() < 0.8 else self.source.randint(-15, 31)
        exponent = min(63, max(-64, encoding_of(x).exponent + distance))
        zero_point = self.source.choice((0, -128))
        if self.source.random() < 0.3:
            exponent, zero_point = encoding_of(x)
        return self.builder.requantize(
            x, exponent=exponent, zero_point=zero_point, layer=self.layer, **self.clamp()
        )

    def prelu(self, x: SSAValue) -> SSAValue | None:
        slope_exponent = self.source.choice((0, -3, -7, -7, -10, -15))
        shift = self.source.randint(max(0, -slope_exponent - 2), min(31, -slope_exponent + 3))
        exponent = self.result_exponent(encoding_of(x).exponent + slope_exponent, shift)
        if exponent is None:
            return None
        slope = self.constant("slope", self.integers(-128, 127, shape_of(x)[-1:]))
        return self.builder.prelu(
            x,
            slope,
            slope_exponent=slope_exponent,
            exponent=exponent,
            zero_point=self.source.choice((0, -128)),
            layer=self.layer,
        )

    def lut(self, x: SSAValue) -> SSAValue:
        table = self.constant("table", self.integers(-128, 127, [256]))
        exponent, zero_point = self.encoding()
        return self.builder.lut(x, table, exponent=exponent, zero_point=zero_point, layer=self.layer)

    def softmax(self, x: SSAValue) -> SSAValue:
        scale = 2.0 ** encoding_of(x).exponent
        table = np.floor(32768 * np.exp(-np.arange(256) * scale) + 0.5).astype(np.uint16)
        return self.builder.softmax(x, self.constant("table", table), layer=self.layer)

    def window(self, dilations: Sequence[int]) -> dict[str, list[int]]:
        kernel = [self.source.randint(1, 4) for _ in range(2)]
        return {
            "kernel": kernel,
            "strides": [self.source.randint(1, 3) for _ in range(2)],
            "padding": [self.source.randint(0, max(0, size // 2)) for size in (*kernel, *kernel)],
            "dilation": [self.source.choice(dilations) for _ in range(2)],
        }

    def max_pool2d(self, x: SSAValue) -> SSAValue | None:
        given, ceil_mode = self.window((1, 1, 2)), self.source.random() < 0.3
        if not self.image(x) or not self.pools(x, given, ceil_mode):
            return None
        return self.builder.max_pool2d(x, ceil_mode=ceil_mode, layer=self.layer, **given)

    def avg_pool2d(self, x: SSAValue) -> SSAValue | None:
        given, ceil_mode = self.window((1,)), self.source.random() < 0.3
        if not self.image(x) or not self.pools(x, given, ceil_mode):
            return None
        del given["dilation"]
        exponent = min(63, max(-64, encoding_of(x).exponent + self.source.choice((0, 0, 0, -1, -4, 1, 3))))
        return self.builder.avg_pool2d(
            x,
            ceil_mode=ceil_mode,
            count_include_pad=self.source.random() < 0.5,
            divisor=self.source.choice((0, 0, 0, 1, 3, 7)),
            exponent=exponent,
            zero_point=self.source.choice((0, -128)),
            layer=self.layer,
            **given,
        )

    def pools(self, x: SSAValue, given: dict[str, list[int]], ceil_mode: bool) -> bool:
        """Whether every window of a pool has an element inside x, and the result is small."""
        try:
            result = shapes.pool2d(shape_of(x), **given, ceil_mode=ceil_mode)
        except ValueError:
            return False
        for axis in (0, 1):
            size, start = shape_of(x)[axis], -given["padding"][axis]
            for window in range(result[axis]):
                first = start + window * given["strides"][axis]
                spread = given["dilation"][axis]
                positions = [first + tap * spread for tap in range(given["kernel"][axis])]
                if not any(0 <= position < size for position in positions):
                    return False
        return math.prod(result) <= LARGEST

    def mean(self, x: SSAValue) -> SSAValue | None:
        rank = len(shape_of(x))
        first, last = sorted(self.source.randrange(rank) for _ in range(2))
        keep = self.source.random() < 0.5 or (first == 0 and last == rank - 1)
        exponent = min(63, max(-64, encoding_of(x).exponent + self.source.choice((0, 0, 0, -1, -3, 1, 2))))
        zero_point = self.source.choice((0, -128))
        return self.builder.mean(
            x,
            first_axis=first,
            last_axis=last,
            keep=keep,
            exponent=exponent,
            zero_point=zero_point,
            layer=self.layer,
        )

    def resize_nearest(self, x: SSAValue) -> SSAValue | None:
        if not self.image(x):
            return None
        size = [self.extent(), self.extent()]
        if math.prod(size) * shape_of(x)[2] > LARGEST:
            return None
        if self.source.random() < 0.5:
            return self.builder.resize_nearest(x, size=size, layer=self.layer)
        rows, columns = (
            self.constant("positions", self.integers(0, length - 1, [count], np.int32))
            for length, count in zip(shape_of(x), size)
        )
        return self.builder.resize_nearest(x, rows=rows, columns=columns, layer=self.layer)

    def resize_bilinear(self, x: SSAValue) -> SSAValue | None:
        if not self.image(x):
            return None
        size = [self.extent(), self.extent()]
        exponent = encoding_of(x).exponent + self.source.choice((0, 0, 0, -2, 1, -12))
        if math.prod(size) * shape_of(x)[2] > LARGEST or not -64 <= exponent <= 63:
            return None
        tables = []
        for length, count in zip(shape_of(x), size):
            tables.append(self.constant("positions", self.integers(0, length - 1, [count], np.int32)))
            tables.append(self.constant("weights", self.integers(0, 64, [count])))
        zero_point = self.source.choice((0, -128))
        return self.builder.resize_bilinear(
            x, *tables, exponent=exponent, zero_point=zero_point, layer=self.layer
        )

    def concat(self, x: SSAValue) -> SSAValue | None:
        shape, rank = shape_of(x), len(shape_of(x))
        axis = rank - 1 if self.source.random() < 0.7 else self.source.randrange(rank)
        fitting = [
            value
            for value in self.values
            if value.type == x.type
            or (
                encoding_of(value) == encoding_of(x)
                and len(shape_of(value)) == rank
                and shape_of(value)[:axis] + shape_of(value)[axis + 1 :] == shape[:axis] + shape[axis + 1 :]
            )
        ]
        parts = [x, *(self.source.choice(fitting) for _ in range(self.source.randint(0, 3)))]
        room = LARGEST - sum(math.prod(shape_of(part)) for part in parts)
        if self.source.random() < 0.3 and room >= 3 * math.prod(shape) // shape[axis]:
            extra = (*shape[:axis], self.source.randint(1, 3), *shape[axis + 1 :])
            exponent, zero_point = encoding_of(x)
            array = self.integers(-128, 127, extra)
            parts.append(self.constant("part", array, exponent=exponent, zero_point=zero_point))
        self.source.shuffle(parts)
        if room < 0:
            return None
        return self.builder.concat(parts, axis=axis, layer=self.layer)

    def slice(self, x: SSAValue) -> SSAValue:
        offsets, sizes, strides = [], [], []
        for length in shape_of(x):
            whole = self.source.random() < 0.4
            stride = 1 if whole else self.source.choice((1, 1, 1, 2, 3))
            offset = 0 if whole else self.source.randrange(length)
            most = (length - offset - 1) // stride + 1
            offsets.append(offset)
            strides.append(stride)
            sizes.append(most if whole else self.source.randint(1, most))
        return self.builder.slice(x, offsets=offsets, sizes=sizes, strides=strides, layer=self.layer)

    def pad(self, x: SSAValue) -> SSAValue | None:
        rank = len(shape_of(x))
        low, high = ([self.source.choice((0, 0, 1, 2)) for _ in range(rank)] for _ in range(2))
        if math.prod(shapes.pad(shape_of(x), low, high)) > LARGEST:
            return None
        zero = encoding_of(x).zero_point
        value = self.source.choice((zero, zero, self.source.randint(-128, 127)))
        return self.builder.pad(x, low=low, high=high, value=value, layer=self.layer)

    def reshape(self, x: SSAValue) -> SSAValue:
        rest, shape = math.prod(shape_of(x)), []
        while rest > 1 and len(shape) < 3:
            factor = self.source.choice(
                [number for number in range(1, min(rest, 67) + 1) if rest % number == 0]
            )
            shape.append(factor)
            rest //= factor
        shape.append(rest)
        return self.builder.reshape(x, shape=shape, layer=self.layer)

    def transpose(self, x: SSAValue) -> SSAValue:
        rank = len(shape_of(x))
        permutation = self.source.sample(range(rank), rank)
        return self.builder.transpose(x, permutation=permutation, layer=self.layer)


WRITERS: dict[str, Callable[[_Writer, SSAValue], SSAValue | None]] = {
    "conv2d": _Writer.conv2d,
    "conv_transpose2d": _Writer.conv_transpose2d,
    "fully_connected": _Writer.fully_connected,
    "matmul": _Writer.matmul,
    "add": lambda writer, x: writer.binary(x, "add"),
    "sub": lambda writer, x: writer.binary(x, "sub"),
    "mul": lambda writer, x: writer.binary(x, "mul"),
    "requantize": _Writer.requantize,
    "prelu": _Writer.prelu,
    "lut": _Writer.lut,
    "softmax": _Writer.softmax,
    "max_pool2d": _Writer.max_pool2d,
    "avg_pool2d": _Writer.avg_pool2d,
    "mean": _Writer.mean,
    "resize_nearest": _Writer.resize_nearest,
    "resize_bilinear": _Writer.resize_bilinear,
    "concat": _Writer.concat,
    "slice": _Writer.slice,
    "pad": _Writer.pad,
    "reshape": _Writer.reshape,
    "transpose": _Writer.transpose,
}
"""Every operation; a writer returns None where it cannot apply to x."""

IMAGES = {
    "conv2d",
    "conv_transpose2d",
    "matmul",
    "max_pool2d",
    "avg_pool2d",
    "resize_nearest",
    "resize_bilinear",
}
"""Operations that need three axes; graphs of nothing else start from images."""
