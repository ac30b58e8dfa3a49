"""A quantised network: the module, the constants by name, and what the file says about itself."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, Builtin, DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import Func, FuncOp, ReturnOp
from xdsl.ir import SSAValue
from xdsl.printer import Printer

from pienn.ir.dialect import PIENN, ConstantOp, PiennOp, encoding_of, shape_of, to_plain, type_text


def new_context() -> Context:
    """A context that knows builtin, func and pienn."""
    context = Context()
    for dialect in (Builtin, Func, PIENN):
        context.load_dialect(dialect)
    return context


@dataclass(frozen=True)
class Port:
    """An argument or result of the graph; graph axis i is axis permutation[i] of the torch tensor."""

    name: str
    shape: tuple[int, ...]
    exponent: int
    zero_point: int
    permutation: tuple[int, ...]
    value: SSAValue = field(compare=False, repr=False)


@dataclass
class Graph:
    """`module` holds one ``func.func @main``, `weights` the arrays that its constants name, `meta` facts."""

    module: ModuleOp
    weights: dict[str, np.ndarray]
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the network."""
        return str(self.meta.get("name", "model"))

    @property
    def function(self) -> FuncOp:
        """The one function."""
        return next(op for op in self.module.ops if isinstance(op, FuncOp))

    @property
    def ops(self) -> list[PiennOp]:
        """All operations in order, constants among them."""
        return [op for op in self.function.body.block.ops if isinstance(op, PiennOp)]

    @property
    def layers(self) -> list[PiennOp]:
        """All operations in order, without constants."""
        return [op for op in self.ops if not isinstance(op, ConstantOp)]

    @property
    def inputs(self) -> list[Port]:
        """The arguments, in order."""
        return list(_ports(self.function.body.block.args, self.function.arg_attrs))

    @property
    def outputs(self) -> list[Port]:
        """The results, in order."""
        terminator = self.function.body.block.last_op
        assert isinstance(terminator, ReturnOp)
        return list(_ports(terminator.arguments, self.function.res_attrs))

    def array(self, value: SSAValue) -> np.ndarray:
        """The array of a constant's result; raises KeyError where `value` is no constant."""
        if not isinstance(value.owner, ConstantOp):
            raise KeyError(f"{value} is not a constant")
        return self.weights[value.owner.tensor_name]

    def value_names(self) -> dict[SSAValue, str]:
        """Every value's name in the text, without the %.

        Results are called after their layer, arguments after themselves, constants after their tensor, with a
        number where that is taken.  So a tensor keeps its name when passes remove others.
        """
        names: dict[SSAValue, str] = {}
        taken: set[str] = set()
        for op in self.layers:
            names[op.result] = _unique(op.layer, taken)
        for port in self.inputs:
            names[port.value] = _unique(port.name, taken)
        for op in self.ops:
            if isinstance(op, ConstantOp):
                names[op.result] = _unique(op.tensor_name, taken)
        return names

    def text(self) -> str:
        """The module as MLIR text, to the byte: it does not depend on the version of xDSL."""
        names = self.value_names()
        terminator = self.function.body.block.last_op
        assert isinstance(terminator, ReturnOp)
        arguments = ", ".join(f"%{names[port.value]}: {_port_text(port)}" for port in self.inputs)
        results = ", ".join(_port_text(port) for port in self.outputs)
        lines = ["builtin.module {", f"  func.func @main({arguments}) -> ({results}) {{"]
        for op in self.ops:
            operands = ", ".join(f"%{names[operand]}" for operand in op.operands)
            parts = [
                f"%{names[op.result]} =",
                op.name,
                operands,
                op.attributes_text(),
                ":",
                type_text(op.result),
            ]
            lines.append("    " + " ".join(part for part in parts if part))
        returned = ", ".join(f"%{names[value]}" for value in terminator.arguments)
        lines.append(f"    func.return {returned} : {', '.join(map(type_text, terminator.arguments))}")
        return "\n".join([*lines, "  }", "}", ""])

    def generic_text(self) -> str:
        """The module in MLIR's generic form, which mlir-opt reads."""
        stream = io.StringIO()
        Printer(stream=stream, print_generic_format=True).print_op(self.module)
        return stream.getvalue() + "\n"

    def clone(self) -> Graph:
        """A graph with its own module; the arrays are shared, nobody writes to them."""
        values = [port.value for port in self.inputs] + [op.result for op in self.ops]
        for value in values:
            # xDSL's parser leaves nothing of %_0, and cannot clone that
            value.name_hint = value.name_hint or None
        return Graph(self.module.clone(), dict(self.weights), dict(self.meta))


def _unique(name: str, taken: set[str]) -> str:
    """`name` as an SSA name, numbered where it is taken."""
    base = name if name[:1].isalpha() else f"n{name}"
    candidate, number = base, 1
    while candidate in taken:
        number += 1
        candidate = f"{base}_{number}"
    taken.add(candidate)
    return candidate


def _port_text(port: Port) -> str:
    axes = ", ".join(map(str, port.permutation))
    return f'{type_text(port.value)} {{pienn.name = "{port.name}", pienn.permutation = array<i64: {axes}>}}'


def _ports(values: Any, attributes: ArrayAttr[DictionaryAttr] | None) -> Iterator[Port]:
    entries = attributes.data if attributes is not None else ()
    for value, entry in zip(values, entries):
        encoding = encoding_of(value)
        name = entry.data["pienn.name"]
        permutation = to_plain(entry.data["pienn.permutation"])
        assert isinstance(name, StringAttr)
        yield Port(name.data, shape_of(value), *encoding, cast("tuple[int, ...]", permutation), value)
