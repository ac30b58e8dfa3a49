"""One operation in plain terms: shapes, encodings, attributes and arrays instead of xDSL objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pienn.ir.dialect import ConstantOp, Encoding, PiennOp, dtype_of, encoding_of, is_activation, shape_of
from pienn.ir.graph import Graph


class OperationView:
    """`shapes` are those of the operands, `result` that of the result, `parameters` the attributes."""

    def __init__(self, op: PiennOp, graph: Graph) -> None:
        self.op = op
        self.graph = graph
        self.parameters: dict[str, Any] = op.parameters
        self.shapes = [shape_of(operand) for operand in op.operands]
        self.result = shape_of(op.result)

    def encoding(self, index: int = 0) -> Encoding:
        """The encoding of an operand that must be an activation."""
        return encoding_of(self.op.operands[index])

    @property
    def result_encoding(self) -> Encoding:
        """The encoding of the result."""
        return encoding_of(self.op.result)

    def array(self, index: int) -> np.ndarray:
        """The array of an operand that is a constant."""
        return self.graph.array(self.op.operands[index])

    def table(self, index: int, name: str, dtype: str, shape: Sequence[int] | None = None) -> np.ndarray:
        """The array of an operand that must be a constant without encoding, else ValueError."""
        operand = self.op.operands[index]
        if is_activation(operand) or not isinstance(operand.owner, ConstantOp):
            raise ValueError(f"{name} is not a constant")
        if dtype_of(operand) != dtype:
            raise ValueError(f"{name} is {dtype_of(operand)}, not {dtype}")
        if shape is not None and shape_of(operand) != tuple(shape):
            raise ValueError(f"{name} is {list(shape_of(operand))}, not {list(shape)}")
        return self.array(index)

    def same_encoding(self, operands: int = 1) -> None:
        """Demands that the result and the first operands share one encoding."""
        for index in range(operands):
            if self.encoding(index) != self.result_encoding:
                raise ValueError(f"encoding {self.encoding(index)} becomes {self.result_encoding}")
