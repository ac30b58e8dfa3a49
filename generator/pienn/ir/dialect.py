"""The ``pienn`` dialect: int8 tensor operations with power-of-two exponents (docs/SPEC.md, section 3).

An activation is ``tensor<8x6x16xi8, #pienn.quantized<-5, -128>>``: the encoding holds the exponent and the
zero point.  Weights, biases and tables are plain tensors.  Every operation has one result, and prints as

    %stem.0 = pienn.conv2d %x, %w, %b {strides = [2, 2], layer = "stem.0"} : tensor<...>

Operand types are known from their definitions and attributes at their default are left out; the generic form
(``mlir-opt`` reads that) has everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import ClassVar, NamedTuple, Union, cast

import numpy as np
import xdsl.parser
import xdsl.printer
from xdsl.dialects.builtin import (
    DenseArrayBase,
    IntAttr,
    IntegerAttr,
    IntegerType,
    Signedness,
    StringAttr,
    TensorType,
    i1,
    i8,
    i32,
    i64,
)
from xdsl.ir import Attribute, Dialect, Operation, ParametrizedAttribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    var_operand_def,
)
from xdsl.utils.exceptions import VerifyException

Plain = Union[int, bool, str, "tuple[int, ...]"]
"""An attribute of an operation as a Python value."""

DEFAULTS: Mapping[str, Plain] = {
    "strides": (1, 1),
    "padding": (0, 0, 0, 0),
    "dilation": (1, 1),
    "output_padding": (0, 0),
    "groups": 1,
    "minimum": -128,
    "maximum": 127,
    "transpose_b": False,
    "divisor": 0,
    "keep": False,
    "count_include_pad": False,
    "layer": "",
    "order": (),
}
"""What an attribute is where the text, or the caller of the builder, leaves it out."""

MAXIMUM_LIST = 1 << 20
"""Longest list attribute that is read: a repetition count in a hostile file must not fill the memory."""

ui16 = IntegerType(16, Signedness.UNSIGNED)
DTYPES: Mapping[str, IntegerType] = {"int8": i8, "uint16": ui16, "int32": i32}
"""Element types that a graph knows, by their numpy names."""


class Encoding(NamedTuple):
    """real = (stored - zero_point) * 2**exponent."""

    exponent: int
    zero_point: int

    def __str__(self) -> str:
        return f"<{self.exponent}, {self.zero_point}>"


@irdl_attr_definition
class QuantizedAttr(ParametrizedAttribute):
    """``#pienn.quantized<exponent, zero_point>``: the encoding of an activation's tensor type."""

    name = "pienn.quantized"
    exponent: IntAttr
    zero_point: IntAttr

    @classmethod
    def parse_parameters(cls, parser: xdsl.parser.AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            exponent = parser.parse_integer()
            parser.parse_punctuation(",")
            return (IntAttr(exponent), IntAttr(parser.parse_integer()))

    def print_parameters(self, printer: xdsl.printer.Printer) -> None:
        printer.print_string(f"<{self.exponent.data}, {self.zero_point.data}>")

    def verify(self) -> None:
        if not -64 <= self.exponent.data <= 63:
            raise VerifyException(f"exponent {self.exponent.data} is not in -64..63")
        if self.zero_point.data not in (0, -128):
            raise VerifyException(f"zero point {self.zero_point.data} is neither 0 nor -128")


def activation_type(shape: Sequence[int], exponent: int, zero_point: int) -> TensorType[Attribute]:
    """The type of an int8 activation."""
    return TensorType(
        i8, list(map(int, shape)), QuantizedAttr(IntAttr(int(exponent)), IntAttr(int(zero_point)))
    )


def constant_type(shape: Sequence[int], dtype: str) -> TensorType[Attribute]:
    """The type of a weight, bias or table; `dtype` is one of `DTYPES`."""
    return TensorType(DTYPES[dtype], list(map(int, shape)))


def tensor_type(value: SSAValue | Attribute) -> TensorType[Attribute]:
    """The tensor type of a value; every value of a verified graph has one."""
    kind = value.type if isinstance(value, SSAValue) else value
    if not isinstance(kind, TensorType):
        raise VerifyException(f"{kind} is not a tensor type")
    return cast("TensorType[Attribute]", kind)


def shape_of(value: SSAValue | Attribute) -> tuple[int, ...]:
    """The shape of a value or tensor type."""
    return tensor_type(value).get_shape()


def dtype_of(value: SSAValue | Attribute) -> str:
    """The numpy name of a value's element type; raises VerifyException where `DTYPES` lacks it."""
    element = tensor_type(value).element_type
    for name, known in DTYPES.items():
        if element == known:
            return name
    raise VerifyException(f"element type {element} is none of {', '.join(DTYPES)}")


def encoding_of(value: SSAValue | Attribute) -> Encoding:
    """Exponent and zero point of an activation; raises VerifyException for a plain tensor."""
    encoding = tensor_type(value).encoding
    if not isinstance(encoding, QuantizedAttr):
        raise VerifyException(f"{tensor_type(value)} has no #pienn.quantized encoding")
    return Encoding(encoding.exponent.data, encoding.zero_point.data)


def is_activation(value: SSAValue | Attribute) -> bool:
    """Whether a value has an encoding, that is, is neither weight nor bias nor table."""
    return isinstance(tensor_type(value).encoding, QuantizedAttr)


def type_text(value: SSAValue | Attribute) -> str:
    """A tensor type in assembly."""
    element = {"int8": "i8", "uint16": "ui16", "int32": "i32"}[dtype_of(value)]
    encoding = f", #pienn.quantized{encoding_of(value)}" if is_activation(value) else ""
    return f"tensor<{'x'.join(map(str, shape_of(value)))}x{element}{encoding}>"


def to_attribute(value: Plain | Sequence[int]) -> Attribute:
    """The attribute that holds a Python value."""
    if isinstance(value, str):
        return StringAttr(value)
    if isinstance(value, (bool, np.bool_)):
        return IntegerAttr(int(value), i1)
    if isinstance(value, (int, np.integer)):
        return IntegerAttr(int(value), i64)
    return DenseArrayBase.from_list(i64, [int(item) for item in value])


def to_plain(attribute: Attribute) -> Plain:
    """The Python value of an attribute made by `to_attribute`; raises VerifyException for any other."""
    if isinstance(attribute, StringAttr):
        return attribute.data
    if isinstance(attribute, IntegerAttr) and attribute.type == i1:
        return bool(attribute.value.data)
    if isinstance(attribute, IntegerAttr) and attribute.type == i64:
        return attribute.value.data
    if isinstance(attribute, DenseArrayBase) and attribute.elt_type == i64:
        return tuple(int(item) for item in cast("DenseArrayBase[IntegerType]", attribute).get_values())
    raise VerifyException(f"attribute {attribute} is none of string, i64, i1, array<i64>")


class PiennOp(IRDLOperation):
    """An operation of the dialect: flat operands, one result, attributes that are plain Python values."""

    result = result_def(TensorType)
    layer_attribute = prop_def(StringAttr, prop_name="layer")
    order_attribute = opt_prop_def(DenseArrayBase, prop_name="order")

    ATTRIBUTES: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes besides `layer` and `order`, in the order of docs/SPEC.md."""

    @classmethod
    def make(
        cls,
        operands: Sequence[SSAValue],
        result_type: TensorType[Attribute],
        **attributes: Plain | Sequence[int],
    ) -> PiennOp:
        """An operation with plain attributes; those left out take their default, unknown raise TypeError."""
        names = (*cls.ATTRIBUTES, "layer")
        order = attributes.pop("order", ())
        if unknown := sorted(set(attributes) - set(names)):
            raise TypeError(f"{cls.name} has no attribute {unknown[0]}")
        if missing := [name for name in names if name not in attributes and name not in DEFAULTS]:
            raise TypeError(f"{cls.name} needs the attribute {missing[0]}")
        properties = {name: to_attribute(attributes.get(name, DEFAULTS.get(name, 0))) for name in names}
        op = cls.create(operands=operands, result_types=[result_type], properties=properties)
        if order:
            op.properties["order"] = to_attribute(order)
        return op

    @property
    def parameters(self) -> dict[str, Plain]:
        """All attributes besides `layer` and `order`, as Python values, in the order of docs/SPEC.md."""
        return {name: to_plain(self.properties[name]) for name in self.ATTRIBUTES}

    @property
    def order(self) -> tuple[int, ...]:
        """The exported network's element at each place of the result's last axis; empty where nothing has moved."""
        order = to_plain(self.properties["order"]) if "order" in self.properties else ()
        if not isinstance(order, tuple):
            raise VerifyException("the order is not a list")
        return order

    @property
    def layer(self) -> str:
        """The path of the torch module that the operation came from."""
        return self.layer_attribute.data

    @property
    def short_name(self) -> str:
        """The name without the dialect: ``conv2d``."""
        return self.name.split(".", 1)[1]

    def attributes_text(self) -> str:
        """The attributes in assembly, without those at their default; empty where none is left."""
        values: dict[str, Plain] = {**self.parameters, "layer": self.layer, "order": self.order}
        shown = [f"{name} = {_text(value)}" for name, value in values.items() if value != DEFAULTS.get(name)]
        return "{" + ", ".join(shown) + "}" if shown else ""

    def print(self, printer: xdsl.printer.Printer) -> None:
        separator = " "
        for operand in self.operands:
            printer.print_string(separator)
            printer.print_ssa_value(operand)
            separator = ", "
        shown = self.attributes_text()
        printer.print_string(f" {shown} : " if shown else " : ")
        printer.print_attribute(self.result.type)

    @classmethod
    def parse(cls, parser: xdsl.parser.Parser) -> PiennOp:
        operands: list[SSAValue] = []
        while (unresolved := parser.parse_optional_unresolved_operand()) is not None:
            known = parser.ssa_values.get(unresolved.operand_name)
            if not known:
                parser.raise_error(f"%{unresolved.operand_name} is used before its definition")
            operands.append(parser.resolve_operand(unresolved, known[0].type))
            if parser.parse_optional_punctuation(",") is None:
                break
        attributes: dict[str, Plain] = {}
        if parser.parse_optional_punctuation("{") is not None:
            while parser.parse_optional_punctuation("}") is None:
                if attributes:
                    parser.parse_punctuation(",")
                name = parser.parse_identifier()
                if name in attributes or name not in (*cls.ATTRIBUTES, "layer", "order"):
                    parser.raise_error(f"{cls.name} has no attribute {name}, or has it twice")
                parser.parse_punctuation("=")
                attributes[name] = _parse_plain(parser)
        parser.parse_punctuation(":")
        result_type = parser.parse_type()
        if not isinstance(result_type, TensorType):
            parser.raise_error("a tensor type is expected")
        try:
            return cls.make(operands, cast("TensorType[Attribute]", result_type), **attributes)
        except TypeError as error:
            parser.raise_error(str(error))


def _text(value: Plain) -> str:
    """An attribute's value in assembly; runs in lists read ``[-7 x 64]``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, int):
        return str(value)
    if len(value) <= 4:
        return "[" + ", ".join(map(str, value)) + "]"
    runs = [(item, len(list(run))) for item, run in groupby(value)]
    return "[" + ", ".join(str(item) if count == 1 else f"{item} x {count}" for item, count in runs) + "]"


def _parse_plain(parser: xdsl.parser.Parser) -> Plain:
    if (text := parser.parse_optional_str_literal()) is not None:
        return text
    if (boolean := parser.parse_optional_boolean()) is not None:
        return boolean
    if parser.parse_optional_punctuation("[") is None:
        return parser.parse_integer(allow_boolean=False)
    items: list[int] = []
    while parser.parse_optional_punctuation("]") is None:
        if items:
            parser.parse_punctuation(",")
        item = parser.parse_integer(allow_boolean=False)
        count = 1
        if parser.parse_optional_keyword("x") is not None:
            count = parser.parse_integer(allow_boolean=False, allow_negative=False)
        if count < 1 or len(items) + count > MAXIMUM_LIST:
            parser.raise_error(f"a list has at most {MAXIMUM_LIST} items, a run at least one")
        items.extend([item] * count)
    return tuple(items)


class WindowOp(PiennOp):
    """An operation with weights: operands x, weight, bias."""

    x = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = operand_def(TensorType)
    weight_exponents = prop_def(DenseArrayBase)
    minimum = prop_def(IntegerAttr)
    maximum = prop_def(IntegerAttr)


@irdl_op_definition
class Conv2dOp(WindowOp):
    name = "pienn.conv2d"
    ATTRIBUTES: ClassVar[tuple[str, ...]] = (
        "strides",
        "padding",
        "dilation",
        "groups",
        "weight_exponents",
        "minimum",
        "maximum",
    )
    strides = prop_def(DenseArrayBase)
    padding = prop_def(DenseArrayBase)
    dilation = prop_def(DenseArrayBase)
    groups = prop_def(IntegerAttr)


@irdl_op_definition
class ConvTranspose2dOp(WindowOp):
    name = "pienn.conv_transpose2d"
    ATTRIBUTES: ClassVar[tuple[str, ...]] = (
        "strides",
        "padding",
        "output_padding",
        "dilation",
        "groups",
        "weight_exponents",
        "minimum",
        "maximum",
    )
    strides = prop_def(DenseArrayBase)
    padding = prop_def(DenseArrayBase)
    output_padding = prop_def(DenseArrayBase)
    dilation = prop_def(DenseArrayBase)
    groups = prop_def(IntegerAttr)


@irdl_op_definition
class FullyConnectedOp(WindowOp):
    name = "pienn.fully_connected"
    ATTRIBUTES: ClassVar[tuple[str, ...]] = ("weight_exponents", "minimum", "maximum")


class BinaryOp(PiennOp):
    """An operation on two activations: operands a, b."""

    ATTRIBUTES: ClassVar[tuple[str, ...]] = ("minimum", "maximum")
    a = operand_def(TensorType)
    b = operand_def(TensorType)
    minimum = prop_def(IntegerAttr)
    maximum = prop_def(IntegerAttr)


@irdl_op_definition
class MatmulOp(BinaryOp):
    name = "pienn.matmul"
    ATTRIBUTES: ClassVar[tuple[str, ...]] = ("transpose_b", "minimum", "maximum")
    transpose_b = prop_def(IntegerAttr)


@irdl_op_definition
class AddOp(BinaryOp):
    name = "pienn.add"


@irdl_op_definition
class SubOp(BinaryOp):
    name = "pienn.sub"


@irdl_op_definition
class MulOp(BinaryOp):
    name = "pienn.mul"


class UnaryOp(PiennOp):
    """An operation on one activation and nothing else."""

    x = operand_def(TensorType)


@irdl_op_definition
class RequantizeOp(UnaryOp):
    name = "pienn.requantize"
    ATTRIBUTES: ClassVar[tuple[str, ...]] = ("minimum", "maximum")
    minimum = prop_def(IntegerAttr)
    maximum = prop_def(IntegerAttr)


@irdl_op_definition
class PreluOp(PiennOp):
    name = "pienn.prelu"
    ATTRIBUTES: ClassVar[tuple[str, ...]] = ("slope_exponent",)
    x = operand_def(TensorType)
    slope = operand_def(TensorType)
    slope_exponent = prop_def(IntegerAttr)


@irdl_op_definition
class LutOp(PiennOp):
    name = "pienn.lut"
    x = operand_def(TensorType)
    table = operand_def(TensorType)


@irdl_op_definition
class SoftmaxOp(PiennOp):
    name = "pienn.softmax"
    x = operand_def(TensorType)
    table = operand_def(TensorType)


@irdl_op_definition
class MaxPool2dOp(UnaryOp):
    name = "pienn.max_pool2d"
    ATTRIBUTES: ClassVar[tuple[str, ...]] = ("kernel", "strides", "padding", "dilation")
    kernel = prop_def(DenseArrayBase)
    strides = prop_def(DenseArrayBase)
    padding = prop_def(DenseArrayBase)
    dilation = prop_def(DenseArrayBase)


@irdl_op_definition
class AvgPool2dOp(UnaryOp):
    name = "pienn.avg_pool2d"
    ATTRIBUTES: ClassVar[tuple[str, ...]] = ("kernel", "strides", "padding", "count_include_pad", "divisor")
    kernel = prop_def(DenseArrayBase)
    strides = prop_def(DenseArrayBase)
    padding = prop_def(DenseArrayBase)
    count_include_pad = prop_def(IntegerAttr)
    divisor = prop_def(IntegerAttr)


@irdl_op_definition
class MeanOp(UnaryOp):
    name = "pienn.mean"
    ATTRIBUTES: ClassVar[tuple[str, ...]] = ("first_axis", "last_axis", "keep")
    first_axis = prop_def(IntegerAttr)
    last_axis = prop_def(IntegerAttr)
    keep = prop_def(IntegerAttr)


@irdl_op_definition
class ResizeNearestOp(PiennOp):
    """`tables` is empty, or holds rows and columns."""

    name = "pienn.resize_nearest"
    x = operand_def(TensorType)
    tables = var_operand_def(TensorType)


@irdl_op_definition
class ResizeBilinearOp(PiennOp):
    name = "pienn.resize_bilinear"
    x = operand_def(TensorType)
    rows = operand_def(TensorType)
    row_weights = operand_def(TensorType)
    columns = operand_def(TensorType)
    column_weights = operand_def(TensorType)


@irdl_op_definition
class ConcatOp(PiennOp):
    name = "pienn.concat"
    ATTRIBUTES: ClassVar[tuple[str, ...]] = ("axis",)
    xs = var_operand_def(TensorType)
    axis = prop_def(IntegerAttr)


@irdl_op_definition
class SliceOp(UnaryOp):
    name = "pienn.slice"
    ATTRIBUTES: ClassVar[tuple[str, ...]] = ("offsets", "sizes", "strides")
    offsets = prop_def(DenseArrayBase)
    sizes = prop_def(DenseArrayBase)
    strides = prop_def(DenseArrayBase)


@irdl_op_definition
class PadOp(UnaryOp):
    name = "pienn.pad"
    ATTRIBUTES: ClassVar[tuple[str, ...]] = ("low", "high", "value")
    low = prop_def(DenseArrayBase)
    high = prop_def(DenseArrayBase)
    value = prop_def(IntegerAttr)


@irdl_op_definition
class ReshapeOp(UnaryOp):
    name = "pienn.reshape"


@irdl_op_definition
class TransposeOp(UnaryOp):
    name = "pienn.transpose"
    ATTRIBUTES: ClassVar[tuple[str, ...]] = ("permutation",)
    permutation = prop_def(DenseArrayBase)


@irdl_op_definition
class ConstantOp(PiennOp):
    name = "pienn.constant"
    ATTRIBUTES: ClassVar[tuple[str, ...]] = ("name",)
    constant_name = prop_def(StringAttr, prop_name="name")

    @property
    def tensor_name(self) -> str:
        """The key of the tensor among the graph's weights."""
        return self.constant_name.data


OPERATIONS: tuple[type[PiennOp], ...] = (
    Conv2dOp,
    ConvTranspose2dOp,
    FullyConnectedOp,
    MatmulOp,
    AddOp,
    SubOp,
    MulOp,
    RequantizeOp,
    PreluOp,
    LutOp,
    SoftmaxOp,
    MaxPool2dOp,
    AvgPool2dOp,
    MeanOp,
    ResizeNearestOp,
    ResizeBilinearOp,
    ConcatOp,
    SliceOp,
    PadOp,
    ReshapeOp,
    TransposeOp,
    ConstantOp,
)

PIENN = Dialect("pienn", list(OPERATIONS), [QuantizedAttr])

CLAMPED: tuple[type[Operation], ...] = (
    Conv2dOp,
    ConvTranspose2dOp,
    FullyConnectedOp,
    MatmulOp,
    AddOp,
    SubOp,
    MulOp,
    RequantizeOp,
)
"""The operations that have `minimum` and `maximum`."""
