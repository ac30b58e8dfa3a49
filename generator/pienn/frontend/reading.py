"""From a torch program with quantise/dequantise nodes to the quantised program.

Every node of the ATen graph has one of four values: an activation whose encoding is known; a `Pending`
result that waits for the quantisation behind it; a constant; a tuple of these. README.md of this folder
says which patterns are accepted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.fx import Node
from torch.utils._pytree import tree_leaves

from pienn.errors import PiennError
from pienn.frontend import decisions
from pienn.frontend.exported import (
    check_inputs,
    identifier,
    is_bookkeeping,
    layer_of,
    refusal,
    static_size,
    unsupported,
)
from pienn.frontend.operators import (
    Constant,
    Encoding,
    Operator,
    QuantisedProgram,
    Requantize,
    Shape,
    Tensor,
)

INFINITY = math.inf


@dataclass(frozen=True)
class Fixed:
    """A constant: `real` float64; `step`, of the same shape, is the scale of each element that is dequantised int8."""

    real: torch.Tensor
    step: torch.Tensor | None = None


@dataclass(frozen=True)
class Pending:
    """A result without encoding: `settle(encoding, low, high)` makes the operator, clamped to the real low..high.

    The encoding of the tensor that comes back has the zero point asked for; its exponent may differ where the
    arithmetic cannot produce the wanted one. `natural` is the encoding to take where nobody quantises.
    """

    settle: Callable[[Encoding, float, float], Tensor]
    shape: Shape
    natural: Encoding | None = None
    low: float = -INFINITY
    high: float = INFINITY

    def __post_init__(self) -> None:
        object.__setattr__(self, "settle", cache(self.settle))  # several readers, one operator

    def clamped(self, low: float, high: float) -> Pending:
        """The same, clamped once more."""
        if self.low > -INFINITY or self.high < INFINITY:
            low, high = min(max(low, self.low), self.high), max(min(high, self.high), self.low)
        return replace(self, low=low, high=max(low, high))


MERGED = frozenset(
    "quantize_per_tensor dequantize_per_tensor view reshape _unsafe_view flatten unflatten squeeze unsqueeze transpose "
    "clone contiguous alias dropout linear addmm mm matmul bmm add sub mul div rsub softmax _softmax relu relu6 "
    "hardtanh clamp clamp_min clamp_max leaky_relu sigmoid tanh hardsigmoid hardswish silu gelu".split()
)
"""Operators that may work on tensors whose axis 0 merges the batch with other axes."""

Value = Tensor | Pending | Fixed | tuple["Value", ...] | None
Handler = Callable[..., "Value"]
HANDLERS: dict[str, Handler] = {}
"""ATen operator -> what reads it; called with the reader, the node and the operator's arguments by schema name."""


def reads(*targets: str) -> Callable[[Handler], Handler]:
    """Register a handler for ATen operators, named as in ``aten.conv2d.default``."""

    def register(handler: Handler) -> Handler:
        for target in targets:
            HANDLERS[target] = handler
        return handler

    return register


class Reader:
    """Walks one program."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self.exported = program
        self.result = QuantisedProgram()
        self.values: dict[Node, Value] = {}
        self.batches: set[str] = set()
        self._names: set[str] = set()
        self._merged = False
        self._inputs: dict[Node, list[Tensor]] = {}
        self._changed: dict[tuple[Tensor, Encoding, int, int], Tensor] = {}

    def read(self) -> QuantisedProgram:
        """All nodes in order; raises PiennError naming operator, layer and shape."""
        signature = self.exported.graph_signature
        fixed = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        inputs: list[Node] = []
        for node in self.exported.graph.nodes:
            if node.op == "placeholder" and node.name in fixed:
                self.values[node] = self._parameter(fixed[node.name])
            elif node.op == "placeholder":
                self.batches.add(str(node.meta["val"].shape[0]))
                inputs.append(node)
                self.values[node] = self._input(node)
            elif node.op == "call_function":
                self.values[node] = self._call(node)
            elif node.op == "output":
                self._outputs(node, inputs)
        return self.result

    # ---- names, shapes, errors

    def layer(self, node: Node) -> str:
        """The name of a node's layer."""
        return layer_of(node)

    def unique(self, name: str) -> str:
        """`name`, numbered where it is taken."""
        candidate, number = name, 1
        while candidate in self._names:
            number += 1
            candidate = f"{name}_{number}"
        self._names.add(candidate)
        return candidate

    def error(self, node: Node, message: str) -> PiennError:
        """One line that names layer, operator and shape."""
        return refusal(node, message)

    def shape(self, node: Node) -> Shape:
        """The result's shape without batch; raises where axis 0 is not the batch or another axis is dynamic.

        An axis 0 that merges the batch with other axes (reshape(-1, features)) leaves those in front.
        """
        meta = node.meta["val"]
        merged, *rest = (self._per_input(meta.shape[0]), *meta.shape[1:]) if meta.dim() else (None,)
        if merged is None:
            raise self.error(
                node, "axis 0 is not the batch: operators may not mix, move or drop the batch axis"
            )
        sizes = tuple(size for size in map(static_size, rest) if size is not None)
        if len(sizes) != len(rest):
            raise self.error(node, "only the batch axis may be dynamic: export with fixed sizes elsewhere")
        return sizes if merged == 1 else (merged, *sizes)

    def axis(self, node: Node, axis: int, rank: int) -> int:
        """A torch axis as an axis of the shape without batch; `rank` is one more than that shape has."""
        shift = 0 if self._merged else 1
        axis = axis + rank - 1 + shift if axis < 0 else axis
        if axis == 0:
            raise self.error(node, "operators may not work along the batch axis")
        return axis - shift

    def _per_input(self, size: int | torch.SymInt) -> int | None:
        """How many of axis 0 belong to one input of the batch, if axis 0 holds the batch at all."""
        if isinstance(size, int):
            return size if "1" in self.batches else None
        factor, batch = size.node.expr.as_coeff_Mul()
        return int(factor) if str(batch) in self.batches and factor == int(factor) else None

    def _has_merged(self, node: Node) -> bool:
        """Whether axis 0 of a node's tensor merges the batch with other axes."""
        meta = node.meta.get("val")
        if not isinstance(meta, torch.Tensor) or not meta.dim() or node not in self.values:
            return False
        return isinstance(self.values[node], (Tensor, Pending)) and self._per_input(meta.shape[0]) not in (
            None,
            1,
        )

    # ---- operands

    def activation(self, node: Node, value: Value, purpose: str = "operand") -> Tensor:
        """An operand as a quantised tensor."""
        if isinstance(value, Tensor):
            return value
        if isinstance(value, Pending) and value.natural is not None:
            return value.settle(value.natural, value.low, value.high)
        if isinstance(value, Fixed):
            return self.constant(node, value, f"{self.layer(node)}.{purpose}")
        raise self.error(
            node, f"its {purpose} is not quantised: put quantise and dequantise nodes around each operator"
        )

    def real(self, node: Node, value: Value, purpose: str) -> torch.Tensor:
        """An operand that must be a constant, float64."""
        if not isinstance(value, Fixed):
            raise self.error(node, f"{purpose} must be a constant")
        return value.real

    def constant(self, node: Node, value: Fixed, name: str) -> Tensor:
        """A constant operand as an int8 tensor; its batch axis, if it has one, must be 1."""
        real, step = value.real, value.step
        rank = len(self.shape(node)) + 1
        if real.dim() >= rank:
            if real.dim() > rank or real.shape[0] != 1:
                raise self.error(node, f"a constant of shape {list(real.shape)} differs along the batch axis")
            real, step = real[0], None if step is None else step[0]
        real = real.reshape((1,) * (rank - 1 - real.dim()) + tuple(real.shape))
        values = real.numpy()
        codes, exponent = decisions.constant_codes(values)
        if step is not None and bool((step == step.flatten()[0]).all()):
            scale = float(step.flatten()[0])
            ready = values / scale
            if np.abs(ready).max(initial=0) <= 127 and math.frexp(scale)[0] == 0.5:
                codes, exponent = ready.round().astype(np.int8), math.frexp(scale)[1] - 1
        result = Tensor(self.unique(name), tuple(real.shape), Encoding(exponent, 0))
        return self.emit(Constant(result=result, values=codes))

    def emit(self, operator: Operator) -> Tensor:
        """Append an operator; its result."""
        self.result.operators.append(operator)
        return operator.result

    def bring(self, value: Value, encoding: Encoding, low: float, high: float, layer: str) -> Tensor:
        """A value in an encoding, clamped; its exponent may differ from the one asked for, as `Pending` says."""
        if isinstance(value, Pending):
            clamped = value.clamped(low, high)
            return clamped.settle(encoding, clamped.low, clamped.high)
        assert isinstance(value, Tensor)
        minimum, maximum = decisions.clamp_bounds(low, high, encoding)
        if value.encoding == encoding and (minimum, maximum) == (-128, 127):
            return value
        key = (value, encoding, minimum, maximum)
        if key not in self._changed:
            self._changed[key] = self._requantize(value, encoding, low, high, layer)
        return self._changed[key]

    def _requantize(self, x: Tensor, encoding: Encoding, low: float, high: float, layer: str) -> Tensor:
        lowest, highest = x.exponent - decisions.LARGEST_ALIGNMENT, x.exponent + decisions.LARGEST_SHIFT
        exponent = decisions.exponent_between(encoding.exponent, lowest, highest)
        near = Encoding(exponent, encoding.zero_point)
        minimum, maximum = decisions.clamp_bounds(low, high, near)
        result = Tensor(self.unique(layer), x.shape, near)
        return self.emit(Requantize(result=result, x=x, minimum=minimum, maximum=maximum))

    def equal_encodings(
        self, values: Sequence[Value], wanted: Encoding, low: float, high: float, layer: str
    ) -> list[Tensor]:
        """Values brought to one encoding, the wanted one or the nearest that all of them can take."""
        tensors = [self.bring(value, wanted, low, high, f"{layer}.requantize") for value in values]
        while len({tensor.encoding for tensor in tensors}) > 1:
            wanted = Encoding(max(tensor.exponent for tensor in tensors), wanted.zero_point)
            tensors = [
                self.bring(tensor, wanted, -INFINITY, INFINITY, f"{layer}.requantize") for tensor in tensors
            ]
        return tensors

    def moved(self, value: Value, shape: Shape, move: Callable[[Tensor, float, float], Tensor]) -> Value:
        """An operator that keeps the encoding; on a pending value it waits for the quantisation."""
        if isinstance(value, Tensor):
            return move(value, -INFINITY, INFINITY)
        assert isinstance(value, Pending)
        before = value

        def settle(encoding: Encoding, low: float, high: float) -> Tensor:
            return move(before.settle(encoding, low, high), low, high)

        return Pending(settle, shape, before.natural, before.low, before.high)

    # ---- nodes

    def _parameter(self, target: str) -> Fixed | None:
        tensor = self.exported.state_dict.get(target)
        if tensor is None:
            tensor = self.exported.constants.get(target)
        if not isinstance(tensor, torch.Tensor):
            raise PiennError(f"{target}: the program lacks the values of this parameter")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise PiennError(f"{target}: the weights hold NaN or infinity")
        return Fixed(tensor.detach())

    def _input(self, node: Node) -> Pending:
        shape = self.shape(node)
        name = self.unique(identifier(node.name))
        made: list[Tensor] = []

        def settle(encoding: Encoding, low: float, high: float) -> Tensor:
            if not made:
                made.append(Tensor(name, shape, encoding))
            return self.bring(made[0], encoding, low, high, f"{name}.requantize")

        self._inputs[node] = made
        return Pending(settle, shape)

    def _outputs(self, node: Node, inputs: Sequence[Node]) -> None:
        sources = list(node.args[0])  # type: ignore[arg-type]
        for index, source in enumerate(sources):
            name = self.unique("output" if len(sources) == 1 else f"output_{index}")
            value = self.values[source] if isinstance(source, Node) else None
            if not isinstance(value, (Tensor, Pending)):
                raise PiennError(f"output {name}: it does not depend on the input")
            if isinstance(value, Pending) and value.natural is None:
                raise self.error(source, "the result is an output of the model but not quantised")
            if self._has_merged(source):
                raise self.error(
                    source, "the result merges the batch with another axis: reshape it back first"
                )
            self.result.outputs.append((name, self.activation(source, value)))
        for source in inputs:
            made = self._inputs[source]
            if not made:
                raise PiennError(f"input {source.name}: it is not quantised, or nothing uses it")
            self.result.inputs.append(made[0])

    def _call(self, node: Node) -> Value:
        if is_bookkeeping(node):
            return None
        handler = handler_of(node)
        arguments = self._arguments(node)
        flat = tree_leaves(arguments)
        if not any(isinstance(argument, (Tensor, Pending)) for argument in flat):
            return self._fold(node, arguments)
        if handler is None:
            raise unsupported(node)
        self._merged = any(map(self._has_merged, node.all_input_nodes))
        if self._merged and str(node.target).split(".")[-2] not in MERGED:
            raise self.error(node, "its operand merges the batch with another axis: reshape it back first")
        return handler(self, node, **arguments)

    def _arguments(self, node: Node) -> dict[str, Any]:
        """Arguments by schema name, defaults filled in, nodes replaced by their values."""
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            return {f"argument{index}": self._resolved(value) for index, value in enumerate(node.args)}
        arguments = {}
        for index, parameter in enumerate(schema.arguments):
            if index < len(node.args):
                value = node.args[index]
            else:
                value = node.kwargs.get(parameter.name, parameter.default_value)
            arguments["x" if parameter.name == "self" else parameter.name] = self._resolved(value)
        return arguments

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, Node):
            return self.values[value]
        if isinstance(value, (list, tuple)):
            return [self._resolved(item) for item in value]
        return value

    def _fold(self, node: Node, arguments: dict[str, Any]) -> Value:
        """An operator on constants alone is evaluated; the steps of dequantised weights move along."""
        target: Any = node.target
        if "dequantize_per" in str(target):
            return _dequantised(arguments)
        steps = [a for a in tree_leaves(arguments) if isinstance(a, Fixed) and a.step is not None]
        real = self._evaluated(node, target, arguments, lambda fixed: fixed.real)
        moves = str(target).split(".")[1:2] in (
            ["permute"],
            ["t"],
            ["transpose"],
            ["reshape"],
            ["view"],
            ["unsqueeze"],
            ["squeeze"],
        )
        if isinstance(real, torch.Tensor):
            step = (
                self._evaluated(node, target, arguments, lambda fixed: fixed.step)
                if steps and moves
                else None
            )
            return Fixed(real, step)
        if isinstance(real, (list, tuple)):
            return tuple(Fixed(item) for item in real)
        return None

    def _evaluated(
        self, node: Node, target: Any, arguments: dict[str, Any], view: Callable[[Fixed], Any]
    ) -> Any:
        def plain(value: Any) -> Any:
            if isinstance(value, Fixed):
                return view(value)
            if isinstance(value, (list, tuple)):
                return [plain(item) for item in value]
            return value

        named = {("self" if name == "x" else name): plain(value) for name, value in arguments.items()}
        try:
            with torch.no_grad():
                if getattr(target, "_schema", None) is None:
                    return target(*named.values())
                return target(**named)
        except Exception as error:  # whatever torch raises for constants that depend on the batch size
            raise self.error(node, f"cannot be evaluated as a constant ({type(error).__name__})") from None


def power_of_two(scale: float) -> int | None:
    """The exponent of a scale that is a power of two, else None."""
    mantissa, exponent = math.frexp(scale)
    return exponent - 1 if mantissa == 0.5 else None


def _dequantised(arguments: dict[str, Any]) -> Fixed:
    codes = arguments["input"].real.double()
    if "axis" in arguments:
        view = [1] * codes.dim()
        view[arguments["axis"]] = -1
        step = arguments["scales"].real.double().reshape(view).expand(codes.shape)
        zero = arguments["zero_points"]
        zero = zero.real.double().reshape(view) if isinstance(zero, Fixed) else 0.0
    else:
        scale, zero = arguments["scale"], arguments["zero_point"]
        scale = float(scale.real) if isinstance(scale, Fixed) else float(scale)
        zero = float(zero.real) if isinstance(zero, Fixed) else float(zero)
        step = torch.full(codes.shape, scale, dtype=torch.float64)
    return Fixed((codes - zero) * step, step)


@reads(
    "quantized_decomposed.quantize_per_tensor.default",
    "quantized_decomposed.quantize_per_tensor.tensor",
)
def _quantise(
    reader: Reader, node: Node, *, input: Value, scale: Any, zero_point: Any, **limits: Any
) -> Value:
    encoding = _encoding(reader, node, scale, zero_point, **limits)
    if not isinstance(input, (Tensor, Pending)):
        raise reader.error(node, "this value cannot be quantised")
    source = node.args[0]
    assert isinstance(source, Node)
    return reader.bring(input, encoding, -INFINITY, INFINITY, f"{reader.layer(source)}.requantize")


@reads(
    "quantized_decomposed.dequantize_per_tensor.default",
    "quantized_decomposed.dequantize_per_tensor.tensor",
)
def _dequantise(
    reader: Reader, node: Node, *, input: Value, scale: Any, zero_point: Any, **limits: Any
) -> Value:
    limits.pop("out_dtype", None)
    _encoding(reader, node, scale, zero_point, **limits)
    return input


def _encoding(
    reader: Reader,
    node: Node,
    scale: Any,
    zero_point: Any,
    quant_min: int,
    quant_max: int,
    dtype: torch.dtype,
    **_: Any,
) -> Encoding:
    """The encoding of a q or dq node; anything but int8, a power of two and zero point 0 or -128 is refused."""
    scale = float(scale.real) if isinstance(scale, Fixed) else float(scale)
    zero_point = int(zero_point.real) if isinstance(zero_point, Fixed) else int(zero_point)
    exponent = power_of_two(scale)
    if (
        exponent is None
        or zero_point not in (0, -128)
        or dtype != torch.int8
        or (quant_min, quant_max) != (-128, 127)
    ):
        source = node
        while "quantize" in str(source.target) and isinstance(source.args[0], Node):
            source = source.args[0]
        raise PiennError(
            f"{reader.layer(source)}: {node.name} quantises with scale {scale:g}, zero point {zero_point}, {dtype} "
            f"{quant_min}..{quant_max}, but scales must be powers of two, zero points 0 or -128, int8 -128..127: "
            "quantise the float model with pienn.quantize instead"
        )
    return Encoding(exponent, zero_point)


@reads("getitem")
def _item(reader: Reader, node: Node, *, argument0: Value, argument1: int) -> Value:
    if not isinstance(argument0, tuple):
        return argument0 if argument1 == 0 else None
    return argument0[argument1]


def handler_of(node: Node) -> Handler | None:
    """What reads a node's operator, if anything does."""
    from pienn.frontend import aten_elementwise, aten_shapes, aten_windows

    assert aten_elementwise and aten_shapes and aten_windows  # they register themselves
    return HANDLERS.get(str(node.target)) or HANDLERS.get(getattr(node.target, "__name__", ""))


def read(program: torch.export.ExportedProgram) -> QuantisedProgram:
    """The quantised program of a PT2E-converted `torch.export.ExportedProgram`."""
    check_inputs(program)
    return Reader(program).read()
