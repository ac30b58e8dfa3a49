"""Whether a graph is what docs/SPEC.md allows: shapes, encodings, ranges, and accumulators that fit int32.

Everything is recomputed from operands, attributes and the actual weights.  The first fault raises PiennError,
``<layer>: <operation>: <what is wrong>``.
"""

from __future__ import annotations

import re

from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import VerifyException

from pienn.errors import PiennError
from pienn.ir import dialect, shapes
from pienn.ir.dialect import PiennOp, dtype_of, encoding_of, shape_of
from pienn.ir.graph import Graph
from pienn.ir.rules import check_operation, check_type

PATH = re.compile(r"[A-Za-z0-9_.]{1,200}")
"""What layer paths and the names of tensors look like: they reach C comments, identifiers and file names."""

BROKEN = (VerifyException, ValueError, KeyError, TypeError, IndexError)
"""What xDSL and the rules raise for a graph that is wrong."""


def verify(graph: Graph) -> None:
    """Raises PiennError naming layer and operation unless the graph obeys docs/SPEC.md."""
    function = _structure(graph)
    _ports(function)
    seen: set[SSAValue] = set(function.body.block.args)
    used: set[str] = set()
    layers: set[str] = set()
    for op in graph.ops:
        try:
            if not PATH.fullmatch(op.layer) and (op.layer or not isinstance(op, dialect.ConstantOp)):
                raise ValueError(f"the layer path {op.layer[:40]!r} is not 1 to 200 of A-Z a-z 0-9 _ .")
            for operand in op.operands:
                if operand not in seen:
                    raise ValueError("an operand is used before its definition")
            if isinstance(op, dialect.ConstantOp):
                _constant(op, graph, used)
            else:
                if op.layer in layers:
                    raise ValueError("another operation has this layer path")
                layers.add(op.layer)
                if op.order and sorted(op.order) != list(range(shape_of(op.result)[-1])):
                    raise ValueError("the order is no permutation of the result's last axis")
                check_operation(op, graph)
        except BROKEN as error:
            place = op.layer if PATH.fullmatch(op.layer) else "graph"
            raise PiennError(f"{place}: {op.short_name}: {_line(error)}") from None
        seen.add(op.result)
    if unused := sorted(set(graph.weights) - used):
        raise PiennError(f"{unused[0][:80]!r}: no operation uses this constant")


def check_layer(op: PiennOp, graph: Graph) -> None:
    """Checks one operation by itself, constants aside, whether it is in the graph yet or not."""
    try:
        op.verify(verify_nested_ops=False)
        check_operation(op, graph)
    except BROKEN as error:
        raise PiennError(f"{op.layer}: {op.short_name}: {_line(error)}") from None


def _structure(graph: Graph) -> FuncOp:
    """The function, if the module holds only ``func.func @main`` with one block of known operations."""
    functions = list(graph.module.ops)
    if len(functions) != 1 or not isinstance(functions[0], FuncOp) or functions[0].sym_name.data != "main":
        raise PiennError("graph: the module must hold one function, @main")
    function = functions[0]
    if len(function.body.blocks) != 1:
        raise PiennError("graph: @main must have exactly one block")
    block = function.body.block
    for op in block.ops:
        if op is block.last_op and isinstance(op, ReturnOp):
            continue
        if not isinstance(op, PiennOp) or op.successors or op.regions or op.attributes:
            raise PiennError(
                f"graph: {op.name}: only operations of the pienn dialect, and one return at the end"
            )
        try:
            op.verify(verify_nested_ops=False)
        except BROKEN as error:
            raise PiennError(f"graph: {op.name}: {_line(error)}") from None
    if not isinstance(block.last_op, ReturnOp):
        raise PiennError("graph: @main does not end with a return")
    if function.sym_visibility is not None or function.attributes or graph.module.attributes:
        raise PiennError("graph: @main and the module carry no attributes of their own")
    types = tuple(block.arg_types), tuple(value.type for value in block.last_op.arguments)
    if types != (function.function_type.inputs.data, function.function_type.outputs.data):
        raise PiennError("graph: the type of @main differs from its arguments and results")
    return function


def _ports(function: FuncOp) -> None:
    """Arguments and results: names, types, permutations."""
    terminator = function.body.block.last_op
    assert isinstance(terminator, ReturnOp)
    for what, values, attributes in (
        ("argument", function.body.block.args, function.arg_attrs),
        ("result", terminator.arguments, function.res_attrs),
    ):
        entries = attributes.data if attributes is not None else ()
        if not len(values) or len(entries) != len(values):
            raise PiennError(
                f"graph: every {what} needs pienn.name and pienn.permutation, and there must be one"
            )
        names: set[str] = set()
        for value, entry in zip(values, entries):
            name = entry.data.get("pienn.name")
            label = name.data if isinstance(name, StringAttr) else ""
            if set(entry.data) != {"pienn.name", "pienn.permutation"} or not PATH.fullmatch(label):
                raise PiennError(
                    f"graph: {what} {label[:40]!r}: needs a name (A-Z a-z 0-9 _ .) and a permutation"
                )
            if label in names:
                raise PiennError(f"graph: {what} {label}: two of this name")
            names.add(label)
            try:
                check_type(value)
                encoding_of(value)
                permutation = dialect.to_plain(entry.data["pienn.permutation"])
                if not isinstance(permutation, tuple):
                    raise ValueError("the permutation is not a list")
                shapes.transpose(shape_of(value), permutation)
            except BROKEN as error:
                raise PiennError(f"graph: {what} {label}: {_line(error)}") from None
    results = list(terminator.arguments)
    if len(set(results)) != len(results):
        raise PiennError("graph: one value is returned twice; a requantize makes a copy")
    for value in results:
        if not isinstance(value.owner, PiennOp) or isinstance(value.owner, dialect.ConstantOp):
            raise PiennError(
                "graph: a result must be computed; a requantize makes a copy of an argument or constant"
            )


def _constant(op: dialect.ConstantOp, graph: Graph, used: set[str]) -> None:
    check_type(op.result)
    name = op.tensor_name
    if not PATH.fullmatch(name):
        raise ValueError(f"the name {name[:40]!r} is not 1 to 200 of A-Z a-z 0-9 _ .")
    array = graph.weights.get(name)
    if array is None:
        raise ValueError(f"the weights have no tensor {name}")
    if name in used:
        raise ValueError(f"two constants of the name {name}")
    if array.dtype.name != dtype_of(op.result) or array.shape != shape_of(op.result):
        raise ValueError(
            f"{name} is {array.dtype}{list(array.shape)} among the weights, {op.result.type} here"
        )
    if op.result.first_use is None:
        raise ValueError(f"no operation uses the constant {name}")
    used.add(name)


def _line(error: BaseException) -> str:
    """The last line of an exception's message: xDSL puts the offending text before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
