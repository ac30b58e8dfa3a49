"""The quantised program as a `pienn.ir` graph: channels last, no batch axis.

Convolutions, pools and resizing want images as `[H, W, C]`; linears and matrix products want their axis
last; everything else takes the order it finds. Transposes appear only where the memory order found is not
the one needed; permutes and reshapes of torch are bookkeeping (`layout.Layout`), and a linear behind a
flattened image gets its columns permuted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pienn.errors import PiennError
from pienn.frontend import operators as ops
from pienn.frontend.input_order import input_order, users_of
from pienn.frontend.layout import Layout, Tap
from pienn.frontend.lowering_rules import RULES
from pienn.frontend.operators import QuantisedProgram
from pienn.frontend.oracle import Oracle, quantise
from pienn.frontend.placement import Held, Placement
from pienn.frontend.reading import read
from pienn.ir.builder import GraphBuilder
from pienn.ir.graph import Graph


@dataclass
class Lowered:
    """A network in its first two places: the torch oracle and the graph."""

    graph: Graph
    oracle: Oracle
    program: QuantisedProgram
    taps: dict[str, Tap]
    """Layer of the graph -> the oracle's tensor that it equals, and how that one is laid out."""

    def stored_inputs(self, reals: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The network's inputs in torch layout, quantised by the oracle, in graph layout."""
        encodings = [tensor.encoding for tensor in self.program.inputs]
        return [
            _to_graph(quantise(torch.as_tensor(array), encoding).numpy(), port.permutation)
            for array, encoding, port in zip(reals, encodings, self.graph.inputs)
        ]

    def run_oracle(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Stored int8 inputs in graph layout through the oracle.

        Every layer's result in graph layout, by the name of its value in the graph, and every result of the network
        as `result <name>`.
        """
        graph = self.graph
        tensors = [
            torch.as_tensor(_to_torch(array, port.permutation)) for array, port in zip(inputs, graph.inputs)
        ]
        found: dict[str, torch.Tensor] = {}
        outputs = self.oracle(*tensors, taps=found)
        names = graph.value_names()
        results = {
            names[op.result]: self.taps[op.layer].in_graph_layout(found[self.taps[op.layer].key].numpy())
            for op in graph.layers
            if op.layer in self.taps
        }
        for port, output in zip(graph.outputs, outputs):
            results[f"result {port.name}"] = _to_graph(output.numpy(), port.permutation)
        return results


def _to_graph(array: np.ndarray, permutation: Sequence[int]) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(0, *(axis + 1 for axis in permutation)))


def _to_torch(array: np.ndarray, permutation: Sequence[int]) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(0, *(int(axis) + 1 for axis in np.argsort(permutation))))


def lower(program: torch.export.ExportedProgram, name: str) -> Lowered:
    """Oracle and graph of a PT2E-converted program; raises PiennError naming operator, layer and shape."""
    return lower_program(read(program), name)


def lower_program(program: QuantisedProgram, name: str) -> Lowered:
    """Oracle and graph of a quantised program."""
    builder = GraphBuilder(name)
    placement = Placement(builder)
    graph = _graph(program, builder, placement)
    return Lowered(graph, Oracle(program), program, placement.taps)


def _graph(program: QuantisedProgram, builder: GraphBuilder, placement: Placement) -> Graph:
    """The whole graph, verified."""
    users = users_of(program)
    results = [op.result for op in program.operators if not isinstance(op, ops.Constant)]
    placement.names.update(tensor.name for tensor in [*program.inputs, *results])
    for tensor in program.inputs:
        order = input_order(tensor, users)
        shape = tuple(tensor.shape[axis] for axis in order)
        placement.check_rank(tensor.name, shape)
        value = builder.input(tensor.name, shape, tensor.exponent, tensor.zero_point, order)
        placement.held[tensor] = Held(value, shape, Layout.ordered(tensor.shape, order))
    for operator in program.operators:
        RULES[type(operator)](placement, operator)
    returned = {placement.held[tensor].value for tensor in program.inputs}
    for name, tensor in program.outputs:
        if tensor in placement.constants:
            raise PiennError(f"output {name}: it does not depend on the input")
        order = placement.held[tensor].layout.axis_order() or tuple(range(len(tensor.shape)))
        if not order:
            raise PiennError(f"output {name}: a result without axes besides the batch is not supported")
        value = placement.arranged(tensor, order)
        if value in returned:
            encoding = {"exponent": tensor.exponent, "zero_point": tensor.zero_point}
            value = builder.requantize(value, layer=placement.name(f"{tensor.name}.copy"), **encoding)
        returned.add(value)
        builder.output(name, value, order)
    return builder.build()
