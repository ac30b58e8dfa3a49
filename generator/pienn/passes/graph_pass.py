"""What all passes share: the weights beside the module, and replacing one operation at a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from pienn.errors import PiennError
from pienn.ir import dialect
from pienn.ir.dialect import ConstantOp, PiennOp
from pienn.ir.graph import Graph, new_context
from pienn.ir.interpreter import EVALUATE, Layer
from pienn.ir.verifier import check_layer, verify

Replacement = SSAValue | PiennOp | None


class GraphContext(Context):
    """An xDSL context that carries the arrays that the module's constants name."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        super().__init__()
        for loaded in new_context().loaded_dialects:
            self.load_dialect(loaded)
        self.weights = weights


@dataclass(frozen=True)
class GraphPass(ModulePass):
    """A pass that sees the whole graph; constants that nobody uses any more vanish behind it."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrites the module in place, and the weights of a `GraphContext`."""
        if not isinstance(ctx, GraphContext):
            raise TypeError(f"{self.name} needs a GraphContext: constants have their values there")
        graph = Graph(op, ctx.weights)
        self.rewrite(graph)
        prune_constants(graph)

    @abstractmethod
    def rewrite(self, graph: Graph) -> None:
        """Rewrites the graph in place."""


def run_pass(graph: Graph, step: GraphPass) -> Graph:
    """The graph after a pass, verified; the one given stays as it is and is taken as verified."""
    result = graph.clone()
    step.apply(GraphContext(result.weights), result.module)
    try:
        verify(result)
    except PiennError as error:
        raise PiennError(f"pass {step.name} left an invalid graph: {error}") from None
    return result


def rewrite_layers(graph: Graph, rule: Callable[[PiennOp, Graph], Replacement]) -> None:
    """Applies a rule to every operation until it has nothing left to say.

    The rule returns an earlier value that equals the result, or a new operation that computes it, or None.  A new
    operation that the verifier refuses, and a value that the graph may not return, are passed over.
    """
    changed = True
    while changed:
        changed = False
        for op in graph.layers:
            if op.parent is None:  # a replacement has made it dead
                continue
            replacement = rule(op, graph)
            if isinstance(replacement, PiennOp):
                if op.order:
                    replacement.properties["order"] = dialect.to_attribute(op.order)
                if not _accept(replacement, op, graph):
                    continue
                replacement = replacement.result
            elif replacement is None or not _may_stand_for(replacement, op):
                continue
            op.result.replace_all_uses_with(replacement)
            erase_dead(op)
            changed = True


def erase_dead(op: PiennOp) -> None:
    """Erases an operation whose result nobody uses, and its producers where they become dead by that."""
    waiting = [op]
    while waiting:
        dead = waiting.pop()
        if dead.parent is None or dead.result.first_use is not None:
            continue
        producers = [operand.owner for operand in dead.operands]
        dead.detach()
        dead.erase()
        waiting += [
            owner for owner in producers if isinstance(owner, PiennOp) and not isinstance(owner, ConstantOp)
        ]


def prune_constants(graph: Graph) -> None:
    """Erases constants that nobody uses, and their arrays."""
    for op in graph.ops:
        if isinstance(op, ConstantOp) and op.result.first_use is None:
            op.detach()
            op.erase()
    used = {op.tensor_name for op in graph.ops if isinstance(op, ConstantOp)}
    for name in set(graph.weights) - used:
        del graph.weights[name]


def add_constant(
    graph: Graph, before: PiennOp, name: str, array: np.ndarray, encoding: dialect.Encoding | None = None
) -> SSAValue:
    """A new constant in front of an operation, under a name that is not taken."""
    unique, number = name, 1
    while unique in graph.weights:
        number += 1
        unique = f"{name}_{number}"
    kind = dialect.constant_type(array.shape, array.dtype.name)
    if encoding is not None:
        kind = dialect.activation_type(array.shape, *encoding)
    op = ConstantOp.make([], kind, name=unique, layer=before.layer)
    graph.weights[unique] = array
    block = before.parent
    assert block is not None
    block.insert_op_before(op, before)
    return op.result


def free_layer(graph: Graph, path: str) -> str:
    """A layer path near to `path` that no operation has."""
    taken = {op.layer for op in graph.layers}
    candidate, number = path[-200:], 1
    while candidate in taken:
        number += 1
        candidate = f"{path[-190:]}_{number}"
    return candidate


def producer_used_once(value: SSAValue) -> PiennOp | None:
    """The operation that computes a value which has exactly one use, else None; constants do not count."""
    owner = value.owner
    if isinstance(owner, PiennOp) and not isinstance(owner, ConstantOp) and len(list(value.uses)) == 1:
        return owner
    return None


def is_returned(value: SSAValue) -> bool:
    """Whether the graph returns this value."""
    return any(isinstance(use.operation, ReturnOp) for use in value.uses)


def reachable(value: SSAValue) -> np.ndarray:
    """The stored values, ascending, that a value may take as far as its producer's clamp says."""
    owner = value.owner
    low, high = -128, 127
    if isinstance(owner, PiennOp) and isinstance(owner, dialect.CLAMPED):
        parameters = owner.parameters
        low, high = int(parameters["minimum"]), int(parameters["maximum"])  # type: ignore[arg-type]
    return np.arange(low, high + 1).astype(np.int8)


def table_of(op: PiennOp, graph: Graph, stored: np.ndarray) -> np.ndarray:
    """What a requantize or lut makes of stored int8 values [N]."""
    return EVALUATE[type(op)](Layer(op, graph, {op.operands[0]: stored}))


def _accept(new: PiennOp, op: PiennOp, graph: Graph) -> bool:
    """Inserts a new operation before the one it replaces, if the verifier agrees."""
    block = op.parent
    assert block is not None
    try:
        check_layer(new, graph)
    except PiennError:
        new.erase()
        return False
    block.insert_op_before(new, op)
    return True


def _may_stand_for(value: SSAValue, op: PiennOp) -> bool:
    """Whether a value may take the place of a result: what a graph returns is computed, and only once."""
    if not is_returned(op.result):
        return True
    owner = value.owner
    return isinstance(owner, PiennOp) and not isinstance(owner, ConstantOp) and not is_returned(value)
