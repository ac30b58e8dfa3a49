"""ATen operators that work element by element: clamps, functions of one tensor, arithmetic of two, softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from pienn.frontend import decisions
from pienn.frontend.aten_windows import pending_result, pending_unclamped
from pienn.frontend.operators import Binary, Encoding, Lookup, Prelu, Requantize, Shape, Softmax, Tensor
from pienn.frontend.reading import INFINITY, Fixed, Pending, Reader, Value, reads

Function = Callable[[torch.Tensor], torch.Tensor]


def clamped(reader: Reader, node: Node, x: Value, low: float, high: float) -> Value:
    """A clamp: part of the operator before it, or an operator of its own on an activation."""
    if isinstance(x, Pending):
        return x.clamped(low, high)
    tensor = reader.activation(node, x)
    layer = reader.layer(node)

    def settle(encoding: Encoding, lowest: float, highest: float) -> Tensor:
        return reader.bring(tensor, encoding, lowest, highest, layer)

    return Pending(settle, tensor.shape, natural=tensor.encoding).clamped(low, high)


@reads("aten.relu.default")
def _relu(reader: Reader, node: Node, *, x: Value) -> Value:
    return clamped(reader, node, x, 0.0, INFINITY)


@reads("aten.relu6.default")
def _relu6(reader: Reader, node: Node, *, x: Value) -> Value:
    return clamped(reader, node, x, 0.0, 6.0)


@reads("aten.hardtanh.default")
def _hardtanh(reader: Reader, node: Node, *, x: Value, min_val: float, max_val: float) -> Value:
    return clamped(reader, node, x, float(min_val), float(max_val))


@reads("aten.clamp.default", "aten.clamp_min.default", "aten.clamp_max.default")
def _clamp(
    reader: Reader, node: Node, *, x: Value, min: float | None = None, max: float | None = None
) -> Value:
    low = -INFINITY if min is None else float(min)
    high = INFINITY if max is None else float(max)
    return clamped(reader, node, x, low, high)


def function(reader: Reader, node: Node, x: Value, real: Function) -> Pending:
    """A function of one tensor, by its table; `real` maps float64 to float64."""
    tensor = reader.activation(node, x)
    layer = reader.layer(node)

    def values(reals: np.ndarray) -> np.ndarray:
        return real(torch.from_numpy(reals)).numpy()

    def settle(encoding: Encoding, low: float, high: float) -> Tensor:
        table = decisions.lookup_table(values, tensor.encoding, encoding, low, high, layer)
        result = Tensor(reader.unique(layer), tensor.shape, encoding)
        return reader.emit(Lookup(result=result, x=tensor, table=table))

    return Pending(settle, tensor.shape)


UNARY = (
    "sigmoid tanh hardsigmoid hardswish silu gelu leaky_relu elu selu celu softplus mish abs neg exp log log1p expm1 "
    "sqrt rsqrt square reciprocal sin cos atan asinh erf sign floor ceil hardshrink softshrink logit log_sigmoid "
    "threshold rrelu"
).split()
"""ATen functions of one tensor whose other arguments, if any, are numbers."""


def _unary(name: str) -> None:
    packet = getattr(torch.ops.aten, name, None)
    if packet is None or "default" not in packet.overloads():
        return
    operator = packet.default

    @reads(f"aten.{name}.default")
    def _read(reader: Reader, node: Node, *, x: Value, **arguments: Any) -> Value:
        return function(reader, node, x, lambda reals: operator(reals, **arguments))


for _name in UNARY:
    _unary(_name)


@reads("aten.pow.Tensor_Scalar")
def _power(reader: Reader, node: Node, *, x: Value, exponent: float) -> Value:
    return function(reader, node, x, lambda reals: reals**exponent)


@reads("aten.prelu.default", "aten._prelu_kernel.default")
def _prelu(reader: Reader, node: Node, *, x: Value, weight: Value) -> Value:
    tensor = reader.activation(node, x)
    slopes = reader.real(node, weight, "the slope of PReLU").double().flatten().numpy()
    slope, slope_exponent = decisions.slope_codes(slopes, reader.layer(node))
    lowest = tensor.exponent + slope_exponent

    def make(result: Tensor) -> Prelu:
        return Prelu(result=result, x=tensor, slope=slope, slope_exponent=slope_exponent)

    return pending_unclamped(reader, node, make, lowest, lowest + decisions.LARGEST_SHIFT)


@reads("aten.softmax.int", "aten._softmax.default")
def _softmax(reader: Reader, node: Node, *, x: Value, dim: int, **_: Any) -> Value:
    tensor = reader.activation(node, x)
    axis = reader.axis(node, dim, len(tensor.shape) + 1)
    layer, shape = reader.layer(node), reader.shape(node)
    table = decisions.softmax_table(tensor.encoding)
    if shape[axis] > 65535:
        raise reader.error(node, "softmax works over at most 65535 elements")

    def settle(encoding: Encoding, low: float, high: float) -> Tensor:
        result = Tensor(reader.unique(layer), shape, decisions.SOFTMAX_ENCODING)
        done = reader.emit(Softmax(result=result, x=tensor, axis=axis, table=table))
        return reader.bring(done, decisions.SOFTMAX_ENCODING, low, high, f"{layer}.clamp")

    return Pending(settle, shape, natural=decisions.SOFTMAX_ENCODING)


def _operand(reader: Reader, node: Node, value: Any, shape: Shape, name: str) -> Tensor:
    """An operand of a broadcasting operator with the result's rank; numbers and constants are quantised here."""
    if isinstance(value, (int, float)):
        value = Fixed(torch.tensor(float(value), dtype=torch.float64))
    tensor = reader.activation(node, value, name)
    if len(tensor.shape) != len(shape):
        raise reader.error(
            node, f"broadcasting {list(tensor.shape)} would mix the batch axis with another: reshape it first"
        )
    return tensor


def _arithmetic(reader: Reader, node: Node, kind: str, first: Any, second: Any) -> Pending:
    shape, layer = reader.shape(node), reader.layer(node)
    a = _operand(reader, node, first, shape, "a")
    b = _operand(reader, node, second, shape, "b")
    if kind != "mul":
        a, b = _nearer(reader, a, b, layer), _nearer(reader, b, a, layer)
    lowest = a.exponent + b.exponent if kind == "mul" else min(a.exponent, b.exponent)

    def make(result: Tensor, minimum: int, maximum: int) -> Binary:
        return Binary(kind=kind, result=result, a=a, b=b, minimum=minimum, maximum=maximum)

    return pending_result(reader, node, make, lowest, lowest + decisions.LARGEST_SHIFT)


def _nearer(reader: Reader, x: Tensor, other: Tensor, layer: str) -> Tensor:
    """x, made so coarse that its exponent is at most 15 below the other operand's."""
    while other.exponent - x.exponent > decisions.LARGEST_ALIGNMENT:
        step = min(other.exponent - decisions.LARGEST_ALIGNMENT, x.exponent + decisions.LARGEST_SHIFT)
        result = Tensor(reader.unique(f"{layer}.align"), x.shape, Encoding(step, x.zero_point))
        x = reader.emit(Requantize(result=result, x=x))
    return x


def _scaled(reader: Reader, node: Node, value: Any, alpha: float) -> Any:
    if alpha == 1:
        return value
    if isinstance(value, Fixed):
        return Fixed(value.real.double() * alpha)
    if isinstance(value, (int, float)):
        return value * alpha
    raise reader.error(node, f"alpha {alpha} is supported for constants only: multiply first")


@reads("aten.add.Tensor", "aten.add.Scalar")
def _add(reader: Reader, node: Node, *, x: Any, other: Any, alpha: float = 1) -> Value:
    return _arithmetic(reader, node, "add", x, _scaled(reader, node, other, alpha))


@reads("aten.sub.Tensor", "aten.sub.Scalar")
def _sub(reader: Reader, node: Node, *, x: Any, other: Any, alpha: float = 1) -> Value:
    return _arithmetic(reader, node, "sub", x, _scaled(reader, node, other, alpha))


@reads("aten.rsub.Scalar", "aten.rsub.Tensor")
def _rsub(reader: Reader, node: Node, *, x: Any, other: Any, alpha: float = 1) -> Value:
    return _arithmetic(reader, node, "sub", other, _scaled(reader, node, x, alpha))


@reads("aten.mul.Tensor", "aten.mul.Scalar")
def _mul(reader: Reader, node: Node, *, x: Any, other: Any) -> Value:
    return _arithmetic(reader, node, "mul", x, other)


@reads("aten.div.Tensor", "aten.div.Scalar")
def _div(reader: Reader, node: Node, *, x: Any, other: Any) -> Value:
    if isinstance(other, (int, float)) and other:
        return _arithmetic(reader, node, "mul", x, 1 / other)
    if isinstance(other, Fixed) and bool((other.real != 0).all()):
        return _arithmetic(reader, node, "mul", x, Fixed(1 / other.real.double()))
    raise reader.error(node, "only division by constants other than 0 is supported")


@reads("aten.batch_norm.default", "aten._native_batch_norm_legit_no_training.default")
def _batch_norm(reader: Reader, node: Node, **_: Any) -> Value:
    raise reader.error(node, "batch norm must be folded before quantisation: pienn.quantize does it")
