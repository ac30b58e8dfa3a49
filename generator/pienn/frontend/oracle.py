"""The torch oracle: the quantised program in exact torch operations, in torch's layout, with batch.

It is written from docs/SPEC.md alone and shares nothing with the graph interpreter: convolutions and
products are float64 torch operations on integers below 2**53 (exact), everything else is int64.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from pienn.errors import PiennError
from pienn.frontend import operators as ops
from pienn.frontend.operators import Encoding, QuantisedProgram, Shape, Tensor


def quantise(real: torch.Tensor, encoding: Encoding) -> torch.Tensor:
    """Floats to int8, half up, NaN to the zero point; int8 passes."""
    if real.dtype == torch.int8:
        return real
    scaled = torch.ldexp(real.to(torch.float32).double(), torch.tensor(-encoding.exponent))
    floor = scaled.clamp(-1e6, 1e6).floor()
    rounded = floor + (scaled - floor >= 0.5)
    stored = torch.nan_to_num(rounded, nan=0.0) + encoding.zero_point
    return stored.clamp(-128, 127).to(torch.int8)


def dequantise(stored: torch.Tensor, encoding: Encoding) -> torch.Tensor:
    """int8 to the float32 reals that it stands for."""
    return torch.ldexp((stored.double() - encoding.zero_point), torch.tensor(encoding.exponent)).float()


def requantise(acc: torch.Tensor, shift: torch.Tensor | int, zero_point: int) -> torch.Tensor:
    """int64 sums to stored values (int64, in int8's range)."""
    amount = torch.as_tensor(shift, dtype=torch.int64)
    rounding = torch.where(
        amount > 0, torch.bitwise_left_shift(torch.ones_like(amount), (amount - 1).clamp(min=0)), 0
    )
    return (torch.bitwise_right_shift(acc + rounding, amount) + zero_point).clamp(-128, 127)


class Oracle(torch.nn.Module):
    """The integer network; `forward` takes floats or int8 with batch axis and returns int8, torch layout."""

    def __init__(self, program: QuantisedProgram) -> None:
        super().__init__()
        self.program = program

    @torch.no_grad()
    def forward(
        self, *inputs: torch.Tensor, taps: MutableMapping[str, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, ...]:
        """Outputs in order; `taps` collects every tensor of the program by its name."""
        if len(inputs) != len(self.program.inputs):
            raise PiennError(f"the model has {len(self.program.inputs)} inputs, {len(inputs)} were given")
        values: dict[Tensor, torch.Tensor] = {}
        for tensor, given in zip(self.program.inputs, inputs):
            if tuple(given.shape[1:]) != tensor.shape:
                raise PiennError(
                    f"input {tensor.name}: shape {list(given.shape[1:])} instead of {list(tensor.shape)}"
                )
            values[tensor] = quantise(given, tensor.encoding)
        batch = len(inputs[0])
        for operator in self.program.operators:
            result = RULES[type(operator)](operator, [values[x] for x in ops.operands(operator)])
            if isinstance(operator, ops.Constant):
                result = result.expand(batch, *operator.result.shape)
            if tuple(result.shape) != (batch, *operator.result.shape):
                raise PiennError(
                    f"{operator.result.name}: shape {list(result.shape)} instead of {list(operator.result.shape)}"
                )
            values[operator.result] = result.to(torch.int8)
        if taps is not None:
            taps.update({tensor.name: value for tensor, value in values.items()})
        return tuple(values[tensor] for _, tensor in self.program.outputs)


Rule = Callable[[Any, Sequence[torch.Tensor]], torch.Tensor]
RULES: dict[type, Rule] = {}


def _rule(kind: type) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES[kind] = rule
        return rule

    return register


def _centred(stored: torch.Tensor, tensor: Tensor) -> torch.Tensor:
    """X = x - z, int64."""
    return stored.long() - tensor.zero_point


def _finished(op: Any, acc: torch.Tensor, shift: torch.Tensor | int) -> torch.Tensor:
    return requantise(acc, shift, op.result.zero_point).clamp(op.minimum, op.maximum)


def _per_channel(values: Sequence[int] | np.ndarray, axes_behind: int) -> torch.Tensor:
    return torch.tensor(np.asarray(values, np.int64)).reshape(-1, *(1,) * axes_behind)


def _weighted(op: Any, products: torch.Tensor, axes_behind: int) -> torch.Tensor:
    """Add biases and shift each output channel; `axes_behind` axes follow the channels."""
    acc = products.long() + _per_channel(op.weights.bias, axes_behind)
    exponents = _per_channel(op.weights.exponents, axes_behind)
    return _finished(op, acc, op.result.exponent - op.x.exponent - exponents)


@_rule(ops.Convolution)
def _convolution(op: ops.Convolution, values: Sequence[torch.Tensor]) -> torch.Tensor:
    rank = len(op.strides)
    x = _centred(values[0], op.x).double()
    pads = [pad for before, after in zip(op.before[::-1], op.after[::-1]) for pad in (before, after)]
    weight = torch.tensor(op.weights.codes, dtype=torch.float64)
    convolve = F.conv1d if rank == 1 else F.conv2d
    products = convolve(F.pad(x, pads), weight, None, op.strides, 0, op.dilation, op.groups)
    return _weighted(op, products, rank)


@_rule(ops.TransposedConvolution)
def _transposed(op: ops.TransposedConvolution, values: Sequence[torch.Tensor]) -> torch.Tensor:
    rank = len(op.strides)
    convolve = F.conv_transpose1d if rank == 1 else F.conv_transpose2d
    weight = torch.tensor(op.weights.codes, dtype=torch.float64)
    x = _centred(values[0], op.x).double()
    products = convolve(x, weight, None, op.strides, op.padding, op.output_padding, op.groups, op.dilation)
    return _weighted(op, products, rank)


@_rule(ops.Linear)
def _linear(op: ops.Linear, values: Sequence[torch.Tensor]) -> torch.Tensor:
    weight = torch.tensor(op.weights.codes, dtype=torch.float64)
    return _weighted(op, F.linear(_centred(values[0], op.x).double(), weight), 0)


@_rule(ops.Matmul)
def _matmul(op: ops.Matmul, values: Sequence[torch.Tensor]) -> torch.Tensor:
    products = torch.matmul(_centred(values[0], op.a).double(), _centred(values[1], op.b).double())
    return _finished(op, products.long(), op.result.exponent - op.a.exponent - op.b.exponent)


@_rule(ops.Binary)
def _binary(op: ops.Binary, values: Sequence[torch.Tensor]) -> torch.Tensor:
    a, b = _centred(values[0], op.a), _centred(values[1], op.b)
    if op.kind == "mul":
        return _finished(op, a * b, op.result.exponent - op.a.exponent - op.b.exponent)
    finest = min(op.a.exponent, op.b.exponent)
    a, b = a * 2 ** (op.a.exponent - finest), b * 2 ** (op.b.exponent - finest)
    return _finished(op, a + b if op.kind == "add" else a - b, op.result.exponent - finest)


@_rule(ops.Requantize)
def _requantize(op: ops.Requantize, values: Sequence[torch.Tensor]) -> torch.Tensor:
    distance = op.result.exponent - op.x.exponent
    return _finished(op, _centred(values[0], op.x) * 2 ** max(-distance, 0), max(distance, 0))


@_rule(ops.Prelu)
def _prelu(op: ops.Prelu, values: Sequence[torch.Tensor]) -> torch.Tensor:
    x = _centred(values[0], op.x)
    slope = _per_channel(op.slope, x.dim() - 2)
    acc = torch.where(x >= 0, x * 2**-op.slope_exponent, x * slope)
    return requantise(acc, op.result.exponent - op.x.exponent - op.slope_exponent, op.result.zero_point)


@_rule(ops.Lookup)
def _lookup(op: ops.Lookup, values: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.tensor(op.table)[values[0].long() + 128]


@_rule(ops.Softmax)
def _softmax(op: ops.Softmax, values: Sequence[torch.Tensor]) -> torch.Tensor:
    x = values[0].long()
    axis = op.axis + 1
    powers = torch.tensor(op.table.astype(np.int64))[x.amax(axis, keepdim=True) - x]
    total = powers.sum(axis, keepdim=True)
    return torch.div(512 * powers + total, 2 * total, rounding_mode="floor").clamp(max=255) - 128


def _pool2d(kernel: Shape, *rest: Shape) -> list[Shape]:
    """Window parameters of a 1-D pool as those of a 2-D pool of height 1."""
    neutral = [(1,), (1,), (0,), (1,)]
    if len(kernel) == 2:
        return [kernel, *rest]
    return [(*first, *given) for first, given in zip(neutral, [kernel, *rest])]


def _image(values: torch.Tensor) -> torch.Tensor:
    return values.unsqueeze(-2) if values.dim() == 3 else values


@_rule(ops.MaxPool)
def _max_pool(op: ops.MaxPool, values: Sequence[torch.Tensor]) -> torch.Tensor:
    kernel, strides, padding, dilation = _pool2d(op.kernel, op.strides, op.padding, op.dilation)
    pooled = F.max_pool2d(_image(values[0]).double(), kernel, strides, padding, dilation, op.ceil_mode)
    return pooled.long().reshape(len(pooled), *op.result.shape)


def _mean(total: torch.Tensor, count: torch.Tensor | int, x: Tensor, result: Tensor) -> torch.Tensor:
    """sat8(floor(total * 2**(e_x - e_y) / count + 1/2) + z), exact in int64."""
    distance = result.exponent - x.exponent
    doubled = 2 * total * 2 ** max(-distance, 0)
    divisor = torch.as_tensor(count, dtype=torch.int64) * 2 ** max(distance, 0)
    quotient = torch.div(doubled + divisor, 2 * divisor, rounding_mode="floor")
    return (quotient + result.zero_point).clamp(-128, 127)


@_rule(ops.AveragePool)
def _average_pool(op: ops.AveragePool, values: Sequence[torch.Tensor]) -> torch.Tensor:
    kernel, strides, padding = _pool2d(op.kernel, op.strides, op.padding)
    x = _image(_centred(values[0], op.x)).double()

    def sums(of: torch.Tensor, pads: Shape) -> torch.Tensor:
        return F.avg_pool2d(of, kernel, strides, pads, op.ceil_mode, divisor_override=1).round().long()

    total = sums(x, padding)
    ones = torch.ones(1, 1, *x.shape[2:], dtype=torch.float64)
    count = torch.tensor(op.divisor)
    if not op.divisor and op.count_include_pad:
        height, width = padding
        count = sums(F.pad(ones, (width, width, height, height), value=1.0), (0, 0))
        count = count[..., : total.shape[-2], : total.shape[-1]]
    elif not op.divisor:
        count = sums(ones, padding)
    return _mean(total, count, op.x, op.result).reshape(len(total), *op.result.shape)


@_rule(ops.Mean)
def _mean_over_axes(op: ops.Mean, values: Sequence[torch.Tensor]) -> torch.Tensor:
    axes = [axis + 1 for axis in op.axes]
    total = _centred(values[0], op.x).sum(axes, keepdim=op.keep)
    return _mean(total, int(np.prod([op.x.shape[axis] for axis in op.axes])), op.x, op.result)


@_rule(ops.ResizeNearest)
def _nearest(op: ops.ResizeNearest, values: Sequence[torch.Tensor]) -> torch.Tensor:
    size = None if op.factors else op.result.shape[1:]
    factors = list(op.factors) if op.factors else None
    return F.interpolate(
        values[0].double(), size, factors, "nearest", recompute_scale_factor=False if factors else None
    ).long()


@_rule(ops.ResizeBilinear)
def _bilinear(op: ops.ResizeBilinear, values: Sequence[torch.Tensor]) -> torch.Tensor:
    x = _centred(values[0], op.x)

    def mixed(x: torch.Tensor, first: np.ndarray, weight: np.ndarray) -> torch.Tensor:
        """The last axis: 64 times the mix of neighbours."""
        left = torch.tensor(first, dtype=torch.int64)
        share = torch.tensor(weight, dtype=torch.int64)
        return x[..., left] * (64 - share) + x[..., (left + 1).clamp(max=x.shape[-1] - 1)] * share

    rows = mixed(x.transpose(-1, -2), op.rows, op.row_weights).transpose(-1, -2)
    acc = mixed(rows, op.columns, op.column_weights)
    return requantise(acc, 12 + op.result.exponent - op.x.exponent, op.result.zero_point)


@_rule(ops.Concat)
def _concat(op: ops.Concat, values: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat(list(values), op.axis + 1)


@_rule(ops.Slice)
def _slice(op: ops.Slice, values: Sequence[torch.Tensor]) -> torch.Tensor:
    picked = torch.arange(op.start, op.stop, op.step)
    return values[0].index_select(op.axis + 1, picked)


@_rule(ops.Pad)
def _pad(op: ops.Pad, values: Sequence[torch.Tensor]) -> torch.Tensor:
    pads = [pad for low, high in zip(op.low[::-1], op.high[::-1]) for pad in (low, high)]
    return F.pad(values[0].long(), pads, value=op.value)


@_rule(ops.Reshape)
def _reshape(op: ops.Reshape, values: Sequence[torch.Tensor]) -> torch.Tensor:
    return values[0].reshape(len(values[0]), *op.result.shape)


@_rule(ops.Permute)
def _permute(op: ops.Permute, values: Sequence[torch.Tensor]) -> torch.Tensor:
    return values[0].permute(0, *(axis + 1 for axis in op.order))


@_rule(ops.Constant)
def _constant(op: ops.Constant, values: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.tensor(op.values).unsqueeze(0)
