"""The quantised program: what the torch module computes, in integers, in torch's own layout.

Tensors are written without the batch axis: axis 0 of an image `(C, H, W)` is its channels. Every number that had to
be chosen (exponents, biases, tables) is in here, so that the oracle and the lowering choose nothing; how
axes are laid out, padded and summed is left to each of them. docs/SPEC.md, section 3, defines the arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pienn.errors import PiennError

Shape = tuple[int, ...]


class Encoding(NamedTuple):
    """real = (stored - zero_point) * 2**exponent."""

    exponent: int
    zero_point: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """An int8 activation: its name (unique in the program), its shape without batch, its encoding."""

    name: str
    shape: Shape
    encoding: Encoding

    def __post_init__(self) -> None:
        if not -64 <= self.encoding.exponent <= 63:
            raise PiennError(
                f"{self.name}: exponent {self.encoding.exponent} is not in -64..63: rescale the data"
            )

    @property
    def exponent(self) -> int:
        return self.encoding.exponent

    @property
    def zero_point(self) -> int:
        return self.encoding.zero_point


@dataclass(frozen=True, eq=False)
class Weights:
    """Integer weights: `codes` int8 -127..127 in torch's layout, per output channel a bias (int32, at exponent
    `x.exponent + exponents[o]`) and an exponent."""

    codes: np.ndarray
    bias: np.ndarray
    exponents: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution:
    """1-D or 2-D by the length of `strides`; codes `(O, I/groups, *kernel)`; padding is by real zero."""

    result: Tensor
    x: Tensor
    weights: Weights
    strides: Shape
    before: Shape
    after: Shape
    dilation: Shape
    groups: int
    minimum: int
    maximum: int


@dataclass(frozen=True, eq=False, kw_only=True)
class TransposedConvolution:
    """1-D or 2-D; codes `(I, O/groups, *kernel)` as torch holds them."""

    result: Tensor
    x: Tensor
    weights: Weights
    strides: Shape
    padding: Shape
    output_padding: Shape
    dilation: Shape
    groups: int
    minimum: int
    maximum: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear:
    """x `(..., K)`, codes `(N, K)`."""

    result: Tensor
    x: Tensor
    weights: Weights
    minimum: int
    maximum: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Matmul:
    """a `(..., M, K)`, b `(..., K, N)`, equal leading axes."""

    result: Tensor
    a: Tensor
    b: Tensor
    minimum: int
    maximum: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Binary:
    """`kind` is add, sub or mul; shapes have the result's rank and broadcast."""

    kind: str
    result: Tensor
    a: Tensor
    b: Tensor
    minimum: int
    maximum: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Requantize:
    """Another encoding of x, clamped."""

    result: Tensor
    x: Tensor
    minimum: int = -128
    maximum: int = 127


@dataclass(frozen=True, eq=False, kw_only=True)
class Prelu:
    """slope int8 `(C,)` over axis 0, or `(1,)` for every element."""

    result: Tensor
    x: Tensor
    slope: np.ndarray
    slope_exponent: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Lookup:
    """table int8 `(256,)`, read at x + 128."""

    result: Tensor
    x: Tensor
    table: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class Softmax:
    """Over `axis`; table uint16 `(256,)`."""

    result: Tensor
    x: Tensor
    axis: int
    table: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool:
    """1-D or 2-D; padding alike on both sides, as torch has it."""

    result: Tensor
    x: Tensor
    kernel: Shape
    strides: Shape
    padding: Shape
    dilation: Shape
    ceil_mode: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool:
    """1-D or 2-D; `divisor` 0 means the size of the window."""

    result: Tensor
    x: Tensor
    kernel: Shape
    strides: Shape
    padding: Shape
    ceil_mode: bool
    count_include_pad: bool
    divisor: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Mean:
    """Over `axes`, which stay as size 1 with `keep`."""

    result: Tensor
    x: Tensor
    axes: Shape
    keep: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class ResizeNearest:
    """1-D or 2-D, by torch's own rule; `factors` are the scale factors that the caller gave, if any."""

    result: Tensor
    x: Tensor
    factors: tuple[float, ...] | None


@dataclass(frozen=True, eq=False, kw_only=True)
class ResizeBilinear:
    """Rows and columns (upper, left neighbours) int32; weights of the lower and right ones int8 0..64."""

    result: Tensor
    x: Tensor
    rows: np.ndarray
    row_weights: np.ndarray
    columns: np.ndarray
    column_weights: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class Concat:
    result: Tensor
    xs: tuple[Tensor, ...]
    axis: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Slice:
    """Every `step`-th element of `axis` from `start` up to `stop`."""

    result: Tensor
    x: Tensor
    axis: int
    start: int
    stop: int
    step: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Pad:
    """`low` and `high` elements (not negative) per axis, of the stored int8 `value`."""

    result: Tensor
    x: Tensor
    low: Shape
    high: Shape
    value: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape:
    """The same elements in row-major order; the shape is the result's."""

    result: Tensor
    x: Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Permute:
    """Result axis i is axis order[i] of x."""

    result: Tensor
    x: Tensor
    order: Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class Constant:
    """An activation that is the same for every input: stored int8 values."""

    result: Tensor
    values: np.ndarray


Operator = (
    Convolution
    | TransposedConvolution
    | Linear
    | Matmul
    | Binary
    | Requantize
    | Prelu
    | Lookup
    | Softmax
    | MaxPool
    | AveragePool
    | Mean
    | ResizeNearest
    | ResizeBilinear
    | Concat
    | Slice
    | Pad
    | Reshape
    | Permute
    | Constant
)


def operands(operator: Operator) -> Sequence[Tensor]:
    """The activations that an operator reads."""
    if isinstance(operator, Constant):
        return ()
    if isinstance(operator, Concat):
        return operator.xs
    if isinstance(operator, (Matmul, Binary)):
        return (operator.a, operator.b)
    return (operator.x,)


@dataclass
class QuantisedProgram:
    """Operators in order of evaluation; inputs by position; outputs by name and position."""

    inputs: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    outputs: list[tuple[str, Tensor]] = field(default_factory=list)
