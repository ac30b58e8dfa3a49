"""Random quantised programs: every operator, odd shapes, branches, any encodings that the arithmetic allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from pienn.frontend import decisions
from pienn.frontend import operators as ops
from pienn.frontend.operators import Encoding, QuantisedProgram, Shape, Tensor

LARGEST = 6000
"""Elements of a tensor: keeps a case in milliseconds."""


class Maker:
    """Draws one program; every `draw` is hypothesis', so that a failing program shrinks."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw
        self.program = QuantisedProgram()
        self.tensors: list[Tensor] = []
        self.random = np.random.default_rng(self.integer(0, 2**32 - 1))
        self.count = 0

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def one(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def encoding(self, low: int = -9, high: int = 3) -> Encoding:
        return Encoding(self.integer(low, high), self.one(0, -128))

    def result(self, shape: Shape, encoding: Encoding) -> Tensor:
        self.count += 1
        return Tensor(f"layer{self.count}", shape, encoding)

    def limits(self) -> dict[str, int]:
        if self.integer(0, 3):
            return {"minimum": -128, "maximum": 127}
        low = self.integer(-128, 127)
        return {"minimum": low, "maximum": self.integer(low, 127)}

    def emit(self, operator: ops.Operator) -> None:
        self.program.operators.append(operator)
        if abs(operator.result.exponent) <= 20:  # products of products leave the range of exponents
            self.tensors.append(operator.result)

    def pick(self, *ranks: int) -> Tensor | None:
        """A tensor of one of these ranks; the latest more often than not, so that operators follow each other."""
        fitting = [tensor for tensor in self.tensors if len(tensor.shape) in ranks]
        if not fitting:
            return None
        return fitting[-1] if self.integer(0, 2) else self.draw(st.sampled_from(fitting))

    def make(self) -> QuantisedProgram:
        for index in range(self.integer(1, 2)):
            rank = self.one(3, 3, 3, 2, 1)
            shape = tuple(self.integer(1, 9) for _ in range(rank - 1))
            shape = (self.integer(1, 40), *shape)
            tensor = Tensor(f"input{index}", shape, self.encoding())
            self.program.inputs.append(tensor)
            self.tensors.append(tensor)
        for _ in range(self.integer(2, 12)):
            MAKERS[self.integer(0, len(MAKERS) - 1)](self)
        results = [
            operator.result for operator in self.program.operators if not isinstance(operator, ops.Constant)
        ]
        last = results[-1] if results else self.program.inputs[0]
        outputs = (
            [last]
            if self.integer(0, 1)
            else [last, self.draw(st.sampled_from([*self.program.inputs, *results]))]
        )
        self.program.outputs = [(f"output{index}", tensor) for index, tensor in enumerate(outputs)]
        return self.program

    def weights(self, shape: Shape, x: Tensor) -> tuple[ops.Weights, int]:
        codes = self.random.integers(-127, 128, shape)
        codes[self.random.random(shape) < 0.2] = 127
        wanted = self.integer(-9, 3)
        exponent = wanted - x.exponent - self.integer(3, 18)
        exponents = exponent + self.random.integers(-3, 4, shape[0])
        bias = self.random.normal(size=shape[0]) * 2.0 ** (x.exponent + exponent + 10)
        return decisions.integer_weights(codes, exponents.tolist(), bias, x.encoding, wanted, "random")


def _size(size: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> int:
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


def convolution(m: Maker) -> None:
    x = m.pick(2, 3)
    if x is None:
        return
    rank = len(x.shape) - 1
    groups = m.one(*[g for g in range(1, x.shape[0] + 1) if x.shape[0] % g == 0])
    outputs = groups * m.integer(1, max(1, 24 // groups))
    kernel, strides, dilation, before, after = (
        tuple(m.integer(low, high) for _ in range(rank))
        for low, high in ((1, 4), (1, 3), (1, 2), (0, 3), (0, 3))
    )
    space = tuple(map(_size, x.shape[1:], kernel, strides, before, after, dilation))
    if min(space) < 1 or outputs * int(np.prod(space)) > LARGEST:
        return
    weights, exponent = m.weights((outputs, x.shape[0] // groups, *kernel), x)
    m.emit(
        ops.Convolution(
            result=m.result((outputs, *space), Encoding(exponent, m.one(0, -128))),
            x=x,
            weights=weights,
            strides=strides,
            before=before,
            after=after,
            dilation=dilation,
            groups=groups,
            **m.limits(),
        )
    )


def transposed_convolution(m: Maker) -> None:
    x = m.pick(2, 3)
    if x is None:
        return
    rank = len(x.shape) - 1
    groups = m.one(*[g for g in range(1, x.shape[0] + 1) if x.shape[0] % g == 0])
    each = m.integer(1, 3)
    kernel, strides, dilation, padding = (
        tuple(m.integer(low, high) for _ in range(rank)) for low, high in ((1, 3), (1, 3), (1, 2), (0, 1))
    )
    extra = tuple(m.integer(0, max(stride, step) - 1) for stride, step in zip(strides, dilation))
    space = tuple(
        (size - 1) * s - 2 * p + d * (k - 1) + e + 1
        for size, k, s, d, p, e in zip(x.shape[1:], kernel, strides, dilation, padding, extra)
    )
    if min(space) < 1 or groups * each * int(np.prod(space)) > LARGEST:
        return
    first, exponent = m.weights((groups * each, x.shape[0] // groups, *kernel), x)
    codes = first.codes.reshape(groups, each, -1, *kernel).swapaxes(1, 2).reshape(x.shape[0], each, *kernel)
    m.emit(
        ops.TransposedConvolution(
            result=m.result((groups * each, *space), Encoding(exponent, m.one(0, -128))),
            x=x,
            weights=ops.Weights(codes, first.bias, first.exponents),
            strides=strides,
            padding=padding,
            output_padding=extra,
            dilation=dilation,
            groups=groups,
            **m.limits(),
        )
    )


def linear(m: Maker) -> None:
    x = m.pick(1, 2, 3, 4)
    assert x is not None
    outputs = m.integer(1, 40)
    if outputs * int(np.prod(x.shape[:-1])) > LARGEST:
        return
    weights, exponent = m.weights((outputs, x.shape[-1]), x)
    result = m.result((*x.shape[:-1], outputs), Encoding(exponent, m.one(0, -128)))
    m.emit(ops.Linear(result=result, x=x, weights=weights, **m.limits()))


def matmul(m: Maker) -> None:
    a = m.pick(2, 3, 4)
    if a is None:
        return
    fitting = [b for b in m.tensors if b.shape[:-2] == a.shape[:-2] and len(b.shape) == len(a.shape)]
    b = m.draw(st.sampled_from(fitting))
    if b.shape[-2] != a.shape[-1]:
        order = (*range(len(b.shape) - 2), len(b.shape) - 1, len(b.shape) - 2)
        if b.shape[-1] != a.shape[-1]:
            return
        b = _permuted(m, b, order)
    encoding = Encoding(a.exponent + b.exponent + m.integer(0, 18), m.one(0, -128))
    m.emit(ops.Matmul(result=m.result((*a.shape[:-1], b.shape[-1]), encoding), a=a, b=b, **m.limits()))


def _broadcastable(m: Maker, a: Tensor) -> Tensor:
    fitting = [b for b in m.tensors if b.shape == a.shape]
    if m.integer(0, 2) and len(fitting) > 1:
        return m.draw(st.sampled_from(fitting))
    shape = tuple(size if m.integer(0, 1) else 1 for size in a.shape)
    result = m.result(shape, m.encoding(a.exponent - 15, min(a.exponent + 15, 60)))
    m.program.operators.append(
        ops.Constant(result=result, values=m.random.integers(-128, 128, shape).astype(np.int8))
    )
    return result


def binary(m: Maker) -> None:
    a = m.pick(1, 2, 3, 4)
    assert a is not None
    spread = [
        b
        for b in m.tensors
        if len(b.shape) == len(a.shape) and all(q in (1, p) for p, q in zip(a.shape, b.shape))
    ]
    b = m.draw(st.sampled_from(spread)) if m.integer(0, 1) else _broadcastable(m, a)
    kind = m.one("add", "sub", "mul")
    lowest = a.exponent + b.exponent if kind == "mul" else min(a.exponent, b.exponent)
    if kind != "mul" and abs(a.exponent - b.exponent) > 15:
        return
    result = m.result(a.shape, Encoding(lowest + m.integer(0, 12), m.one(0, -128)))
    pair = {"a": a, "b": b} if m.integer(0, 1) else {"a": b, "b": a}
    m.emit(ops.Binary(kind=kind, result=result, **pair, **m.limits()))


def requantize(m: Maker) -> None:
    x = m.pick(1, 2, 3, 4)
    assert x is not None
    encoding = Encoding(x.exponent + m.integer(-4, 9), m.one(0, -128))
    m.emit(ops.Requantize(result=m.result(x.shape, encoding), x=x, **m.limits()))


def prelu(m: Maker) -> None:
    x = m.pick(1, 2, 3)
    if x is None:
        return
    slope = m.random.integers(-128, 128, m.one(1, x.shape[0])).astype(np.int8)
    exponent = m.integer(-15, 0)
    encoding = Encoding(x.exponent + exponent + m.integer(0, 18), m.one(0, -128))
    m.emit(ops.Prelu(result=m.result(x.shape, encoding), x=x, slope=slope, slope_exponent=exponent))


def lookup(m: Maker) -> None:
    x = m.pick(1, 2, 3, 4)
    assert x is not None
    table = m.random.integers(-128, 128, 256).astype(np.int8)
    m.emit(ops.Lookup(result=m.result(x.shape, m.encoding()), x=x, table=table))


def softmax(m: Maker) -> None:
    x = m.pick(1, 2, 3, 4)
    assert x is not None
    result = m.result(x.shape, decisions.SOFTMAX_ENCODING)
    axis = m.integer(0, len(x.shape) - 1)
    m.emit(ops.Softmax(result=result, x=x, axis=axis, table=decisions.softmax_table(x.encoding)))


def pool(m: Maker) -> None:
    x = m.pick(2, 3)
    if x is None:
        return
    rank = len(x.shape) - 1
    average = m.integer(0, 1)
    kernel, strides, dilation = (
        tuple(m.integer(1, high) for _ in range(rank)) for high in (4, 3, 1 if average else 2)
    )
    padding = tuple(m.integer(0, size // 2) for size in kernel)
    ceil_mode = bool(m.integer(0, 1))
    space = []
    for size, k, s, d, p in zip(x.shape[1:], kernel, strides, dilation, padding):
        new = (size + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil_mode else 0)) // s + 1
        space.append(new - 1 if ceil_mode and (new - 1) * s >= size + p else new)
    if (
        min(space) < 1
        or min(size + 2 * p - d * (k - 1) for size, k, d, p in zip(x.shape[1:], kernel, dilation, padding))
        < 1
    ):
        return
    for size, new, k, s, d, p in zip(x.shape[1:], space, kernel, strides, dilation, padding):
        starts = [window * s - p for window in range(new)]
        if any(all(not 0 <= start + tap * d < size for tap in range(k)) for start in starts):
            return  # torch gives minus infinity for a window that lies in the padding altogether
    shape = (x.shape[0], *space)
    if not average:
        m.emit(
            ops.MaxPool(
                result=m.result(shape, x.encoding),
                x=x,
                kernel=kernel,
                strides=strides,
                padding=padding,
                dilation=dilation,
                ceil_mode=ceil_mode,
            )
        )
        return
    m.emit(
        ops.AveragePool(
            result=m.result(shape, Encoding(x.exponent + m.integer(-6, 3), m.one(0, -128))),
            x=x,
            kernel=kernel,
            strides=strides,
            padding=padding,
            ceil_mode=ceil_mode,
            count_include_pad=bool(m.integer(0, 1)),
            divisor=m.one(0, 0, 1, 7),
        )
    )


def mean(m: Maker) -> None:
    x = m.pick(2, 3, 4)
    if x is None:
        return
    axes = m.draw(st.sets(st.integers(0, len(x.shape) - 1), min_size=1, max_size=len(x.shape) - 1))
    keep = bool(m.integer(0, 1))
    shape = tuple(
        1 if axis in axes else size for axis, size in enumerate(x.shape) if keep or axis not in axes
    )
    result = m.result(shape, Encoding(x.exponent + m.integer(-6, 3), m.one(0, -128)))
    m.emit(ops.Mean(result=result, x=x, axes=tuple(sorted(axes)), keep=keep))


def resize(m: Maker) -> None:
    x = m.pick(3)
    if x is None:
        return
    height, width = m.integer(1, 14), m.integer(1, 14)
    if x.shape[0] * height * width > LARGEST:
        return
    shape = (x.shape[0], height, width)
    if m.integer(0, 1):
        m.emit(ops.ResizeNearest(result=m.result(shape, x.encoding), x=x, factors=None))
        return
    corners = bool(m.integer(0, 1))
    rows, row_weights = decisions.bilinear_axis(x.shape[1], height, corners, None)
    columns, column_weights = decisions.bilinear_axis(x.shape[2], width, corners, None)
    m.emit(
        ops.ResizeBilinear(
            result=m.result(shape, Encoding(x.exponent + m.integer(-3, 3), m.one(0, -128))),
            x=x,
            rows=rows,
            row_weights=row_weights,
            columns=columns,
            column_weights=column_weights,
        )
    )


def concat(m: Maker) -> None:
    x = m.pick(1, 2, 3, 4)
    assert x is not None
    axis = m.integer(0, len(x.shape) - 1)

    def fits(other: Tensor) -> bool:
        rest = [*other.shape[:axis], *other.shape[axis + 1 :]] == [*x.shape[:axis], *x.shape[axis + 1 :]]
        return len(other.shape) == len(x.shape) and rest and other.encoding == x.encoding

    fitting = [tensor for tensor in m.tensors if fits(tensor)]
    xs = (x, *m.draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=3)))
    size = sum(tensor.shape[axis] for tensor in xs)
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    if int(np.prod(shape)) <= LARGEST:
        m.emit(ops.Concat(result=m.result(shape, x.encoding), xs=xs, axis=axis))


def cut(m: Maker) -> None:
    x = m.pick(1, 2, 3, 4)
    assert x is not None
    axis = m.integer(0, len(x.shape) - 1)
    start = m.integer(0, x.shape[axis] - 1)
    stop = m.integer(start + 1, x.shape[axis])
    step = m.integer(1, 3)
    shape = (*x.shape[:axis], len(range(start, stop, step)), *x.shape[axis + 1 :])
    m.emit(ops.Slice(result=m.result(shape, x.encoding), x=x, axis=axis, start=start, stop=stop, step=step))


def pad(m: Maker) -> None:
    x = m.pick(1, 2, 3, 4)
    assert x is not None
    low, high = (tuple(m.integer(0, 3) for _ in x.shape) for _ in range(2))
    shape = tuple(size + before + after for size, before, after in zip(x.shape, low, high))
    if int(np.prod(shape)) <= LARGEST:
        value = m.one(x.zero_point, m.integer(-128, 127))
        m.emit(ops.Pad(result=m.result(shape, x.encoding), x=x, low=low, high=high, value=value))


def reshape(m: Maker) -> None:
    x = m.pick(1, 2, 3, 4)
    assert x is not None
    left = int(np.prod(x.shape))
    shape = [left]
    if m.integer(0, 2):
        shape = list(x.shape)
        place = m.integer(0, len(shape) - 1)
        size = m.one(*[size for size in range(1, shape[place] + 1) if shape[place] % size == 0])
        shape[place : place + 1] = [size, shape[place] // size]
        if len(shape) > 4 or m.integer(0, 1):
            place = m.integer(0, len(shape) - 2)
            shape[place : place + 2] = [shape[place] * shape[place + 1]]
    if len(shape) <= 4:
        m.emit(ops.Reshape(result=m.result(tuple(shape), x.encoding), x=x))


def _permuted(m: Maker, x: Tensor, order: Shape) -> Tensor:
    result = m.result(tuple(x.shape[axis] for axis in order), x.encoding)
    m.emit(ops.Permute(result=result, x=x, order=order))
    return result


def permute(m: Maker) -> None:
    x = m.pick(2, 3, 4)
    if x is not None:
        _permuted(m, x, tuple(m.draw(st.permutations(range(len(x.shape))))))


MAKERS = [
    convolution, transposed_convolution, linear, matmul, binary, requantize, prelu, lookup, softmax, pool, mean,
    resize, concat, cut, pad, reshape, permute,
]  # fmt: skip


@st.composite
def programs(draw: Callable[[Any], Any]) -> QuantisedProgram:
    """A random program with one or two inputs and outputs and a dozen operators."""
    return Maker(draw).make()
