"""Writes graphs: one method per operation, keyword arguments named as in docs/SPEC.md.

    b = GraphBuilder("kws")
    x = b.input("x", (49, 10, 1), exponent=-5, zero_point=0, permutation=(1, 2, 0))
    w, bias = b.constant("stem.weight", weight), b.constant("stem.bias", bias)
    y = b.conv2d(x, w, bias, weight_exponents=[-7] * 8, exponent=-4, zero_point=-128, layer="stem")
    b.output("y", y, permutation=(1, 2, 0))
    graph = b.build()

Result shapes are computed here; `exponent` and `zero_point` are the encoding of the result.  Layer paths become unique
by a number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.utils.exceptions import VerifyException

from pienn.errors import PiennError
from pienn.ir import dialect, shapes
from pienn.ir.dialect import (
    Plain,
    activation_type,
    constant_type,
    encoding_of,
    is_activation,
    shape_of,
    to_attribute,
)
from pienn.ir.graph import Graph
from pienn.ir.verifier import verify

Integers = Sequence[int]


class GraphBuilder:
    """One graph in the making; values are xDSL SSA values."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.weights: dict[str, np.ndarray] = {}
        self._block = Block()
        self._layers: set[str] = set()
        self._inputs: list[tuple[str, tuple[int, ...]]] = []
        self._outputs: list[tuple[str, SSAValue, tuple[int, ...]]] = []

    def input(
        self, name: str, shape: Integers, exponent: int, zero_point: int, permutation: Integers | None = None
    ) -> SSAValue:
        """An argument; graph axis i is axis permutation[i] of the torch tensor (default: the same axis)."""
        kind = self._activation(name, shape, exponent, zero_point)
        value = self._block.insert_arg(kind, len(self._block.args))
        value.name_hint = _hint(name)
        self._inputs.append((name, tuple(range(len(shape)) if permutation is None else permutation)))
        return value

    def output(self, name: str, value: SSAValue, permutation: Integers | None = None) -> None:
        """A result of the graph."""
        axes = range(len(shape_of(value))) if permutation is None else permutation
        self._outputs.append((name, value, tuple(axes)))

    def constant(
        self, name: str, array: np.ndarray, exponent: int | None = None, zero_point: int = 0, layer: str = ""
    ) -> SSAValue:
        """A weight, bias or table; with `exponent`, an activation that does not change."""
        if name in self.weights:
            raise PiennError(f"{name}: two constants of this name")
        if array.dtype.name not in dialect.DTYPES:
            raise PiennError(f"{name}: constants are {', '.join(dialect.DTYPES)}, not {array.dtype}")
        self.weights[name] = np.ascontiguousarray(array)
        kind = constant_type(array.shape, array.dtype.name)
        if exponent is not None:
            kind = self._activation(name, array.shape, exponent, zero_point)
        op = dialect.ConstantOp.make([], kind, name=name, layer=layer)
        op.result.name_hint = _hint(name)
        self._block.add_op(op)
        return op.result

    def conv2d(
        self,
        x: SSAValue,
        weight: SSAValue,
        bias: SSAValue,
        *,
        weight_exponents: Integers,
        exponent: int,
        zero_point: int,
        layer: str = "",
        strides: Integers = (1, 1),
        padding: Integers = (0, 0, 0, 0),
        dilation: Integers = (1, 1),
        groups: int = 1,
        minimum: int = -128,
        maximum: int = 127,
    ) -> SSAValue:
        """x [H, W, I], weight [O, kh, kw, I/groups], bias [O]; padding [top, left, bottom, right]."""
        shape = self._shape(
            layer, "conv2d", shapes.conv2d, shape_of(x), shape_of(weight), strides, padding, dilation, groups
        )
        return self._add(
            dialect.Conv2dOp,
            [x, weight, bias],
            shape,
            exponent,
            zero_point,
            layer,
            strides=strides,
            padding=padding,
            dilation=dilation,
            groups=groups,
            weight_exponents=weight_exponents,
            minimum=minimum,
            maximum=maximum,
        )

    def conv_transpose2d(
        self,
        x: SSAValue,
        weight: SSAValue,
        bias: SSAValue,
        *,
        weight_exponents: Integers,
        exponent: int,
        zero_point: int,
        layer: str = "",
        strides: Integers = (1, 1),
        padding: Integers = (0, 0, 0, 0),
        output_padding: Integers = (0, 0),
        dilation: Integers = (1, 1),
        groups: int = 1,
        minimum: int = -128,
        maximum: int = 127,
    ) -> SSAValue:
        """x [H, W, I], weight [O, kh, kw, I/groups], bias [O]."""
        shape = self._shape(
            layer,
            "conv_transpose2d",
            shapes.conv_transpose2d,
            shape_of(x),
            shape_of(weight),
            strides,
            padding,
            output_padding,
            dilation,
            groups,
        )
        return self._add(
            dialect.ConvTranspose2dOp,
            [x, weight, bias],
            shape,
            exponent,
            zero_point,
            layer,
            strides=strides,
            padding=padding,
            output_padding=output_padding,
            dilation=dilation,
            groups=groups,
            weight_exponents=weight_exponents,
            minimum=minimum,
            maximum=maximum,
        )

    def fully_connected(
        self,
        x: SSAValue,
        weight: SSAValue,
        bias: SSAValue,
        *,
        weight_exponents: Integers,
        exponent: int,
        zero_point: int,
        layer: str = "",
        minimum: int = -128,
        maximum: int = 127,
    ) -> SSAValue:
        """x [..., K], weight [N, K], bias [N]."""
        shape = self._shape(layer, "fully_connected", shapes.fully_connected, shape_of(x), shape_of(weight))
        return self._add(
            dialect.FullyConnectedOp,
            [x, weight, bias],
            shape,
            exponent,
            zero_point,
            layer,
            weight_exponents=weight_exponents,
            minimum=minimum,
            maximum=maximum,
        )

    def matmul(
        self,
        a: SSAValue,
        b: SSAValue,
        *,
        exponent: int,
        zero_point: int,
        layer: str = "",
        transpose_b: bool = False,
        minimum: int = -128,
        maximum: int = 127,
    ) -> SSAValue:
        """a [..., M, K], b [..., K, N], or [..., N, K] with `transpose_b`."""
        shape = self._shape(layer, "matmul", shapes.matmul, shape_of(a), shape_of(b), transpose_b)
        return self._add(
            dialect.MatmulOp,
            [a, b],
            shape,
            exponent,
            zero_point,
            layer,
            transpose_b=transpose_b,
            minimum=minimum,
            maximum=maximum,
        )

    def add(
        self,
        a: SSAValue,
        b: SSAValue,
        *,
        exponent: int,
        zero_point: int,
        layer: str = "",
        minimum: int = -128,
        maximum: int = 127,
    ) -> SSAValue:
        """a + b; shapes broadcast."""
        return self._binary(dialect.AddOp, a, b, exponent, zero_point, layer, minimum, maximum)

    def sub(
        self,
        a: SSAValue,
        b: SSAValue,
        *,
        exponent: int,
        zero_point: int,
        layer: str = "",
        minimum: int = -128,
        maximum: int = 127,
    ) -> SSAValue:
        """a - b; shapes broadcast."""
        return self._binary(dialect.SubOp, a, b, exponent, zero_point, layer, minimum, maximum)

    def mul(
        self,
        a: SSAValue,
        b: SSAValue,
        *,
        exponent: int,
        zero_point: int,
        layer: str = "",
        minimum: int = -128,
        maximum: int = 127,
    ) -> SSAValue:
        """a * b; shapes broadcast."""
        return self._binary(dialect.MulOp, a, b, exponent, zero_point, layer, minimum, maximum)

    def requantize(
        self,
        x: SSAValue,
        *,
        exponent: int,
        zero_point: int,
        layer: str = "",
        minimum: int = -128,
        maximum: int = 127,
    ) -> SSAValue:
        """Another encoding of x; relu and clip on their own."""
        return self._add(
            dialect.RequantizeOp,
            [x],
            shape_of(x),
            exponent,
            zero_point,
            layer,
            minimum=minimum,
            maximum=maximum,
        )

    def prelu(
        self,
        x: SSAValue,
        slope: SSAValue,
        *,
        slope_exponent: int,
        exponent: int,
        zero_point: int,
        layer: str = "",
    ) -> SSAValue:
        """slope int8 [C] on the last axis."""
        return self._add(
            dialect.PreluOp,
            [x, slope],
            shape_of(x),
            exponent,
            zero_point,
            layer,
            slope_exponent=slope_exponent,
        )

    def lut(
        self, x: SSAValue, table: SSAValue, *, exponent: int, zero_point: int, layer: str = ""
    ) -> SSAValue:
        """table int8 [256], read at x + 128."""
        return self._add(dialect.LutOp, [x, table], shape_of(x), exponent, zero_point, layer)

    def softmax(
        self, x: SSAValue, table: SSAValue, *, exponent: int = -8, zero_point: int = -128, layer: str = ""
    ) -> SSAValue:
        """Over the last axis; table uint16 [256]. The result's encoding is always (-8, -128)."""
        return self._add(dialect.SoftmaxOp, [x, table], shape_of(x), exponent, zero_point, layer)

    def max_pool2d(
        self,
        x: SSAValue,
        *,
        kernel: Integers,
        strides: Integers,
        padding: Integers = (0, 0, 0, 0),
        dilation: Integers = (1, 1),
        ceil_mode: bool = False,
        exponent: int | None = None,
        zero_point: int | None = None,
        layer: str = "",
    ) -> SSAValue:
        """x [H, W, C]; `ceil_mode` shows in the result's shape alone; the encoding is that of x."""
        shape = self._shape(
            layer, "max_pool2d", shapes.pool2d, shape_of(x), kernel, strides, padding, dilation, ceil_mode
        )
        return self._add(
            dialect.MaxPool2dOp,
            [x],
            shape,
            exponent,
            zero_point,
            layer,
            kernel=kernel,
            strides=strides,
            padding=padding,
            dilation=dilation,
        )

    def avg_pool2d(
        self,
        x: SSAValue,
        *,
        kernel: Integers,
        strides: Integers,
        exponent: int,
        zero_point: int,
        padding: Integers = (0, 0, 0, 0),
        count_include_pad: bool = False,
        divisor: int = 0,
        ceil_mode: bool = False,
        layer: str = "",
    ) -> SSAValue:
        """x [H, W, C]; `ceil_mode` shows in the result's shape alone."""
        shape = self._shape(
            layer, "avg_pool2d", shapes.pool2d, shape_of(x), kernel, strides, padding, (1, 1), ceil_mode
        )
        return self._add(
            dialect.AvgPool2dOp,
            [x],
            shape,
            exponent,
            zero_point,
            layer,
            kernel=kernel,
            strides=strides,
            padding=padding,
            count_include_pad=bool(count_include_pad),
            divisor=divisor,
        )

    def mean(
        self,
        x: SSAValue,
        *,
        first_axis: int,
        last_axis: int,
        exponent: int,
        zero_point: int,
        keep: bool = False,
        layer: str = "",
    ) -> SSAValue:
        """Mean over the axes first..last, which stay as size 1 with `keep`."""
        shape = self._shape(layer, "mean", shapes.mean, shape_of(x), first_axis, last_axis, keep)
        return self._add(
            dialect.MeanOp,
            [x],
            shape,
            exponent,
            zero_point,
            layer,
            first_axis=first_axis,
            last_axis=last_axis,
            keep=bool(keep),
        )

    def resize_nearest(
        self,
        x: SSAValue,
        *,
        size: Integers | None = None,
        rows: SSAValue | None = None,
        columns: SSAValue | None = None,
        exponent: int | None = None,
        zero_point: int | None = None,
        layer: str = "",
    ) -> SSAValue:
        """Either the new height and width, or int32 tables of the rows and columns to take."""
        tables = [table for table in (rows, columns) if table is not None]
        if len(tables) != (2 if size is None else 0):
            raise PiennError(f"{layer}: resize_nearest takes either size, or rows and columns")
        new_size = [shape_of(table)[0] for table in tables] if size is None else size
        shape = self._shape(layer, "resize_nearest", shapes.resize, shape_of(x), new_size)
        return self._add(dialect.ResizeNearestOp, [x, *tables], shape, exponent, zero_point, layer)

    def resize_bilinear(
        self,
        x: SSAValue,
        rows: SSAValue,
        row_weights: SSAValue,
        columns: SSAValue,
        column_weights: SSAValue,
        *,
        exponent: int,
        zero_point: int,
        layer: str = "",
    ) -> SSAValue:
        """rows, columns int32: upper and left neighbours; weights int8 0..64 of the lower and right ones."""
        size = (shape_of(rows)[0], shape_of(columns)[0])
        shape = self._shape(layer, "resize_bilinear", shapes.resize, shape_of(x), size)
        operands = [x, rows, row_weights, columns, column_weights]
        return self._add(dialect.ResizeBilinearOp, operands, shape, exponent, zero_point, layer)

    def concat(
        self,
        xs: Sequence[SSAValue],
        *,
        axis: int,
        exponent: int | None = None,
        zero_point: int | None = None,
        layer: str = "",
    ) -> SSAValue:
        """Operands of one encoding, joined along `axis`."""
        shape = self._shape(layer, "concat", shapes.concat, [shape_of(x) for x in xs], axis)
        return self._add(dialect.ConcatOp, xs, shape, exponent, zero_point, layer, axis=axis)

    def slice(
        self,
        x: SSAValue,
        *,
        offsets: Integers,
        sizes: Integers,
        strides: Integers | None = None,
        exponent: int | None = None,
        zero_point: int | None = None,
        layer: str = "",
    ) -> SSAValue:
        """`sizes` elements per axis from `offsets` on, in steps of `strides` (default 1)."""
        steps = (1,) * len(sizes) if strides is None else strides
        shape = self._shape(layer, "slice", shapes.slice_, shape_of(x), offsets, sizes, steps)
        return self._add(
            dialect.SliceOp,
            [x],
            shape,
            exponent,
            zero_point,
            layer,
            offsets=offsets,
            sizes=sizes,
            strides=steps,
        )

    def pad(
        self,
        x: SSAValue,
        *,
        low: Integers,
        high: Integers,
        value: int,
        exponent: int | None = None,
        zero_point: int | None = None,
        layer: str = "",
    ) -> SSAValue:
        """`low` elements before and `high` after each axis, all of them the stored int8 `value`."""
        shape = self._shape(layer, "pad", shapes.pad, shape_of(x), low, high)
        return self._add(
            dialect.PadOp, [x], shape, exponent, zero_point, layer, low=low, high=high, value=value
        )

    def reshape(
        self,
        x: SSAValue,
        *,
        shape: Integers,
        exponent: int | None = None,
        zero_point: int | None = None,
        layer: str = "",
    ) -> SSAValue:
        """The same bytes in another shape."""
        new_shape = self._shape(layer, "reshape", shapes.reshape, shape_of(x), shape)
        return self._add(dialect.ReshapeOp, [x], new_shape, exponent, zero_point, layer)

    def transpose(
        self,
        x: SSAValue,
        *,
        permutation: Integers,
        exponent: int | None = None,
        zero_point: int | None = None,
        layer: str = "",
    ) -> SSAValue:
        """Result axis i is axis permutation[i] of x."""
        shape = self._shape(layer, "transpose", shapes.transpose, shape_of(x), permutation)
        return self._add(
            dialect.TransposeOp, [x], shape, exponent, zero_point, layer, permutation=permutation
        )

    def build(self) -> Graph:
        """The graph, verified; raises PiennError naming layer and operation."""
        self._block.add_op(ReturnOp(*(value for _, value, _ in self._outputs)))
        function = FuncOp(
            "main",
            (list(self._block.arg_types), [value.type for _, value, _ in self._outputs]),
            Region(self._block),
            arg_attrs=ArrayAttr([_port(name, axes) for name, axes in self._inputs]),
            res_attrs=ArrayAttr([_port(name, axes) for name, _, axes in self._outputs]),
        )
        graph = Graph(ModuleOp([function]), self.weights, {"name": self.name})
        verify(graph)
        return graph

    def _activation(
        self, name: str, shape: Integers, exponent: int, zero_point: int
    ) -> TensorType[Attribute]:
        """An activation's type; an encoding that cannot be is the user's error."""
        try:
            return activation_type(shape, exponent, zero_point)
        except VerifyException as error:
            raise PiennError(f"{name}: {str(error).splitlines()[-1]}") from None

    def _unique(self, layer: str) -> str:
        """The layer's path, numbered where an earlier operation has it."""
        path, number = layer, 1
        while path in self._layers:
            number += 1
            path = f"{layer}_{number}"
        self._layers.add(path)
        return path

    def _binary(
        self,
        kind: type[dialect.PiennOp],
        a: SSAValue,
        b: SSAValue,
        exponent: int,
        zero_point: int,
        layer: str,
        minimum: int,
        maximum: int,
    ) -> SSAValue:
        shape = self._shape(layer, kind.name, shapes.broadcast, shape_of(a), shape_of(b))
        return self._add(kind, [a, b], shape, exponent, zero_point, layer, minimum=minimum, maximum=maximum)

    def _shape(self, layer: str, operation: str, rule: object, *arguments: object) -> tuple[int, ...]:
        """The result shape by a rule of `shapes`, its complaint turned into the user's error."""
        try:
            return rule(*arguments)  # type: ignore[operator]
        except ValueError as error:
            raise PiennError(f"{layer}: {operation}: {error}") from None

    def _add(
        self,
        kind: type[dialect.PiennOp],
        operands: Sequence[SSAValue],
        shape: Integers,
        exponent: int | None,
        zero_point: int | None,
        layer: str,
        **attributes: Plain | Integers,
    ) -> SSAValue:
        name = kind.name.split(".", 1)[1]
        if not operands or not is_activation(operands[0]):
            raise PiennError(f"{layer}: {name}: the first operand has no exponent and zero point")
        inherited = encoding_of(operands[0])
        result_type = self._activation(
            layer,
            shape,
            inherited.exponent if exponent is None else exponent,
            inherited.zero_point if zero_point is None else zero_point,
        )
        path = self._unique(layer or name)
        op = kind.make(operands, result_type, layer=path, **attributes)
        op.result.name_hint = _hint(path)
        self._block.add_op(op)
        return op.result


def _port(name: str, permutation: Integers) -> DictionaryAttr:
    return DictionaryAttr({"pienn.name": to_attribute(name), "pienn.permutation": to_attribute(permutation)})


def _hint(name: str) -> str:
    """A valid SSA name near to `name`; xDSL cuts `_` with digits off the end, so a letter stands before them."""
    hint = re.sub(r"[^A-Za-z0-9_.]", "_", name)
    return hint if re.match(r"[A-Za-z]", hint) else f"n{hint}"
