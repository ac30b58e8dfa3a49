"""The interpreter against nested loops that follow docs/SPEC.md word by word."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import slow_operations as slow
from hypothesis import given, settings, strategies
from random_graphs import LARGEST, WRITERS, minimise, random_graph, random_inputs

from pienn.errors import PiennError
from pienn.ir import dialect, interpreter, products
from pienn.ir.dialect import PiennOp, encoding_of, is_activation
from pienn.ir.graph import Graph
from pienn.ir.interpreter import run


def evaluate(op: PiennOp, operands: list[np.ndarray]) -> np.ndarray:
    """The result of one operation on one sample, by the slow reference."""
    p: dict[str, Any] = op.parameters
    shape = dialect.shape_of(op.result)
    ey = encoding_of(op.result)
    encodings = [encoding_of(operand) if is_activation(operand) else None for operand in op.operands]
    ex: Any = encodings[0]
    x = operands[0]
    kind = op.short_name
    if kind in ("conv2d", "conv_transpose2d", "fully_connected"):
        return getattr(slow, kind)(*operands, ex, ey, shape, p)
    if kind == "matmul":
        return slow.matmul(*operands, *encodings, ey, shape, p)
    if kind in ("add", "sub", "mul"):
        return slow.binary(kind, *operands, *encodings, ey, shape, p)
    if kind == "requantize":
        return slow.requantize_op(x, ex, ey, p)
    if kind == "prelu":
        return slow.prelu(x, operands[1], ex, ey, p)
    if kind in ("lut", "softmax"):
        return getattr(slow, kind)(*operands)
    if kind == "max_pool2d":
        return slow.max_pool2d(x, shape, p)
    if kind in ("avg_pool2d", "mean"):
        return getattr(slow, kind)(x, ex, ey, shape, p)
    if kind == "resize_nearest":
        return slow.resize_nearest(x, shape, *operands[1:])
    if kind == "resize_bilinear":
        return slow.resize_bilinear(*operands, ex, ey)
    if kind == "concat":
        return slow.concat(operands, shape, p)
    return getattr(slow, kind if kind != "slice" else "slice_")(x, shape, p)


def check(graph: Graph, seed: int) -> None:
    """Compares every operation of a graph, each on what the interpreter gave it, for two samples."""
    inputs = random_inputs(graph, seed, batch=2)
    taps: dict[str, np.ndarray] = {}
    results = run(graph, inputs, taps)
    names = graph.value_names()
    arrays = {port.value: array for port, array in zip(graph.inputs, inputs)}
    arrays |= {op.result: taps[names[op.result]] for op in graph.layers}
    for op in graph.layers:
        for sample in range(2):
            operands = [
                graph.array(operand)
                if isinstance(operand.owner, dialect.ConstantOp)
                else arrays[operand][sample]
                for operand in op.operands
            ]
            np.testing.assert_array_equal(arrays[op.result][sample], evaluate(op, operands), f"{op}")
    for port, result in zip(graph.outputs, results):
        np.testing.assert_array_equal(result, arrays[port.value])
        assert result.dtype == np.int8 and result.shape == (2, *port.shape)


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=12, deadline=None)
@given(seed=strategies.integers(0, 2**32 - 1))
def test_operation_equals_the_specification(name: str, seed: int) -> None:
    check(random_graph(seed, 1, [name]), seed)


@settings(max_examples=25, deadline=None)
@given(seed=strategies.integers(0, 2**32 - 1))
def test_graph_equals_the_specification(seed: int) -> None:
    check(random_graph(seed, 6), seed)


def test_random_graphs_hold_every_operation() -> None:
    count = Counter(op.short_name for seed in range(60) for op in random_graph(seed, 10).layers)
    assert set(count) == set(WRITERS), set(WRITERS) - set(count)


def test_fewer_operations_are_a_prefix() -> None:
    whole, part = (
        [str(op) for op in random_graph(5, count).layers if op.layer.startswith("block")] for count in (9, 4)
    )
    assert part == whole[: len(part)] and len(part) == 4


@pytest.mark.parametrize("zero_point", [0, -128])
@pytest.mark.parametrize("taps", [515, 516, 517, 518, 519, 1032, 1033, 2000])
def test_sums_are_exact_on_both_sides_of_the_float32_limit(taps: int, zero_point: int) -> None:
    """A sum of `taps` extreme products, odd ones among them, near 2**24 and beyond: what float32 cannot hold."""
    weight = np.full((3, taps), 127, np.int8)
    weight[1], weight[2, ::2] = -127, 126
    x = np.stack([np.full(taps, 127), np.full(taps, -128), np.where(np.arange(taps) % 5, 127, 126)]).astype(
        np.int8
    )
    exact = (x.astype(np.int64) - zero_point) @ weight.astype(np.int64).T
    np.testing.assert_array_equal(
        products.matrix_product(x.astype(np.int16) - zero_point, weight, zero_point), exact
    )
    image = (x.astype(np.int16) - zero_point)[:, None, :, None]  # [3, 1, taps, 1] by a kernel of [1, taps]
    for channels in (1, 4):
        wide = np.repeat(image, channels, axis=-1)
        kernel = np.repeat(weight[:, None, :, None], channels, axis=-1)
        convolved = products.convolution(
            wide, kernel, zero_point, (1, 1), (0, 0, 0, 0), (1, 1), groups=1, size=(1, 1)
        )
        np.testing.assert_array_equal(convolved[:, 0, 0], channels * exact)


def test_a_failing_graph_is_minimised() -> None:
    """Down to the one operation that matters, with its operands as arguments."""
    for seed in range(200):
        graph = random_graph(seed, 12)
        kinds = [op.short_name for op in graph.layers]
        if kinds.count("softmax") and kinds.count("pad"):
            break
    small = minimise(graph, lambda g: any(op.short_name == "softmax" for op in g.layers))
    assert [op.short_name for op in small.layers] == ["softmax"]
    assert len(small.inputs) == len(small.outputs) == 1
    both = minimise(graph, lambda g: {"softmax", "pad"} <= {op.short_name for op in g.layers})
    assert {"softmax", "pad"} <= {op.short_name for op in both.layers} and len(both.layers) <= 4


def test_a_large_batch_is_cut_into_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(20):
        graph = random_graph(seed, 6)
        inputs = random_inputs(graph, seed, batch=7)
        taps: dict[str, np.ndarray] = {}
        pieces: dict[str, np.ndarray] = {}
        results = run(graph, inputs, taps)
        monkeypatch.setattr(interpreter, "CHUNK", 2 * LARGEST)
        for ours, theirs in zip(results, run(graph, inputs, pieces)):
            np.testing.assert_array_equal(ours, theirs)
        assert list(pieces) == list(taps)
        for name, array in taps.items():
            np.testing.assert_array_equal(pieces[name], array)
        monkeypatch.undo()


def test_wrong_inputs_are_named() -> None:
    graph = random_graph(1, 3)
    inputs = random_inputs(graph, 1)
    with pytest.raises(PiennError, match="inputs given"):
        run(graph, [*inputs, inputs[0]])
    with pytest.raises(PiennError, match="input x1 is float32"):
        run(graph, [inputs[0].astype(np.float32), *inputs[1:]])
    with pytest.raises(PiennError, match="there is no input to run on"):
        run(graph, [array[:0] for array in inputs])
