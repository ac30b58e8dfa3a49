"""ATen operators with weights or windows: convolutions, linear, matrix products, pools, resizing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from pienn.frontend import decisions
from pienn.frontend.operators import (
    AveragePool,
    Convolution,
    Encoding,
    Linear,
    Matmul,
    MaxPool,
    Mean,
    Requantize,
    ResizeBilinear,
    ResizeNearest,
    Shape,
    Tensor,
    TransposedConvolution,
    Weights,
)
from pienn.frontend.reading import Fixed, Pending, Reader, Value, power_of_two, reads


def pending_result(
    reader: Reader, node: Node, make: Callable[[Tensor, int, int], Any], lowest: int, highest: int
) -> Pending:
    """A result whose exponent may lie in lowest..highest: `make(result, minimum, maximum)` gives the operator."""
    shape, layer = reader.shape(node), reader.layer(node)

    def settle(encoding: Encoding, low: float, high: float) -> Tensor:
        exponent = decisions.exponent_between(encoding.exponent, lowest, highest)
        near = Encoding(exponent, encoding.zero_point)
        result = Tensor(reader.unique(layer), shape, near)
        return reader.emit(make(result, *decisions.clamp_bounds(low, high, near)))

    return Pending(settle, shape)


def pending_unclamped(
    reader: Reader, node: Node, make: Callable[[Tensor], Any], lowest: int, highest: int
) -> Pending:
    """As `pending_result`, for operators that cannot clamp: a clamp becomes an operator of its own."""
    layer = reader.layer(node)
    plain = pending_result(reader, node, lambda result, minimum, maximum: make(result), lowest, highest)

    def settle(encoding: Encoding, low: float, high: float) -> Tensor:
        x = plain.settle(encoding, -math.inf, math.inf)
        minimum, maximum = decisions.clamp_bounds(low, high, x.encoding)
        if (minimum, maximum) == (-128, 127):
            return x
        result = Tensor(reader.unique(f"{layer}.clamp"), x.shape, x.encoding)
        return reader.emit(Requantize(result=result, x=x, minimum=minimum, maximum=maximum))

    return Pending(settle, plain.shape)


def _codes(reader: Reader, node: Node, weight: Value) -> tuple[np.ndarray, np.ndarray]:
    """Integer weights, output channels first, and the exponent of each output channel."""
    if not isinstance(weight, Fixed):
        raise reader.error(node, "weights that depend on the input are not supported")
    if weight.step is None:
        raise reader.error(node, "its weight is not quantised: put a quantise and dequantise node behind it")
    real, step = weight.real.double().flatten(1), weight.step.double().flatten(1)
    if not bool((step == step[:, :1]).all()):
        raise reader.error(node, "weight scales may differ between output channels only")
    exponents = [power_of_two(float(scale)) for scale in step[:, 0]]
    if any(exponent is None for exponent in exponents):
        raise reader.error(
            node, "weight scales must be powers of two: quantise the float model with pienn.quantize instead"
        )
    codes = (real / step).round().to(torch.int64).reshape(weight.real.shape)
    return codes.numpy(), np.array(exponents)


def _bias(reader: Reader, node: Node, bias: Value, channels: int) -> np.ndarray:
    if bias is None:
        return np.zeros(channels)
    return reader.real(node, bias, "the bias").double().expand(channels).numpy()


def _weighted(
    reader: Reader,
    node: Node,
    x: Tensor,
    codes: np.ndarray,
    exponents: np.ndarray,
    bias: np.ndarray,
    make: Callable[..., Any],
) -> Pending:
    shape, layer = reader.shape(node), reader.layer(node)

    def settle(encoding: Encoding, low: float, high: float) -> Tensor:
        weights, exponent = decisions.integer_weights(
            codes, exponents.tolist(), bias, x.encoding, encoding.exponent, layer
        )
        near = Encoding(exponent, encoding.zero_point)
        minimum, maximum = decisions.clamp_bounds(low, high, near)
        result = Tensor(reader.unique(layer), shape, near)
        return reader.emit(make(result=result, x=x, weights=weights, minimum=minimum, maximum=maximum))

    return Pending(settle, shape)


def _each(value: int | Sequence[int], rank: int) -> Shape:
    values = [value] if isinstance(value, int) else list(value)
    return tuple(int(item) for item in (values * rank if len(values) == 1 else values))


@reads("aten.conv1d.default", "aten.conv2d.default", "aten.conv1d.padding", "aten.conv2d.padding")
def _convolution(
    reader: Reader,
    node: Node,
    *,
    input: Value,
    weight: Value,
    bias: Value,
    stride: Sequence[int],
    padding: Sequence[int] | str,
    dilation: Sequence[int],
    groups: int,
) -> Value:
    x = reader.activation(node, input)
    rank = len(x.shape) - 1
    codes, exponents = _codes(reader, node, weight)
    steps = _each(dilation, rank)
    if isinstance(padding, str):
        total = [step * (size - 1) if padding == "same" else 0 for step, size in zip(steps, codes.shape[2:])]
        before = tuple(pad // 2 for pad in total)
        after = tuple(pad - pad // 2 for pad in total)
    else:
        before = after = _each(padding, rank)

    def make(**made: Any) -> Convolution:
        return Convolution(
            strides=_each(stride, rank), before=before, after=after, dilation=steps, groups=groups, **made
        )

    return _weighted(reader, node, x, codes, exponents, _bias(reader, node, bias, len(codes)), make)


@reads("aten.conv_transpose1d.default", "aten.conv_transpose2d.input")
def _transposed(
    reader: Reader,
    node: Node,
    *,
    input: Value,
    weight: Value,
    bias: Value,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    groups: int,
    dilation: Sequence[int],
) -> Value:
    x = reader.activation(node, input)
    rank = len(x.shape) - 1
    if not isinstance(weight, Fixed):
        raise reader.error(node, "weights that depend on the input are not supported")

    def output_first(tensor: torch.Tensor) -> torch.Tensor:
        """(I, O/groups, ...) to (O, I/groups, ...)."""
        split = tensor.reshape(groups, tensor.shape[0] // groups, *tensor.shape[1:]).transpose(1, 2)
        return split.reshape(split.shape[0] * split.shape[1], *split.shape[2:])

    step = None if weight.step is None else output_first(weight.step)
    codes, exponents = _codes(reader, node, Fixed(output_first(weight.real), step))

    def make(weights: Weights, **made: Any) -> TransposedConvolution:
        ready = weights.codes.reshape(groups, -1, *weights.codes.shape[1:]).swapaxes(1, 2)
        back = ready.reshape(-1, *ready.shape[2:])
        return TransposedConvolution(
            weights=Weights(np.ascontiguousarray(back), weights.bias, weights.exponents),
            strides=_each(stride, rank),
            padding=_each(padding, rank),
            output_padding=_each(output_padding, rank),
            dilation=_each(dilation, rank),
            groups=groups,
            **made,
        )

    return _weighted(reader, node, x, codes, exponents, _bias(reader, node, bias, len(codes)), make)


@reads("aten.convolution.default")
def _any_convolution(
    reader: Reader,
    node: Node,
    *,
    transposed: bool,
    output_padding: Sequence[int],
    **arguments: Any,
) -> Value:
    if transposed:
        return _transposed(reader, node, output_padding=output_padding, **arguments)
    return _convolution(reader, node, **arguments)


@reads("aten.linear.default")
def _linear(reader: Reader, node: Node, *, input: Value, weight: Value, bias: Value) -> Value:
    x = reader.activation(node, input)
    codes, exponents = _codes(reader, node, weight)
    return _weighted(reader, node, x, codes, exponents, _bias(reader, node, bias, len(codes)), Linear)


@reads("aten.addmm.default")
def _addmm(
    reader: Reader, node: Node, *, x: Value, mat1: Value, mat2: Value, beta: float, alpha: float
) -> Value:
    if beta != 1 or alpha != 1:
        raise reader.error(node, "alpha and beta other than 1 are not supported")
    return _linear(reader, node, input=mat1, weight=_turned(reader, node, mat2), bias=x)


def _turned(reader: Reader, node: Node, weight: Value) -> Fixed:
    """The weight of `x @ weight` as that of a linear, quantised here where it is not."""
    if not isinstance(weight, Fixed):
        raise reader.error(node, "this operand must be a constant")
    real = weight.real.double()
    real = real.reshape(real.shape[-2:])
    if weight.step is not None:
        return Fixed(real.T, weight.step.reshape(weight.step.shape[-2:]).T)
    step = torch.zeros_like(real)
    codes = torch.zeros_like(real)
    for channel in range(real.shape[1]):
        values, exponent = decisions.constant_codes(real[:, channel].numpy())
        codes[:, channel] = torch.from_numpy(values)
        step[:, channel] = 2.0**exponent
    return Fixed((codes * step).T, step.T)


@reads("aten.matmul.default", "aten.bmm.default", "aten.mm.default")
def _matmul(reader: Reader, node: Node, **arguments: Value) -> Value:
    first, second = arguments["x"], arguments.get("other", arguments.get("mat2"))
    if (
        isinstance(second, Fixed)
        and second.real.dim() >= 2
        and second.real.numel() == math.prod(second.real.shape[-2:])
    ):
        return _linear(reader, node, input=first, weight=_turned(reader, node, second), bias=None)
    a = reader.activation(node, first, "a")
    b = reader.activation(node, second, "b")
    shape = reader.shape(node)
    if len(a.shape) < 2 or len(b.shape) < 2 or a.shape[:-2] != b.shape[:-2] or len(shape) != len(a.shape):
        raise reader.error(
            node, f"matrix products need equal leading axes, not {list(a.shape)} and {list(b.shape)}"
        )
    sums = a.shape[-1] * (255 if a.zero_point else 128) * (255 if b.zero_point else 128)
    shifts = [shift for shift in range(decisions.LARGEST_SHIFT + 1) if decisions.sums_fit(sums, shift)]
    if not shifts:
        raise reader.error(node, f"the sum over {a.shape[-1]} products does not fit int32")
    total = a.exponent + b.exponent

    def make(result: Tensor, minimum: int, maximum: int) -> Matmul:
        return Matmul(result=result, a=a, b=b, minimum=minimum, maximum=maximum)

    return pending_result(reader, node, make, total, total + shifts[-1])


@reads("aten.max_pool1d.default", "aten.max_pool2d.default", "aten.max_pool2d_with_indices.default")
def _max_pool(
    reader: Reader,
    node: Node,
    *,
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Value:
    if "indices" in str(node.target):
        if any(str(user.target).find("getitem") < 0 or user.args[1] != 0 for user in node.users):
            raise reader.error(node, "the indices of max pooling are not supported")
        shape = tuple(node.meta["val"][0].shape[1:])
    else:
        shape = reader.shape(node)
    rank = len(shape) - 1
    kernel = _each(kernel_size, rank)
    layer = reader.layer(node)

    def move(tensor: Tensor, low: float, high: float) -> Tensor:
        return reader.emit(
            MaxPool(
                result=Tensor(reader.unique(layer), shape, tensor.encoding),
                x=tensor,
                kernel=kernel,
                strides=_each(stride, rank) if stride else kernel,
                padding=_each(padding, rank),
                dilation=_each(dilation, rank),
                ceil_mode=ceil_mode,
            )
        )

    return reader.moved(x, shape, move)


def _averaged(reader: Reader, node: Node, x: Tensor, make: Callable[[Tensor], Any]) -> Pending:
    lowest, highest = x.exponent - decisions.LARGEST_ALIGNMENT, x.exponent + decisions.LARGEST_SHIFT
    pending = pending_unclamped(reader, node, make, lowest, highest)
    return Pending(pending.settle, pending.shape, natural=x.encoding)


@reads("aten.avg_pool1d.default", "aten.avg_pool2d.default")
def _average_pool(
    reader: Reader,
    node: Node,
    *,
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Value:
    tensor = reader.activation(node, x)
    rank = len(tensor.shape) - 1
    kernel = _each(kernel_size, rank)
    if divisor_override is not None and divisor_override < 1:
        raise reader.error(node, f"a divisor of {divisor_override} is not supported")

    def make(result: Tensor) -> AveragePool:
        return AveragePool(
            result=result,
            x=tensor,
            kernel=kernel,
            strides=_each(stride, rank) if stride else kernel,
            padding=_each(padding, rank),
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
            divisor=divisor_override or 0,
        )

    return _averaged(reader, node, tensor, make)


@reads(
    "aten.adaptive_avg_pool1d.default",
    "aten.adaptive_avg_pool2d.default",
    "aten._adaptive_avg_pool2d.default",
)
def _adaptive_pool(reader: Reader, node: Node, *, x: Value, output_size: Sequence[int]) -> Value:
    tensor = reader.activation(node, x)
    kernel = _divided(reader, node, tensor.shape, reader.shape(node))

    def make(result: Tensor) -> AveragePool:
        return AveragePool(
            result=result,
            x=tensor,
            kernel=kernel,
            strides=kernel,
            padding=(0,) * len(kernel),
            ceil_mode=False,
            count_include_pad=False,
            divisor=0,
        )

    return _averaged(reader, node, tensor, make)


def _divided(reader: Reader, node: Node, shape: Shape, result: Shape) -> Shape:
    if any(size % new for size, new in zip(shape[1:], result[1:])):
        raise reader.error(
            node, f"adaptive pooling of {list(shape[1:])} needs an output size that divides it"
        )
    return tuple(size // new for size, new in zip(shape[1:], result[1:]))


@reads("aten.adaptive_max_pool1d.default", "aten.adaptive_max_pool2d.default")
def _adaptive_max_pool(reader: Reader, node: Node, *, x: Value, output_size: Sequence[int]) -> Value:
    tensor = reader.activation(node, x)
    shape = tuple(node.meta["val"][0].shape[1:])
    kernel = _divided(reader, node, tensor.shape, shape)
    zeros, ones = (0,) * len(kernel), (1,) * len(kernel)
    result = Tensor(reader.unique(reader.layer(node)), shape, tensor.encoding)
    return reader.emit(
        MaxPool(
            result=result,
            x=tensor,
            kernel=kernel,
            strides=kernel,
            padding=zeros,
            dilation=ones,
            ceil_mode=False,
        )
    )


@reads("aten.mean.dim", "aten.mean.default")
def _mean(
    reader: Reader,
    node: Node,
    *,
    x: Value,
    dim: Sequence[int] | None = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> Value:
    tensor = reader.activation(node, x)
    rank = len(tensor.shape) + 1
    axes = dim or range(rank)
    chosen = tuple(sorted(reader.axis(node, axis, rank) for axis in axes))

    def make(result: Tensor) -> Mean:
        return Mean(result=result, x=tensor, axes=chosen, keep=keepdim)

    return _averaged(reader, node, tensor, make)


def _factors(arguments: dict[str, Any]) -> tuple[float, ...] | None:
    factors = arguments.get("scale_factors")
    if factors is None:
        factors = [
            arguments[name] for name in ("scales", "scales_h", "scales_w") if arguments.get(name) is not None
        ]
    return tuple(float(factor) for factor in factors) if factors else None


@reads(
    "aten.upsample_nearest1d.vec",
    "aten.upsample_nearest1d.default",
    "aten.upsample_nearest2d.vec",
    "aten.upsample_nearest2d.default",
)
def _nearest(reader: Reader, node: Node, **arguments: Any) -> Value:
    shape, layer = reader.shape(node), reader.layer(node)
    factors = _factors(arguments)

    def move(tensor: Tensor, low: float, high: float) -> Tensor:
        result = Tensor(reader.unique(layer), shape, tensor.encoding)
        return reader.emit(ResizeNearest(result=result, x=tensor, factors=factors))

    return reader.moved(arguments.get("input", arguments.get("x")), shape, move)


@reads("aten.upsample_bilinear2d.vec", "aten.upsample_bilinear2d.default")
def _bilinear(reader: Reader, node: Node, *, align_corners: bool, **arguments: Any) -> Value:
    x = reader.activation(node, arguments.get("input", arguments.get("x")))
    shape = reader.shape(node)
    factors = _factors(arguments) or (None, None)
    rows, row_weights = decisions.bilinear_axis(x.shape[1], shape[1], align_corners, factors[0])
    columns, column_weights = decisions.bilinear_axis(x.shape[2], shape[2], align_corners, factors[1])

    def make(result: Tensor) -> ResizeBilinear:
        return ResizeBilinear(
            result=result,
            x=x,
            rows=rows,
            row_weights=row_weights,
            columns=columns,
            column_weights=column_weights,
        )

    pending = pending_unclamped(reader, node, make, x.exponent - 12, x.exponent + 19)
    return Pending(pending.settle, pending.shape, natural=x.encoding)
